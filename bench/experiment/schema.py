"""What is asked for: an `Experiment`, as its YAML file holds it.

It is frozen and validated, and knows names and options alone; which class stands behind a name is looked up by
`bench.experiment.expansion`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.core.config import Config
from bench.core.entries import DatasetEntry, Entry, MethodEntry, distinct
from bench.core.labels import check_label
from bench.experiment.settings import Evaluation, Finals, Runtime, Study


class Override(Config):
    """Settings for some cells alone, merged deeply over everything else, in the order of the file."""

    models: list[str] | None = None
    """Labels of the models concerned; null is all."""
    datasets: list[str] | None = None
    methods: list[str] | None = None
    options: dict[str, Any] = {}
    """Fields of the method."""
    training: dict[str, Any] = {}
    search: dict[str, Any] = {}
    runtime: dict[str, Any] = {}
    """Such as ``{precision: bfloat16}``; device and threads are one for all cells."""
    trials: int | None = Field(None, ge=0, le=10_000)
    skip: bool = False
    """Leave these cells out."""


class Experiment(Config):
    """An experiment: models x data sets x methods, and how they are compared."""

    name: str
    """Names the folders under results/ and reports/ (by its slug where it is no plain name)."""
    description: str = ""
    models: list[Entry] = Field(min_length=1)
    datasets: list[DatasetEntry] = Field(min_length=1)
    methods: list[MethodEntry] = Field(min_length=1)
    training: dict[str, Any] = {}
    """Training settings of all cells, see `Training`."""
    study: Study = Study()
    finals: Finals = Finals()
    evaluation: Evaluation = Evaluation()
    runtime: Runtime = Runtime()
    overrides: list[Override] = []
    terms: Literal["equal steps", "equal tokens", "equal seconds", "as published"] = "equal steps"
    """What the methods of a table have in common. ``equal tokens`` and ``equal seconds`` lean on ``study.budget`` and
    let steps and trials differ; ``as published``: each has the settings of its paper, and nothing is checked."""
    seed: int = Field(0, ge=0)
    """The root of all seeds."""
    workers: int = Field(1, gt=0)
    engine: str = "processes"
    engine_options: dict[str, Any] = {}
    """Settings of the engine, such as ``{address: auto, gpus: 0.5}`` of ``ray`` (see ``bench show engine ray``)."""
    accept_licenses: list[str] = []
    """Names of the models whose licence the user has read and accepts."""
    trackers: list[Entry] = []
    """Where else runs are shown while they go on: ``tensorboard``, ``mlflow``, ``trackio`` (docs/trackers.md)."""
    plugins: list[str] = []
    """Python files that register further methods, data sets, models or metrics (docs/plugins.md)."""
    trust_remote_code: bool = False
    """Let models of a hub run their own Python code; shown in every record."""

    _check_labels = field_validator("models", "datasets", "methods", "trackers")(distinct)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_label(name)

    @model_validator(mode="after")
    def _check_terms(self) -> Self:
        currency = self.terms.removeprefix("equal ")
        if currency in ("tokens", "seconds") and getattr(self.study.budget, currency) is None:
            raise ValueError(
                f"terms: '{self.terms}' needs 'study: {{budget: {{{currency}: ...}}}}', what each cell may use up"
            )
        return self
