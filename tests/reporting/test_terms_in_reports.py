"""What a report says of the terms on which its rows were made: budgets, devices, times, and what training has cost."""

from __future__ import annotations

import pandas as pd
import pytest
from report_records import cell, page_of, report_text_of, run, study, summarise, write_results
from test_scale_figure import draw

from bench.experiment.settings import Study, Training
from bench.reporting.columns import all_columns
from bench.reporting.folders import collect
from bench.reporting.frame import load_results, plain_rows
from bench.reporting.grouping import group_cells
from bench.reporting.terms import unequal_terms
from bench.reporting.writers import legend, markdown_table
from bench.runs.record import Parameters, Provenance, Retention, TrainStep

NOTHING = Parameters(total=1_000_000, trainable=0, base=1_000_000)


def steps(count, tokens=100):
    return [TrainStep(step=n + 1, loss=1, learning_rate=0.01, grad_norm=1, tokens=tokens) for n in range(count)]


def ran_on(device="cpu", precision="float32", torch="2.13.0", **values):
    return Provenance(device=device, precision=precision, versions={"torch": torch}, **values)


def unequal_records(**changes):
    """LoRA with 30 steps beside full fine-tuning with 20, and a zero-shot prompt that trains nothing."""
    return [
        *study(cell(training=Training(max_steps=30)), [0.5, 0.6, 0.7], train_curve=steps(30), **changes),
        *study(cell(method="full", training=Training(max_steps=20)), [0.5, 0.6], train_curve=steps(20), **changes),
        *study(cell(method="hard", training=Training(max_steps=1)), [0.4], parameters=NOTHING),
    ]


def results_of(tmp_path, records, **experiment):
    return collect(write_results(tmp_path / "r", records, experiment=experiment))


def shown(cells):
    return [(one.method, list(one.scores)) for one in cells]


def test_unequal_terms_are_named_in_the_reports_head_and_on_the_pages(tmp_path):
    results = results_of(tmp_path, unequal_records())
    head = report_text_of(results).split("## ")[0]
    assert "the cells differ in steps: 20 (full), 30 (lora)" in head
    assert "hard" not in head, "what trains nothing has no steps"
    page = page_of(results)
    assert "the cells differ in steps: 20 (full), 30 (lora)" in page.split('id="summary"')[0]


def test_terms_as_published_are_not_named(tmp_path):
    results = results_of(tmp_path, unequal_records(), terms="as published")
    assert "Unequal terms" not in report_text_of(results)
    assert "equal terms" not in draw(results.cells).axes[0].get_xlabel()


def test_tokens_may_differ_where_the_budget_is_equal_in_seconds(tmp_path):
    assert "Unequal terms" not in report_text_of(results_of(tmp_path, unequal_records(), terms="equal seconds"))


def test_the_scale_figure_says_below_itself_in_what_its_cells_differ():
    label = draw(group_cells(unequal_records())).axes[0].get_xlabel()
    assert label.splitlines()[-1] == "Not on equal terms: the cells differ in steps, tokens seen."
    equal = [*study(cell(), [0.5]), *study(cell(method="full"), [0.6])]
    assert "terms" not in draw(group_cells(equal)).axes[0].get_xlabel()


def test_cells_of_one_table_from_two_folders_meet_on_the_terms_that_both_say(tmp_path):
    lora = study(cell(training=Training(max_steps=30)), [0.5])
    full = study(cell(method="full"), [0.6])
    roots = [
        write_results(tmp_path / "a", lora, experiment={"terms": "as published"}),
        write_results(tmp_path / "b", full),
    ]
    assert len(unequal_terms(collect(roots).cells)) == 1
    assert unequal_terms(collect(roots[:1]).cells) == []


@pytest.mark.parametrize(("tokens", "said"), [(104, False), (106, True)])
def test_tokens_that_finals_saw_are_named_where_they_differ_by_more_than_a_twentieth(tokens, said):
    records = [
        *study(cell(), [0.5], train_curve=steps(10)),
        *study(cell(method="full"), [0.5], train_curve=steps(10, tokens)),
    ]
    found = unequal_terms(group_cells(records))
    assert found == (["trec6: the cells differ in tokens seen: 1,060 (full), 1,000 (lora)"] if said else [])


def test_models_are_named_where_not_all_of_them_differ():
    records = [
        *study(cell(), [0.5], train_curve=steps(10)),
        *study(cell(method="full"), [0.5], train_curve=steps(10, 200)),
        *study(cell(model="large"), [0.5], train_curve=steps(10)),
        *study(cell(model="large", method="full"), [0.5], train_curve=steps(10)),
    ]
    cells = group_cells(records)
    assert unequal_terms(cells) == ["trec6: the cells of tiny differ in tokens seen: 2,000 (full), 1,000 (lora)"]
    note = draw(cells).axes[0].get_xlabel().splitlines()[-1]
    assert note == "Not on equal terms: the cells of tiny differ in tokens seen."


