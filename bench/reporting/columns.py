"""The table's columns as people read them: headings, and the text of each cell of the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from bench.reporting import text
from bench.reporting.table import PHASES
from bench.runs.record import STATUSES

SummaryRow = Mapping[str, Any]

WITHIN = "≈"
"""Marks a score whose gap to the highest mean of its model lies within chance."""

SHARED = "†"
"""Marks a time of a machine on which other trials ran at the same time."""

EARLIER = "‡"
"""Marks a train time of an earlier version, which holds more than training."""

_SHORT = {
    "best configuration",
    "base parameters",
    "peak resident set",
    "test time",
    "search time",
    "answers that are no label",
    "runs",
    "tokens/s (train)",
    "tokens/s (test)",
    "validation (best trial)",
    "rank",
    "seeds agree",
}
"""What a table on paper has no room for."""


_CUDA = {
    "allocated": "The most GPU memory that tensors held in that phase.",
    "reserved": "The most GPU memory that PyTorch had taken from the device in that phase.",
}
_TIMES = {
    "train": "Seconds that a final trained: mean.",
    "test": "Seconds that scoring the test split took: mean over the finals.",
    "search": "Seconds that all trials of the study took together.",
}


@dataclass(frozen=True)
class Column:
    """A column for people."""

    heading: str
    value: Callable[[SummaryRow], str]
    number: bool = True
    """Numbers stand at the right and are never broken."""
    needs: str | None = None
    """Left out if this column of the summary is not there, or is empty."""
    sort: str | None = None
    """The column of the summary that a reader's click on the heading sorts by; None sorts by the text."""
    meaning: str = ""
    """What a number of it says, in plain words."""

    @property
    def on_paper(self) -> bool:
        """Whether a table on paper has room for it."""
        return self.heading not in _SHORT

    @property
    def is_score(self) -> bool:
        """Whether this is the column in which best and second are marked."""
        return self.value is score


def repeats(row: SummaryRow) -> str:
    """Say what a score is the mean of: ``3`` seeds, or ``5 of 5 folds``."""
    done = text.count(row["test_seeds"])
    return f"{done} of {row['folds']} folds" if row["folds"] else done


def all_columns(summary: pd.DataFrame) -> list[Column]:
    """Return the columns of a summary that have something to say."""
    count, size, share, signed = _of(text.count), _of(text.file_size), _of(_share), _of(text.signed)
    cut = "How many inputs were cut to fit the context of the model."
    names = [str(name) for name in summary.columns]
    columns = [
        *([Column("data set", lambda row: row["dataset"], number=False)] if summary["dataset"].nunique() > 1 else []),
        Column("model", lambda row: row["model"], number=False),
        Column("method", lambda row: row["method"], number=False),
        *metric_columns(summary),
        count("base parameters", "base_parameters", "Weights of the base model, without what the method adds."),
        Column(
            score_heading(summary),
            score,
            sort="test_mean",
            meaning="Mean on test over the finals (the best configuration, run again on fresh seeds), ± their standard "
            "deviation: how far one run typically is from that mean.",
        ),
        Column(
            "95 % interval",
            _interval,
            needs="test_low",
            sort="test_low",
            meaning="Where the mean may really be, had other seeds and other test items been drawn.",
        ),
        count(
            "rank",
            "rank",
            "One more than the number of methods that are better beyond chance. Methods share a rank.",
            optional=True,
        ),
        Column("seeds", repeats, sort="test_seeds", meaning="How many finals the mean is over."),
        share("seeds agree", "agreement", "How often two seeds answer the same test item alike.", optional=True),
        *(
            _mean_sd(f"{name.removeprefix('test.')} (test)", name, f"{name}.sd")
            for name in names
            if name.startswith("test.") and not name.endswith(".sd")
        ),
        count("truncated texts (test)", "truncated_test", cut, optional=True),
        count("truncated texts (train)", "truncated_train", cut, optional=True),
        *(
            _mean_sd(f"{metric} on {dataset} (transfer)", name, f"{name}_sd")
            for name, (dataset, metric) in summary.attrs.get("transfer", {}).items()
        ),
        signed(
            "gap to full fine-tuning",
            "gap_to_full",
            "Mean minus that of training all weights of the same model.",
            optional=True,
        ),
        _of(text.score)(
            "validation (best trial)",
            "validation_best",
            "Best score of the search on validation, averaged with its repeat if there is one. It was chosen for being "
            "high: expect less on test.",
        ),
        Column("best configuration", _params, number=False, meaning="What the best trial on validation was run with."),
        count("trainable parameters", "trainable_parameters", "Numbers that training changes."),
        _of(text.percent)("trainable %", "trainable_percent", "Of all parameters, those that training changes."),
        size("saved adapter", "adapter_bytes", "What is kept on disk for a task, beside the base model."),
        size(
            "peak live tensors (train)",
            "train_peak_live_tensors_bytes",
            "The most bytes that tensors held at one time while training, on whatever device.",
        ),
        size("peak resident set", "peak_resident_set_bytes", "The most memory of the whole process, over all phases."),
        *(
            size(f"CUDA peak {kind} ({phase})", f"{phase}_cuda_{kind}_peak_bytes", meaning, optional=True)
            for kind, meaning in _CUDA.items()
            for phase in PHASES
        ),
        *(
            Column(f"{phase} time", partial(timed, name=f"{phase}_seconds"), sort=f"{phase}_seconds", meaning=meaning)
            for phase, meaning in _TIMES.items()
        ),
        *(
            count(f"tokens/s ({phase})", f"{phase}_tokens_per_second", "Tokens of text in a second, padding left out.")
            for phase in ("train", "test")
        ),
        *(
            _of(text.flops)(
                f"FLOPs ({what})",
                name,
                "Floating-point operations; an estimate from tokens and parameters.",
                optional=True,
            )
            for what, name in (("training", "train_flops"), ("an example", "example_flops"))
        ),
        *(
            _of(text.file_size if name.endswith("_bytes") else text.significant)(
                name.removeprefix("measurement.").removesuffix("_bytes").replace("_", " "),
                name,
                "Measured by the method itself; mean over the finals.",
                optional=True,
            )
            for name in names
            if name.startswith("measurement.")
        ),
        signed(
            "loss on general text (bits/byte)",
            "retention_loss",
            "How much worse the model predicts general text after training than before: what it has forgotten.",
            optional=True,
        ),
        share(
            "answers that are no label",
            "non_label_share",
            "Share of freely generated answers that are none of the labels, on a sample of the test split.",
            optional=True,
        ),
        Column("runs", statuses, number=False, meaning="How all trials and finals of the cell ended."),
        Column(
            "source",
            lambda row: row["source"] or "",
            number=False,
            needs="source",
            meaning="Where a score that was not measured here was published.",
        ),
    ]
    there = {None, *summary.columns[summary.notna().any()]}
    return [column for column in columns if column.needs in there]


