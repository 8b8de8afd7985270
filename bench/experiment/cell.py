"""A `Cell`: one combination of model, data set and method with all its settings, which is one study."""

from __future__ import annotations

from typing import Any

from bench.core.config import Config, canonical_json, content_hash
from bench.core.distributions import SearchSpace
from bench.core.entries import NO_MODEL, Entry
from bench.core.labels import slug
from bench.core.plugins import PluginFile
from bench.experiment.settings import Evaluation, Finals, Runtime, Study, Training


class Target(Config):
    """A data set that finals are tested on without having been trained on it."""

    dataset: Entry
    data_pin: str | None = None
    """What pins its content beyond its options, as `Cell.data_pin`."""
    plugins: tuple[PluginFile, ...] = ()
    """The plug-in files that it and its metrics come from, where they do."""
    objective: str
    """Its main metric: the first of its metrics."""
    greater_is_better: bool = True


class Cell(Config):
    """One combination of model, data set and method with all its settings: one study."""

    model: Entry | None
    """None for a method that uses no language model."""
    dataset: Entry
    method: Entry
    training: Training
    search: SearchSpace
    study: Study
    finals: Finals
    evaluation: Evaluation
    runtime: Runtime
    seed: int
    version: int
    """Version of the method's code; a new one makes earlier trials stale."""
    model_pin: str | None = None
    """What pins the model's content beyond its options: sha256 of wheels or of local files; None if options say all."""
    data_pin: str | None = None
    """The same of the data set, with the version of its code."""
    plugins: tuple[PluginFile, ...] = ()
    """The plug-in files that model, data set, method and metrics come from, where they do."""
    transfer: tuple[Target, ...] = ()
    """Where else the finals are tested, with nothing trained further."""
    trust_remote_code: bool = False
    objective: str
    """The validation metric that the study optimises."""
    greater_is_better: bool = True
    stochastic: bool = True
    """False for a method whose result no seed changes: one final is enough."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Model, data set and method, as tables name them."""
        return (self.model.label if self.model else NO_MODEL, self.dataset.label, self.method.label)

    @property
    def title(self) -> str:
        """The cell in one line: ``smollm2-135m / trec6 / lora``."""
        return " / ".join(self.labels)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides a trial's result, as JSON.

        Budgets (trials, finals), labels, and what finals are tested on besides (transfer, retention) do not.
        """
        data = self.model_dump(
            mode="json",
            exclude={
                "finals": True,
                "transfer": True,
                "evaluation": {"retention"},
                "runtime": {"threads", "trial_timeout", "retries", "hang_timeout"},
                "study": {"trials", "repeats", "budget", "max_failures", "storage"},
            },
        )
        if not self.runtime.gradient_checkpointing:  # younger than the hashes of many records
            data["runtime"].pop("gradient_checkpointing")
        if not self.search:
            data.pop("study")  # nothing is searched, so it does not matter how
        for entry in (data["model"], data["dataset"], data["method"]):
            if entry:
                entry.pop("label")
        _order_metrics(data["dataset"])
        if plugins := data.pop("plugins"):  # where a file lies decides nothing
            data["plugins"] = sorted(plugin["sha256"] for plugin in plugins)
        return data

    @property
    def hash(self) -> str:
        """Content hash of all that decides a trial's result."""
        return content_hash(self.identity)

    @property
    def path(self) -> str:
        """The cell's folder below ``records/``: slugs of its labels, then the beginning of its hash."""
        return "/".join([*map(slug, self.labels), self.hash[:12]])

    @property
    def targets(self) -> tuple[str, ...]:
        """Content hashes of what the finals are tested on besides their own test split, sorted."""
        hashes = []
        for target in self.transfer:
            dataset = target.dataset.model_dump(mode="json")
            _order_metrics(dataset)
            hashes.append(content_hash([dataset, target.data_pin, *(plugin.sha256 for plugin in target.plugins)]))
        if text := self.evaluation.retention:
            hashes.append(content_hash(text.model_dump(mode="json", exclude={"path"})))
        return tuple(sorted(hashes))

    @property
    def folds(self) -> int | None:
        """K where the data set is cross-validated (see `bench.datasets.base.Dataset.folds`)."""
        folds = self.dataset.options.get("folds")
        return folds if isinstance(folds, int) else None

    @property
    def studies(self) -> int:
        """Studies that this cell runs: one, or one a fold (see `bench.datasets.base.Dataset.nested`).

        They share its trials: trial n is of study n modulo this number.
        """
        nested = self.search and self.dataset.options.get("nested")
        return self.folds or 1 if nested else 1

    @property
    def planned_repeats(self) -> int:
        """Trials that are repeated if so many end well; none where there is no choice, or no seed changes a result."""
        each = self.study.trials // self.studies
        return min(self.study.repeats, each) * self.studies if each > 1 and self.stochastic else 0

    @property
    def planned_finals(self) -> int:
        """Finals that this cell runs: one a seed, or one a fold, each with a seed of its own."""
        if self.folds and self.finals.seeds:
            return self.folds
        return self.finals.seeds if self.stochastic or self.redraws else min(1, self.finals.seeds)

    @property
    def redraws(self) -> bool:
        """Whether each final has a draw of the splits of its own."""
        return self.finals.splits == "redraw"


def _order_metrics(dataset: dict[str, Any]) -> None:
    """Sort the metrics of a data set behind the first, which is the objective: all are recorded, in whatever order."""
    metrics = dataset["options"].get("metrics")
    if isinstance(metrics, list):
        dataset["options"]["metrics"] = [*metrics[:1], *sorted(metrics[1:], key=canonical_json)]
