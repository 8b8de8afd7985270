"""Before any compute starts: licences are accepted, models and data are there and readable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.config import canonical_json
from bench.datasets import datasets
from bench.datasets.base import Dataset
from bench.errors import BadInput
from bench.models import models
from bench.models.base import Model
from bench.packages import Download
from bench.spec import Cell, Entry


def prepare(cells: Sequence[Cell], accepted: Iterable[str], say: Callable[[str], None]) -> None:
    """Fetch and check every model and data set of ``cells``.

    Args:
        cells: what is going to run.
        accepted: names of the models whose licence the user accepts.
        say: told what is being fetched.

    Raises:
        BadInput: a licence that was not accepted, a file that is wrong.
        Unavailable: something that cannot be fetched.
    """
    sources = [(entry, models.build(entry.name, entry.options, f"model {entry.label}")) for entry in _models(cells)]
    for entry, source in sources:
        _check_license(entry, source, set(accepted))
    for entry, source in sources:
        for download in source.downloads():
            if not download.cached:
                say(f"fetching {download.name} for model {entry.label}")
        source.prepare()
    for entry in _datasets(cells):
        dataset = datasets.build(entry.name, entry.options, f"data set {entry.label}")
        for download in dataset.downloads():
            if not download.cached:
                say(f"fetching {download.name} for data set {entry.label}")
        dataset.splits()


def downloads(cells: Sequence[Cell]) -> list[tuple[str, Download]]:
    """Return what the cells fetch, each with who needs it; touches no network."""
    found: dict[str, tuple[str, Download]] = {}
    for entry in _models(cells):
        for download in models.build(entry.name, entry.options, f"model {entry.label}").downloads():
            found.setdefault(download.name, (entry.label, download))
    for entry in _datasets(cells):
        dataset: Dataset = datasets.build(entry.name, entry.options, f"data set {entry.label}")
        for download in dataset.downloads():
            found.setdefault(download.name, (entry.label, download))
    return list(found.values())


def _check_license(entry: Entry, source: Model, accepted: set[str]) -> None:
    if source.license_notice is None or accepted & {entry.name, entry.label}:
        return
    raise BadInput(
        f"model '{entry.name}' is opt-in. {source.license_notice}\n"
        f"If you accept its terms, run again with: --accept-license {entry.name}\n"
        f"(or put 'accept_licenses: [{entry.name}]' into the experiment)"
    )


def _models(cells: Sequence[Cell]) -> list[Entry]:
    return _unique(cell.model for cell in cells if cell.model is not None)


def _datasets(cells: Sequence[Cell]) -> list[Entry]:
    return _unique(cell.dataset for cell in cells)


def _unique(entries: Iterable[Entry]) -> list[Entry]:
    return list({canonical_json([e.name, e.options]): e for e in entries}.values())
