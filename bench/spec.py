"""What is asked for: an `Experiment` (a YAML file), its `Cell`s, and the `TrialSpec` of one trial.

All are frozen and validated; a trial spec is plain JSON and can be sent anywhere. This module knows
names and options; which class stands behind a name is looked up by `bench.studies.cells`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.config import Config, content_hash

# Named as themselves: they are part of what this module offers.
from bench.distributions import Choice as Choice
from bench.distributions import Distribution as Distribution
from bench.distributions import Float as Float
from bench.distributions import Int as Int
from bench.distributions import Scalar as Scalar
from bench.distributions import SearchSpace as SearchSpace
from bench.entries import NO_MODEL as NO_MODEL
from bench.entries import DatasetEntry as DatasetEntry
from bench.entries import Entry as Entry
from bench.entries import MethodEntry as MethodEntry
from bench.entries import default_label as default_label
from bench.plugins import PluginFile
from bench.registry import NAME


class Training(Config):
    """How a trial trains. Names follow `transformers.TrainingArguments` where it has them."""

    max_steps: int = Field(200, gt=0)
    """Optimizer steps; ``num_train_epochs`` overrides it."""
    num_train_epochs: float | None = Field(None, gt=0)
    """Passes over the training split instead of a number of steps."""
    batch_size: int = Field(16, gt=0)
    """Examples an optimizer step, over all accumulated micro-batches."""
    gradient_accumulation_steps: int = Field(1, gt=0)
    """Micro-batches an optimizer step; the mean is over supervised tokens of the whole batch."""
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    """AdamW (torch), or Adafactor without relative steps and parameter scaling (Lester et al., 2021)."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate; every method has a default and a range of its own."""
    weight_decay: float = Field(0.0, ge=0)
    lr_scheduler_type: Literal["linear", "cosine", "constant"] = "linear"
    """Shape of the schedule after warm-up."""
    warmup_ratio: float = Field(0.0, ge=0, lt=1)
    """Share of the steps over which the learning rate rises from 0."""
    max_grad_norm: float | None = Field(1.0, gt=0)
    """Gradients are clipped to this norm; null does not clip."""
    eval_steps: int | None = Field(None, gt=0)
    """Steps between validations; null validates ten times a run."""
    early_stopping_patience: int | None = Field(None, gt=0)
    """Stop after so many validations without a better score; null never stops early."""
    group_by_length: bool = True
    """Form batches of examples of similar length, in shuffled order."""
    eval_batch_size: int = Field(64, gt=0)
    """Sequences a forward pass in evaluation."""
    max_length: int | None = Field(None, gt=0)
    """Tokens of input and label together; null is what the model's context leaves."""


Objective = Literal["score", "trainable_parameters", "adapter_bytes", "memory", "seconds"]
"""What a study can optimise: the validation metric, or what a trial costs (see `bench.objectives`)."""


class Budget(Config):
    """What the trials of one cell may cost together; no further one begins once it is used up."""

    seconds: float | None = Field(None, gt=0)
    """Wall-clock seconds of all trials of the cell."""
    tokens: int | None = Field(None, gt=0)
    """Input tokens trained on in all trials of the cell."""


class Study(Config):
    """The search of one cell: how many trials, which sampler and pruner of Optuna."""

    trials: int = Field(10, ge=0)
    """Trials a cell. The first one runs the method's default values; 0 searches nothing, finals run the defaults."""
    budget: Budget = Budget()
    """Seconds or training tokens a cell; the trials end with whatever is used up first."""
    objectives: tuple[Objective, ...] = ("score",)
    """What is optimised; finals always run the trial with the best score."""
    sampler: str = "tpe"
    """``tpe``, ``random``, ``grid``, ``cmaes``, or the class name of any sampler of Optuna, such as ``GPSampler``."""
    sampler_options: dict[str, Any] = {}
    """Arguments of the sampler; of ``grid``: ``points``, values a range (4 by default)."""
    pruner: str = "median"
    """``median``, ``percentile``, ``successive_halving``, ``hyperband``, ``none``, or the class name of any pruner of
    Optuna. Pruners see the validation score by step; with several objectives nothing is pruned."""
    pruner_options: dict[str, Any] = {}
    """Arguments of the pruner, such as ``{percentile: 25}`` or ``{reduction_factor: 3}``."""
    pruner_startup_trials: int = Field(3, ge=0)
    """Trials that run to their end before any is pruned (median and percentile)."""
    pruner_warmup_steps: int = Field(0, ge=0)
    """Optimizer steps of a trial before it may be pruned (median and percentile)."""
    max_failures: int | None = Field(5, gt=0)
    """Trials that may end as ``error``, ``timeout`` or ``killed`` before the cell begins no further one; null: any."""
    storage: str | None = None
    """URL of a database for Optuna's tools, such as ``postgresql+psycopg://user@host/optuna``; null keeps
    ``study.db`` beside the records. It is never stored with its password."""

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        if not objectives or len(set(objectives)) < len(objectives):
            raise ValueError(f"expected one or more different objectives, found {', '.join(objectives) or 'none'}")
        return objectives


class Finals(Config):
    """The best configuration of a cell, run again; only these runs read the test split."""

    seeds: int = Field(3, ge=0)
    """Fresh seeds a cell."""
    save_adapters: bool = True
    """Keep the trained weights of each final beside its record."""


class Evaluation(Config):
    """What is evaluated besides the data set's metrics."""

    generations: int = Field(32, ge=0)
    """Test examples for which an answer is generated freely, to count answers that are no label."""


