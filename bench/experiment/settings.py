"""The settings of an experiment: training, study, finals, evaluation, runtime."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bench.core.config import Config


class Training(Config):
    """How a trial trains. Names follow `transformers.TrainingArguments` where it has them."""

    max_steps: int = Field(200, gt=0, le=10_000_000)
    """Optimizer steps; ``num_train_epochs`` overrides it."""
    num_train_epochs: float | None = Field(None, gt=0, le=100_000)
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
    """Of everything that is trained; `Trainer` leaves out biases and the weights of norms."""
    lr_scheduler_type: Literal["linear", "cosine", "constant"] = "linear"
    """Shape of the schedule after warm-up."""
    warmup_ratio: float = Field(0.0, ge=0, lt=1)
    """Share of the steps over which the learning rate rises from 0."""
    max_grad_norm: float | None = Field(1.0, gt=0)
    """Gradients are clipped to this norm; null does not clip."""
    eval_steps: int | None = Field(None, gt=0)
    """Steps between validations; null validates ten times a run or a little more."""
    early_stopping_patience: int | None = Field(None, gt=0)
    """Stop after so many validations without a better score; null never stops early."""
    group_by_length: bool = True
    """Form batches of examples of similar length, in shuffled order."""
    eval_batch_size: int = Field(64, gt=0)
    """Sequences a forward pass in evaluation."""
    max_length: int | None = Field(None, gt=0)
    """Tokens of input and label together; null is what the model's context leaves."""

    def steps_between_validations(self, steps: int) -> int:
        """Return how many steps of a run of so many stand between two validations."""
        return self.eval_steps or max(1, steps // 10)


Objective = Literal["score", "trainable_parameters", "adapter_bytes", "memory", "seconds"]
"""What a study can optimise: the validation metric, or what a trial costs (see `bench.runs.objectives`)."""


class Budget(Config):
    """What the trials of one cell (of nested folds: of each fold) may cost together; then no further one begins."""

    seconds: float | None = Field(None, gt=0)
    """Wall-clock seconds of all trials of the cell."""
    tokens: int | None = Field(None, gt=0)
    """Input tokens trained on in all trials of the cell."""


class Study(Config):
    """The search of one cell: how many trials, which sampler and pruner of Optuna."""

    trials: int = Field(10, ge=0, le=10_000)
    """Trials a cell. The first one runs the method's default values; 0 searches nothing, finals run the defaults."""
    repeats: int = Field(0, ge=0, le=1_000, exclude_if=lambda repeats: not repeats)
    """How many of the best trials run again, each with another seed, before the finals; then the best mean over both
    is chosen. One seed can flatter a configuration that fails with the next. Budgets do not end them."""
    budget: Budget = Budget()
    """Seconds or training tokens a cell; the trials end with whatever is used up first."""
    objectives: tuple[Objective, ...] = ("score",)
    """What is optimised; finals always run the configuration with the best score."""
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

    @model_validator(mode="after")
    def _check_grid(self) -> Self:
        points = self.sampler_options.get("points", 1)
        if self.sampler == "grid" and (
            self.sampler_options.keys() - {"points"} or type(points) is not int or points < 1
        ):
            raise ValueError("sampler_options: grid takes 'points', a whole number above 0")
        return self


class Finals(Config):
    """The best configuration of a cell, run again; only these runs read the test split."""

    seeds: int = Field(3, ge=0, le=1_000)
    """Fresh seeds a cell."""
    splits: Literal["fixed", "redraw"] = "fixed"
    """``redraw``: final n draws train, validation and test anew (the same n-th draw for every cell), so that the spread
    over finals holds the variance of the data too (Bouthillier et al., 2021). ``fixed``: all finals share one draw."""
    save_adapters: bool = True
    """Keep the trained weights of each final beside its record."""


class RetentionText(Config):
    """The text on which a final measures what training has cost a causal model's general ability."""

    bytes: int = Field(65_536, ge=1000)
    """How much of the text is read, from its beginning, in UTF-8."""
    path: str | None = None
    """A text file in UTF-8 instead of the packaged text (sections of Wikipedia, see `bench.datasets.general_text`)."""
    sha256: str | None = None
    """Of the file; filled in when an experiment is planned."""


def _retention(value: Any) -> Any:
    """Read the short forms: true, false, or a number of bytes."""
    if isinstance(value, bool):
        return {} if value else None
    return {"bytes": value} if isinstance(value, int) else value


class Evaluation(Config):
    """What is evaluated besides the data set's metrics."""

    generations: int = Field(32, ge=0)
    """Test examples for which an answer is generated freely, to count answers that are no label."""
    keep_texts: bool = Field(False, exclude_if=lambda keep: not keep)
    """Keep the texts of free answers in the records of finals, with questions and references; otherwise their hashes.
    Texts of others may not be yours to publish."""
    retention: Annotated[
        RetentionText | None, BeforeValidator(_retention, json_schema_input_type=bool | int | RetentionText | None)
    ] = None
    """Measure, in finals of causal models, the loss in bits per byte on a text that no method was trained on, before
    and after: true, a number of bytes, or ``{path: FILE, bytes: N}`` for a text of one's own."""


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
    hang_timeout: float | None = Field(1800, gt=0)
    """Seconds without a step or a batch after which a trial counts as hung and its worker is replaced; null waits for
    ever. Until its first batch a trial is loading, for which it has an hour more."""
