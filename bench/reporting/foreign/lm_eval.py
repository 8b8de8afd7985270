"""Result files of lm-evaluation-harness: scores of one model on several tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.core.errors import BadInput
from bench.reporting.foreign.runs import ForeignFile, ForeignRun, read_json

SOURCE = "lm-evaluation-harness"


class _Config(ForeignFile):
    model: str | None = None
    model_args: str | dict[str, Any] | None = None


class _Samples(ForeignFile):
    effective: int


class _File(ForeignFile):
    results: dict[str, dict[str, Any]]
    config: _Config = _Config()
    model_name: str | None = None
    shots: dict[str, Any] = Field(default={}, alias="n-shot")
    higher_is_better: dict[str, dict[str, bool | None]] = {}
    samples: dict[str, _Samples] = Field(default={}, alias="n-samples")


def read_lm_eval(paths: Sequence[Path]) -> list[ForeignRun]:
    """Read all scores of some files.

    Raises:
        BadInput: a file is not what lm-evaluation-harness writes, or holds no score.
    """
    found = [run for path in paths for run in _runs(path, read_json(path, _File))]
    if not found:
        raise BadInput(f"{', '.join(map(str, paths))}: results: no task has a score")
    return found


def _runs(path: Path, data: _File) -> Iterator[ForeignRun]:
    model = data.model_name or _model(data.config) or path.stem
    for task, scores in data.results.items():
        shots = data.shots.get(task)
        for key, score in scores.items():
            metric, _, kept = key.partition(",")
            if metric.endswith("_stderr") or metric == "sample_len" or not _number(score):
                continue
            error = scores.get(f"{metric}_stderr,{kept}" if kept else f"{metric}_stderr")
            error = error if _number(error) else None
            samples = data.samples.get(task)
            greater = data.higher_is_better.get(task, {}).get(metric)
            yield ForeignRun(
                source=SOURCE,
                file=path.name,
                name=model,
                model=model,
                task=task + (f" ({shots}-shot)" if isinstance(shots, int) else ""),
                metric=metric + (f" ({kept})" if kept not in ("", "none") else ""),
                score=score,
                error=error,
                items=samples.effective if samples else None,
                greater_is_better=greater is not False,
                reason=None if error is not None and samples else "no standard error" if samples else "no n-samples",
            )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _model(config: _Config) -> str | None:
    """Return the model that the arguments name: ``pretrained=owner/name,dtype=float``."""
    arguments = config.model_args
    if isinstance(arguments, str):
        arguments = dict(part.split("=", 1) for part in arguments.split(",") if "=" in part)
    name = (arguments or {}).get("pretrained")
    return str(name) if name else config.model
