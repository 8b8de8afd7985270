"""Which GPUs there are, without loading torch into the driver."""

from __future__ import annotations

import os
import subprocess


def visible_gpus() -> list[str]:
    """Return the names by which CUDA_VISIBLE_DEVICES chooses a GPU; none where there is no NVIDIA driver.

    A list that the user has set is kept to: workers are spread over those alone.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [part.strip() for part in given.split(",") if part.strip() not in ("", "-1")]
    try:
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()
