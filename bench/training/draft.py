"""The record of a trial in the making."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.runs.record import (
    Answers,
    Evaluated,
    Parameters,
    PhaseMemory,
    Predictions,
    Provenance,
    Retention,
    Status,
    TransferTest,
    TrialRecord,
)
from bench.runs.spec import TrialSpec
from bench.training.loop import TrainingResult

Note = int | float | str | bool | None


@dataclass
class Draft:
    """What a trial has found so far, under the names of `TrialRecord`; one that ends early keeps what it has."""

    training: TrainingResult = field(default_factory=TrainingResult)
    test: Evaluated | None = None
    predictions: Predictions | None = None
    answers: Answers | None = None
    transfer: dict[str, TransferTest] = field(default_factory=dict)
    non_label_share: float | None = None
    retention: Retention | None = None
    parameters: Parameters | None = None
    adapter_bytes: int | None = None
    flops: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Note] = field(default_factory=dict)
    measurements: dict[str, float] = field(default_factory=dict)
    model_revision: str | None = None
    data_revision: str | None = None
    tokens: dict[str, int] = field(default_factory=dict)
    """Real input tokens by phase, those of ``train`` left out."""

    def add_tokens(self, phase: str, number: int) -> None:
        """Count real input tokens that were run in a phase."""
        self.tokens[phase] = self.tokens.get(phase, 0) + number

    def record(
        self,
        spec: TrialSpec,
        status: Status,
        reason: str | None,
        started_at: str,
        seconds: Mapping[str, float],
        memory: Mapping[str, PhaseMemory],
        provenance: Provenance,
    ) -> TrialRecord:
        """Return the record of the trial, however it ended; ``seconds`` are by phase, with the ``total``."""
        training, best = self.training, self.training.best
        found = {name: value for name, value in vars(self).items() if name in TrialRecord.model_fields}
        found["parameters"] = self.parameters and self.parameters.model_copy(
            update={"with_gradient": training.with_gradient, "adapter_bytes": self.adapter_bytes}
        )
        found["notes"] = {**self.notes, "truncated_train_inputs": training.truncated}
        if training.train_curve:
            found["notes"]["measured_steps"] = training.measured_steps
        tokens = {"train": training.timed_tokens, **self.tokens}
        return TrialRecord.of(
            spec,
            **found,
            status=status,
            reason=reason,
            started_at=started_at,
            seconds={phase: round(value, 4) for phase, value in seconds.items()},
            objective=best.metrics.get(spec.cell.objective) if best else None,
            best_step=best.step if best else None,
            train_curve=training.train_curve,
            validation_curve=training.validation_curve,
            memory=dict(memory),
            tokens_per_second={
                phase: round(number / seconds[phase], 3)
                for phase, number in tokens.items()
                if number and seconds.get(phase)
            },
            provenance=provenance,
        )
