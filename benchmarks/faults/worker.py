"""A worker process of the null engine: the real protocol, with trials that train nothing."""

from __future__ import annotations

import sys

from bench.engines import worker
from benchmarks.faults.null import run_null

if __name__ == "__main__":
    worker.BEAT_SECONDS = 0.2
    worker.serve(sys.argv[1], lambda: run_null)
