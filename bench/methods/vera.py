"""VeRA."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bench.core.config import Alias
from bench.core.distributions import Choice, Float, SearchSpace
from bench.methods.peft_method import PeftMethod


class Vera(PeftMethod):
    """VeRA: trained vectors that rescale random low-rank matrices which all layers share (Kopiczko et al., 2024)."""

    title = "VeRA"
    peft_class = "VeraConfig"
    citation = "Kopiczko, Blankevoort, Asano: VeRA: Vector-based Random Matrix Adaptation. ICLR 2024. arXiv:2310.11454"
    training_defaults = {"learning_rate": 5e-3}
    when_to_use = (
        "Where a task has to be smaller than LoRA's and the base model stays: two vectors a layer are trained, "
        "the matrices are shared and random."
    )
    traps = (
        "Few trained numbers are no small cost: the random matrices, of rank 256, take memory, and time in every "
        "layer.",
        "The matrices are not saved but drawn again from projection_seed, and another version of torch may draw "
        "others: save_projection: true keeps them.",
        "Its learning rate is some ten times LoRA's.",
    )

    rank: Annotated[int, Alias("r")] = Field(256, gt=0)
    """r, the rank of the random matrices; larger than LoRA's, for only vectors are trained."""
    initial_d: Annotated[float, Alias("d_initial")] = 0.1
    """Where the trained vector d begins (the paper's table 6)."""
    dropout: Annotated[float, Alias("vera_dropout")] = Field(0.0, ge=0, lt=1)
    """Dropout on the input of the updates."""
    projection_seed: Annotated[int, Alias("projection_prng_key")] = Field(0, ge=0)
    """Seeds the random matrices; the same in every run, as in the paper, for they belong to the method."""
    save_projection: bool = False
    """Save the random matrices too; without, they come back from their seed, which another version of torch may draw
    otherwise, and the saved adapter is by far smaller."""

    def search_space(self) -> SearchSpace:
        """Learning rate, about ten times LoRA's, and rank."""
        return {
            "learning_rate": Float(low=5e-4, high=5e-2, log=True),
            "rank": Choice(choices=(64, 128, 256, 512, 1024)),
        }
