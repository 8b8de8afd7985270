"""A cell with all its runs: which of them count, and what they say; and the cells that are held against each other.

The table, the figure and the words of a report all ask here, so that they speak of the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean, stdev
from typing import Any, Literal

from bench.experiment.cell import Cell
from bench.experiment.terms import EQUAL_STEPS
from bench.metrics import BaseMetric
from bench.reporting.answers import answered, chance_score, metric_of, seeds_agree
from bench.reporting.statistics.contrast import Bounds
from bench.reporting.statistics.intervals import Interval
from bench.reporting.statistics.runs import Runs
from bench.reporting.statistics.verdict import Difference, Verdicts, mean_interval, verdicts
from bench.runs.record import FAILED, Retention, TrialRecord
from bench.runs.selection import best_trial, best_trials, finals_of, validation_score

REVISIONS = {
    "git_commit": "git commit",
    "model_revision": "model revision",
    "data_revision": "data revision",
    "device": "device",
    "precision": "precision",
    "torch": "version of torch",
}
"""What must be alike for numbers to be compared: fields of the provenance, and their names for people."""


@dataclass(frozen=True)
class Transfer:
    """What the finals of a cell scored on another data set, with nothing trained further.

    Such tests keep no predictions: whether a difference between them is chance cannot be said.
    """

    dataset: str
    """Label of the data set that they were tested on."""
    metric: str
    """Its main metric."""
    greater_is_better: bool
    scores: tuple[float, ...]
    """One number a final."""
    reasons: tuple[str, ...]
    """Why finals have none."""

    @property
    def mean(self) -> float | None:
        """Mean of the scores."""
        return fmean(self.scores) if self.scores else None

    @property
    def sd(self) -> float | None:
        """Standard deviation of the scores over seeds (n - 1 below the line); None below two of them."""
        return stdev(self.scores) if len(self.scores) > 1 else None


@dataclass(frozen=True, eq=False)
class CellResults:
    """The runs of one cell, trials and finals."""

    model: str
    """Label of the model; ``none`` for a method that uses none."""
    dataset: str
    method: str
    """Label of the method, made distinct where two cells would bear the same labels."""
    runs: tuple[TrialRecord, ...]
    base_parameters: int | None
    """Parameters of the base model; None if no record of it says so, or if there is no model."""
    network: str | None = None
    """What the model is, a value of `bench.models.kinds.Kind`; None if no record of it says so, or without a model."""
    chosen: str | None = None
    """The metric that scores are read by, where it is not the one that the study optimised."""
    terms: str = EQUAL_STEPS
    """On what terms its experiment says that it compares (`Experiment.terms`)."""
    chosen_by: Mapping[int, TrialRecord] | None = field(default=None, repr=False)
    """The best trials, where the studies stand in another row: that of the cell's finals on another device."""
    drawn_as: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What data sets are called instead of their labels, in a figure without a font for these."""
    group: Group = field(default_factory=lambda: Group(), repr=False)
    """The methods that it is held against."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Model, data set and method."""
        return (self.model, self.dataset, self.method)

    @property
    def key(self) -> str:
        """What tells its row from all others: a cell whose finals ran on several devices has a row for each."""
        return f"{self.path} {self.method}"

    @property
    def path(self) -> str:
        """The cell's folder below ``records/``, which no other cell has."""
        return self.runs[0].cell_path

    @property
    def title(self) -> str:
        """The cell in one line: ``smollm2-135m / trec6 / lora``."""
        return " / ".join(self.labels)

    @property
    def uses_model(self) -> bool:
        """False for a baseline such as the majority class."""
        return self.settings.model is not None

    @property
    def settings(self) -> Cell:
        """The cell as it was planned: what its study optimised, among all else."""
        return self.runs[0].spec.cell

    @property
    def metric(self) -> str:
        """Name of the main metric on test: the one that the study optimised, unless another was chosen since."""
        return self.chosen or self.settings.objective

    @cached_property
    def greater_is_better(self) -> bool:
        """Whether a greater score of the main metric is a better one."""
        if self.metric == self.settings.objective:
            return self.settings.greater_is_better
        # Of a plug-in that is not there now nothing is known but that most metrics are better when greater.
        return self._metric.greater_is_better if self._metric else True

    @cached_property
    def _metric(self) -> BaseMetric | None:
        return metric_of(self.settings, self.metric)

    @property
    def bounds(self) -> Bounds:
        """The lowest and the highest score that the main metric can give; None where they are not known."""
        return self._metric.bounds if self._metric else None

    @property
    def stochastic(self) -> bool:
        """False if all finals are bound to give the same result, for neither the method nor the data are drawn."""
        return self.settings.stochastic or self.settings.redraws or self.folds is not None

    @property
    def folds(self) -> int | None:
        """K where the finals are the folds of a cross-validation: their spread is that of data and seed together."""
        return self.settings.folds

    @cached_property
    def best(self) -> TrialRecord | None:
        """The best trial on validation; of several studies, that of the one with the best score."""
        return best_trial(self.best_trials.values())

    @cached_property
    def best_trials(self) -> Mapping[int, TrialRecord]:
        """The best trial of each of the cell's studies: whose configurations the finals ran."""
        return self.chosen_by or best_trials(self.runs, self.settings.studies)

    @property
    def validation_best(self) -> float | None:
        """The best trial's score on validation, with that of its repeat; of several studies, the mean of their best."""
        scores = [validation_score(trial, self.runs) for trial in self.best_trials.values()]
        return fmean(scores) if scores else None

    @property
    def validation_repeats(self) -> list[float]:
        """What the finals, which repeat the best trial with other seeds, scored on validation."""
        return [run.objective for run in self.finals if run.status == "ok" and run.objective is not None]

    @property
    def best_params(self) -> dict[str, Any] | list[dict[str, Any]] | None:
        """What the finals were run with; where studies chose differently, a list of what each did."""
        chosen = [dict(self.best_trials[study].spec.params) for study in sorted(self.best_trials)]
        if not chosen:
            return None
        return chosen[0] if all(one == chosen[0] for one in chosen) else chosen

    @cached_property
    def finals(self) -> list[TrialRecord]:
        """The finals of the best trial's configuration, however they ended."""
        return finals_of(self.best_trials, self.runs, self.settings.studies)

    @property
    def failed(self) -> int:
        """How many of the finals failed: the mean is of the others, and no verdict is built on it."""
        return sum(run.status in FAILED for run in self.finals)

    @property
    def superseded(self) -> int:
        """Finals that do not count: of a configuration that is no longer the best, or run again since."""
        return sum(run.spec.kind == "final" for run in self.runs) - len(self.finals)

    @cached_property
    def metrics(self) -> dict[str, list[float]]:
        """All metrics on the test split by name, one number a final that ended well; the main one first."""
        found: dict[str, list[float]] = {self.metric: []}
        for run in self.finals:
            if run.status == "ok" and run.test:
                for metric, value in run.test.metrics.items():
                    found.setdefault(metric, []).append(value)
        return {metric: values for metric, values in found.items() if values}

    @property
    def scores(self) -> list[float]:
        """The main metric on the test split, one number a final that ended well."""
        return self.metrics.get(self.metric, [])

    @property
    def shots(self) -> int | None:
        """Solved examples that the prompt shows; None for a method that trains."""
        if not self.measured:
            return None
        run = self.measured[0]
        untrained = self.uses_model and run.parameters is not None and not run.parameters.trainable
        # Without training, a model that is shown no example is zero-shot, which an experiment need not spell out.
        shots = run.spec.method_options.get("shots", 0 if untrained else None)
        return shots if isinstance(shots, int) else None

    @property
    def test_items(self) -> int | None:
        """How many examples the test split has; None where no answers were kept."""
        kept = [one.ids for run in self.measured for one in (run.predictions, run.answers) if one]
        return max(map(len, kept), default=None)

    def cut(self, what: Literal["inputs", "answers"]) -> dict[str, int]:
        """Return how many texts were cut to fit the context, by split (test, train): the most of any measured run."""
        found = {}
        for split in ("test", "train"):
            cut = [run.notes.get(f"truncated_{split}_{what}") for run in self.measured]
            most = max((number for number in cut if isinstance(number, int)), default=0)
            if most:
                found[split] = most
        return found

    @property
    def mean(self) -> float | None:
        """Mean of the scores."""
        return fmean(self.scores) if self.scores else None

    @property
    def sd(self) -> float | None:
        """Standard deviation of the scores over seeds (n - 1 below the line); None below two of them."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    @cached_property
    def _scored(self) -> list[TrialRecord]:
        return [run for run in self.finals if run.status == "ok" and run.test and self.metric in run.test.metrics]

    @cached_property
    def answers(self) -> Runs | None:
        """The scores item by item; None where there are no predictions of all finals, or none can be scored here."""
        return answered(self._scored, self.metric, self._metric, self.stochastic, self.failed)

    @cached_property
    def interval(self) -> Interval | None:
        """95 % interval of the mean over seeds and test items; None where nothing can be said."""
        return mean_interval(self.answers, self.bounds)

    @cached_property
    def agreement(self) -> float | None:
        """How often two seeds answer the same test item alike, 0 to 1; None below two seeds."""
        return seeds_agree(self._scored)

    @cached_property
    def one_label_only(self) -> bool:
        """Whether it is the majority class, or as good as that: no model, and the same answer to all items."""
        answers = [run.predictions.predictions if run.predictions else () for run in self._scored]
        return not self.uses_model and bool(answers) and all(len(set(one)) == 1 for one in answers)

    @cached_property
    def chance(self) -> float | None:
        """What the most frequent label of its test items scores on them; None where it is not known."""
        return chance_score(self._scored, self._metric)

    @cached_property
    def transfers(self) -> list[Transfer]:
        """What the finals that ended well scored on data sets that they were not trained on."""
        done = [run for run in self.finals if run.status == "ok"]
        targets = {target.dataset.label: target for run in done for target in run.spec.cell.transfer}
        found = []
        for label, target in targets.items():
            tests = [run.transfer[label] for run in done if label in run.transfer]
            scored = [one.test.metrics for one in tests if one.test and target.objective in one.test.metrics]
            reasons = tuple(dict.fromkeys(one.reason for one in tests if one.reason))
            values = tuple(metrics[target.objective] for metrics in scored)
            found.append(
                Transfer(self.drawn_as.get(label, label), target.objective, target.greater_is_better, values, reasons)
            )
        return found

    @cached_property
    def retained(self) -> list[Retention]:
        """What the finals measured on general text before and after; those without figures left out."""
        measured = [run.retention for run in self.finals if run.status == "ok" and run.retention]
        return [one for one in measured if one.before is not None and one.after is not None]

    @property
    def retention_loss(self) -> float | None:
        """Bits per byte on general text that training has cost: after minus before, mean over the finals."""
        losses = [one.after - one.before for one in self.retained if one.after is not None and one.before is not None]
        return fmean(losses) if losses else None

    @property
    def times_of_earlier_version(self) -> bool:
        """Whether train times hold tokenising, measuring and saving as well (see `TrialRecord.seconds`)."""
        return any(run.train_curve and "encode" not in run.seconds for run in self.measured)

    @property
    def rank_key(self) -> float:
        """What cells with scores are sorted by, the best first."""
        assert self.mean is not None
        return -self.mean if self.greater_is_better else self.mean

    @property
    def trials(self) -> list[TrialRecord]:
        """The runs of the study, by number."""
        return sorted((run for run in self.runs if run.spec.kind == "trial"), key=lambda run: run.spec.number)

    @cached_property
    def measured(self) -> list[TrialRecord]:
        """The runs that memory and time are read from: the good finals, else the best trial."""
        finals = [run for run in self.finals if run.status == "ok"]
        return finals or ([self.best] if self.best else [])

    @cached_property
    def mixed(self) -> list[str]:
        """What differs between the runs of this cell that count, of `REVISIONS`."""
        searched = [run for run in self.runs if run.spec.kind != "final"]
        made = [run.provenance for run in (*searched, *(self.chosen_by or {}).values(), *self.finals)]
        return [name for field, name in REVISIONS.items() if len({getattr(one, field) for one in made} - {None}) > 1]


@dataclass(eq=False)
class Group:
    """The methods that are held against each other: of one model on one data set, and those without a model."""

    cells: list[CellResults] = field(default_factory=list)

    @cached_property
    def baseline(self) -> CellResults | None:
        """The majority class, where it was run."""
        return next((cell for cell in self.cells if cell.one_label_only), None)

    @cached_property
    def tested(self) -> list[CellResults]:
        """The cells with a score on test, without the baseline; the best mean first."""
        scored = (cell for cell in self.cells if cell.mean is not None and cell is not self.baseline)
        return sorted(scored, key=lambda cell: cell.rank_key)

    @cached_property
    def chance(self) -> float | None:
        """What the majority class scores on test, or the most frequent label there; None where it is not known."""
        if self.baseline:
            return self.baseline.mean
        return next((known for cell in self.cells if (known := cell.chance) is not None), None)

    @cached_property
    def verdicts(self) -> Verdicts:
        """What every table, sentence and figure says of these methods; names are `CellResults.key`."""
        baseline = self.baseline.answers if self.baseline else None
        if not self.tested:
            return verdicts({})
        first = self.tested[0]
        return verdicts(
            {cell.key: cell.answers for cell in self.tested}, baseline, first.bounds, first.greater_is_better
        )

    @cached_property
    def best(self) -> list[CellResults]:
        """The methods that are called best: `Verdicts.best`, where there is something that they are held against.

        A method is not best while the mean of one that nothing can be said about is better.
        """
        found = self.verdicts
        if len(found.ranks) < 2 and not found.to_baseline:
            return []
        unknown = [cell.rank_key for cell in self.tested if cell.key not in found.ranks]
        top = min(unknown, default=float("inf"))
        return [cell for cell in self.tested if cell.key in found.best and cell.rank_key <= top]

    def between(self, first: CellResults, second: CellResults) -> Difference:
        """Return the first minus the second, both of `tested`."""
        return self.verdicts.pairs[first.key, second.key]

    def gap(self, first: CellResults, second: CellResults) -> float:
        """Return the first minus the second, over the finals that `between` compares; of the means without answers."""
        found = self.between(first, second).value
        assert first.mean is not None and second.mean is not None
        return first.mean - second.mean if found is None else found


def groups(cells: Iterable[CellResults]) -> list[Group]:
    """Return the groups of some cells, those of a model only, in the order of the cells."""
    return list({id(cell.group): cell.group for cell in cells if cell.uses_model}.values())
