"""Live progress: which cell, which trial, best so far, time left. Plain lines where there is no terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from statistics import fmean

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from bench.driver.watcher import Watcher
from bench.experiment.cell import Cell
from bench.models import models
from bench.planning.schedule import FIXED_COST
from bench.reporting.text import rough_duration
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec

COLOURS = {"ok": "green", "pruned": "yellow"}
GAP = "  "


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
        # On a screen lines break between words; in a log a line is a line.
        self._console.print(self._line(record), soft_wrap=not self._console.is_terminal, highlight=False)

    def retried(self, record: TrialRecord) -> None:
        """Say that a run begins once more."""
        self._running.pop(record.spec_hash, None)
        self._console.print(
            f"{escape(record.spec.title)}  [red]{record.status}[/], trying again: {escape(record.reason or '')}",
            soft_wrap=True,
            highlight=False,
        )

    def warn(self, text: str) -> None:
        """Print a warning; it stays on the screen."""
        self._console.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True, highlight=False)

    def end(self) -> None:
        """Wipe what is below the lines."""
        self._live.stop()

    def render(self) -> Text:
        """Return what stands below the lines: a line for each running trial, and one for the whole.

        None is longer than the screen is wide: a line that wraps could not be wiped again.
        """
        running = list(self._running.values())
        states = [self._state(one) for one in running]
        room = self._console.width - 1 - max((len(state) for state in states), default=0)
        cells = [_keep_end(one.spec.cell.title, room - len(GAP)) for one in running]
        width = max(map(len, cells), default=0)
        lines = [f"{cell:<{width}}{GAP}{state}" for cell, state in zip(cells, states, strict=True)]
        whole = f"{self._clock.done} of {self._clock.planned} runs done, {self._clock.left(running)}"
        return Text("\n".join([*lines, whole]), no_wrap=True, overflow="ellipsis")

    def _state(self, running: Running) -> str:
        """Say how far a trial is, in columns that do not move."""
        parts = [f"{running.spec.kind} {running.spec.number:<2}"]
        if not running.steps:
            parts.append("loading")
        else:
            if self._console.width >= 100:
                parts.append(_bar(running.step / running.steps))
            parts += [f"step {running.step:>{len(str(running.steps))}}/{running.steps}", f"loss {running.loss:.3f}"]
        best = self._best.get(running.spec.cell.path)
        if best is not None:
            parts.append(f"best {best:.3f}")
        return GAP.join(parts)

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
            scores = record.test.metrics
            # What writes without a language model has no likelihood.
            name = cell.objective if cell.objective in scores else next(iter(scores), None)
            parts.append("no score" if name is None else f"test {name} {scores[name]:.3f}")
        elif record.objective is not None:
            parts.append(f"{cell.objective} {record.objective:.3f}")
            if cell.path in self._best:
                parts.append(f"(best {self._best[cell.path]:.3f})")
        parts.append(f"{record.seconds.get('total', 0):.0f} s")
        parts += [f"{key}={_short(value)}" for key, value in spec.params.items()]
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
        return f"about {rough_duration(total / self._workers)} left"

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
        return self._by_size(cell)

    def _by_size(self, cell: Cell) -> float | None:
        """Guess from the model that is nearest in size, by this method if it has run there."""
        ran = [(self._cells[path], seconds) for path, seconds in self._seconds.items() if seconds]
        ran = [(other, seconds) for other, seconds in ran if other.model is not None]
        ran = [item for item in ran if item[0].labels[2] == cell.labels[2]] or ran
        if not ran:
            return None
        size = self._size(cell)
        sized = [(known, fmean(seconds)) for other, seconds in ran if (known := self._size(other))]
        if size is None or not sized:
            # How large the model is will be known when it has been loaded: an order of magnitude until then.
            return 10 * fmean(second for _, seconds in ran for second in seconds)
        nearest, seconds = min(sized, key=lambda item: abs(math.log(item[0] / size)))
        return seconds * (size + FIXED_COST) / (nearest + FIXED_COST)

    def _size(self, cell: Cell) -> int | None:
        """Return the parameters of a cell's model: as a record says, else as its entry states them."""
        if cell.model is None:
            return None
        if cell.labels[0] not in self._sizes and cell.model.name in models:
            stated = models.get(cell.model.name).parameters
            if stated:
                self._sizes[cell.labels[0]] = stated
        return self._sizes.get(cell.labels[0])


def _bar(share: float, width: int = 20) -> str:
    full = round(share * width)
    return "━" * full + "─" * (width - full)


def _keep_end(text: str, width: int) -> str:
    """Shorten a cell's name from its beginning: the method, at the end, tells most."""
    return text if len(text) <= width else "…" + text[len(text) - max(0, width - 1) :]


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
