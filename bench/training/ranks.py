"""The processes that run one trial together; most often it is one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from bench.runs.record import Status
from bench.training.evaluation import Scorer
from bench.training.step import Stepper

if TYPE_CHECKING:
    from torch.nn import Parameter

    from bench.methods.base import TunedModel
    from bench.training.encoding import Encoder


class Ranks:
    """One process alone. Several processes of one trial are `bench.training.distributed.DistributedRanks`."""

    rank: int = 0
    size: int = 1
    stepper: ClassVar[type[Stepper]] = Stepper
    """What takes the optimizer steps."""
    scorer: ClassVar[type[Scorer]] = Scorer
    """What scores a split."""
    counts_tensors: ClassVar[bool] = True
    """Whether live tensors can be counted."""

    def loads_on(self, device: torch.device) -> torch.device:
        """Return where base models are loaded for trials on ``device``."""
        return device

    def share(self, tuned: TunedModel, base: set[Parameter], encoder: Encoder | None) -> TunedModel:
        """Spread a model with its method over the processes.

        ``base`` are the parameters that the base model had before the method was attached.
        """
        return tuned

    def report_failure(self, status: Status, reason: str) -> None:
        """Hear that this process has failed where the others may wait for it."""

    def notes(self) -> dict[str, int | str]:
        """Return what a reader of the record should know."""
        return {}
