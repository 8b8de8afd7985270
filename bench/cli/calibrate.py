"""``bench calibrate``: what this machine's processor reaches, for estimates of time."""

from __future__ import annotations

import os
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.engines.base import cores
from bench.engines.running import ENVIRONMENT
from bench.planning.calibration import calibrate

BUSY = 0.85
"""Share of the time below which what else runs on the machine has had too much of it."""


def calibrate_here(workers: int, threads: int | None) -> None:
    """Measure, keep and print what was found."""
    console = Console(highlight=False, soft_wrap=True)
    threads = threads or max(1, cores() // workers)
    console.print(f"measuring {workers} x {threads} threads, about a minute")
    found = calibrate(workers, threads, {**ENVIRONMENT, **os.environ})
    table = Table("pass", "measured", "by the rates")
    for one, error in zip(found.timed, found.errors, strict=True):
        table.add_row(one.what, f"{1000 * one.seconds:.1f} ms", f"{error:+.0%}")
    console.print(table)
    rate = found.rates["flops"]
    reached = f"{1e-9 / rate:.0f} GFLOP/s in large products, " if rate else ""
    console.print(
        f"{escape(found.title)}: {reached}{1e6 * found.rates['operators']:.1f} us an operator; half of the passes are "
        f"within {median(map(abs, found.errors)):.0%} of what the rates say"
    )
    if found.at_work < BUSY:
        console.print(
            f"[yellow]warning:[/] other work had {1 - found.at_work:.0%} of the time: what was measured is this "
            "machine as busy as it is now; calibrate again when it is idle"
        )
