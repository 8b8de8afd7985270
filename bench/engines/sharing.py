"""How the processes of a group share a model: what a configuration file of `accelerate` may say of it.

Errors are ValueErrors: pydantic makes them the one line that a user reads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import one_line

if TYPE_CHECKING:
    from bench.runs.record import Status
    from bench.training.distributed import Together

_KINDS = ("FSDP", "MULTI_GPU", "MULTI_CPU")


def check_accelerate_file(file: Path) -> None:
    """Check what ``accelerate config`` has written.

    Raises:
        ValueError: it cannot be read, or asks for what this engine does not do.
    """
    import yaml

    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be read as an accelerate configuration: {one_line(error)}") from None
    kind = told.get("distributed_type") if isinstance(told, dict) else None
    if kind not in _KINDS:
        raise ValueError(
            f"{file}: distributed_type is {kind!r}; this engine shards by FSDP, or copies by MULTI_GPU; "
            "write one by 'accelerate config'"
        )
    if told.get("num_machines", 1) != 1:
        raise ValueError(f"{file}: num_machines is {told['num_machines']}; a trial runs on one machine")


def sharing(tell: Callable[[Status, str], None]) -> Together:
    """Return this process as one of its group, which shares a model as ``accelerate launch`` was told to.

    Args:
        tell: called in the process that fails alone, with status and reason.
    """
    if _says("ACCELERATE_USE_FSDP", "false"):
        from bench.training.fully_sharded import FullySharded

        return FullySharded(tell, _says("FSDP_RESHARD_AFTER_FORWARD", "true"), _says("FSDP_OFFLOAD_PARAMS", "false"))
    from bench.training.distributed import Together

    return Together(tell)


def _says(name: str, default: str) -> bool:
    return os.environ.get(name, default).lower() in ("true", "1", "yes")
