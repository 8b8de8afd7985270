"""The report as its reader finds it."""

from __future__ import annotations

import io
import re
from statistics import fmean

import pandas as pd
import pytest
from report_records import cell, majority, report_text_of, run, study, summarise, write_report_of, write_results
from rich.console import Console
from sklearn.metrics import accuracy_score, matthews_corrcoef
from typer.testing import CliRunner

from bench.cli import app
from bench.core.entries import Entry
from bench.core.errors import BadInput
from bench.experiment.settings import Training
from bench.reporting import sentences
from bench.reporting.folders import collect
from bench.reporting.grouping import group_cells
from bench.reporting.report import report_text, write_report
from bench.reporting.statistics.verdict import difference
from bench.reporting.table import summarise_cells
from bench.reporting.writers import csv_table, markdown_table, terminal_table
from bench.runs.manifest import Manifest, Planned
from bench.runs.record import STATUSES, Answers, Evaluated, Predictions, Provenance

HOSTILE = "boom | <script>alert(1)</script> `x` [red]text[/red]\n# heading"


def report_of(tmp_path, records, **options):
    """The text of a report; drawing its figure is tested apart."""
    return report_text_of(collect(write_results(tmp_path / "r", records, **options)))


def verdict_of(*records):
    first, *_ = sentences.verdicts(group_cells(records))
    return first


def terminal_text(summary, width=100):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal_table(summary, width))
    return console.file.getvalue()


def test_a_report_has_its_table_figure_runs_and_words(tmp_path):
    records = [*study(cell("small"), [0.5, 0.6], base=100), *study(cell("big"), [0.8, 0.9], base=10_000)]
    path = write_report_of(collect(write_results(tmp_path / "r", records)), tmp_path / "out")
    assert path == tmp_path / "out" / "report.md"
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "index.html",
        "report.md",
        "runs.csv",
        "scale.png",
        "scale.svg",
        "table.csv",
        "table.tex",
    ]
    report = path.read_text()
    for part in ("# demo", "A demo.", "(scale.png)", "| big | lora |", "None failed.", "a" * 40, "torch 2.13.0"):
        assert part in report, part
    assert len(pd.read_csv(path.parent / "runs.csv")) == 6
    assert str(tmp_path) not in report, "a report can be committed: no path of this machine is in it"


def test_accuracy_where_most_rows_have_one_label_is_read_with_care(tmp_path):
    records = [
        *study(cell(dataset="even"), [0.5, 0.6], notes={"majority_share": 0.55}),
        *study(cell(dataset="spam"), [0.9, 0.9], notes={"majority_share": 0.87}),
        *study(cell(dataset="other", objective="mcc"), [0.1, 0.2], notes={"majority_share": 0.95}),
    ]
    report = report_of(tmp_path, records)
    assert "spam: 87% of the rows have the same label, so accuracy hardly tells" in report
    assert report.count("of the rows have the same label") == 1


def test_the_same_records_give_the_same_report(tmp_path):
    root = write_results(tmp_path / "r", study(cell(), [0.5, 0.6]))
    one, two = (write_report_of(collect(root), tmp_path / name).parent for name in ("one", "two"))
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes(), file.name


def test_several_data_sets_have_a_figure_each(tmp_path):
    records = [*study(cell(dataset="boolq"), [0.5]), *study(cell(dataset="trec6"), [0.6])]
    report = write_report([write_results(tmp_path / "r", records)], str(tmp_path / "out")).read_text()
    for name in ("scale-boolq", "scale-trec6"):
        assert f"({name}.png)" in report
        assert (tmp_path / "out" / f"{name}.png").exists() and (tmp_path / "out" / f"{name}.svg").exists()


def test_two_metrics_of_one_data_set_do_not_share_a_figure(tmp_path):
    report = report_of(tmp_path, [*study(cell(), [0.5]), *study(cell(method="full", objective="mcc"), [0.1])])
    assert "(scale-accuracy.png)" in report and "(scale-mcc.png)" in report


