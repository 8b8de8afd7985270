"""What the numbers say, in sentences computed from them. All of it is Markdown, and escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bench.records import TrialRecord
from bench.reporting import text
from bench.reporting.cells import REVISIONS, CellRuns
from bench.reporting.folders import Results

MIN_SEEDS = 3
"""Below so many seeds a standard deviation says next to nothing."""

_MOST_FAILURES = 50


def verdicts(cells: Sequence[CellRuns]) -> Iterator[str]:
    """Say for each model which method is best on a data set, and whether that is more than noise.

    Args:
        cells: of one data set and one metric.
    """
    references = [cell for cell in cells if not cell.uses_model and cell.mean is not None]
    by_model: dict[str, list[CellRuns]] = {}
    for cell in cells:
        if cell.uses_model:
            by_model.setdefault(cell.model, []).append(cell)
    for model, rivals in by_model.items():
        size = rivals[0].base_parameters
        name = f"**{text.markdown(model)}**" + (f" ({text.short_count(size)} parameters)" if size else "")
        yield f"{name}: {_verdict(rivals)}"
    for cell in references:
        yield f"For comparison, {_scored(cell)} without a model."


def _verdict(rivals: Sequence[CellRuns]) -> str:
    tested = sorted((cell for cell in rivals if cell.mean is not None), key=_rank)
    missing = [text.markdown(cell.method) for cell in rivals if cell.mean is None]
    without = f" No score on test: {', '.join(missing)}." if missing else ""
    if not tested:
        return "no method has a score on test, so nothing can be said about which is best."
    if len(tested) == 1:
        return f"{_scored(tested[0])}; no other method has a score on test to compare it with.{without}"
    first, second = tested[:2]
    if first.mean == second.mean:
        equals = [cell for cell in tested if cell.mean == first.mean]
        return f"{' and '.join(map(_scored, equals))} are equal; no method is best.{without}"
    return f"{_scored(first)} is best, followed by {_scored(second)}. {_gap(first, second)}{without}"


def _gap(first: CellRuns, second: CellRuns) -> str:
    """Hold the gap between the means against the larger of the two standard deviations."""
    assert first.mean is not None
    assert second.mean is not None
    gap = abs(first.mean - second.mean)
    shown = f"gap of {text.score(gap)}"
    few = [cell for cell in (first, second) if cell.stochastic and len(cell.scores) < MIN_SEEDS]
    spread = max((cell.sd for cell in (first, second) if cell.sd is not None), default=None)
    if few:
        who = " and ".join(f"{text.markdown(cell.method)} has {_seeds(cell)}" for cell in few)
        seen = "" if spread is None else f" (seen so far: sd up to {text.score(spread)})"
        return (
            f"Too few seeds to say whether the {shown} is more than their spread{seen}: "
            f"{who}, {MIN_SEEDS} are the least."
        )
    if spread is None:
        return f"Neither depends on a seed; the {shown} is not a matter of chance between runs."
    if gap > spread:
        return f"The {shown} is larger than the seeds' spread (sd up to {text.score(spread)})."
    return f"The {shown} lies within the seeds' spread (sd up to {text.score(spread)}): the order may be chance."


def _scored(cell: CellRuns) -> str:
    seeds = _seeds(cell) if cell.stochastic else "no seed changes it"
    return f"{text.markdown(cell.method)} with {text.mean_sd(cell.mean, cell.sd)} ({seeds})"


def _seeds(cell: CellRuns) -> str:
    return text.number_of(len(cell.scores), "seed")


def _rank(cell: CellRuns) -> float:
    assert cell.mean is not None
    return -cell.mean if cell.greater_is_better else cell.mean


def cautions(results: Results) -> Iterator[str]:
    """Say what a reader has to know before comparing rows: what was left out, and what is not alike."""
    if results.stale:
        yield f"{text.number_of(results.stale, 'record')} of an earlier version of the experiment left out."
    if results.unreadable:
        yield f"{text.number_of(results.unreadable, 'file')} under records/ left out: not a whole record."
    if results.repeated:
        yield (
            f"{text.number_of(results.repeated, 'record')} left out: another folder holds the same run, "
            "with the same settings and the same seed."
        )
    superseded = sum(cell.superseded for cell in results.cells)
    if superseded:
        yield f"{text.number_of(superseded, 'final')} of a configuration that is no longer the best left out."
    for cell in results.cells:
        if cell.mixed:
            yield (
                f"{text.markdown(cell.title)}: its runs differ in {' and '.join(cell.mixed)}; "
                "its numbers are marked '(mixed)'."
            )
    yield from _unlike(results.records)


def _unlike(records: Sequence[TrialRecord]) -> Iterator[str]:
    """Say where rows that a reader will compare were made with different code, data or models."""
    seen: dict[tuple[str, str], set[str]] = {}
    for record in records:
        model, dataset, _ = record.spec.cell.labels
        whose = {"git_commit": "the code", "model_revision": f"model {model}", "data_revision": f"data set {dataset}"}
        for field, owner in whose.items():
            value = getattr(record.provenance, field)
            if value is not None:
                seen.setdefault((field, owner), set()).add(value)
    for (field, owner), values in seen.items():
        if len(values) > 1:
            shown = ", ".join(text.markdown(value[:12]) for value in sorted(values))
            yield f"Not alike in all runs: {REVISIONS[field]} of {text.markdown(owner)} ({shown})."


def failures(cells: Iterable[CellRuns]) -> list[str]:
    """Name the runs that failed, with their reasons; runs of a cell that share a reason share a line."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        for run in cell.runs:
            if run.status not in ("ok", "pruned"):
                key = (cell.title, run.status, text.one_line(run.reason or "no reason given"))
                groups.setdefault(key, []).append(f"{run.spec.kind} {run.spec.number}")
    lines = [
        f"{text.markdown(title)}, {', '.join(runs)}: **{status}**. {text.markdown(reason)}"
        for (title, status, reason), runs in groups.items()
    ]
    more = len(lines) - _MOST_FAILURES
    return [*lines[:_MOST_FAILURES], f"{more} more in runs.csv."] if more > 0 else lines


def pruned(cells: Iterable[CellRuns]) -> str | None:
    """Count the trials that the studies stopped early, by cell; None if there are none."""
    counts = Counter({cell.title: sum(run.status == "pruned" for run in cell.runs) for cell in cells})
    shown = [f"{text.markdown(title)} {number}" for title, number in counts.items() if number]
    if not shown:
        return None
    return f"Stopped early by their study (pruned): {text.number_of(counts.total(), 'trial')}. {'; '.join(shown)}."
