"""What the numbers say, in sentences computed from them. All of it is Markdown, and escaped."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from bench.datasets.splits import accuracy_caution
from bench.reporting import text
from bench.reporting.cells import REVISIONS, CellResults, Group, groups
from bench.reporting.findings import most_data_sets
from bench.reporting.folders import Results
from bench.reporting.statistics.contrast import Bounds
from bench.reporting.statistics.intervals import MIN_SEEDS
from bench.reporting.statistics.paired import MIN_DATA_SETS, MIN_ITEMS
from bench.reporting.statistics.search import next_one
from bench.reporting.superseded import ADVICE, first_ones
from bench.reporting.terms import unequal_terms
from bench.runs.record import FAILED, TrialRecord

_MOST_FAILURES = 50


def verdicts(cells: Sequence[CellResults]) -> Iterator[str]:
    """Say for each model which methods are best on one data set by one metric, and whether that is beyond chance."""
    for group in groups(cells):
        first = next(cell for cell in group.cells if cell.uses_model)
        size = first.base_parameters
        name = f"**{text.markdown(first.model)}**" + (f" ({text.short_count(size)} parameters)" if size else "")
        yield f"{name}: {_verdict(group)}"
    for cell in cells:
        if not cell.uses_model and cell.mean is not None:
            yield f"For comparison, {_scored(cell)} without a model."


def _verdict(group: Group) -> str:
    tested = group.tested
    missing = [text.markdown(cell.method) for cell in group.cells if cell.mean is None]
    without = f" No score on test: {', '.join(missing)}." if missing else ""
    if not any(cell.uses_model for cell in tested):
        return "no method has a score on test, so nothing can be said about which is best."
    best = group.best
    if len(tested) == 1:
        beaten = _against_baseline(group) if group.baseline else ""
        return f"{_scored(tested[0])}; no other method has a score on test to compare it with.{beaten}{without}"
    first, second = tested[:2]
    if len(best) > 1:
        said = f"{_listed(best)} are best: no method is better than any of them beyond chance."
    elif best:
        higher = "" if best[0] is first else f"; the {_first_mean(first)} has {_scored(first)}"
        said = f"{_scored(best[0])} is best{higher}, followed by {_scored(second)}."
    else:
        said = f"{_scored(first)} has the {_first_mean(first)}, followed by {_scored(second)}."
    against = _against_baseline(group) if group.baseline and not best else ""
    known = group.verdicts.resolution
    floor = "" if known is None else f" Half of its gaps are known to ± {points(known, first.bounds)} (95 %) or better."
    return f"{said} {_gap(group, first, second)}{against}{floor}{without}"


def _first_mean(cell: CellResults) -> str:
    return "highest mean" if cell.greater_is_better else "lowest mean, and lower is better"


def _against_baseline(group: Group) -> str:
    """Say whether any method is better than the majority class; nothing where that is not known."""
    found = group.verdicts
    if group.best:
        return " It is better than the majority class beyond chance."
    if found.best:
        return " None is called best, for nothing can be said about one whose mean is better."
    if not any(found.ranks.get(path) == 1 and one.p is not None for path, one in found.to_baseline.items()):
        return ""
    return " No method of the first rank is better than the majority class beyond chance, so none is called best."


def _gap(group: Group, first: CellResults, second: CellResults) -> str:
    """Say whether the gap between the two highest means is more than chance."""
    gap, value = group.between(first, second), group.gap(first, second)
    alike = first.mean is None or second.mean is None or math.isclose(value, first.mean - second.mean, abs_tol=1e-9)
    shown = f"gap of {text.score(abs(value))}" + ("" if alike else " on the draws of the splits that both have")
    if gap.verdict == "too few seeds":
        few = [cell for cell in (first, second) if cell.stochastic and len(cell.scores) < MIN_SEEDS]
        who = " and ".join(f"{text.markdown(cell.method)} has {_seeds(cell)}" for cell in few)
        return f"Too few seeds to say whether the {shown} is more than chance: {who}, {MIN_SEEDS} are the least."
    if gap.verdict == "failed finals":
        return f"Whether the {shown} is more than chance cannot be said: finals failed, and means are of the others."
    if gap.verdict == "too few items":
        return f"Too few test items to say whether the {shown} is more than chance: {MIN_ITEMS} a final are the least."
    if gap.verdict == "no predictions":
        return (
            f"Whether the {shown} is more than chance cannot be said: answers to the test items are not in the "
            "records, or cannot be scored here."
        )
    if gap.interval is None or gap.corrected is None:
        return f"Whether the {shown} is more than chance cannot be said: all differences are equal."
    # The gap is told without its sign, and so is its interval: of a lower mean both are turned round.
    sign = 1 if value >= 0 else -1
    low, high = sorted((sign * gap.interval.low, sign * gap.interval.high))
    interval = f"95 % interval {text.signed(low)} to {text.signed(high)}"
    pairs = sum(one.p is not None for one in group.verdicts.pairs.values()) // 2
    p = text.p_value(gap.corrected)
    p = f"p {p if p.startswith('<') else f'= {p}'}" + (f" corrected for {pairs} pairs" if pairs > 1 else "")
    if gap.verdict == "beyond":
        return f"The {shown} ({interval}; {p}) is beyond chance over seeds and test items."
    return f"The {shown} is within chance over seeds and test items ({interval}; {p}): the order may be another."


def points(gap: float, bounds: Bounds) -> str:
    """Write a gap: ``4.1 points`` of a score from 0 to 1, else a number of the score's own scale."""
    return f"{100 * gap:.1f} points" if bounds == (0.0, 1.0) else text.score(gap)