def test_a_folder_with_failures_only_has_a_report_that_names_them(tmp_path):
    records = [run(cell(), number, status="oom", reason="out of memory") for number in (0, 1)]
    records.append(run(cell(method="full"), 4, status="timeout"))
    report = report_of(tmp_path, records)
    assert "tiny / trec6 / lora, trial 0, trial 1: **oom**. out of memory" in report
    assert "tiny / trec6 / full, trial 4: **timeout**. no reason given" in report
    assert "no method has a score on test" in report
    assert "No figure: no cell has a score" in report


def test_pruned_trials_are_counted_apart_from_failures(tmp_path):
    records = [*study(cell(), [0.5]), run(cell(), 1, status="pruned"), run(cell(), 2, status="pruned")]
    report = report_of(tmp_path, records)
    assert "None failed." in report
    assert "2 trials. tiny / trec6 / lora 2." in report


def test_hostile_text_stays_text_in_the_report(tmp_path):
    records = [*study(cell(), [0.5]), run(cell(method="full"), status="error", reason=HOSTILE)]
    report = report_of(tmp_path, records, experiment={"description": HOSTILE, "name": "x<b>"})
    assert "<script>" not in report and "<b>" not in report.split("To repeat it")[0]
    assert r"boom \| &lt;script&gt;" in report
    assert "\n# heading" not in report


def test_hostile_labels_stay_text_in_the_terminal():
    cells = group_cells(study(cell(), [0.5]), {cell().path: "lora [red]x[/red]"})
    assert "lora [red]x[/red]" in terminal_text(summarise_cells(cells))


def test_every_status_shows_in_every_table():
    summary = summarise(run(cell(), number, status=status) for number, status in enumerate(STATUSES))
    for table in (csv_table(summary), markdown_table(summary), terminal_text(summary)):
        for status in STATUSES:
            assert status in table


def test_the_terminal_table_keeps_every_number_whole_at_100_columns():
    long = "prompt_tuning-with-class-label-init-and-100-virtual-tokens"
    records = [*study(cell("smollm2-135m", method=long), [0.5, 0.61], base=134_515_008)]
    records += [run(cell("smollm2-135m", method=long), 7, status=status) for status in ("oom",)]
    shown = terminal_text(summarise(records))
    assert max(map(len, shown.splitlines())) <= 100
    for part in ("0.555 ± 0.078", "8,192", "10.0 MiB", "1m 05s", "peak live", "smollm2-135m (135M)"):
        assert part in shown, part


def test_a_narrow_terminal_gets_fewer_columns_and_no_blank_lines():
    records = study(cell("smollm2-135m", method="prompt_tuning-random"), [0.5, 0.61], base=134_515_008)
    records += [run(cell("smollm2-135m", method="prompt_tuning-random"), 7, status="oom")]
    shown = terminal_text(summarise(records), 80)
    rows = [line for line in shown.splitlines() if line.strip()]
    assert max(map(len, rows)) <= 80 and len(rows) == 5, shown
    assert "0.555 ± 0.078" in shown and "3 ok, 1 oom" in shown and "10.0 MiB" not in shown


def test_memory_headings_say_what_they_are_and_name_no_gpu():
    table = markdown_table(summarise(study(cell(), [0.5])))
    assert "peak live tensors (train)" in table and "peak resident set" in table
    assert "GPU" not in table and "CUDA" not in table


def test_the_summary_survives_a_round_trip_through_csv():
    records = [*study(cell(), [0.1 + 0.2, 0.7]), run(cell(method="full"), status="oom")]
    summary = summarise(records)
    again = pd.read_csv(io.StringIO(csv_table(summary)), dtype=summary.dtypes.to_dict())
    pd.testing.assert_frame_equal(again, summary, rtol=1e-14)


def test_a_gap_whose_interval_leaves_out_zero_is_beyond_the_noise():
    a, b = study(cell(method="a"), [0.50, 0.51, 0.52], items=100), study(cell(method="b"), [0.9, 0.91, 0.92], items=100)
    line = verdict_of(*a, *b)
    assert line.startswith("**tiny** (1M parameters): b with 0.910 ± 0.010 (3 seeds) is best, followed by a with 0.510")
    shown = interval_of("b", "a", *a, *b)
    assert f"The gap of 0.400 ({shown}; p = 0.001) is beyond chance over seeds and test items." in line