def metric_columns(summary: pd.DataFrame) -> list[Column]:
    """Return the name of the metric, where there are several."""
    several = summary["metric"].nunique() > 1
    return [Column("metric", lambda row: row["metric"], number=False)] if several else []


def score_heading(summary: pd.DataFrame) -> str:
    """Return the heading of the score: its metric, if it is one for all rows."""
    metrics = summary["metric"].unique()
    return f"{metrics[0] if len(metrics) == 1 else 'score'} (test)"


def score(row: SummaryRow) -> str:
    """Write mean and standard deviation, and mark what was averaged over unlike runs."""
    mark = " (mixed)" if row["differs"] and row["test_mean"] is not None else ""
    near = f" {WITHIN}" if row["gap_to_best"] == "within" else ""
    return text.mean_sd(row["test_mean"], row["test_sd"]) + near + mark


def timed(row: SummaryRow, name: str) -> str:
    """Write a time, and mark it where it was shared or holds more than its name says."""
    if row[name] is None:
        return text.MISSING
    shared = SHARED if (row.get("workers") or 1) > 1 else ""
    earlier = EARLIER if name == "train_seconds" and row.get("train_seconds_of_earlier_version") else ""
    return " ".join(part for part in (text.duration(row[name]), shared + earlier) if part)


def params_text(params: Mapping[str, Any]) -> str:
    """Write a configuration in one line: ``learning_rate 0.00312, rank 8``."""
    parts = (f"{key} {text.significant(value) if isinstance(value, float) else value}" for key, value in params.items())
    return ", ".join(parts) or "defaults"


def statuses(row: SummaryRow) -> str:
    """Write how the runs ended: ``9 ok, 1 oom``."""
    counts = ((status, row[f"runs_{status}"]) for status in STATUSES)
    return ", ".join(f"{number} {status}" for status, number in counts if number)


def _of(write: Callable[[Any], str]) -> Callable[..., Column]:
    """Return a maker of columns that write one column of the summary."""

    def make(heading: str, name: str, meaning: str, optional: bool = False) -> Column:
        needs = name if optional else None
        return Column(heading, lambda row: write(row[name]), needs=needs, sort=name, meaning=meaning)

    return make


def _interval(row: SummaryRow) -> str:
    if row["test_low"] is None:
        return text.MISSING
    return f"{text.score(row['test_low'])} to {text.score(row['test_high'])}"


def _mean_sd(heading: str, mean: str, sd: str) -> Column:
    meaning = "Mean on test over the finals, ± their standard deviation."
    return Column(heading, lambda row: text.mean_sd(row[mean], row[sd]), needs=mean, sort=mean, meaning=meaning)


def _share(value: float | None) -> str:
    return text.MISSING if value is None else f"{100 * value:.0f} %"


def _params(row: SummaryRow) -> str:
    if row["best_params"] is None:
        return text.MISSING
    params = json.loads(row["best_params"])
    return "one a fold" if isinstance(params, list) else params_text(params)