def test_another_models_tokens_are_not_unequal_terms():
    """Its tokenizer cuts the same texts into more of them."""
    records = study(cell("a"), [0.5], train_curve=steps(10)) + study(cell("b"), [0.5], train_curve=steps(10, 200))
    assert unequal_terms(group_cells(records)) == []


def test_the_precision_that_counts_is_the_one_that_was_run():
    records = [
        *study(cell(), [0.5], provenance=ran_on()),
        *study(cell(method="full"), [0.5], provenance=ran_on(precision="bfloat16")),
    ]
    (said,) = unequal_terms(group_cells(records))
    assert said == "trec6: the cells differ in precision: bfloat16 (full), float32 (lora)"


def test_finals_on_unlike_devices_are_rows_of_their_own_and_never_averaged(tmp_path):
    lora = cell()
    records = [
        run(lora, 0, score=0.6, provenance=ran_on()),
        run(lora, 1, status="oom"),
        run(lora, 0, "final", 0.5, provenance=ran_on()),
        run(lora, 1, "final", 0.7, provenance=ran_on()),
        run(lora, 2, "final", 0.9, provenance=ran_on("cuda", "bfloat16")),
        run(lora, 3, "final", status="error"),
    ]
    results = results_of(tmp_path, records)
    assert shown(results.cells) == [("lora [cpu, float32]", [0.5, 0.7]), ("lora [cuda, bfloat16]", [0.9])]
    rows = plain_rows(summarise(records))
    assert [row["differs"] for row in rows] == [None, "device, precision"], "its study ran on the other device"
    assert [row["validation_best"] for row in rows] == [0.6, 0.6]
    assert [(row["runs_ok"], row["runs_oom"], row["runs_error"]) for row in rows] == [(3, 1, 1), (1, 0, 0)], (
        "no run is counted twice"
    )
    report = report_text_of(results)
    assert "lora \\[cpu, float32\\] and lora \\[cuda, bfloat16\\]" in report.split("## ")[0]


def test_finals_that_failed_on_a_device_are_that_devices(tmp_path):
    lora = cell()
    finals = [run(lora, n, "final", 0.5 + n / 100, provenance=ran_on("cuda" if n > 2 else "cpu")) for n in range(6)]
    lost = run(lora, 6, "final", status="diverged", provenance=ran_on("cuda"))
    results = results_of(tmp_path, [run(lora, 0, provenance=ran_on()), *finals, lost])
    assert [(one.method, one.failed) for one in results.cells] == [
        ("lora [cpu, float32]", 0),
        ("lora [cuda, float32]", 1),
    ]


def test_a_precision_alone_parts_the_finals_and_one_alone_leaves_the_row_as_it_was():
    lora = cell()
    finals = [run(lora, n, "final", 0.5, provenance=ran_on(precision=p)) for n, p in enumerate(("float32", "bfloat16"))]
    assert [one.method for one in group_cells(finals)] == ["lora [cpu, bfloat16]", "lora [cpu, float32]"]
    assert [one.method for one in group_cells(finals[:1])] == ["lora"]
    superseded = run(lora, 0, "final", 0.1, params={"learning_rate": 9.0}, provenance=ran_on("cuda"))
    best = run(lora, 0, provenance=ran_on())
    (whole,) = group_cells([best, superseded, finals[0]])
    assert shown([whole]) == [("lora", [0.5])], "a final that does not count parts nothing"
    assert whole.superseded == 1


def test_device_precision_and_version_of_torch_are_flagged_where_runs_differ(tmp_path):
    records = [
        run(cell(), 0, provenance=ran_on()),
        run(cell(), 1, provenance=ran_on("cuda", "bfloat16", "2.14.0")),
        *study(cell(method="full"), [0.5], provenance=ran_on()),
    ]
    (row, _) = sorted(plain_rows(summarise(records)), key=lambda one: one["method"] != "lora")
    assert row["differs"] == "device, precision, version of torch"
    head = report_text_of(results_of(tmp_path, records)).split("## ")[0]
    assert "Not alike in all runs: device (cpu, cuda)." in head
    assert "Not alike in all runs: version of torch (2.13.0, 2.14.0)." in head


def time_of(summary, heading="train time"):
    (column,) = (one for one in all_columns(summary) if one.heading == heading)
    return [column.value(row) for row in plain_rows(summary)]


