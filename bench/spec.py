"""What is asked for: an `Experiment` (a YAML file), its `Cell`s, and the `TrialSpec` of one trial.

All are frozen and validated; a trial spec is plain JSON and can be sent anywhere. This module knows
names and options; which class stands behind a name is looked up by `bench.studies.cells`.
"""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.config import Config, content_hash
from bench.registry import NAME

NO_MODEL = "none"
"""Stands in tables and paths for the model of a method that uses none."""

Scalar = bool | int | float | str | None


class Float(Config):
    """A real number that a study varies, both ends included."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    """Draw on a logarithmic scale (learning rates)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        return self


class Int(Config):
    """A whole number that a study varies, both ends included."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """Draw on a logarithmic scale."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        return self


class Choice(Config):
    """One of a list of values that a study varies."""

    kind: Literal["choice"] = "choice"
    choices: tuple[Scalar, ...] = Field(min_length=1)


Distribution = Float | Int | Choice
SearchSpace = dict[str, Distribution]
"""What a study may vary: a field of the method or of the training, and its distribution."""


def _check_range(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ValueError(f"the range is upside down: low {low:g} is above high {high:g}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must begin above 0, found low {low:g}")


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


class Study(Config):
    """The search of one cell: how many trials, which sampler and pruner of Optuna."""

    trials: int = Field(10, gt=0)
    """Trials a cell. The first one runs the method's default values."""
    sampler: Literal["tpe", "random"] = "tpe"
    """Optuna's TPESampler or RandomSampler."""
    pruner: Literal["median", "none"] = "median"
    """Stop trials whose validation score lies under the median of the earlier ones at the same step."""
    pruner_startup_trials: int = Field(3, ge=0)
    """Trials that run to their end before any is pruned."""
    pruner_warmup_steps: int = Field(0, ge=0)
    """Optimizer steps of a trial before it may be pruned."""


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
    threads: int | None = Field(None, gt=0)
    """CPU threads a worker; null shares the cores among the workers."""
    trial_timeout: float | None = Field(None, gt=0)
    """Seconds after which a trial is stopped with status ``timeout``."""
    retries: int = Field(1, ge=0)
    """How often a trial runs again after its worker died; a failure of the method itself is never retried."""


class Entry(Config):
    """A registered thing and its options, as an experiment names it: ``name`` or ``name: {options}``."""

    name: str
    label: str
    """How the thing is called in tables and paths; its name unless the experiment says otherwise."""
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {data: {}}
        if not isinstance(data, dict) or not data:
            raise ValueError(f"expected a name, or 'name: {{options}}', found {data!r}")
        if not ("name" in data and "label" in data):
            if len(data) != 1:
                raise ValueError(
                    f"expected one name with its options below it, found the keys {', '.join(map(str, data))}; "
                    "indent the options one level deeper than the name"
                )
            ((name, options),) = data.items()
            if not isinstance(options, dict | None):
                raise ValueError(f"the options of {name!r} must be a mapping, found {options!r}")
            rest = dict(options or {})
            own = {k: rest.pop(k) for k in cls.model_fields if k in rest and k not in ("name", "options")}
            data = {"name": name, "label": default_label(str(name), rest), "options": rest, **own}
        return data

    @field_validator("label")
    @classmethod
    def _check_label(cls, label: str) -> str:
        if not NAME.match(label):
            raise ValueError(f"{label!r} is not a valid label; use 1 to 64 of a-z 0-9 . _ - (give one by 'label:')")
        if label == NO_MODEL:
            raise ValueError(f"the label {NO_MODEL!r} stands for methods without a language model; give another")
        return label


def default_label(name: str, options: dict[str, Any]) -> str:
    """Derive a label: the last part of a hub id or of a path (without a data file's suffix), else the name itself."""
    for key in ("id", "path"):
        if isinstance(options.get(key), str):
            name = options[key]
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower()
    last = re.sub(r"\.(csv|tsv|json|jsonl|parquet|gguf)$", "", last)
    return re.sub(r"[^a-z0-9._-]+", "-", last)


class MethodEntry(Entry):
    """A method of an experiment, with what is special to it."""

    training: dict[str, Any] = {}
    """Training settings for this method alone."""
    search: dict[str, Any] = {}
    """Changes to the method's search space (see the README)."""


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
    trials: int | None = Field(None, gt=0)


class Experiment(Config):
    """An experiment: models x data sets x methods, and how they are compared."""

    name: str
    """Names the folders under results/ and reports/."""
    description: str = ""
    models: list[Entry] = Field(min_length=1)
    datasets: list[Entry] = Field(min_length=1)
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
    accept_licenses: list[str] = []
    """Names of the models whose licence the user has read and accepts."""
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
        for kind in ("models", "datasets", "methods"):
            labels = [entry.label for entry in getattr(self, kind)]
            twice = sorted({label for label in labels if labels.count(label) > 1})
            if twice:
                raise ValueError(f"{kind}: the label {twice[0]!r} is used twice; tell them apart by 'label:'")
        return self


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
        """Content hash of all that decides a trial's result; budgets (trials, finals) and labels do not."""
        data = self.model_dump(
            mode="json", exclude={"finals": True, "runtime": {"threads", "trial_timeout", "retries"}}
        )
        data["study"].pop("trials")
        for entry in (data["model"], data["dataset"], data["method"]):
            if entry:
                entry.pop("label")
        return content_hash(data)

    @property
    def path(self) -> str:
        """The cell's folder below ``records/``: labels, then the beginning of its hash."""
        return "/".join([*self.labels, self.hash[:12]])

    @property
    def planned_finals(self) -> int:
        """Finals that this cell runs."""
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
        """Content hash of all that decides the result of this run."""
        return content_hash([self.cell.hash, self.kind, self.seed, self.params])

    @property
    def title(self) -> str:
        """The run in one line: ``smollm2-135m / trec6 / lora, trial 3``."""
        return f"{self.cell.title}, {self.kind} {self.number}"

    @property
    def filename(self) -> str:
        """Name of the record: a final's carries its hash, for another best configuration is another final."""
        tail = f"-{self.hash[:12]}" if self.kind == "final" else ""
        return f"{self.kind}-{self.number:05d}{tail}.json"
