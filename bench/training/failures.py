"""What an exception was, in one line for a record."""

from __future__ import annotations

import traceback
from pathlib import Path

import torch

from bench.core.errors import named_line


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of a GPU or of the machine."""
    # On a CPU torch raises a plain RuntimeError from its allocator.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def described(error: BaseException) -> str:
    """Return type, message and place of an error in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{named_line(error, 500)}{place}"
