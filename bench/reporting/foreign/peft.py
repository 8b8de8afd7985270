"""Result files of PEFT's ``method_comparison``: one run a file, one seed, one score on the test items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import BadInput
from bench.reporting.foreign.runs import ForeignFile, ForeignRun, read_json
from bench.reporting.statistics.components import over_items

SOURCE = "PEFT method_comparison"
METRIC = "test accuracy"
GSM8K = 1319
"""Test items of GSM8K, which MetaMathQA runs are tested on; their files do not say how many there were."""


class _Settings(ForeignFile):
    model_id: str
    seed: int | None = None


class _Asked(ForeignFile):
    experiment_name: str
    train_config: _Settings
    error_msg: str | None = ""


class _Happened(ForeignFile):
    status: str
    metrics: list[dict[str, Any]] = []
    num_trainable_params: int | None = None
    accelerator_memory_max: int | None = None
    train_time: float | None = None
    file_size: int | None = None


class _With(ForeignFile):
    dataset_info: dict[str, Any] = {}
    system_info: dict[str, Any] = {}


class _File(ForeignFile):
    run_info: _Asked
    train_info: _Happened
    meta_info: _With = _With()


def read_peft(folder: Path, items: int | None = None) -> list[ForeignRun]:
    """Read all runs of a folder.

    Args:
        folder: the ``results`` of a task of method_comparison.
        items: of the test split; known of MetaMathQA, whose test items are those of GSM8K.

    Raises:
        BadInput: there is no such folder, or no JSON file in it; a file is not what method_comparison writes, or its
            accuracy is not one over so many items.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: there is no such folder")
    found = [_run(path, read_json(path, _File), items) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise BadInput(f"{folder}: holds no .json file")
    return found


def _run(path: Path, data: _File, items: int | None) -> ForeignRun:
    asked, happened = data.run_info, data.train_info
    metrics = happened.metrics[-1] if happened.metrics else {}
    score = metrics.get(METRIC)
    reason = None
    if happened.status != "success":
        score, reason = None, f"{happened.status}: {asked.error_msg or 'no message'}"
    elif not isinstance(score, int | float) or not 0 <= score <= 1:
        at = f"train_info.metrics[{max(0, len(happened.metrics) - 1)}]"
        raise BadInput(f"{path}: {at}: expected {METRIC!r} from 0 to 1, found {', '.join(metrics) or 'nothing'}")
    count = items or (GSM8K if "gsm8k" in data.meta_info.dataset_info else None)
    if count is None:
        raise BadInput(f"{path}: meta_info.dataset_info: its test split is not known; say --items N")
    error = None
    if score is not None:
        right = round(score * count)
        if abs(score * count - right) > 1e-3:
            raise BadInput(f"{path}: {METRIC}: {score} is no accuracy over {count} items; say --items N")
        answers = np.repeat([1.0, 0.0], [right, count - right])[None]
        error = over_items(answers, reach=0.5).variance ** 0.5
    return ForeignRun(
        source=SOURCE,
        file=path.name,
        name=asked.experiment_name,
        model=asked.train_config.model_id,
        task=path.parent.parent.name if path.parent.name == "results" else path.parent.name,
        metric=METRIC,
        score=score,
        error=error,
        items=count,
        trainable_parameters=happened.num_trainable_params,
        memory_bytes=happened.accelerator_memory_max,
        train_seconds=happened.train_time,
        adapter_bytes=happened.file_size,
        device=data.meta_info.system_info.get("accelerator"),
        reason=reason,
    )
