"""What records say of a claim: supported, contradicted, or that it cannot be told here, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bench.core.config import derive_seed
from bench.core.errors import BadInput
from bench.reporting.cells import CellResults
from bench.reporting.claims.file import Claim
from bench.reporting.findings import counted_trials, searched_value
from bench.reporting.folders import Results, collect
from bench.reporting.statistics.contrast import Contrast, contrast, seeds_only, slope_weights
from bench.reporting.statistics.intervals import LEVEL, MIN_SEEDS, Interval
from bench.reporting.statistics.paired import MIN_ITEMS
from bench.reporting.statistics.rates import MIN_TRIALS, Tried, rate_ratio
from bench.runs.manifest import FILENAME, Manifest

Verdict = Literal["supported", "contradicted", "cannot be told here"]
UNTOLD: Verdict = "cannot be told here"

_REASONS = {
    "no predictions": "answers to the test items are not recorded",
    "failed finals": "finals failed",
    "too few seeds": f"fewer than {MIN_SEEDS} seeds",
    "too few items": f"fewer than {MIN_ITEMS} test items",
    "no spread": "no spread was seen",
}


@dataclass(frozen=True)
class Finding:
    """A claim and what the records say of it."""

    claim: Claim
    verdict: Verdict
    value: float | None = None
    """The number that tests it."""
    interval: Interval | None = None
    """Its 95 % interval."""
    by_model: tuple[tuple[str, Contrast], ...] = ()
    """Difference, score or ratio at each model that was there."""
    reasons: tuple[str, ...] = ()
    """Why it cannot be told; else what was missing that the verdict could do without."""


class _Missing(Exception):
    """A cell does not say what a claim asks; the message says why."""


def read_experiments(folders: Iterable[Path]) -> dict[str, Results]:
    """Read results folders by the name of their experiment; folders of one experiment are merged.

    Raises:
        BadInput: a folder is no results folder, or holds no record that counts.
    """
    by_name: dict[str, list[Path]] = {}
    for folder in folders:
        manifest = Manifest.read(folder) if folder.is_dir() else None
        if manifest is None:
            raise BadInput(f"{folder}: is not a results folder (no {FILENAME} is in it)")
        by_name.setdefault(manifest.name, []).append(folder)
    return {name: collect(members) for name, members in by_name.items()}


def findings(claims: Iterable[Claim], experiments: Mapping[str, Results]) -> list[Finding]:
    """Hold each claim against the records of its experiment."""
    cells: dict[tuple[str, str], list[CellResults]] = {}
    found = []
    for claim in claims:
        if claim.experiment not in experiments:
            found.append(Finding(claim, UNTOLD, reasons=(f"no records of the experiment {claim.experiment}",)))
            continue
        # Of trials the study's own metric is read, on test the one that the claim is about.
        metric = "" if claim.test == "rate_ratio" or claim.transfer else claim.metric
        key = (claim.experiment, metric)
        if key not in cells:
            cells[key] = replace(experiments[claim.experiment], metric=metric or None).cells
        found.append(_finding(claim, cells[key]))
    return found


def judge(interval: Interval, claim: Claim) -> Verdict:
    """Return what an interval says: all of it where the claim has the number, none of it, or a part."""
    above = -np.inf if claim.above is None else claim.above
    below = np.inf if claim.below is None else claim.below
    if above < interval.low and interval.high < below:
        return "supported"
    return "contradicted" if interval.high <= above or interval.low >= below else UNTOLD


def _finding(claim: Claim, cells: Sequence[CellResults]) -> Finding:
    there: dict[str, tuple[CellResults, ...]] = {}
    missing, notes = [], []
    for model in claim.models:
        try:
            members = tuple(_cell(cells, claim, model, method) for method in (claim.first, claim.second) if method)
            _check(claim, members)
        except _Missing as reason:
            missing.append(str(reason))
            continue
        there[model] = members
        notes += [note for cell in members if (note := _unfinished(claim, cell))]
    if len(there) < claim.needed:
        need = f"{claim.needed} of {len(claim.models)} models needed, {len(there)} there"
        return Finding(claim, UNTOLD, reasons=(need, *missing))
    level = 1 - (1 - LEVEL) / len(there) if claim.over == "any" else LEVEL
    by_model = tuple((model, _at(claim, [members], level)) for model, members in there.items())
    reasons = tuple(f"without {reason}" for reason in missing) + tuple(dict.fromkeys(notes))
    if claim.over == "any":
        return _any(claim, by_model, reasons)
    whole = _slope(claim, list(there.values())) if claim.test == "slope" else _at(claim, list(there.values()), level)
    if whole.interval is None:
        why = _REASONS[whole.unknown or "no predictions"]
        return Finding(claim, UNTOLD, whole.value, None, by_model, (why, *reasons))
    verdict = judge(whole.interval, claim)
    wide = ("the interval holds both what the sentence says and its contrary",) if verdict == UNTOLD else ()
    return Finding(claim, verdict, whole.value, whole.interval, by_model, wide + reasons)


def _any(claim: Claim, by_model: tuple[tuple[str, Contrast], ...], reasons: tuple[str, ...]) -> Finding:
    for model, one in by_model:
        if one.interval is not None and judge(one.interval, claim) == "supported":
            return Finding(claim, "supported", one.value, one.interval, by_model, (f"at {model}", *reasons))
    # That it is so at none of these is no proof that it is so nowhere: nothing contradicts such a sentence.
    unknown = dict.fromkeys(f"{model}: {_REASONS[one.unknown]}" for model, one in by_model if one.unknown)
    return Finding(claim, UNTOLD, None, None, by_model, ("at none of these models beyond chance", *unknown, *reasons))


def _cell(cells: Sequence[CellResults], claim: Claim, model: str, method: str) -> CellResults:
    name = f"{model} / {claim.dataset} / {method}"
    found = [
        cell
        for cell in cells
        if cell.dataset == claim.dataset and cell.model in (model, "none") and cell.settings.method.label == method
    ]
    if not found:
        raise _Missing(f"{name}: no records")
    if len(found) > 1:
        raise _Missing(f"{name}: several rows, of unlike devices, precisions or folders")
    return found[0]


def _check(claim: Claim, members: Sequence[CellResults]) -> None:
    """Raise `_Missing` where a cell has not what the claim is tested by."""
    for cell in members:
        if claim.test == "rate_ratio":
            _tried(claim, cell)
        elif claim.transfer:
            _transferred(claim, cell)
        elif not cell.scores:
            raise _Missing(f"{cell.title}: no finals with {claim.metric}")
        elif len(cell.scores) < MIN_SEEDS and cell.stochastic:
            raise _Missing(f"{cell.title}: {len(cell.scores)} of {cell.settings.planned_finals} finals")
        if claim.test != "rate_ratio" and cell.failed:
            raise _Missing(f"{cell.title}: finals failed")
    ranges = {str(cell.settings.search.get("learning_rate")) for cell in members}
    if claim.test == "rate_ratio" and len(ranges) > 1:
        raise _Missing(
            f"{members[0].model}: the two methods searched different ranges of rates, which decide the ratio"
        )
    if claim.test == "slope" and not members[0].base_parameters:
        raise _Missing(f"{members[0].model}: its size is not known")
    if claim.test == "slope" and not claim.transfer and not any(map(_learned, members)):
        # Where nothing is learned all methods are alike, which is no sign of a gap that closed.
        raise _Missing(f"{members[0].model}: no method is beyond the majority class there, so none can differ")


def _learned(cell: CellResults) -> bool:
    """Whether a cell is better than the majority class beyond chance, or nothing is known of that."""
    found = cell.group.verdicts.to_baseline.get(cell.key)
    return found is None or found.value is None or found.outcome(cell.greater_is_better) == "win"


def _unfinished(claim: Claim, cell: CellResults) -> str | None:
    planned = cell.settings.planned_finals
    if claim.test == "rate_ratio" or len(cell.scores) >= planned:
        return None
    return f"{cell.title}: {len(cell.scores)} of {planned} finals so far"


def _at(claim: Claim, models: Sequence[Sequence[CellResults]], level: float) -> Contrast:
    """Return the number at some models, the mean over them."""
    if claim.test == "rate_ratio":
        pairs = [(_tried(claim, first), _tried(claim, second)) for first, second in models]
        titles = [cell.title for members in models for cell in members]
        return rate_ratio(pairs, np.random.default_rng(derive_seed(0, claim.id, *titles)), level)
    return _weighted(claim, [(1 / len(models), members) for members in models], level)


def _slope(claim: Claim, models: Sequence[Sequence[CellResults]]) -> Contrast:
    sizes = [members[0].base_parameters or 0 for members in models]
    if len(set(sizes)) < 2:
        return Contrast(None, None, "no spread")
    return _weighted(claim, list(zip(slope_weights(sizes), models, strict=True)), LEVEL)


def _weighted(claim: Claim, models: Sequence[tuple[float, Sequence[CellResults]]], level: float) -> Contrast:
    """Return the weighted sum over models of first minus second."""
    terms = [
        (weight * sign, cell) for weight, members in models for sign, cell in zip((1.0, -1.0), members, strict=False)
    ]
    if claim.transfer:
        return seeds_only([(weight, *_transferred(claim, cell)) for weight, cell in terms], level)
    return contrast([(weight, cell.answers) for weight, cell in terms], terms[0][1].bounds, level)


def _transferred(claim: Claim, cell: CellResults) -> tuple[tuple[float, ...], int]:
    """Return a cell's scores on another data set, one a seed, and how many items that has."""
    label = claim.transfer or ""
    tests = [run.transfer[label] for run in cell.finals if run.status == "ok" and label in run.transfer]
    scores = tuple(one.test.metrics[claim.metric] for one in tests if one.test and claim.metric in one.test.metrics)
    if len(scores) < MIN_SEEDS or not all(0 <= score <= 1 for score in scores):
        raise _Missing(f"{cell.title}: {len(scores)} finals tested on {claim.transfer} by {claim.metric}")
    items = min(one.items for one in tests)
    if items < MIN_ITEMS:
        raise _Missing(f"{cell.title}: {items} test items of {claim.transfer}")
    return scores, items


def _tried(claim: Claim, cell: CellResults) -> Tried:
    """Return the random trials of a study; the first one, the defaults, is no draw."""
    study = cell.settings
    items = study.dataset.options.get("validation_size")
    if study.objective != claim.metric or cell.bounds != (0.0, 1.0) or not cell.greater_is_better:
        raise _Missing(f"{cell.title}: its study did not look for {claim.metric}")
    if study.study.sampler != "random":
        raise _Missing(f"{cell.title}: its trials were not drawn at random")
    if not isinstance(items, int):
        raise _Missing(f"{cell.title}: the size of its validation split is not recorded")
    drawn = [
        (rate, score)
        for run, score in counted_trials(cell)
        if run.spec.number >= cell.settings.studies and (rate := searched_value(run, "learning_rate"))
    ]
    if len(drawn) < MIN_TRIALS:
        raise _Missing(f"{cell.title}: {len(drawn)} random trials, {MIN_TRIALS} are the least")
    return Tried(tuple(rate for rate, _ in drawn), tuple(score for _, score in drawn), items)
