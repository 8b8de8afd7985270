"""How long the cells of a run are going to take, told while it runs: estimating them takes a second or two each."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence

from bench.core.packages import cache_folder
from bench.experiment.cell import Cell
from bench.planning.estimating import answers, estimating
from bench.planning.schedule import Expected


class Forecast:
    """Estimates cells on this machine beside a run, if it was calibrated.

    Args:
        cells: what runs.
        workers: trials at the same time.
        threads: of each.
        tell: called once, with seconds by the path of every cell that can be told.
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
