"""Live progress: which cell, which trial, best so far, time left. Plain lines where there is no terminal."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from bench.core.packages import cache_folder
from bench.driver.watcher import Watcher
from bench.experiment.cell import Cell
from bench.models import models
from bench.planning.estimating import answers, estimating
from bench.planning.schedule import Expected, cost
from bench.reporting.text import rough_duration
from bench.runs.record import TrialRecord
from bench.runs.spec import TrialSpec

COLOURS = {"ok": "green", "pruned": "yellow"}
GAP = "  "


class View(Watcher):
    """Hears of a run and draws it; ``threads`` are of each worker, if they are processes of this machine.

    Then the time left begins from an estimate.
    """

    def __init__(self, console: Console, cells: Sequence[Cell], workers: int, threads: int | None = None) -> None:
        self._console = console
        self.clock = Clock(cells, workers)
        self._forecast = Forecast(cells, workers, threads, self.clock.expect) if threads else None
        self._best: dict[str, float] = {}
        self._running: dict[str, Running] = {}
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=True)

    def begin(self, done: Sequence[TrialRecord]) -> None:
        """Take in what an earlier run has left, and begin to draw."""
        for record in done:
            self.clock.add(record)
            self._remember(record)
        if done:
            self._console.print(f"going on: {len(done)} of {self.clock.planned} runs are done already")
        if self._console.is_terminal:
            self._live.start()
        if self._forecast is not None:
            self._forecast.start()

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
        self.clock.add(record)
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
        if self._forecast is not None:
            self._forecast.stop()
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
        whole = f"{self.clock.done} of {self.clock.planned} runs done, {self.clock.left(running)}"
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
        parts = [f"\\[{self.clock.done}/{self.clock.planned}]", escape(spec.title), f"[{colour}]{record.status}[/]"]
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
        parts += [escape(f"{key}={_short(value)}") for key, value in spec.params.items()]
        if record.status not in COLOURS:
            parts.append(escape(record.reason or ""))
        if not self._console.is_terminal:
            parts.append(f"[{self.clock.left(self._running.values())}]".replace("[", "\\["))
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
    """Counts runs, and tells the time that is left: as expected before, corrected by how long runs have taken."""

    def __init__(self, cells: Sequence[Cell], workers: int) -> None:
        self._cells = {cell.path: cell for cell in cells}
        self._expected = {cell.path: cost(cell) for cell in cells}
        # Of a model whose size nobody knows, runs of others tell nothing.
        self._guessed = {c.path for c in cells if c.model is not None and models.get(c.model.name).parameters is None}
        self._in_seconds = False
        # By kind and number: a final of another configuration comes in place of the one before.
        self._took: dict[str, dict[tuple[str, int], float]] = {cell.path: {} for cell in cells}
        self._workers = workers
        self.planned = sum(cell.study.trials + cell.planned_repeats + cell.planned_finals for cell in cells)

    @property
    def done(self) -> int:
        """Runs that have ended."""
        return sum(map(len, self._took.values()))

    def expect(self, seconds: Mapping[str, Expected]) -> None:
        """Take in what cells are expected to take on this machine; what is not told keeps its proportion."""
        known = [(one, self._expected[path]) for path, one in seconds.items() if path in self._expected]
        scale = sum(one.total for one, _ in known) / (sum(other.total for _, other in known) or 1.0)
        self._expected = {path: seconds.get(path, one.times(scale)) for path, one in self._expected.items()}
        self._guessed -= seconds.keys()
        self._in_seconds = True

    def add(self, record: TrialRecord) -> None:
        """Count a run."""
        if record.cell_path in self._took:
            # A model is loaded once, by whichever run is the first to need it: that tells nothing of those that follow.
            seconds = record.seconds.get("total", 0.0) - record.seconds.get("load", 0.0)
            self._took[record.cell_path][record.spec.kind, record.spec.number] = seconds

    def left(self, running: Iterable[Running]) -> str:
        """Return the time left in words."""
        now = list(running)
        total, counted, left_out = 0.0, False, set()
        for path, cell in self._cells.items():
            trials, finals = self._ended(path)
            trials = max(0, cell.study.trials + cell.planned_repeats - trials)
            finals = max(0, cell.planned_finals - finals)
            if not trials + finals:
                continue
            if cell.model is None:  # seconds, whatever the experiment
                total += fmean(self._took[path].values() or [1.0]) * (trials + finals)
                continue
            factor = self._factor(path, cell, now)
            if factor is None:
                left_out.add(cell.labels[0])
                continue
            counted = True
            total += factor * self._usual(path, trials, finals)
        if left_out and not counted:
            return "time left not known yet"
        without = f", {' and '.join(sorted(left_out))} not counted" if left_out else ""
        return f"about {rough_duration(total / self._workers)} left{without}"

    def _ended(self, path: str) -> tuple[int, int]:
        """Return how many trials, with repeats, and how many finals of a cell have ended."""
        trials = sum(kind != "final" for kind, _ in self._took[path])
        return trials, len(self._took[path]) - trials

    def _usual(self, path: str, trials: int, finals: int) -> float:
        """Return what so many runs of a cell are expected to take: of trials the mean, with those that are pruned."""
        expected = self._expected[path]
        mean = expected.all_trials / (expected.trials + expected.repeats) if expected.trials else 0.0
        return trials * mean + finals * expected.final

    def _factor(self, path: str, cell: Cell, running: Sequence[Running]) -> float | None:
        """Return the seconds a unit of what is expected: by this cell, its model, a run under way, or all cells."""
        ours = [p for p, other in self._cells.items() if other.labels[0] == cell.labels[0]]
        forecasts = [
            seconds / self._expected[r.spec.cell.path].trial
            for r in running
            if r.spec.cell.path in ours and (seconds := r.forecast()) is not None
        ]
        found = self._seen([path]) or self._seen(ours) or (fmean(forecasts) if forecasts else None)
        if found or path in self._guessed:
            return found
        every = [p for p, other in self._cells.items() if other.model is not None and p not in self._guessed]
        return self._seen(every) or (1.0 if self._in_seconds else None)

    def _seen(self, paths: Iterable[str]) -> float | None:
        """Return seconds a unit over all runs of some cells that have ended; None if none has."""
        ended = [path for path in paths if self._took[path]]
        units = sum(self._usual(path, *self._ended(path)) for path in ended)
        return sum(sum(self._took[path].values()) for path in ended) / units if units else None


class Forecast:
    """Estimates cells on this machine beside a run, if it was calibrated: that takes a second or two each.

    ``tell`` is called once, with seconds by the path of every cell that can be told.
    """

    def __init__(
        self, cells: Sequence[Cell], workers: int, threads: int, tell: Callable[[dict[str, Expected]], None]
    ) -> None:
        self._cells, self._workers, self._threads, self._tell = cells, workers, threads, tell
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._listen, name="forecast", daemon=True)

    def start(self) -> None:
        """Begin, unless no machine was calibrated: then there is nothing to wait for."""
        if (cache_folder() / "calibrations").is_dir():
            self._process = estimating("seconds", self._cells, self._workers, self._threads)
            self._thread.start()

    def stop(self) -> None:
        """End it, however far it is."""
        if self._process is not None:
            self._process.kill()
            self._thread.join()

    def _listen(self) -> None:
        assert self._process is not None
        with self._process as process:
            found = {path: Expected(**seconds) for path, seconds in answers(process.stdout).items()}
        if found and process.returncode == 0:
            self._tell(found)


def _bar(share: float, width: int = 20) -> str:
    full = round(share * width)
    return "━" * full + "─" * (width - full)


def _keep_end(text: str, width: int) -> str:
    """Shorten a cell's name from its beginning: the method, at the end, tells most."""
    return text if len(text) <= width else "…" + text[len(text) - max(0, width - 1) :]


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
