"""How the processes of a group share a model: what `accelerate` and DeepSpeed configuration files may say of it.

Errors are ValueErrors: pydantic makes them the one line that a user reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.runs.record import Status
    from bench.training.distributed import Together

_KINDS = ("FSDP", "DEEPSPEED", "MULTI_GPU", "MULTI_CPU")
_OURS = {
    "optimizer": "training.optimizer and training.learning_rate",
    "scheduler": "training.lr_scheduler_type and training.warmup_ratio",
    "train_batch_size": "training.batch_size",
    "train_micro_batch_size_per_gpu": "training.batch_size",
    "gradient_accumulation_steps": "training.gradient_accumulation_steps",
    "gradient_clipping": "training.max_grad_norm",
    "fp16": "runtime.precision",
    "bf16": "runtime.precision",
}
"""What a DeepSpeed file may leave open only, with the setting of the experiment that decides it."""


def check_accelerate_file(file: Path) -> str:
    """Check what ``accelerate config`` has written; return its distributed_type.

    Raises:
        ValueError: it cannot be read, or asks for what this engine does not do.
    """
    import yaml

    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} cannot be read as an accelerate configuration: {_one_line(error)}") from None
    kind = told.get("distributed_type") if isinstance(told, dict) else None
    if kind not in _KINDS:
        raise ValueError(
            f"{file}: distributed_type is {kind!r}; this engine shards by FSDP or DEEPSPEED, or copies by MULTI_GPU; "
            "write one by 'accelerate config'"
        )
    if told.get("num_machines", 1) != 1:
        raise ValueError(f"{file}: num_machines is {told['num_machines']}; a trial runs on one machine")
    section = told.get("deepspeed_config") or {}
    inner = section.get("deepspeed_config_file") if isinstance(section, dict) else None
    if kind == "DEEPSPEED" and inner is not None:
        check_deepspeed_file(Path(str(inner)).expanduser())
    return str(kind)


def check_deepspeed_file(file: Path) -> None:
    """Check a configuration of DeepSpeed.

    Raises:
        ValueError: it cannot be read, divides nothing, or decides what the experiment decides.
    """
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read as a DeepSpeed configuration: {_one_line(error)}") from None
    zero = told.get("zero_optimization") if isinstance(told, dict) else None
    stage = zero.get("stage") if isinstance(zero, dict) else None
    if stage not in (1, 2, 3):
        raise ValueError(f"{file}: zero_optimization.stage is {stage!r}; 1, 2 or 3 divides something, 3 the base model")
    for key, setting in _OURS.items():
        if key in told and not _is_open(key, told[key]):
            raise ValueError(f"{file}: {key}: {setting} of the experiment decides it; leave it out, or say 'auto'")


def _is_open(key: str, value: object) -> bool:
    """Whether a value of a DeepSpeed file decides nothing."""
    if key in ("fp16", "bf16"):
        return isinstance(value, Mapping) and value.get("enabled", False) in ("auto", False)
    return value == "auto"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def sharing(tell: Callable[[Status, str], None]) -> Together:
    """Return this process as one of its group, which shares a model as ``accelerate launch`` was told to.

    Args:
        tell: called in the process that fails alone, with status and reason.
    """
    if _says("ACCELERATE_USE_DEEPSPEED", "false"):
        from bench.training.zero import Zero

        return Zero(tell)
    if _says("ACCELERATE_USE_FSDP", "false"):
        from bench.training.fully_sharded import FullySharded

        return FullySharded(tell, _says("FSDP_RESHARD_AFTER_FORWARD", "true"), _says("FSDP_OFFLOAD_PARAMS", "false"))
    from bench.training.distributed import Together

    return Together(tell)


def _says(name: str, default: str) -> bool:
    return os.environ.get(name, default).lower() in ("true", "1", "yes")