class Runtime(Config):
    """Where and in which precision trials run."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 on a CUDA device that has it, float32 elsewhere."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, more time."""
    threads: int | None = Field(None, gt=0)
    """CPU threads a worker; null shares the cores among the workers."""
    trial_timeout: float | None = Field(None, gt=0)
    """Seconds after which a trial is stopped with status ``timeout``."""
    retries: int = Field(1, ge=0)
    """How often a trial runs again after its worker died; a failure of the method itself is never retried."""
    hang_timeout: float | None = Field(300, gt=0)
    """Seconds without a sign of life after which a worker counts as hung and is replaced; null waits for ever."""


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
    trials: int | None = Field(None, ge=0)
    skip: bool = False
    """Leave these cells out."""


class Experiment(Config):
    """An experiment: models x data sets x methods, and how they are compared."""

    name: str
    """Names the folders under results/ and reports/."""
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

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not NAME.match(name):
            raise ValueError(f"{name!r} is not a valid name; use 1 to 64 of a-z 0-9 . _ - and begin with a-z or 0-9")
        return name

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        for kind in ("models", "datasets", "methods", "trackers"):
            labels = [entry.label for entry in getattr(self, kind)]
            twice = sorted({label for label in labels if labels.count(label) > 1})
            if twice:
                raise ValueError(f"{kind}: the label {twice[0]!r} is used twice; tell them apart by 'label:'")
        return self


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
        """Model, data set and method, as tables and paths name them."""
        return (self.model.label if self.model else NO_MODEL, self.dataset.label, self.method.label)

    @property
    def title(self) -> str:
        """The cell in one line: ``smollm2-135m / trec6 / lora``."""
        return " / ".join(self.labels)

    @property
    def hash(self) -> str:
        """Content hash of all that decides a trial's result; budgets (trials, finals), labels and transfer do not."""
        data = self.model_dump(
            mode="json",
            exclude={
                "finals": True,
                "transfer": True,
                "runtime": {"threads", "trial_timeout", "retries", "hang_timeout"},
                "study": {"trials", "budget", "max_failures", "storage"},
            },
        )
        if not self.runtime.gradient_checkpointing:  # younger than the hashes of many records
            data["runtime"].pop("gradient_checkpointing")
        if not self.search:
            data.pop("study")  # nothing is searched, so it does not matter how
        for entry in (data["model"], data["dataset"], data["method"]):
            if entry:
                entry.pop("label")
        if plugins := data.pop("plugins"):  # where a file lies decides nothing
            data["plugins"] = sorted(plugin["sha256"] for plugin in plugins)
        return content_hash(data)

    @property
    def path(self) -> str:
        """The cell's folder below ``records/``: labels, then the beginning of its hash."""
        return "/".join([*self.labels, self.hash[:12]])

    @property
    def targets(self) -> tuple[str, ...]:
        """Content hashes of what the finals are tested on besides their own test split, sorted."""
        hashes = (
            content_hash([target.dataset.model_dump(mode="json"), target.data_pin, *(p.sha256 for p in target.plugins)])
            for target in self.transfer
        )
        return tuple(sorted(hashes))

    @property
    def folds(self) -> int | None:
        """K where the data set is cross-validated (see `bench.datasets.base.Dataset.folds`)."""
        folds = self.dataset.options.get("folds")
        return folds if isinstance(folds, int) else None

    @property
    def planned_finals(self) -> int:
        """Finals that this cell runs: one a seed, or one a fold, each with a seed of its own."""
        if self.folds and self.finals.seeds:
            return self.folds
        return self.finals.seeds if self.stochastic else min(1, self.finals.seeds)


class TrialSpec(Config):
    """One run, complete: what `bench.training.run_trial` takes."""

    experiment: str
    cell: Cell
    kind: Literal["trial", "final"]
    number: int
    """Number of the trial in its study, or of the final, from 0."""
    seed: int
    """Seeds initialisation, data order and dropout; derived from root seed, cell and number."""
    params: dict[str, Scalar]
    """The values that the study chose."""

    @property
    def fold(self) -> int:
        """The fold that the run tests on: final n of a cross-validated cell tests on fold n.

        Trials are of fold 0: what they read, validation and train, is never what final 0 tests on. (It is what other
        finals test on: a configuration chosen by them has seen these rows, as in any cross-validation that is not
        nested. With ``study.trials: 1`` nothing is chosen.)
        """
        return self.number % self.cell.folds if self.kind == "final" and self.cell.folds else 0

    @property
    def training(self) -> Training:
        """The training settings with the chosen values in place."""
        chosen = {key: value for key, value in self.params.items() if key in Training.model_fields}
        return Training.model_validate({**self.cell.training.model_dump(), **chosen})

    @property
    def method_options(self) -> dict[str, Any]:
        """The method's options with the chosen values in place."""
        chosen = {key: value for key, value in self.params.items() if key not in Training.model_fields}
        return {**self.cell.method.options, **chosen}

    @property
    def hash(self) -> str:
        """Content hash of all that decides the result of this run: of a final, what it is tested on too.

        So a `transfer` that is added later lets the trials stand, and runs the finals again.
        """
        targets = self.cell.targets if self.kind == "final" else ()
        return content_hash([self.cell.hash, self.kind, self.seed, self.params, *targets])

    @property
    def title(self) -> str:
        """The run in one line: ``smollm2-135m / trec6 / lora, trial 3``."""
        return f"{self.cell.title}, {self.kind} {self.number}"

    @property
    def filename(self) -> str:
        """Name of the record: a final's carries its hash, for another best configuration is another final."""
        tail = f"-{self.hash[:12]}" if self.kind == "final" else ""
        return f"{self.kind}-{self.number:05d}{tail}.json"
