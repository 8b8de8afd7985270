"""Two workers with a thread each against one with two threads: what the same two cores get done.

``python -m benchmarks.speed.workers MODEL`` is one of the processes: it waits for a line on standard input, takes its
turn, and answers with seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any

STEPS, QUESTIONS = 6, 48
"""Training steps and validation questions of a turn."""


def throughput(model: str, turns: int) -> dict[str, Any]:
    """Return how many times more steps and questions a second two workers with a thread each get done.

    Both sides are resident and take turns: two processes at once, then the one.
    """
    ratios: dict[str, list[float]] = {"steps": [], "questions": []}
    with ExitStack() as stack:
        one, two = ([stack.enter_context(_worker(model, 2 // count)) for _ in range(count)] for count in (1, 2))
        for process in (*one, *two):
            _answer(process)
        for _ in range(turns):
            alone, together = _turn(one), _turn(two)
            for what, seconds in ratios.items():
                seconds.append(together[what] / alone[what])
        for process in (*one, *two):
            process.kill()
    low, median, high = statistics.quantiles(ratios["steps"], n=4)
    return {
        "median": median,
        "low": low,
        "high": high,
        "questions": statistics.median(ratios["questions"]),
        "turns": turns,
    }


def _worker(model: str, threads: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.speed.workers", model],
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "1000"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _turn(workers: list[subprocess.Popen[str]]) -> dict[str, float]:
    """Let workers work at the same time; return what they got done a second, added up."""
    for process in workers:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    took = [_answer(process) for process in workers]
    return {
        "steps": sum(STEPS / one["steps"] for one in took),
        "questions": sum(QUESTIONS / one["questions"] for one in took),
    }


def _answer(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise RuntimeError(f"a worker ended with {process.wait()}")


def main() -> None:
    """Be one of the processes."""
    import torch

    from bench.training.evaluation import Scorer
    from benchmarks.speed.workload import Ours, Work

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    ours = Ours(Work(sys.argv[1], "prompt_tuning", {"num_virtual_tokens": 20}))
    batches = ours.batches(STEPS)
    scorer = Scorer(ours.tuned, ours.encoder, None, 16)
    ours.step(batches[0])
    print("{}", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for batch in batches:
            ours.step(batch)
        between = time.perf_counter()
        scorer.run(ours.splits.validation[:QUESTIONS])
        took = {"steps": between - began, "questions": time.perf_counter() - between}
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main()