def resolutions(cells: Iterable[CellResults]) -> Iterator[str]:
    """Say, a line a data set and metric, how well gaps between two methods of a model are known."""
    found: dict[tuple[str, str], list[Group]] = {}
    for group in groups(cells):
        if group.verdicts.resolution is not None:
            first = group.tested[0]
            found.setdefault((first.dataset, first.metric), []).append(group)
    for (dataset, metric), members in found.items():
        first = members[0].tested[0]
        seeds = max(len(cell.scores) for group in members for cell in group.tested)
        items = max(cell.test_items or 0 for group in members for cell in group.tested)
        known = sorted(group.verdicts.resolution or 0.0 for group in members)
        ends = list(dict.fromkeys(points(one, first.bounds) for one in (known[0], known[-1])))
        yield (
            f"{text.markdown(dataset)}: with {text.number_of(seeds, 'fold' if first.folds else 'seed')} and "
            f"{text.number_of(items, 'test item')}, half of the gaps in {text.markdown(metric)} between two methods of "
            f"a model are known to ± {' to ± '.join(ends)} (95 %) or better{', by model' if len(ends) > 1 else ''}."
        )


def _listed(cells: Sequence[CellResults]) -> str:
    return f"{', '.join(map(_scored, cells[:-1]))} and {_scored(cells[-1])}"


def too_few(cells: Sequence[CellResults]) -> Iterator[str]:
    """Say which statistics are not given because there is too little to compute them from."""
    short = sorted({cell.method for cell in cells if cell.stochastic and 0 < len(cell.scores) < MIN_SEEDS})
    if short:
        yield (
            f"Seeds: {', '.join(map(text.markdown, short))} have fewer than {MIN_SEEDS} in some cells; "
            "whether a gap to them is chance is not said."
        )
    datasets = most_data_sets(cells)
    if 0 < datasets < MIN_DATA_SETS:
        yield (
            f"Data sets: {datasets}; with fewer than {MIN_DATA_SETS} a paired test over data sets (Wilcoxon) cannot "
            "reach p < 0.05, so none is given."
        )


def _scored(cell: CellResults) -> str:
    seeds = _seeds(cell) if cell.stochastic else "no seed changes it"
    return f"{text.markdown(cell.method)} with {text.mean_sd(cell.mean, cell.sd)} ({seeds})"


def _seeds(cell: CellResults) -> str:
    return text.number_of(len(cell.scores), "fold" if cell.folds else "seed")


