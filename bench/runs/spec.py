"""What is asked of one run: a `TrialSpec`. It is frozen, validated, plain JSON, and can be sent anywhere."""

from __future__ import annotations

from typing import Any, Literal

from bench.core.config import Config, content_hash
from bench.core.distributions import Scalar
from bench.experiment.cell import Cell
from bench.experiment.settings import Training


class TrialSpec(Config):
    """One run, complete: what `bench.training.run_trial` takes."""

    experiment: str
    cell: Cell
    kind: Literal["trial", "repeat", "final"]
    """A repeat is a trial run once more, with another seed (`bench.experiment.settings.Study.repeats`)."""
    number: int
    """Number of the trial in its study, of the trial that is repeated, or of the final, from 0."""
    seed: int
    """Seeds initialisation, data order and dropout; derived from root seed, cell and number."""
    params: dict[str, Scalar]
    """The values that the study chose."""

    @property
    def fold(self) -> int:
        """The fold whose rows the run leaves out, or tests on: final n of a cross-validated cell tests on fold n.

        Trials are of the fold of their study. Unless folds are nested there is one study, of fold 0: what its trials
        read, validation and train, is never what final 0 tests on, but it is what other finals test on. (With
        ``study.trials: 1`` nothing is chosen.)
        """
        if self.kind != "final":
            return self.study
        return self.number % self.cell.folds if self.cell.folds else 0

    @property
    def study(self) -> int:
        """The study of its cell that the run belongs to: as a trial, or as a final of what it chose."""
        return self.number % self.cell.studies

    @property
    def draw(self) -> int:
        """The draw of the splits that the run reads: final n of a cell that redraws reads draw n, all else draw 0."""
        return self.number if self.kind == "final" and self.cell.redraws else 0

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
        draw = [f"draw {self.draw}"] if self.draw else []
        return content_hash([self.cell.hash, self.kind, self.seed, self.params, *targets, *draw])

    @property
    def title(self) -> str:
        """The run in one line: ``smollm2-135m / trec6 / lora, trial 3``."""
        return f"{self.cell.title}, {self.kind} {self.number}"

    @property
    def filename(self) -> str:
        """Name of the record: a final's carries its hash, for another best configuration is another final."""
        tail = f"-{self.hash[:12]}" if self.kind == "final" else ""
        return f"{self.kind}-{self.number:05d}{tail}.json"
