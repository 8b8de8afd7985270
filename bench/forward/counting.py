"""How many weights a parameter holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Parameter


def weights_in(parameter: Parameter) -> int:
    """Return the number of weights of a parameter: of one that bitsandbytes has packed, of what it was packed from."""
    packed = getattr(parameter, "quant_state", None)
    return parameter.numel() if packed is None else packed.shape.numel()
