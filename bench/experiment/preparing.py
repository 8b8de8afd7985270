"""Before any compute starts: licences are accepted, models, data and metrics are there and readable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from inspect import signature

from bench.core.config import canonical_json
from bench.core.entries import Entry
from bench.core.errors import BadInput
from bench.core.packages import Download
from bench.datasets import datasets
from bench.datasets.base import BaseDataset
from bench.datasets.general_text import read_general_text, text_downloads
from bench.datasets.splits import Splits
from bench.experiment.cell import Cell
from bench.experiment.feasibility import infeasible, looked_at
from bench.experiment.preparing_process import prepare_in_process
from bench.experiment.settings import RetentionText
from bench.metrics import metrics
from bench.models import models
from bench.models.base import Model


def unaccepted(cells: Sequence[Cell], accepted: Iterable[str]) -> list[tuple[Entry, Model]]:
    """Return the opt-in models whose name is not among those that the user accepts."""
    known = set(accepted)
    return [(e, source) for e, source in _models(cells) if source.license_notice and not known & {e.name, e.label}]


def check_licenses(cells: Sequence[Cell], accepted: Iterable[str]) -> None:
    """Raise `BadInput` with the notice of the first opt-in model that was not accepted."""
    for entry, source in unaccepted(cells, accepted):
        raise BadInput(
            f"model '{entry.name}' is opt-in. {source.license_notice}\n"
            f"If you accept its terms, run again with: --accept-license {entry.name}\n"
            f"(or put 'accept_licenses: [{entry.name}]' into the experiment)"
        )


def prepare(cells: Sequence[Cell], say: Callable[[str], None]) -> None:
    """Fetch, convert and check every model, data set and metric of ``cells``.

    Args:
        cells: what is going to run.
        say: told of what takes a while.

    Raises:
        BadInput: a file that is wrong.
        Unavailable: something that cannot be fetched.
    """
    for entry, source in _models(cells):
        _announce(source.downloads(), f"model {entry.label}", say)
        source.prepare()
        if not source.ready():
            say(f"making model {entry.label} ready, once")
            prepare_in_process("model", entry)
    for text in _texts(cells):
        _announce(text_downloads(text.path), "evaluation.retention", say)
        read_general_text(text.bytes, text.path)
    for entry, dataset in _datasets(cells):
        _announce(dataset.downloads(), f"data set {entry.label}", say)
        _checked(cells, entry, dataset)
        for metric in dataset.metrics:
            if not metrics.build(metric.name, metric.options, f"metric {metric.label}").ready():
                say(f"loading metric {metric.label}")
                prepare_in_process("metric", metric)


def _checked(cells: Sequence[Cell], entry: Entry, dataset: BaseDataset) -> Splits:
    """Return the splits of a data set whose redraws and right answers were looked at, before any compute.

    Where finals will draw anew, the data set does it once: folds, for one, cannot be.
    """
    splits, asked = dataset.splits(), (entry.name, entry.options)
    redrawn = any(cell.redraws and (cell.dataset.name, cell.dataset.options) == asked for cell in cells)
    if redrawn and "draw" in signature(dataset.splits).parameters:  # a plug-in's need not know of draws
        dataset.splits(draw=1)
    for metric in dataset.metrics:
        built = metrics.build(metric.name, metric.options, f"metric {metric.label}")
        if built.scored == "text":
            try:
                built.check([example.answers for example in (*splits.validation, *splits.test)])
            except BadInput as error:
                raise BadInput(f"datasets.{entry.label}.metrics.{metric.label}: {error}") from None
    return splits


def source_cautions(cells: Sequence[Cell]) -> Iterator[str]:
    """Look at the data and the tokenizers that are on this machine, and say what in them is likely to mislead.

    What would have to be fetched first is named as not looked at.

    Raises:
        BadInput: data that cannot be read as they are described, too few rows, or a folder that holds no model.
    """
    for entry, dataset in _datasets(cells):
        if not _at_hand(dataset):
            yield f"data set {entry.label}: not looked at, it has to be fetched first"
            continue
        splits = _checked(cells, entry, dataset)
        yield from (f"data set {entry.label}: {said}" for said in splits.cautions(dataset.metrics[0].name))
    for text in _texts(cells):
        if text.path is not None:
            read_general_text(text.bytes, text.path)
    for _, source in _models(cells):
        if not source.downloads():  # a folder of this machine: it is there, or it is a typo
            source.prepare()
    unseen = dict.fromkeys(cell.model.label for cell in cells if cell.model is not None and not looked_at(cell))
    yield from (f"model {label}: not looked at before a run has fetched, converted or checked it" for label in unseen)
    titles = {cell.path: cell.title for cell in cells}
    yield from (f"{titles[path]}: infeasible: {reason}" for path, reason in infeasible_cells(cells).items())


def infeasible_cells(cells: Sequence[Cell]) -> dict[str, str]:
    """Return why no trial of a cell can run, by the paths of such cells; what is not at hand is not looked at."""
    read = {
        canonical_json([entry.name, entry.options]): dataset.splits()
        for entry, dataset in _datasets([cell.model_copy(update={"transfer": ()}) for cell in cells])
        if _at_hand(dataset)
    }
    found = {}
    for cell in cells:
        source = read.get(canonical_json([cell.dataset.name, cell.dataset.options]))
        if source is not None and (reason := infeasible(cell, source)) is not None:
            found[cell.path] = reason
    return found


def items_to_test(cells: Sequence[Cell]) -> dict[str, int]:
    """Return how many test items each data set has, by its label; without those that are not at hand."""
    return {entry.label: len(dataset.splits().test) for entry, dataset in _datasets(cells) if _at_hand(dataset)}


def _at_hand(dataset: BaseDataset) -> bool:
    return all(download.cached for download in dataset.downloads())


def _announce(needed: Iterable[Download], user: str, say: Callable[[str], None]) -> None:
    for download in needed:
        if not download.cached:
            size = "" if download.size is None else f", {download.size / 2**20:.1f} MiB"
            say(f"fetching {download.name} for {user}{size}")


def downloads(cells: Sequence[Cell]) -> list[tuple[str, Download]]:
    """Return what the cells fetch, each with who needs it; touches no network."""
    found: dict[str, tuple[str, Download]] = {}
    sources: list[tuple[Entry, Model | BaseDataset]] = [*_models(cells), *_datasets(cells)]
    for entry, source in sources:
        for download in source.downloads():
            found.setdefault(download.name, (entry.label, download))
    for text in _texts(cells):
        for download in text_downloads(text.path):
            found.setdefault(download.name, ("evaluation.retention", download))
    return list(found.values())


def _models(cells: Sequence[Cell]) -> list[tuple[Entry, Model]]:
    entries = _unique(cell.model for cell in cells if cell.model is not None)
    return [(entry, models.build(entry.name, entry.options, f"model {entry.label}")) for entry in entries]


def _datasets(cells: Sequence[Cell]) -> list[tuple[Entry, BaseDataset]]:
    targets = [target.dataset for cell in cells for target in cell.transfer]
    entries = _unique([*(cell.dataset for cell in cells), *targets])
    return [(entry, datasets.build(entry.name, entry.options, f"data set {entry.label}")) for entry in entries]


def _texts(cells: Sequence[Cell]) -> list[RetentionText]:
    texts = [cell.evaluation.retention for cell in cells]
    return list({text.model_dump_json(): text for text in texts if text is not None}.values())


def _unique(entries: Iterable[Entry]) -> list[Entry]:
    return list({canonical_json([e.name, e.options]): e for e in entries}.values())
