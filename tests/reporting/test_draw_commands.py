"""``bench plot``, ``convert`` and ``compare``, through the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from report_records import cell, study, write_results
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import BadInput
from bench.reporting.exports import FORMATS
from bench.reporting.folders import collect
from bench.reporting.statistics.verdict import difference

PNG = b"\x89PNG"


def records(better=0.0, **values):
    found = []
    for model, base in (("small-model", 1_000_000), ("large-model", 100_000_000)):
        for method, score in (("lora", 0.7 + better), ("prompt_tuning-text", 0.6)):
            scores = [score, score + 0.02, score + 0.01]
            found += study(cell(model, method=method, options={"init": method}), scores, base=base, items=100, **values)
    return found


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "before", records())


def bench(*arguments, width=80):
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": str(width)}, catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_plot_writes_the_form_that_its_file_has(results, tmp_path):
    said = bench("plot", "scale", results, "--out", tmp_path / "a.png")
    assert said.split("a.png: ")[1].strip() == "trec6: accuracy on test against model size"
    assert (tmp_path / "a.png").read_bytes()[:4] == PNG
    bench("plot", "scale", results, "--out", tmp_path / "a.svg")
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()


def test_a_report_says_on_the_terminal_that_a_record_is_torn(results, tmp_path):
    final = next(results.rglob("final-*.json"))
    final.write_text(final.read_text()[:100])
    done = CliRunner().invoke(app, ["report", str(results), "--out", str(tmp_path / "report")])
    assert (done.exit_code, done.stderr) == (0, f"left out, for these are no whole records:\n  {final}\n")


def test_plot_draws_just_the_cells_that_are_asked_for(results, tmp_path):
    for number, only in enumerate((["lora", "small-model/*/prompt*"], ["lora"])):
        bench("plot", "scale", results, "--out", tmp_path / f"{number}.svg", *(f"--only={one}" for one in only))
    both, one = ((tmp_path / f"{number}.svg").read_text() for number in (0, 1))
    assert ("lora" in both, "prompt_tuning-text" in both) == (True, True)
    assert ("lora" in one, "prompt_tuning-text" in one) == (True, False)


def test_plot_all_writes_both_forms_and_says_what_is_not_drawn_and_why(results, tmp_path):
    said = bench("plot", "all", results, "--out", tmp_path / "figures")
    for name in ("scale", "initialisation", "ranks"):
        assert {path.suffix for path in (tmp_path / "figures").glob(f"{name}.*")} == {".png", ".svg"}
    assert "not drawn: few_shot: no data set was used with two sizes of its training split" in said


def test_slides_are_larger_than_paper(results, tmp_path):
    for style in ("paper", "slides"):
        bench("plot", "ranks", results, "--out", tmp_path / f"{style}.png", "--style", style)
    assert width(tmp_path / "slides.png") > 1.3 * width(tmp_path / "paper.png")


def width(png):
    return int.from_bytes(png.read_bytes()[16:20], "big")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scal"], "unknown figure 'scal'; did you mean 'scale'"),
        (
            ["nosuch"],
            "unknown figure 'nosuch'; there are scale, prompt_length, initialisation, learning_rate, searched_length",
        ),
        (["few_shot"], "nothing to draw: few_shot: no data set was used with two sizes"),
        (["scale", "--style", "poster"], "--style: unknown style 'poster'; known are paper, slides"),
        (["scale", "--out", "x.pdf"], "--out: x.pdf: figures are written as .png or .svg"),
        (["scale", "--set", "references"], "--set references: expected KEY=VALUE, such as"),
        (["scale", "--only", "lroa"], "--only lroa: fits no cell; did you mean 'lora'"),
        (["scale", "--set", "reference=true"], "unknown key; did you mean 'references'"),
    ],
)
def test_what_cannot_be_plotted_is_said_in_a_line(results, arguments, said):
    name, *options = arguments
    with pytest.raises(BadInput) as caught:
        bench("plot", name, results, *options)
    assert said in str(caught.value)


@pytest.mark.parametrize("form", FORMATS)
def test_convert_writes_every_format_and_names_its_files(results, tmp_path, form):
    files = bench("convert", form, results, "--out", tmp_path / "out", width=500).split()
    assert files and all(path.startswith(str(tmp_path / "out")) for path in files)
    for name in files:
        read = {"json": json.load, "yaml": yaml.safe_load, "csv": csv.reader}.get(name.rsplit(".", 1)[1])
        if name.endswith(".parquet"):
            assert len(pd.read_parquet(name))
        elif read is not None:
            with Path(name).open() as file:
                assert read(file)


def test_an_unknown_format_gets_the_nearest_one(results):
    with pytest.raises(BadInput, match="unknown format 'latx'; did you mean 'latex'"):
        bench("convert", "latx", results)


def test_compare_fits_a_narrow_terminal_and_breaks_no_number(results, tmp_path):
    after = write_results(tmp_path / "after", records(0.1))
    said = bench("compare", results, after, width=80)
    lines = said.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert [line.strip() for line in lines].count("large-model / trec6") == 1, "a heading of its rows"
    lora = next(line for line in lines if "lora" in line)
    before, now = (found.cells for found in map(collect, (results, after)))
    of = [next(one for one in cells if one.title == "large-model / trec6 / lora") for cells in (before, now)]
    interval = difference(of[1].answers, of[0].answers).interval
    shown = [f"{interval.low:+.3f}", "to", f"{interval.high:+.3f}"]
    assert lora.split() == ["lora", "0.710", "0.810", "+0.100", *shown, "within" if 0 in interval else "beyond"]
    wide = next(line for line in bench("compare", results, after, width=120).splitlines() if "lora" in line)
    assert "0.710 ± 0.010" in wide and "0.810 ± 0.010" in wide


def test_compare_says_what_else_is_not_alike(results, tmp_path):
    from bench.runs.record import Provenance

    after = write_results(tmp_path / "after", records(provenance=Provenance(git_commit="b" * 40)))
    assert "not alike in git commit: " in bench("compare", results, after, width=300)
    with pytest.raises(BadInput, match="no cell has the same model"):
        bench("compare", results, write_results(tmp_path / "other", study(cell("another"), [0.1])))