def cautions(results: Results) -> Iterator[str]:
    """Say what a reader has to know before comparing rows: what was left out, and what is not alike."""
    for sentence in unequal_terms(results.cells):
        yield f"Unequal terms. {text.markdown(sentence, 2000)}."
    if results.stale:
        shown = ", ".join(text.markdown(one, 2000) for one in first_ones(results.superseded))
        yield (
            f"{text.number_of(results.stale, 'record')} of an earlier version of the experiment left out: {shown}. "
            f"{text.markdown(ADVICE)}."
        )
    if results.unreadable:
        yield f"{text.number_of(len(results.unreadable), 'file')} under records/ left out: not a whole record."
    if results.repeated:
        yield (
            f"{text.number_of(results.repeated, 'record')} left out: another folder holds the same run, "
            "with the same settings and the same seed."
        )
    superseded = sum(cell.superseded for cell in results.cells)
    if superseded:
        yield (
            f"{text.number_of(superseded, 'final')} left out: of a configuration that is no longer the best, or run "
            "again since."
        )
    for cell in results.cells:
        if cell.mixed:
            yield (
                f"{text.markdown(cell.title)}: its runs differ in {' and '.join(cell.mixed)}; "
                "its numbers are marked '(mixed)'."
            )
        if cell.scores and cell.failed:
            yield (
                f"{text.markdown(cell.title)}: {cell.failed} of {len(cell.finals)} finals failed. Its mean is of the "
                "others, so nothing is said about chance."
            )
    folded = sorted({cell.dataset for cell in results.cells if cell.folds})
    if folded:
        searched = [cell.settings for cell in results.cells if cell.folds and cell.settings.search]
        chosen = ""
        if any(cell.studies == 1 for cell in searched):
            chosen = "; configurations were chosen on rows that other folds test on (data sets: 'nested: true')"
        elif searched:
            chosen = "; each fold's configuration was chosen on rows outside it"
        yield (
            f"Cross-validated: {', '.join(map(text.markdown, folded))}. Each final tests another fold, so the spread "
            f"is that of the data and the seeds together{chosen}."
        )
    yield from _split(results.cells)
    yield from _truncated(results.cells)
    yield from _chosen(results.cells)
    yield from _lucky(results.cells)
    yield from _imbalanced(results.cells)
    yield from _not_transferred(results.cells)
    yield from _retention(results.cells)
    yield from _times(results.cells)
    yield from _unlike(results.records)


def _truncated(cells: Iterable[CellResults]) -> Iterator[str]:
    """Say whose texts were cut to fit the context, and whose right answers; a line a data set and split."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for cell in cells:
        for what, were, by_split in (
            ("Texts", "were cut to fit the context", cell.cut("inputs")),
            ("Right answers", "lost their end", cell.cut("answers")),
        ):
            for split, cut in by_split.items():
                items = cell.test_items if split == "test" else None
                of = f"{text.count(cut)} of {text.count(items)}" if items else text.number_of(cut, "text")
                groups.setdefault((what, cell.dataset, split, were), []).append(f"{cell.model} / {cell.method} {of}")
    for (what, dataset, split, were), who in groups.items():
        yield f"{what} of {text.markdown(dataset)} ({split}) {were}: {', '.join(map(text.markdown, who))}."


def _chosen(cells: Iterable[CellResults]) -> Iterator[str]:
    """Say where the metric of tables and figures is not what the studies optimised."""
    pairs = {(cell.metric, cell.settings.objective) for cell in cells if cell.metric != cell.settings.objective}
    for metric, objective in sorted(pairs):
        shown = map(text.markdown, (metric, objective))
        yield "Scores are {}; configurations were chosen by {} on validation.".format(*shown)


def _lucky(cells: Iterable[CellResults]) -> Iterator[str]:
    """Name the cells whose chosen configuration scored better on validation than its finals there leave likely."""
    for cell in cells:
        repeats = cell.validation_repeats
        tried = sum(run.spec.kind == "trial" and run.status == "ok" for run in cell.runs)
        best, learned = cell.validation_best, cell.group.verdicts.to_baseline.get(cell.key)
        if best is None or tried < 2 or cell.settings.studies > 1 or len(repeats) < MIN_SEEDS:
            continue
        if learned is not None and learned.verdict == "within":  # nothing to choose between
            continue
        mean = fmean(repeats)
        if (best - mean) * (1 if cell.settings.greater_is_better else -1) > next_one(repeats):
            repeated = any(run.spec.kind == "repeat" for run in cell.runs)
            cure = "" if repeated else " (study.repeats repeats the best trials before one is chosen)"
            yield (
                f"{text.markdown(cell.title)}: the configuration that was chosen scored {text.score(best)} on "
                f"validation, in its finals, with other seeds, {text.score(mean)} ({text.score(min(repeats))} to "
                f"{text.score(max(repeats))}). It may owe its choice to luck, and another be better{cure}."
            )


def _imbalanced(cells: Iterable[CellResults]) -> Iterator[str]:
    """Name the data sets on which accuracy was optimised although most rows have one label."""
    said: dict[str, str | None] = {}
    for cell in cells:
        for run in cell.runs:
            share = run.notes.get("majority_share")
            if isinstance(share, float) and not said.get(cell.dataset):
                said[cell.dataset] = accuracy_caution(run.spec.cell.objective, share)
    for dataset, caution in said.items():
        if caution:
            yield f"{text.markdown(dataset)}: {caution}."


def _not_transferred(cells: Iterable[CellResults]) -> Iterator[str]:
    """Say why finals have no score on another data set that they were to be tested on; a line a reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        for one in cell.transfers:
            for reason in one.reasons:
                groups.setdefault((cell.dataset, one.dataset, text.one_line(reason)), []).append(cell.method)
    for (source, target, reason), methods in groups.items():
        who = ", ".join(map(text.markdown, dict.fromkeys(methods)))
        where = f"from {text.markdown(source)} to {text.markdown(target)}"
        yield f"Not transferred {where}: {who}; {text.markdown(reason)}."


