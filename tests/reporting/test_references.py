"""Scores of others beside ours: marked, in no mean or verdict, and refused where the task or the metric is another."""

from __future__ import annotations

import pytest
import yaml
from matplotlib.text import Text
from report_records import cell, study, write_report_of, write_results
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import BadInput
from bench.reporting.figures.scale import Scale
from bench.reporting.folders import collect
from bench.reporting.grouping import group_cells
from bench.reporting.references import read_references, with_references
from bench.reporting.table import summarise_cells


def cells():
    return group_cells(
        [
            *study(cell("tiny"), [0.70, 0.72, 0.71], items=100),
            *study(cell("tiny", method="full"), [0.80, 0.82, 0.81], items=100),
            *study(cell("tiny", dataset="boolq"), [0.60, 0.62, 0.61], items=100),
        ]
    )


def published(**changes):
    score = {
        "model": "T5-XXL",
        "method": "prompt tuning",
        "score": 0.9,
        "sd": 0.01,
        "seeds": 3,
        "parameters": 11 * 10**9,
    }
    score |= changes.pop("score", {})
    one = {
        "source": "Lester et al. (2021), table 3",
        "url": "https://example.org",
        "dataset": "trec6",
        "metric": "accuracy",
    }
    return {"references": [{**one, "scores": [score, {"model": "GPT-3", "method": "design", "score": 0.5}], **changes}]}


@pytest.fixture
def read(tmp_path):
    def reading(data, of=None):
        path = tmp_path / "refs.yaml"
        path.write_text(yaml.safe_dump(data, allow_unicode=True))
        return read_references(path, of or cells())

    return reading


def test_they_stand_below_the_rows_of_their_data_set_with_their_source(read):
    plain = summarise_cells(cells())
    found = with_references(plain, read(published()))
    assert found["method"].tolist() == [
        "lora", "full", "lora", "prompt tuning (reference)", "design (reference)"
    ]  # fmt: skip
    row = found.iloc[3]
    assert (row["test_mean"], row["test_sd"], row["test_seeds"], row["base_parameters"]) == (0.9, 0.01, 3, 11 * 10**9)
    assert row["source"] == "Lester et al. (2021), table 3, https://example.org"
    assert found["source"].isna().tolist() == [True, True, True, False, False]


def test_no_number_and_no_verdict_of_ours_is_another_for_them(read):
    plain = summarise_cells(cells())
    found = with_references(plain, read(published(score={"score": 1.0})))
    ours = found[found["source"].isna()].drop(columns="source").reset_index(drop=True)
    assert ours.equals(plain)
    theirs = found[found["source"].notna()]
    assert theirs[["standing", "rank", "gap_to_best", "resolution", "test_low"]].isna().all(axis=None)


def test_report_table_and_figure_mark_them(read, tmp_path):
    results = collect(write_results(tmp_path / "r", [run for one in cells() for run in one.runs]))
    references = read(published())
    write_report_of(results, tmp_path / "out", references)
    report = (tmp_path / "out/report.md").read_text()
    assert "| T5-XXL | prompt tuning (reference) | 11,000,000,000 | 0.900 ± 0.010 |" in report
    assert "Rows marked (reference) were not measured by us; they are in no mean, rank or verdict." in report
    assert report.count("prompt tuning (reference)") == 1, "in the table of their own data set alone"
    assert "(reference)" in (tmp_path / "out/index.html").read_text()
    drawn = {one.stem: one for one in Scale(references=references).drawings("scale", results.cells)}
    words = [" ".join(text.get_text().split()) for text in drawn["scale-trec6"].canvas.findobj(Text)]
    assert "Grey: not measured by us" in words
    assert "prompt tuning, T5-XXL; Lester et al. (2021), table 3" in words and "T5-XXL 11B" in words
    assert "design, GPT-3; Lester et al. (2021), table 3" in words
    others = [" ".join(text.get_text().split()) for text in drawn["scale-boolq"].canvas.findobj(Text)]
    assert not any("Lester" in text for text in others)


def test_a_reference_stands_in_the_panel_of_its_kind_of_models(read):
    kinds = [("causal", "d"), ("encoder", "e")]
    several = group_cells(
        [r for kind, m in kinds for r in study(cell(m), [0.7, 0.8, 0.7], items=50, notes={"network": kind})]
    )
    (drawing,) = Scale(references=read(published(score={"network": "encoder"}))).drawings("scale", several)
    decoders, encoders = drawing.canvas.axes
    assert [sum(line.get_ydata()[0] == 0.9 for line in axes.get_lines()) > 0 for axes in (decoders, encoders)] == [
        False,
        True,
    ]
    assert all(any(line.get_ydata()[0] == 0.5 for line in axes.get_lines()) for axes in (decoders, encoders))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": "trec"}, "references[0].dataset: no cell is of the task 'trec'; did you mean 'trec6'?"),
        ({"metric": "f1_macro"}, "references[0].metric: these are f1_macro, and trec6 is compared by accuracy"),
        ({"score": {"score": 90.0}}, "references[0].scores[0].score: accuracy lies between 0 and 1, found 90"),
        ({"source": ""}, "references[0].source: "),
        ({"scores": []}, "references[0].scores: "),
        ({"score": {"sd": -1}}, "references[0].scores[0].sd: "),
        ({"score": {"std": 1}}, "references[0].scores[0].std: unknown key; did you mean 'sd'?"),
    ],
)
def test_what_cannot_stand_beside_ours_is_refused_in_one_line(read, changes, said):
    with pytest.raises(BadInput) as refused:
        read(published(**changes))
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert str(refused.value).count("refs.yaml: ") == 1


def test_the_command_line_takes_a_file_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_results(tmp_path / "r", [run for one in cells() for run in one.runs])
    (tmp_path / "refs.yaml").write_text(yaml.safe_dump(published()))
    done = CliRunner().invoke(app, ["report", "r", "--references", "refs.yaml", "--out", "out"])
    assert done.exit_code == 0 and "prompt tuning (reference)" in done.output
    done = CliRunner().invoke(app, ["plot", "scale", "r", "--references", "refs.yaml", "--out", "figures"])
    assert done.exit_code == 0 and (tmp_path / "figures/scale-trec6.png").exists()
    refused = CliRunner().invoke(app, ["plot", "cost", "r", "--references", "refs.yaml"])
    assert isinstance(refused.exception, BadInput) and "the figure 'scale' draws them" in str(refused.exception)
