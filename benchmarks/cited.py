"""Numbers that stand in prose, drawn from committed records: ``python -m benchmarks.cited`` writes them anew.

The figures of these pages are drawn with them.

In Markdown a number stands between two comments, of which the first says where it comes from:

    ``<!-- cite: score quickstart/smollm2-135m/trec6/lora -->0.731 ± 0.066<!-- end -->``

``ladder`` and ``pooled`` are tables and stand on lines of their own. A folder is one below ``results/reference``. A
test holds these pages against the records, so a number cannot be written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

from bench.cli.draw import plot
from bench.reporting import text
from bench.reporting.cells import CellResults, Group, groups
from bench.reporting.findings import over_tasks
from bench.reporting.folders import Results, collect
from bench.reporting.statistics.contrast import Contrast, contrast
from bench.reporting.statistics.intervals import MIN_SEEDS

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/findings.md",
    "docs/findings_in_detail.md",
    "docs/instructions.md",
    "docs/measured.md",
)
CITED = re.compile(r"(<!-- cite: (.+?) -->)(.*?)(<!-- end -->)", re.DOTALL)
NOT_RUN = "not run yet"
METHODS = ("full_fine_tuning", "lora", "prompt_tuning-text", "head_only", "hard_prompt", "tfidf_logistic", "majority")
"""Of the front page: those of the paper's first figure, LoRA, an encoder's head alone, and what needs no model."""
FIGURES: dict[str, tuple[str, str, Sequence[str]]] = {
    "power_of_scale.png": ("scale", "power_of_scale_cpu", METHODS),
    "prompt_length.png": ("prompt_length", "prompt_length", ()),
}
"""By the file in ``docs``: the figure, the folder below ``results/reference``, and its cells if not all."""


@cache
def results(folder: str, metric: str | None = None) -> Results:
    """Return what a folder below ``results/reference`` holds."""
    return collect(ROOT / "results" / "reference" / folder, metric=metric)


def cell(name: str, metric: str | None = None) -> CellResults | None:
    """Return the cell ``folder/model/data set/method``; None where no final of it has a score."""
    folder, *labels = name.split("/")
    found = [one for one in results(folder, metric).cells if one.labels == tuple(labels) and one.mean is not None]
    return found[0] if found else None


def score(name: str, metric: str | None = None) -> str:
    """Write the mean over the finals and their standard deviation, of the main metric unless another is named."""
    one = cell(name, metric)
    return text.mean_sd(one.mean, one.sd if one.stochastic else None) if one else NOT_RUN


def interval(name: str) -> str:
    """Write the 95 % interval of the mean over seeds and test items."""
    one = cell(name)
    return _between(one.interval.low, one.interval.high) if one and one.interval else NOT_RUN


def gap(name: str, other: str) -> str:
    """Write the first method minus another one on the same model and data, its interval, and the verdict."""
    one, two = cell(name), cell(f"{name.rpartition('/')[0]}/{other}") or cell(_without_model(name, other))
    if not (one and two):
        return NOT_RUN
    held = one.group
    found = held.verdicts.to_baseline[one.key] if two is held.baseline else held.between(one, two)
    if found.interval is None:
        return f"{text.signed(found.value)} (95 % interval not known: {found.verdict})"
    low, high = text.signed(found.interval.low), text.signed(found.interval.high)
    return f"{text.signed(found.value)} ({low} to {high}, {found.verdict} chance)"


def change(name: str, other: str, first: str, second: str) -> str:
    """Write how much larger a gap between two methods is at one model (``folder/model/data set``) than at another."""
    four = [cell(f"{at}/{method}") for at in (name, other) for method in (first, second)]
    if not all(four):
        return NOT_RUN
    known = [one for one in four if one]
    return _signed(
        contrast([(sign, one.answers) for sign, one in zip((1, -1, -1, 1), known, strict=True)], known[0].bounds)
    )


def moved(name: str, other: str) -> str:
    """Write how much more the second of two cells scores, of whatever model or folder."""
    before, after = cell(name), cell(other)
    if not (before and after):
        return NOT_RUN
    return _signed(contrast([(1, after.answers), (-1, before.answers)], after.bounds))


def chosen(name: str) -> str:
    """Write what the trial whose configuration was chosen scored on validation."""
    one = cell(name)
    return text.score(one.validation_best) if one and one.validation_best is not None else NOT_RUN


def optimism(folder: str, *methods: str) -> str:
    """Write by how much chosen trials scored better on validation than their repeats with other seeds, over models."""
    found = []
    for one in results(folder).cells:
        repeats = one.validation_repeats
        if one.method in methods and one.validation_best is not None and len(repeats) >= MIN_SEEDS:
            sign = 1 if one.settings.greater_is_better else -1
            found.append(sign * (one.validation_best - fmean(repeats)))
    return f"{text.signed(fmean(found))} (mean of {len(found)} cells)" if found else NOT_RUN


def best_rate(name: str) -> str:
    """Write the learning rate of a cell's best trial."""
    one = cell(name)
    rate = one.best.spec.params.get("learning_rate") if one and one.best else None
    return text.significant(rate) if isinstance(rate, float) else NOT_RUN