def test_times_of_a_machine_that_was_shared_are_marked_and_the_legend_says_so():
    alone = summarise(study(cell(), [0.5], provenance=ran_on(workers=1)))
    shared = summarise(study(cell(), [0.5], provenance=ran_on(workers=2)))
    assert (time_of(alone), time_of(shared)) == (["1m 05s"], ["1m 05s †"])
    assert "other trials ran at the same time" in legend(shared)
    assert "†" not in markdown_table(alone) + legend(alone)


def test_a_train_time_of_an_earlier_version_is_flagged_for_it_held_more(tmp_path):
    new = {"encode": 1.0, "train": 65.0, "measure": 2.0, "save": 3.0}
    records = [
        *study(cell(), [0.5], train_curve=steps(2), seconds=new),
        *study(cell(method="old"), [0.5], train_curve=steps(2)),
        *study(cell(method="untrained"), [0.5], seconds={"load": 1.0}),
    ]
    summary = summarise(records)
    assert time_of(summary) == ["1m 05s", "1m 05s ‡", "-"]
    assert "whose train time holds tokenising, measuring and saving too" in legend(summary)
    head = report_text_of(results_of(tmp_path, records)).split("## ")[0]
    assert "Train times of 1 row are of an earlier version" in head
    frame = load_results(tmp_path / "r").set_index("method")
    assert frame.loc["lora", ["seconds.encode", "seconds.measure", "seconds.save"]].iloc[0].tolist() == [1.0, 2.0, 3.0]
    assert pd.isna(frame.loc["old", "seconds.encode"].iloc[0])


def retained(after, **values):
    return Retention(before=1.5, after=after, **{"text": "general", "bytes": 65536, "text_sha256": "a", **values})


def test_the_loss_on_general_text_is_the_mean_of_after_minus_before_over_the_finals(tmp_path):
    lora = cell()
    records = [
        run(lora, 0, params={}),
        *(run(lora, n, "final", 0.5, params={}, retention=retained(after)) for n, after in enumerate((1.6, 2.0))),
        run(lora, 2, "final", 0.5, params={}, retention=Retention(reason="the text is too short")),
        *study(cell(method="full"), [0.5]),
    ]
    summary = summarise(records)
    full, row = plain_rows(summary)
    assert (row["retention_before"], row["retention_after"]) == (1.5, pytest.approx(1.8))
    assert row["retention_loss"] == pytest.approx(0.3)
    assert full["retention_loss"] is None
    assert time_of(summary, "loss on general text (bits/byte)") == ["-", "+0.300"]
    results = results_of(tmp_path, records)
    assert "No loss on general text: tiny / lora; the text is too short." in report_text_of(results)
    assert load_results(tmp_path / "r")["retention.after"].dropna().tolist() == [1.6, 2.0]
    assert not any("retention" in name for name in summarise(study(cell(), [0.5])).columns)


def test_losses_on_two_texts_are_said_not_to_compare(tmp_path):
    texts = (retained(1.6), retained(1.6, text="other", text_sha256="b"))
    records = [run(cell(method=f"m{n}"), 0, "final", 0.5, params={}, retention=one) for n, one in enumerate(texts)]
    said = "is not of one text: general of 65,536 bytes, other of 65,536 bytes"
    assert said in report_text_of(results_of(tmp_path, records))
    assert said not in report_text_of(collect(write_results(tmp_path / "one", records[:1])))


def test_a_study_that_was_stopped_had_fewer_trials_than_the_others():
    """Whatever was planned; trials that broke say nothing of their setting."""
    lora = cell(study=Study(trials=3), training=Training(max_steps=20))
    full = cell(method="full", study=Study(trials=3), training=Training(max_steps=20))
    curve = {"train_curve": steps(20)}
    records = [run(full, number, **curve) for number in range(3)]
    records += [run(lora, 0, **curve), run(lora, 1, status="diverged"), run(lora, 2, status="error")]
    assert unequal_terms(group_cells(records)) == [], "studies that go on"
    (said,) = unequal_terms(group_cells([*records, run(full, 0, "final", **curve), run(lora, 0, "final", **curve)]))
    assert said == "trec6: the cells differ in trials: 3 (full), 2 (lora)"


def test_a_choice_by_two_seeds_is_another_term_than_one_by_one():
    cells = [cell(method=name, training=Training(max_steps=20)) for name in ("full", "lora")]
    records = [run(of, 0, kind, train_curve=steps(20)) for of in cells for kind in ("trial", "repeat", "final")]
    assert unequal_terms(group_cells(records)) == []
    (said,) = unequal_terms(group_cells(record for record in records if record is not records[1]))
    assert said == "trec6: the cells differ in repeated trials: 0 (full), 1 (lora)"
