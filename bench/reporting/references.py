"""Scores that were not measured here, one's own of old or published ones, to stand beside ours.

They are marked wherever they stand, and are in no mean, rank or verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from bench.core.config import Config
from bench.core.errors import BadInput, did_you_mean
from bench.experiment.file import read_config
from bench.reporting.cells import CellResults
from bench.reporting.frame import typed

MARK = "(reference)"


class ReferenceScore(Config):
    """A score of a model with a method on test."""

    model: str = Field(min_length=1)
    method: str = Field(min_length=1)
    score: float
    """On the scale of our metric: an accuracy from 0 to 1."""
    sd: float | None = Field(None, ge=0)
    """Standard deviation over seeds."""
    seeds: int | None = Field(None, gt=0)
    items: int | None = Field(None, gt=0)
    """Test items."""
    parameters: int | None = Field(None, gt=0)
    """Of the base model: its place in the figure ``scale``; null draws a line across."""
    network: Literal["causal", "seq2seq", "encoder"] | None = None
    """What the model is; null stands in the panel of every kind."""


class References(Config):
    """Scores from one source on one data set by one metric."""

    source: str = Field(min_length=1)
    """Who measured them and where that is to be read: paper and table, or a results folder."""
    url: str | None = None
    dataset: str
    """Label of the data set of ours that they are of: the same texts, labels and test split."""
    metric: str
    scores: list[ReferenceScore] = Field(min_length=1)

    def of(self, cells: Sequence[CellResults]) -> bool:
        """Whether they are of the task and the metric of some cells of one section."""
        return (self.dataset, self.metric) == (cells[0].settings.dataset.label, cells[0].metric)


class _File(Config):
    references: list[References] = Field(min_length=1)


def read_references(path: Path, cells: Iterable[CellResults]) -> tuple[References, ...]:
    """Read a file of reference scores that are to stand beside some cells.

    Raises:
        BadInput: what is wrong with the file; or scores of another task or by another metric than the cells'.
    """
    found = read_config(_File, path, "references").references
    ours = {(cell.dataset, cell.metric): cell for cell in cells}
    for place, one in enumerate(found):
        _check(one, ours, f"{path}: references[{place}]")
    return tuple(found)


def _check(one: References, ours: dict[tuple[str, str], CellResults], where: str) -> None:
    if one.dataset not in (known := {dataset for dataset, _ in ours}):
        raise BadInput(f"{where}.dataset: no cell is of the task '{one.dataset}'{did_you_mean(one.dataset, known)}")
    cell = ours.get((one.dataset, one.metric))
    if cell is None:
        metrics = ", ".join(sorted(metric for dataset, metric in ours if dataset == one.dataset))
        raise BadInput(
            f"{where}.metric: these are {one.metric}, and {one.dataset} is compared by {metrics} (another recorded "
            "one is chosen by --metric)"
        )
    for place, score in enumerate(one.scores):
        if cell.bounds and not cell.bounds[0] <= score.score <= cell.bounds[1]:
            low, high = cell.bounds
            raise BadInput(
                f"{where}.scores[{place}].score: {one.metric} lies between {low:g} and {high:g}, found {score.score:g}"
            )


def with_references(summary: pd.DataFrame, references: Iterable[References]) -> pd.DataFrame:
    """Return a summary with a row for each reference score below those of its data set, marked, with its ``source``."""
    rows = [
        {
            "dataset": one.dataset,
            "metric": one.metric,
            "model": score.model,
            "method": f"{score.method} {MARK}",
            "base_parameters": score.parameters,
            "test_mean": score.score,
            "test_sd": score.sd,
            "test_seeds": score.seeds,
            "test_items": score.items,
            "source": f"{one.source}, {one.url}" if one.url else one.source,
        }
        for one in references
        for score in one.scores
    ]
    if not rows:
        return summary
    kinds = {**summary.dtypes, "source": "string"}
    added = pd.DataFrame({name: typed([row.get(name) for row in rows], str(kind)) for name, kind in kinds.items()})
    merged = pd.concat([summary, added], ignore_index=True)
    sections = list(zip(merged["dataset"], merged["metric"], strict=True))
    merged = merged.iloc[sorted(range(len(sections)), key=lambda row: sections.index(sections[row]))]
    merged = merged.reset_index(drop=True)
    merged.attrs = summary.attrs
    return merged
