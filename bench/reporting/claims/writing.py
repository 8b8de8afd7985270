"""Findings written out: for the terminal, as JSON, and in Markdown for the documentation."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.reporting import text
from bench.reporting.claims.file import Claim
from bench.reporting.claims.verdicts import Finding
from bench.reporting.statistics.intervals import Interval


def tested_by(finding: Finding) -> str:
    """Say in words which number of which cells tests a claim: of the models that are there, if any are."""
    claim = finding.claim
    what = claim.first if claim.second is None else f"{claim.first} minus {claim.second}"
    if claim.test == "slope":
        what = f"change of ({what}) with ten times the parameters"
    elif claim.test == "rate_ratio":
        what = f"best learning rate of {claim.first} over that of {claim.second}"
    many = ("at any of " if claim.over == "any" else "over ") + text.number_of(
        len(finding.by_model or claim.models), "model"
    )
    where = f"{claim.metric} on {claim.transfer or claim.dataset}"
    return f"{what}, {where}, {many} of {claim.experiment}"


def expected(claim: Claim) -> str:
    """Say where the number is, if the claim is true."""
    limits = (("above", claim.above), ("below", claim.below))
    return " and ".join(f"{word} {limit:g}" for word, limit in limits if limit is not None)


def number(claim: Claim, value: float | None) -> str:
    """Write the number that tests a claim."""
    if value is None or claim.test != "rate_ratio":
        return text.signed(value)
    return f"{value:.3g}"


def between(claim: Claim, interval: Interval | None) -> str:
    """Write an interval of it."""
    return f"{number(claim, interval.low)} to {number(claim, interval.high)}" if interval else text.MISSING


def as_json(findings: Sequence[Finding]) -> str:
    """Return all that is known of each claim."""
    return json.dumps(
        [
            {
                **finding.claim.model_dump(mode="json"),
                "verdict": finding.verdict,
                "value": finding.value,
                "interval": _ends(finding.interval),
                "by_model": {
                    model: {"value": one.value, "interval": _ends(one.interval)} for model, one in finding.by_model
                },
                "reasons": list(finding.reasons),
            }
            for finding in findings
        ],
        indent=1,
        allow_nan=False,
        ensure_ascii=False,
    )


def as_markdown(findings: Sequence[Finding]) -> str:
    """Return a table, then what stands behind each of its rows."""
    lines = ["| claim | verdict | number | 95 % interval | expected |", "| --- | --- | ---: | ---: | --- |"]
    for finding in findings:
        claim = finding.claim
        row = (
            f"[{text.markdown(claim.says)}](#{claim.id})",
            finding.verdict,
            number(claim, finding.value),
            between(claim, finding.interval),
            expected(claim),
        )
        lines.append("| " + " | ".join(row) + " |")
    parts = ["\n".join(lines)]
    for finding in findings:
        claim = finding.claim
        parts.append(f"### {text.markdown(claim.says)} {{ #{claim.id} }}")
        parts.append(f"**{finding.verdict.capitalize()}.** Published in: {text.markdown(claim.where)}.")
        by_model = "; ".join(
            f"{model} {number(claim, one.value)} ({between(claim, one.interval)})" for model, one in finding.by_model
        )
        told = [
            f"Tested by: {tested_by(finding)}; expected {expected(claim)}.",
            *([f"By model: {by_model}."] if by_model else []),
            *(f"{reason[0].upper()}{reason[1:]}." for reason in finding.reasons),
            *([claim.note] if claim.note else []),
        ]
        parts.append("\n".join(f"- {text.markdown(line, 2000)}" for line in told))
    return "\n\n".join(parts) + "\n"


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
