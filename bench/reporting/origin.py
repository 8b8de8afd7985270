"""How the runs of a report came about: experiments, code, machine, versions. Markdown, and escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.reporting import text
from bench.reporting.folders import Results
from bench.runs.record import TrialRecord


def names(results: Results) -> list[str]:
    """Return the names of the experiments, of their files or else of their records."""
    given = [manifest.name for manifest in results.manifests if manifest.name]
    return list(dict.fromkeys(given or [record.spec.experiment for record in results.records]))


def provenance(results: Results) -> Iterator[str]:
    """Say with what the runs were made, a line a fact."""
    records = results.records
    started = [record.started_at for record in records]
    total = sum(record.seconds.get("total", 0.0) for record in records)
    yield (
        f"{text.number_of(len(records), 'run')}, the first begun {text.markdown(min(started))}, the last "
        f"{text.markdown(max(started))}; {text.duration(total)} of computing in all."
    )
    for field, name in (
        ("git_commit", "Code (git commit)"),
        ("device", "Device"),
        ("device_name", "Device name"),
        ("precision", "Precision"),
        ("threads", "Threads"),
        ("platform", "Platform"),
    ):
        values = {str(value) for one in records if (value := getattr(one.provenance, field)) is not None}
        if values:
            yield f"{name}: {listed(values)}"
    for field, name, label in (("model_revision", "Model", 0), ("data_revision", "Data set", 1)):
        revisions: dict[str, set[str]] = {}
        for record in records:
            value = getattr(record.provenance, field)
            if value is not None:
                revisions.setdefault(record.spec.cell.labels[label], set()).add(value)
        for owner, values in sorted(revisions.items()):
            yield f"{name} {text.markdown(owner)}: revision {listed(values)}"
    if any(record.spec.cell.trust_remote_code for record in records):
        yield "Models were allowed to run their own Python code (trust\\_remote\\_code)."


def versions(records: Iterable[TrialRecord]) -> str:
    """Say which versions of packages were used."""
    found: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.provenance.versions.items():
            found.setdefault(package, set()).add(version)
    if not found:
        return "The records do not say which versions of packages were used."
    return "Versions: " + "; ".join(f"{text.markdown(name)} {listed(found[name])}" for name in sorted(found))


def listed(values: Iterable[str]) -> str:
    """Write names in one line, sorted and escaped."""
    return ", ".join(text.markdown(value) for value in sorted(values))
