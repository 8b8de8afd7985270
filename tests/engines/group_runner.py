"""What the processes of a group run in `test_distributed`: no model, but all that may happen to a process."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from demo import ended
from torch import distributed, tensor


def make(group: Any) -> Any:
    """Return a runner that does what the trial's learning rate says."""

    def run(spec: Any, listener: Any, artifacts: Any, threads: int) -> Any:
        what = spec.params.get("init")
        print(f"rank {group.rank} prints {what}", flush=True)
        if group.rank == 1 and what == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if group.rank == 1 and what == "is out of memory":
            group.failed("oom", "MemoryError: no room")
            time.sleep(600)
        listener.progress(1, 2, 0.5)
        kept = listener.validated(1, 0.25)
        together = tensor([1 + group.rank])
        distributed.all_reduce(together)  # waits for the other
        return ended(spec, notes={"ranks": int(together), "kept": kept, "rank": group.rank})

    return run