def interval_of(one, other, *records):
    """What scripts would compute of these records, by the functions that tests/reporting/test_verdict.py holds."""
    found = {cell.method: cell.answers for cell in group_cells(records)}
    interval = difference(found[one], found[other]).interval
    return f"95 % interval {interval.low:+.3f} to {interval.high:+.3f}"


def test_methods_whose_gap_may_be_chance_are_best_together_and_the_resolution_is_said():
    a, b = study(cell(method="a"), [0.4, 0.5, 0.6], items=100), study(cell(method="b"), [0.45, 0.5, 0.58], items=100)
    line = verdict_of(*a, *b)
    assert "b with 0.510 ± 0.066 (3 seeds) and a with 0.500 ± 0.100 (3 seeds) are best: no method is better" in line
    assert f"is within chance over seeds and test items ({interval_of('b', 'a', *a, *b)}; p = " in line
    low, high = map(float, re.search(r"interval (\S+) to (\S+);", line).groups())
    assert f"Half of its gaps are known to ± {100 * (high - low) / 2:.1f} points (95 %) or better." in line


def test_a_method_better_than_the_majority_is_not_called_none_where_another_with_a_higher_mean_is_unknown():
    a, b = study(cell(method="a"), [0.8] * 3, items=100), study(cell(method="b"), [0.9, 0.9], items=100)
    line = next(sentences.verdicts(group_cells([*majority(), *a, *b])))
    assert "None is called best, for nothing can be said about one whose mean is better." in line
    assert "No method of the first rank" not in line


def test_p_is_corrected_for_the_pairs_that_have_one_and_for_no_others():
    known = [
        study(cell(method=name), [0.5 + shift, 0.6, 0.7], items=100)
        for name, shift in (("a", 0.0), ("b", 0.05), ("c", 0.1))
    ]
    few = study(cell(method="d"), [0.1, 0.2], items=100)
    assert "corrected for 3 pairs" in next(
        sentences.verdicts(group_cells([*few, *(one for of in known for one in of)]))
    )


def test_where_none_is_better_than_the_majority_class_none_is_best():
    a, b = study(cell(method="a"), [0.51, 0.52, 0.5], items=100), study(cell(method="b"), [0.2, 0.2, 0.2], items=100)
    line, reference = sentences.verdicts(group_cells([*majority(), *a, *b]))
    assert "a with 0.510 ± 0.010 (3 seeds) has the highest mean, followed by b" in line and "are best" not in line
    assert (
        "No method of the first rank is better than the majority class beyond chance, so none is called best." in line
    )
    assert reference == "For comparison, majority with 0.500 (no seed changes it) without a model."
    better = next(sentences.verdicts(group_cells([*majority(), *study(cell(), [0.9] * 3, items=100)])))
    assert "It is better than the majority class beyond chance." in better


def test_too_few_seeds_are_called_too_few():
    a, b = study(cell(method="a"), [0.1, 0.2], items=100), study(cell(method="b"), [0.8, 0.9, 1.0], items=100)
    line = verdict_of(*a, *b)
    assert "Too few seeds to say" in line and "a has 2 seeds, 3 are the least" in line


def test_without_answers_to_the_test_items_nobody_is_best():
    line = verdict_of(*study(cell(method="a"), [0.1] * 3), *study(cell(method="b"), [0.9] * 3))
    assert "b with 0.900 ± 0.000 (3 seeds) has the highest mean, followed by a" in line and "best" not in line
    assert "Whether the gap of 0.800 is more than chance cannot be said: answers to the test items are not" in line


def test_too_few_test_items_are_called_too_few():
    a, b = (study(cell(method=name), [right] * 3, items=19) for name, right in (("a", 0.0), ("b", 1.0)))
    assert "Too few test items to say whether the gap of 1.000 is more than chance: 20 a final are" in verdict_of(
        *a, *b
    )


def test_a_method_that_no_seed_changes_needs_no_seeds():
    zero_shot = study(cell(method="zero_shot", stochastic=False), [0.4], items=100)
    lora = study(cell(), [0.8, 0.81, 0.82], items=100)
    line = verdict_of(*zero_shot, *lora)
    shown = interval_of("lora", "zero_shot", *zero_shot, *lora)
    assert f"The gap of 0.410 ({shown}; p < 0.001) is beyond chance over seeds and test items." in line