def _split(cells: Sequence[CellResults]) -> Iterator[str]:
    """Name the cells whose finals are in several rows, for they ran on several devices or in several precisions."""
    rows: dict[str, list[CellResults]] = {}
    for cell in cells:
        rows.setdefault(cell.path, []).append(cell)
    for split in rows.values():
        if len(split) > 1:
            named = " and ".join(text.markdown(cell.method) for cell in split)
            yield (
                f"{text.markdown(split[0].model)} / {text.markdown(split[0].dataset)}: the finals of one cell ran on "
                f"unlike devices or in unlike precisions, and are not averaged: {named}."
            )


def _retention(cells: Sequence[CellResults]) -> Iterator[str]:
    """Say why finals have no loss on general text, a line a reason; and whether it was one text."""
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        for run in cell.finals:
            if run.retention and run.retention.reason:
                reasons.setdefault(text.one_line(run.retention.reason), []).append(f"{cell.model} / {cell.method}")
    for reason, who in reasons.items():
        named = ", ".join(map(text.markdown, dict.fromkeys(who)))
        yield f"No loss on general text: {named}; {text.markdown(reason)}."
    texts = {(one.text, one.bytes, one.text_sha256) for cell in cells for one in cell.retained}
    if len(texts) > 1:
        named = ", ".join(sorted(f"{text.markdown(str(name))} of {text.count(size)} bytes" for name, size, _ in texts))
        yield f"The loss on general text is not of one text: {named}."


def _times(cells: Sequence[CellResults]) -> Iterator[str]:
    """Say that train times of an earlier version hold more than those of this one."""
    trained = [cell for cell in cells if any(run.train_curve for run in cell.measured)]
    earlier = [cell for cell in trained if cell.times_of_earlier_version]
    if earlier:
        others = ", and do not compare with those of the other rows" if len(earlier) < len(trained) else ""
        yield (
            f"Train times of {text.number_of(len(earlier), 'row')} are of an earlier version: they hold tokenising, "
            f"measuring and saving too{others}."
        )


def _unlike(records: Sequence[TrialRecord]) -> Iterator[str]:
    """Say where rows that a reader will compare were made with different code, data or models."""
    seen: dict[tuple[str, str], set[str]] = {}
    for record in records:
        model, dataset, _ = record.spec.cell.labels
        owners = {"git_commit": "the code", "model_revision": f"model {model}", "data_revision": f"data set {dataset}"}
        for field in REVISIONS:
            owner = owners.get(field, "")
            value = getattr(record.provenance, field)
            if value is not None:
                seen.setdefault((field, owner), set()).add(value)
        for target, one in record.transfer.items():
            if one.data_revision is not None:
                seen.setdefault(("data_revision", f"data set {target}"), set()).add(one.data_revision)
    for (field, owner), values in seen.items():
        if len(values) > 1:
            # Hashes are cut; what stands behind a commit ("+changes") is not.
            short = [re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", value) for value in sorted(values)]
            shown = ", ".join(map(text.markdown, short))
            whose = f" of {text.markdown(owner)}" if owner else ""
            yield f"Not alike in all runs: {REVISIONS[field]}{whose} ({shown})."


def failures(cells: Iterable[CellResults]) -> list[str]:
    """Name the runs that failed, with their reasons; runs of a cell that share a reason share a line."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        for run in cell.runs:
            if run.status in FAILED:
                key = (cell.title, run.status, text.one_line(run.reason or "no reason given"))
                groups.setdefault(key, []).append(f"{run.spec.kind} {run.spec.number}")
    lines = [
        f"{text.markdown(title)}, {', '.join(runs)}: **{status}**. {text.markdown(reason)}"
        for (title, status, reason), runs in groups.items()
    ]
    more = len(lines) - _MOST_FAILURES
    return [*lines[:_MOST_FAILURES], f"{more} more in runs.csv."] if more > 0 else lines


def pruned(cells: Iterable[CellResults]) -> str | None:
    """Count the trials that the studies stopped early, by cell; None if there are none."""
    counts = Counter({cell.title: sum(run.status == "pruned" for run in cell.runs) for cell in cells})
    shown = [f"{text.markdown(title)} {number}" for title, number in counts.items() if number]
    if not shown:
        return None
    return f"Stopped early by their study (pruned): {text.number_of(counts.total(), 'trial')}. {'; '.join(shown)}."
