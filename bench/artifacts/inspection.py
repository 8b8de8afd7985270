"""What training made of a soft prompt: its nearest tokens before and after, and its norms against the vocabulary's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.artifacts.loading import LoadedRun
from bench.core.errors import BadInput
from bench.methods.tuned.prompted import Prompted
from bench.reporting.figures.canvas import figure_style, lay_out, log_scale, new_canvas, put_title, render
from bench.reporting.figures.fonts import fonts_for
from bench.runs.record import TrainStep


def inspect_prompt(loaded: LoadedRun) -> tuple[pd.DataFrame, list[float]] | None:
    """Look into a run's soft prompt.

    Returns:
        A row a virtual token: its nearest token of the vocabulary by cosine, and its L2 norm, before and after
        training, and the cosine between the two; and the 5th percentile, median and 95th percentile of the L2 norms of
        the vocabulary's embeddings. None if the run's method has no prompt of input embeddings.
    """
    tuned = loaded.attach()
    try:
        if not isinstance(tuned, Prompted) or loaded.base is None:
            return None
        tuned.train(False)
        with torch.no_grad():
            before = tuned.prompt.detach().float().cpu().clone()
            loaded.load(tuned)
            after = tuned.prompt.detach().float().cpu().clone()
    finally:
        tuned.detach()
    columns: dict[str, Any] = {"position": range(len(before))}
    for prompt, names in (
        (before, ("token before", "cosine", "norm")),
        (after, ("token after", "cosine after", "norm after")),
    ):
        found, norms = nearest_rows(prompt, loaded.base.network.get_input_embeddings())
        words = [repr(loaded.base.tokenizer.decode([index])) for index, _ in found]
        values = (words, [cosine for _, cosine in found], prompt.norm(dim=1).tolist())
        columns |= dict(zip(names, values, strict=True))
    columns["before to after"] = (normalize(before, dim=1) * normalize(after, dim=1)).sum(1).tolist()
    return pd.DataFrame(columns), torch.quantile(norms, torch.tensor([0.05, 0.5, 0.95])).tolist()


@torch.no_grad()
def nearest_rows(prompt: Tensor, embedding: nn.Module) -> tuple[list[tuple[int, float]], Tensor]:
    """Return for each row of ``prompt`` [P, E] the vocabulary's row of the highest cosine, and all norms [V].

    The vocabulary is read through the module, as the network's layers see it: some families scale it on the way out.
    """
    device = next(embedding.parameters()).device
    size: int = embedding.num_embeddings  # type: ignore[assignment]
    rows = embedding(torch.arange(size, device=device)).float().cpu()
    cosines, indices = (normalize(prompt.float(), dim=1) @ normalize(rows, dim=1).T).max(1)
    return list(zip(indices.tolist(), cosines.tolist(), strict=True)), rows.norm(dim=1)


def gradient_figure(curve: Sequence[TrainStep], title: str) -> bytes:
    """Draw the norm of the gradient by step, and the loss beside it; return a PNG.

    Raises:
        BadInput: nothing was trained.
    """
    if not curve:
        raise BadInput(f"{title}: nothing was trained, so there is no gradient to draw")
    fonts = fonts_for([title])
    with figure_style(families=fonts.families):
        canvas = new_canvas(7, 4.6)
        upper, lower = canvas.subplots(2, 1, sharex=True)
        steps = [one.step for one in curve]
        upper.plot(steps, [one.grad_norm for one in curve], color="#0072b2")
        upper.set_ylabel("gradient norm (L2)")
        if all(one.grad_norm > 0 for one in curve):
            log_scale(upper, "y")
        lower.plot(steps, [one.loss for one in curve], color="#d55e00")
        lower.set_ylabel("loss (nats a token)")
        lower.set_xlabel("optimizer step")
        put_title(canvas, "".join("?" if letter in fonts.missing else letter for letter in title), 7)
        return render(canvas, "png", box=lay_out(canvas))
