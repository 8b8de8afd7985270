"""``bench params``: what a model with a method comes to, before anything is downloaded."""

from __future__ import annotations

from collections.abc import Sequence

from bench.experiment.file import assigned
from bench.methods import methods


def show_params(model: str, method: str, assignments: Sequence[str]) -> None:
    """Print PEFT's line, and what memory and FLOPs it implies."""
    options = assigned({}, assignments)
    methods.build(method, options, "--set")  # what is wrong there need not wait for torch
    from bench.planning.parameters import attach_weightless, parameters_of, peft_line
    from bench.reporting import text
    from bench.training.costs import costs_of

    tuned = attach_weightless(model, method, options, "--set")
    costs = costs_of(tuned)
    what = "weights, gradients and AdamW moments" if costs.trained else "weights"
    print(peft_line(parameters_of(tuned)))
    print(
        f"memory, at least: {text.file_size(costs.memory_floor(4))} with frozen weights in float32, "
        f"{text.file_size(costs.memory_floor(2))} in bfloat16 ({what}; activations come on top)"
    )
    if costs.forward_flops is not None:
        step = f", {text.flops(costs.training_flops)} in a training step" if costs.training_flops is not None else ""
        print(f"FLOPs a token, about: {text.flops(costs.forward_flops)} forward{step} (attention is not counted)")