def test_a_method_without_a_model_is_best_of_every_model_that_it_beats():
    tfidf = study(cell(None, method="tfidf", stochastic=False), [0.9], items=100)
    lines = list(sentences.verdicts(group_cells([*tfidf, *study(cell(), [0.3, 0.31, 0.32], items=100)])))
    assert lines[0].startswith("**tiny** (1M parameters): tfidf with 0.900 (no seed changes it) is best, followed by")


def test_equal_means_have_no_winner():
    a, b = (study(cell(method=name), [0.5] * 3, items=100) for name in "ab")
    line = verdict_of(*a, *b)
    assert "a with 0.500 ± 0.000 (3 seeds) and b with 0.500 ± 0.000 (3 seeds) are best: no method is better" in line


def test_what_is_left_out_is_said(tmp_path):
    lora = cell()
    other = {"learning_rate": 0.5}
    records = [*study(lora, [0.7]), run(lora, 1, score=0.1, params=other), run(lora, 5, "final", 0.9, params=other)]
    report = report_of(tmp_path, [*records, run(cell(version=0))], current=[lora.path])
    left_out = "1 record of an earlier version of the experiment left out: tiny / trec6 / lora (version 0, now 1)."
    assert left_out in report
    assert "run the changed experiment into another folder (bench run ... --results DIR)." in report
    assert "1 final left out: of a configuration that is no longer the best, or run again since." in report


def test_merged_folders_of_different_commits_are_flagged_not_mixed_in_silence(tmp_path):
    def made_with(commit, seeds):
        provenance = Provenance(git_commit=commit, data_revision="d")
        return [run(cell(), provenance=provenance)] + [
            run(cell(), n, "final", 0.5, provenance=provenance, seed=n) for n in seeds
        ]

    folders = [
        write_results(tmp_path / "a", made_with("1" * 40, [1, 2])),
        write_results(tmp_path / "b", made_with("2" * 40, [3])),
    ]
    report = report_text_of(collect(folders))
    assert "tiny / trec6 / lora: its runs differ in git commit" in report
    assert "0.500 ± 0.000 (mixed)" in report
    assert "git commit of the code (111111111111, 222222222222)" in report
    assert "1 record left out: another folder holds the same run" in report


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path):
    root = write_results(tmp_path / "r", study(cell(), [0.5]))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="the report cannot be written there"):
        write_report_of(collect(root), tmp_path / "file")


def test_texts_that_were_cut_are_in_the_cautions_and_in_every_table(tmp_path):
    answers = Predictions(ids=list("abcd"), references=[0] * 4, predictions=[0] * 4, labels=["x"])
    cut = {"truncated_test_inputs": 4, "truncated_train_inputs": 68, "truncated_validation_inputs": 1}
    cut |= {"truncated_test_answers": 2}
    records = [*study(cell(), [0.5, 0.6], notes=cut, predictions=answers), *study(cell(method="full"), [0.7])]
    found = collect(write_results(tmp_path / "r", records))
    summary = summarise_cells(found.cells)
    report = report_text(found, summary)
    assert "Texts of trec6 (test) were cut to fit the context: tiny / lora 4 of 4." in report
    assert "Texts of trec6 (train) were cut to fit the context: tiny / lora 68 texts." in report
    assert "Right answers of trec6 (test) lost their end: tiny / lora 2 of 4." in report
    assert "| truncated texts (test) | truncated texts (train) |" in markdown_table(summary)
    frame = pd.read_csv(io.StringIO(csv_table(summary))).set_index("method")
    assert (frame["truncated_test"]["lora"], frame["truncated_train"]["lora"]) == (4, 68)
    assert pd.isna(frame["truncated_test"]["full"])
    nothing = summarise([*study(cell(), [0.5], notes={"truncated_test_inputs": 0})])
    assert "truncated_test" not in nothing, "a column of what did not happen says nothing"


def scored(of, number, **metrics):
    test = Evaluated(step=20, metrics=metrics, loss=0.7)
    return run(of, number, "final", 0.0).model_copy(update={"test": test})


