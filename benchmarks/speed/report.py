"""The table and the two figures, from the stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import seaborn as sns

from benchmarks.speed.cases import Case

matplotlib.use("Agg")

CURVES = (
    ("curve-length", "virtual tokens P", "Step time by prompt length (batch 16)"),
    ("curve-batch", "batch size", "Step time by batch size (P = 20)"),
)
"""Case, axis and title of each figure."""


def write(cases: Sequence[Case], results: Mapping[str, Any], machine: Mapping[str, Any], folder: Path) -> None:
    """Write ``report.md`` and the figures into ``folder``."""
    lines = [
        "# Speed, against PEFT with Trainer",
        "",
        "Both sides in one process, turn by turn: same weights, same batches in the same random order, same number of",
        "steps, float32, AdamW. A ratio is printed only after the losses of every step have agreed to 1e-5, relative.",
        "`ratio` is the median over the turns, with its quartiles; seconds are medians.",
        "",
        f"Machine: {machine['processor']}, {machine['threads']} threads; "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        + f". Data: {machine['data']}.",
        "",
        *([machine["remark"], ""] if machine.get("remark") else []),
        f"    {machine['command']}",
        "",
        "| work | ratio | quartiles | ours, s | theirs, s | loss gap | to reach | reached |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(case, results[case.name]) for case in cases if case.name in results and _in_table(case)),
    ]
    missing = [case.title for case in cases if case.name not in results and _in_table(case)]
    if missing:
        lines += ["", "Not measured yet: " + "; ".join(missing) + "."]
    lines += [*_profiles(cases, results), *_studies(cases, results)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, axis, title in CURVES:
        if name in results:
            lines += _curve(results[name]["points"], axis, title, folder / name)
    (folder / "report.md").write_text("\n".join(lines) + "\n")


def _in_table(case: Case) -> bool:
    return not case.name.startswith(("curve-", "profile-"))


def _profiles(cases: Sequence[Case], results: Mapping[str, Any]) -> list[str]:
    """Return where the time of our steps goes, and how much faster than the peer they could be."""
    found = [
        (case.title, results[case.name]) for case in cases if case.name.startswith("profile-") and case.name in results
    ]
    if not found:
        return []
    kinds = list(dict.fromkeys(kind for _, result in found for kind in result["shares"]))
    return [
        "",
        "## Where the time of our steps goes",
        "",
        "Shares of the time on the clock, by torch's profiler. The bound is the multiply-adds of PEFT's step over",
        "those of ours, as torch counts them on one batch: the ratio if products were all, and both at the peak. The",
        "rate is how fast our products of the layers run (a few hundred rows), as a share of a large square product's.",
        "",
        "| work | bound | rate of products | " + " | ".join(kinds) + " |",
        "|---|---|---|" + "---|" * len(kinds),
        *(
            f"| {title} | {result['bound']:.2f}x | {100 * result['products_of_peak']:.0f} % | "
            + " | ".join(f"{100 * result['shares'].get(kind, 0):.0f} %" for kind in kinds)
            + " |"
            for title, result in found
        ),
    ]


def _studies(cases: Sequence[Case], results: Mapping[str, Any]) -> list[str]:
    """Return what the studies' ratios are made of."""
    lines = []
    for case in cases:
        if not case.name.startswith("study-") or case.name not in results:
            continue
        result = results[case.name]
        phases = ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in result["phases"].items())
        lines += [
            "",
            f"**{case.title}.** Virtual tokens that the sampler asked for:",
            f"{', '.join(map(str, result['virtual_tokens']))}; steps until the end or the pruner's verdict:",
            f"{', '.join(map(str, result['steps']))}. Best validation accuracy {result['best_accuracy_ours']:.3f} and "
            f"{result['best_accuracy_theirs']:.3f} (ours, theirs);",
            f"{result['pruned_ours']} and {result['pruned_theirs']} of {result['trials']} pruned. The bound by the "
            f"multiply-adds of these trials is {result['bound']:.2f}x. Our seconds",
            f"by phase, added over the workers: {phases}.",
        ]
    return ["", "## What the studies' ratios are made of", *lines] if lines else []


def _line(case: Case, result: Mapping[str, Any]) -> str:
    value = result[case.column]
    unit = "" if case.column == "share" else "x"
    spread = f"{result['low']:.2f} to {result['high']:.2f}" if "low" in result else ""
    seconds = [f"{result[side]:.3g}" if "median" in result and side in result else "" for side in ("ours", "theirs")]
    gap = f"{result['loss_gap']:.0e}" if result.get("loss_gap") else ""
    goal, verdict = "", ""
    if case.goal is not None:
        goal = f"{'at most ' if case.at_most else ''}{case.goal:g}{unit}"
        verdict = "yes" if (value <= case.goal if case.at_most else value >= case.goal) else "no"
    return f"| {case.title} | {value:.2f}{unit} | {spread} | {seconds[0]} | {seconds[1]} | {gap} | {goal} | {verdict} |"


def _curve(points: Mapping[str, Any], axis: str, title: str, file: Path) -> list[str]:
    """Draw a curve; return its lines of the report."""
    sns.set_theme(style="whitegrid", context="paper")
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    values = [int(value) for value in points]
    for side, label, colour in (("theirs", "PEFT, plain loop", "#d55e00"), ("ours", "promptscale", "#0072b2")):
        axes.plot(values, [point[side] for point in points.values()], marker="o", label=label, color=colour)
    axes.set(xlabel=axis, ylabel="seconds a training step", ylim=(0, None), xticks=values)
    axes.set_title(f"SmolLM2-135M: {points[str(values[-1])]['median']:.1f} times faster at {values[-1]}", loc="left")
    axes.legend(frameon=False)
    for suffix in (".png", ".svg"):
        figure.savefig(file.with_suffix(suffix), dpi=200)
    plt.close(figure)
    return [
        "",
        f"## {title}",
        "",
        "All points of both lines in each turn; the peer is PEFT with the plain loop, padded to a batch's longest.",
        "",
        f"| {axis} | ratio | quartiles | ours, s | theirs, s | loss gap |",
        "|---|---|---|---|---|---|",
        *(
            f"| {value} | {point['median']:.2f}x | {point['low']:.2f} to {point['high']:.2f} | {point['ours']:.3g} | "
            f"{point['theirs']:.3g} | {point['loss_gap']:.0e} |"
            for value, point in points.items()
        ),
        "",
        f"![{title}]({file.name}.png)",
    ]