def ladder(folder: str, *methods: str) -> str:
    """Write the finding by size: a row a model, a column a method; bold is who shares the first rank."""
    cells = results(folder).cells
    shown = methods or tuple(dict.fromkeys(one.method for one in cells if one.uses_model and one.mean is not None))
    rows = [_ladder_row(group, shown) for group in sorted(groups(cells), key=_size) if group.tested]
    return _table(["model", "parameters", *shown], rows)


def pooled(folder: str) -> str:
    """Write a row a method: interquartile mean of normalised scores over the tasks that all have, and mean rank."""
    rows = [
        [
            one.method,
            text.score(one.iqm),
            _between(one.interval.low, one.interval.high) if one.interval else NOT_RUN,
            f"{one.rank:.1f}" if one.rank is not None else NOT_RUN,
        ]
        for together in over_tasks(results(folder).cells)
        for one in together.aggregates
    ]
    return _table(["method", "interquartile mean", "95 % interval", "mean rank"], rows)


def _ladder_row(group: Group, methods: Sequence[str]) -> list[str]:
    of = {one.method: one for one in group.cells if one.uses_model}
    first = next(iter(of.values()))
    best = {one.key for one in group.best}
    parameters = _parameters(group)
    row = [first.model, text.short_count(parameters) if parameters else NOT_RUN]
    for method in methods:
        one = of.get(method)
        if one is None:
            row.append("")
        elif one.mean is None:
            row.append("cannot run" if any(run.status == "infeasible" for run in one.runs) else "")
        else:
            written = text.mean_sd(one.mean, one.sd if one.stochastic else None)
            row.append(f"**{written}**" if one.key in best else written)
    return row


def _size(group: Group) -> tuple[str, int]:
    first = next(one for one in group.cells if one.uses_model)
    return first.network or "", _parameters(group)


def _parameters(group: Group) -> int:
    """Return the base model's parameters; 0 where no run has counted them, as one that cannot run does not."""
    return max(one.base_parameters or 0 for one in group.cells if one.uses_model)


def _without_model(name: str, other: str) -> str:
    folder, _, dataset, _ = name.split("/")
    return f"{folder}/none/{dataset}/{other}"


def _signed(found: Contrast) -> str:
    if found.value is None or found.interval is None:
        return f"not known: {found.unknown}"
    return f"{text.signed(found.value)} ({text.signed(found.interval.low)} to {text.signed(found.interval.high)})"


def _between(low: float, high: float) -> str:
    return f"{text.score(low)} to {text.score(high)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", "---:", *("---:" for _ in head[2:])], *rows]
    return "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


KINDS: dict[str, Callable[..., str]] = {
    "score": score,
    "interval": interval,
    "gap": gap,
    "change": change,
    "moved": moved,
    "chosen": chosen,
    "optimism": optimism,
    "best_rate": best_rate,
    "ladder": ladder,
    "pooled": pooled,
}


def written(page: str) -> str:
    """Return a page with every cited number drawn anew.

    Raises:
        ValueError: a citation of a kind that is not known.
    """

    def draw(match: re.Match[str]) -> str:
        kind, *names = match[2].split()
        if kind not in KINDS:
            raise ValueError(f"cite: {kind} is none of {', '.join(KINDS)}")
        return f"{match[1]}{KINDS[kind](*names)}{match[4]}"

    return CITED.sub(draw, page)


def main() -> int:
    """Write the pages and the figures anew."""
    for name in PAGES:
        path = ROOT / name
        page = path.read_text(encoding="utf-8")
        drawn = written(page)
        print(f"{name}: {len(CITED.findall(page))} numbers and tables, {'written' if drawn != page else 'unchanged'}")
        path.write_text(drawn, encoding="utf-8")
    for name in FIGURES:
        draw_figure(name, ROOT / "docs" / name)
    return 0


def draw_figure(name: str, path: Path) -> None:
    """Draw one of `FIGURES` into a file."""
    figure, folder, only = FIGURES[name]
    plot(figure, [ROOT / "results" / "reference" / folder], path, "paper", [], only=only)


if __name__ == "__main__":
    sys.exit(main())