def test_every_recorded_metric_is_in_the_tables_and_any_may_be_chosen_afterwards(tmp_path):
    one, other = cell(method="lora"), cell(method="full")
    records = [run(one), *(scored(one, n, accuracy=0.8, f1_macro=0.2 + n / 10) for n in range(2))]
    records += [run(other), *(scored(other, n, accuracy=0.7, f1_macro=0.6) for n in range(2))]
    root = write_results(tmp_path / "r", records)
    summary = summarise_cells(collect(root).cells)
    assert "| f1_macro (test) |" in markdown_table(summary)
    frame = pd.read_csv(io.StringIO(csv_table(summary))).set_index("method")
    assert frame["test.f1_macro"]["lora"] == pytest.approx(0.25)
    assert frame["test.f1_macro.sd"]["lora"] == pytest.approx(0.1 / 2**0.5)
    assert [one.method for one in collect(root).cells[0].group.tested] == ["lora", "full"]
    chosen = collect(root, "f1_macro")
    report = report_text_of(chosen)
    assert "Scores are f1_macro; configurations were chosen by accuracy on validation." in report
    assert "| f1_macro (test) |" in report and "| accuracy (test) |" in report
    assert [one.method for one in chosen.cells[0].group.tested] == ["full", "lora"]
    (row,) = (row for row in summarise_cells(chosen.cells).to_dict("records") if row["method"] == "full")
    assert (row["test_mean"], row["test.accuracy"]) == (0.6, 0.7)
    with pytest.raises(BadInput, match="--metric mcc: no record has it; recorded are accuracy, f1_macro"):
        collect(root, "mcc")


@pytest.mark.parametrize(
    ("validation", "scores", "said"),
    [
        (0.97, [0.80, 0.82, 0.84, 0.82], True),
        (0.85, [0.80, 0.82, 0.84, 0.82], False),
        (0.97, [0.76, 0.86, 0.97, 0.80], False),  # repeats that lie as far apart as that
        (0.97, [0.80, 0.82], False),  # too few to know
        (0.97, [0.50, 0.51, 0.50, 0.50], False),  # as good as the majority class: nothing to choose between
    ],
)
def test_a_trial_that_was_chosen_by_luck_is_named(tmp_path, validation, scores, said):
    records = [*study(cell(), scores, validation, items=100), run(cell(), 1, score=0.5), *majority()]
    report = report_text_of(collect(write_results(tmp_path / "r", records)))
    sentence = "chosen scored 0.970 on validation, in its finals, with other seeds, 0.820 (0.800 to 0.840)"
    assert ("owe its choice to luck" in report, sentence in report) == (said, said)


def test_a_single_trial_was_not_chosen(tmp_path):
    records = [*study(cell(), [0.80, 0.82, 0.84], 0.97, items=100), *majority()]
    assert "luck" not in report_text_of(collect(write_results(tmp_path / "r", records)))


def test_a_chosen_metric_of_which_less_is_better_is_read_that_way(tmp_path):
    error = {"hub": {"label": "error", "id": "own/error", "greater_is_better": False, "trust_remote_code": True}}
    of = cell()
    of = of.model_copy(update={"dataset": Entry(name="trec6", label="trec6", options={"metrics": ["accuracy", error]})})
    found = collect(write_results(tmp_path / "r", [run(of), scored(of, 0, accuracy=0.8, error=0.2)]), "error")
    assert [one.greater_is_better for one in found.cells] == [False]


def test_report_takes_the_metric_and_the_folder_by_either_name(tmp_path):
    root = write_results(tmp_path / "r", [run(cell()), scored(cell(), 0, accuracy=0.8, f1_macro=0.3)])
    for option in ("--out", "--reports"):
        done = CliRunner().invoke(app, ["report", str(root), option, str(tmp_path / option), "--metric", "f1_macro"])
        assert done.exit_code == 0, done.output
        assert "Scores are f1_macro" in (tmp_path / option / "report.md").read_text()


