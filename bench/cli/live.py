"""Live progress: which cell, which trial, best so far, time left. Plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from statistics import fmean

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.records import TrialRecord
from bench.spec import Cell, TrialSpec
from bench.studies.watcher import Watcher

COLOURS = {"ok": "green", "pruned": "yellow"}


class View(Watcher):
    """Hears of a run and draws it."""

    def __init__(self, console: Console, cells: Sequence[Cell], workers: int) -> None:
        self._console = console
        self._cells = {cell.path: cell for cell in cells}
        self._clock = Clock(cells, workers)
        self._best: dict[str, float] = {}
        self._running: dict[str, Running] = {}
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=True)

    def begin(self, done: Sequence[TrialRecord]) -> None:
        """Take in what an earlier run has left, and begin to draw."""
        for record in done:
            self._clock.add(record)
            self._remember(record)
        if done:
            self._console.print(f"going on: {len(done)} of {self._clock.planned} runs are done already")
        if self._console.is_terminal:
            self._live.start()

    def started(self, spec: TrialSpec) -> None:
        """Show a run that begins."""
        self._running[spec.hash] = Running(spec)

    def progress(self, spec: TrialSpec, step: int, steps: int, loss: float) -> None:
        """Show how far a run is."""
        running = self._running.get(spec.hash)
        if running is not None:
            running.step, running.steps, running.loss = step, steps, loss

    def finished(self, record: TrialRecord) -> None:
        """Print the line of a run that has ended; it stays on the screen."""
        self._running.pop(record.spec_hash, None)
        self._clock.add(record)
        self._remember(record)
        self._console.print(self._line(record), soft_wrap=True, highlight=False)

    def retried(self, record: TrialRecord) -> None:
        """Say that a run begins once more."""
        self._running.pop(record.spec_hash, None)
        self._console.print(
            f"{escape(record.spec.title)}  [red]{record.status}[/], trying again: {escape(record.reason or '')}",
            soft_wrap=True,
            highlight=False,
        )

    def end(self) -> None:
        """Wipe what is below the lines."""
        self._live.stop()

    def render(self) -> Group:
        """Return what stands below the lines: the running trials, and the whole."""
        rows = Table.grid(padding=(0, 2))
        for running in list(self._running.values()):
            best = self._best.get(running.spec.cell.path)
            rows.add_row(
                escape(running.spec.title),
                ProgressBar(total=running.steps or 1, completed=running.step, width=20),
                f"step {running.step}/{running.steps}, loss {running.loss:.3f}" if running.steps else "loading",
                "" if best is None else f"best so far {best:.3f}",
            )
        done = self._clock.done
        line = Text(f"{done} of {self._clock.planned} runs done, {self._clock.left(self._running.values())}", "bold")
        return Group(rows, line)

    def _remember(self, record: TrialRecord) -> None:
        if record.objective is None or record.spec.kind != "trial" or record.status != "ok":
            return
        old = self._best.get(record.cell_path)
        better = max if record.spec.cell.greater_is_better else min
        self._best[record.cell_path] = record.objective if old is None else better(old, record.objective)

    def _line(self, record: TrialRecord) -> str:
        spec, cell = record.spec, record.spec.cell
        colour = COLOURS.get(record.status, "red")
        parts = [f"\\[{self._clock.done}/{self._clock.planned}]", escape(spec.title), f"[{colour}]{record.status}[/]"]
        if record.test is not None:
            parts.append(f"test {cell.objective} {record.test.metrics[cell.objective]:.3f}")
        elif record.objective is not None:
            parts.append(f"{cell.objective} {record.objective:.3f}")
            if cell.path in self._best:
                parts.append(f"(best {self._best[cell.path]:.3f})")
        parts += [f"{key}={_short(value)}" for key, value in spec.params.items()]
        parts.append(f"{record.seconds.get('total', 0):.0f} s")
        if record.status not in COLOURS:
            parts.append(escape(record.reason or ""))
        if not self._console.is_terminal:
            parts.append(f"[{self._clock.left(self._running.values())}]".replace("[", "\\["))
        return "  ".join(parts)


class Running:
    """A run under way."""

    def __init__(self, spec: TrialSpec) -> None:
        self.spec = spec
        self.began = time.monotonic()
        self.step, self.steps, self.loss = 0, 0, 0.0

    def forecast(self) -> float | None:
        """Return the seconds that the whole run will take, once some steps are done."""
        if self.step < 3:
            return None
        return (time.monotonic() - self.began) / self.step * self.steps


class Clock:
    """Counts runs and guesses the time that is left from those that are done."""

    def __init__(self, cells: Sequence[Cell], workers: int) -> None:
        self._cells = {cell.path: cell for cell in cells}
        self._seconds: dict[str, list[float]] = {cell.path: [] for cell in cells}
        self._sizes: dict[str, int] = {}
        self._workers = workers
        self.planned = sum(cell.study.trials + cell.planned_finals for cell in cells)
        self.done = 0

    def add(self, record: TrialRecord) -> None:
        """Count a run."""
        if record.cell_path not in self._seconds:
            return
        self.done += 1
        self._seconds[record.cell_path].append(record.seconds.get("total", 0.0))
        if record.parameters is not None and record.parameters.base:
            self._sizes[record.spec.cell.labels[0]] = record.parameters.base

    def left(self, running: Iterable[Running]) -> str:
        """Return the time left in words."""
        forecasts = {r.spec.cell.labels[0]: s for r in running if (s := r.forecast()) is not None}
        total = 0.0
        for path, cell in self._cells.items():
            missing = cell.study.trials + cell.planned_finals - len(self._seconds[path])
            if missing > 0:
                guess = self._guess(path, cell, forecasts)
                if guess is None:
                    return "time left not known yet"
                total += missing * guess
        return f"about {_duration(total / self._workers)} left"

    def _guess(self, path: str, cell: Cell, forecasts: dict[str, float]) -> float | None:
        """Guess a run's seconds: from this cell, from this model, or from the nearest smaller model."""
        if self._seconds[path]:
            return fmean(self._seconds[path])
        if cell.model is None:
            return 1.0
        model = cell.labels[0]
        same = [s for p, seconds in self._seconds.items() if self._cells[p].labels[0] == model for s in seconds]
        if same:
            return fmean(same)
        if model in forecasts:
            return forecasts[model]
        known = [s for p, seconds in self._seconds.items() if self._cells[p].model for s in seconds]
        # Nothing ran on this model yet and its size need not be known: an order of magnitude, until it has.
        return 10 * fmean(known) if known else None


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
