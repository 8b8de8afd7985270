"""``python -m benchmarks.faults``: play many rounds and print a table of what was survived.

python -m benchmarks.faults --rounds 320 --seed 0 --out reports/reliability/faults.md
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults import drivers
from benchmarks.faults.campaign import FAULTS, STUDIES, Outcome, experiment, make, play, table
from benchmarks.faults.places import PLACES, Place, on_ray, ray_cluster

RAY = "ray"


def undisturbed(home: Path) -> dict[str, list[list[Any]]]:
    """Return the table of each study when nothing happens to it, from two runs that must agree.

    They run in worker processes, whatever engine is to be tried: where trials run is not to change what comes of them.
    """
    tables = {}
    for kind in STUDIES:
        found = []
        for attempt in ("first", "second"):
            folder = home / f"undisturbed-{kind}-{attempt}"
            make(folder)
            code = drivers.wait(drivers.start(experiment(kind, folder, PLACES["processes"]), folder))
            if code:
                raise SystemExit(f"the undisturbed run ended with {code}: {(folder / 'driver.txt').read_text()}")
            found.append(table(folder / "results"))
        if found[0] != found[1]:
            raise SystemExit(f"two undisturbed runs of the {kind} study differ: the campaign would show nothing")
        tables[kind] = found[0]
    return tables


def campaign(rounds: int, seed: int, home: Path, engine: str = "processes") -> list[Outcome]:
    """Play ``rounds`` rounds, each fault in turn on each study, and return their outcomes."""
    wanted = undisturbed(home)
    if engine != RAY:
        return _rounds(rounds, seed, home, wanted, PLACES[engine])
    with ray_cluster() as (address, process):
        return _rounds(rounds, seed, home, wanted, on_ray(address, process))


def _rounds(rounds: int, seed: int, home: Path, wanted: dict[str, list[list[Any]]], place: Place) -> list[Outcome]:
    faults = [fault for fault in FAULTS if place.faults is None or fault.__name__ in place.faults]
    outcomes = []
    for number in range(rounds):
        fault = faults[number % len(faults)]
        kind = list(STUDIES)[(number // len(faults)) % len(STUDIES)]
        outcome = play(fault, kind, seed + number, home / f"round-{number}", wanted[kind], place)
        outcomes.append(outcome)
        if not outcome.survived:
            print(f"round {number}: {outcome}", file=sys.stderr, flush=True)
    return outcomes


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the table of a campaign."""
    meanings = {fault.__name__: (fault.__doc__ or "").strip().rstrip(".") for fault in FAULTS}
    lines = ["| fault | injected | survived | trials lost | trials run twice |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, meaning in [*meanings.items(), ("", "**all**")]:
        mine = [o for o in outcomes if not name or o.fault == name]
        if not mine:
            continue
        sums = (len(mine), sum(o.survived for o in mine), sum(o.lost for o in mine), sum(o.twice for o in mine))
        lines.append(f"| {meaning} | {' | '.join(map(str, sums))} |")
    return "\n".join(lines)


def _commit() -> str:
    """Return the commit of this checkout; asked of git itself, for the project's own way loads torch."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty=+changes"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def main() -> int:
    """Run a campaign; the exit code is 1 if a round was not survived."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="Break studies and resume them.")
    parser.add_argument("--rounds", type=int, default=320)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--engine",
        choices=[*PLACES, RAY],
        default="processes",
        help="shards: several drivers at once, by processes; ray: a cluster of one node",
    )
    parser.add_argument("--out", type=Path, help="write the table here, as Markdown")
    given = parser.parse_args()
    began = time.monotonic()
    where = "shards" if given.engine == "shards" else f"the engine `{given.engine}`"
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        outcomes = campaign(given.rounds, given.seed, Path(folder).resolve(), given.engine)
        if not all(outcome.survived for outcome in outcomes):
            kept = Path(tempfile.mkdtemp(prefix="faults-kept-"))
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            print(f"what was not survived is kept in {kept}", file=sys.stderr)
    found = markdown(outcomes)
    print(found)
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        minutes = (time.monotonic() - began) / 60
        alone = sum(outcome.kind == "sequential" for outcome in outcomes)
        given.out.write_text(
            "# Fault campaign\n\n"
            f"`python -m benchmarks.faults --rounds {given.rounds} --seed {given.seed} --engine {given.engine}` on "
            f"{platform.system()}, Python {platform.python_version()}, commit {_commit()}, {minutes:.0f} min. "
            "Each round breaks a study of two "
            "cells (14 trials, 4 finals, of which two trials always diverge or run out of memory), resumes it to its "
            "end, and compares its final table with that of an undisturbed run: settings, seeds, scores and curves of "
            f"each run. {alone} rounds run one trial at a time with TPE and median pruning, {given.rounds - alone} two "
            "at a time with random search. Trials train nothing, so this is about the drivers, the store and "
            f"{where}. A trial is lost if its record was whole after the fault and not the same after the "
            "resumption; it runs twice if it began again although its record was there.\n\n"
            f"{found}\n"
        )
    return 0 if all(outcome.survived for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