def test_cells_whose_settings_were_changed_are_named_with_what_differs(tmp_path):
    before = [cell(training=Training(max_steps=100)), cell(method="majority"), cell(method="gone")]
    now = [cell(training=Training(max_steps=3)), cell(method="majority")]
    records = [record for one in before for record in study(one, [0.5])]
    root = write_results(tmp_path / "r", records)
    Manifest(experiment={"name": "demo"}, cells={one.path: Planned.of(one) for one in now}).write(root)
    said = ["tiny / trec6 / lora (training.max_steps 100, now 3)", "tiny / trec6 / gone (no longer in the experiment)"]
    advice = "run the changed experiment into another folder (bench run ... --results DIR)"
    report = report_text_of(collect(root))
    status = CliRunner().invoke(app, ["status", str(root)]).output
    terminal = CliRunner().invoke(app, ["report", str(root), "--out", str(tmp_path / "out")]).output
    for shown in (report, status, terminal):
        assert all(one in shown for one in (*said, advice)), shown
        assert "majority (" not in shown, "that one is current"
    Manifest(experiment={"name": "demo"}, cells={now[0].path: Planned.of(now[0])}).write(root)
    with pytest.raises(BadInput, match=r"run it again \(.*training.max_steps 100, now 3"):
        collect(root)


def test_a_metric_chosen_afterwards_has_its_own_verdict(tmp_path):
    """By accuracy neither is better; Matthews' correlation sees that one of them always gives the same answer."""
    references = [0] * 80 + [1] * 20
    given = {"one_label": [0] * 80 + [0] * 20, "balanced": [0] * 55 + [1] * 25 + [1] * 20}
    records = []
    for name, predictions in given.items():
        answers = Predictions(
            ids=[f"i{n}" for n in range(100)], references=references, predictions=predictions, labels=["a", "b"]
        )
        metrics = {
            "accuracy": accuracy_score(references, predictions),
            "mcc": matthews_corrcoef(references, predictions),
        }
        test = Evaluated(step=20, metrics=metrics, loss=0.7)
        finals = [run(cell(method=name), n, "final", 0.0, predictions=answers) for n in range(3)]
        records += [run(cell(method=name)), *(one.model_copy(update={"test": test}) for one in finals)]
    root = write_results(tmp_path / "r", records)
    by = {metric: summarise_cells(collect(root, metric).cells).set_index("method") for metric in ("accuracy", "mcc")}
    assert by["accuracy"]["standing"].to_dict() == {"one_label": "best", "balanced": "best"}
    assert by["mcc"]["standing"].to_dict() == {"balanced": "best", "one_label": "second"}


def test_where_lower_is_better_the_gap_and_its_interval_have_one_sign():
    records = []
    for method, nats in (("lora", 5.0), ("prompt", 9.0)):
        of = cell(method=method, objective="nll", greater_is_better=False)
        items = [[nats + (item % 7) / 10 + seed / 50 for item in range(60)] for seed in range(3)]
        for final, scores in zip(study(of, [fmean(each) for each in items])[1:], items, strict=True):
            kept = Answers(ids=[f"item-{item}" for item in range(60)], scores={"nll": scores})
            records.append(final.model_copy(update={"answers": kept}))
    line = next(sentences.verdicts(group_cells(records)))
    assert "lora with 5.3" in line and "is best, followed by prompt with 9.3" in line
    low, high = map(float, re.search(r"The gap of 4\.000 \(95 % interval (\S+) to ([^;]+);", line).groups())
    assert 0 < low <= 4 <= high


def test_how_written_answers_ended_stands_in_the_table_where_something_was_written():
    shares = {"end": 0.5, "stop": 0.0, "limit": 0.5, "empty": 0.25, "repeating": 0.0}
    first, second = (
        final.model_copy(update={"answers": Answers(ids=["1"], shares={**shares, "empty": empty})})
        for final, empty in zip(study(cell(), [0.5, 0.6])[1:], (0.25, 0.75), strict=True)
    )
    (row,) = summarise_cells(group_cells([first, second, run(cell(), 0)])).to_dict("records")
    assert row["measurement.empty_answers"] == 0.5
    assert row["measurement.answers_that_end"] == row["measurement.answers_at_the_limit"] == 0.5
    (without,) = summarise_cells(group_cells(study(cell(), [0.5, 0.6]))).to_dict("records")
    assert "measurement.empty_answers" not in without
