"""docs/trackers.md's own tracker, loaded from a file as the page says, is told what a run logs."""

from __future__ import annotations

import re
from pathlib import Path

from demo import Pretend, Strict, demo_plan, drive, with_curve

from bench.core import plugins
from bench.core.plugins import load_plugins
from bench.trackers import trackers
from bench.trackers.feed import Feed

DOCS = Path(__file__).parents[2] / "docs" / "trackers.md"


def test_the_example_of_the_docs_prints_every_number_of_a_run_and_how_it_ended(tmp_path, capfd):
    found = re.search(
        r"^<!-- example: print_tracker.py -->\n```python\n(.*?)^```$", DOCS.read_text("utf-8"), re.M | re.S
    )
    file = tmp_path / "print_tracker.py"
    file.write_text(found[1])
    load_plugins([str(file)])
    try:
        tracker = trackers.build("print", {}, "print")
        engine = Pretend(specs=[], play=with_curve)
        planned = demo_plan(tmp_path / "results", study={"trials": 1}, finals={"seeds": 1})
        drive(planned, engine, Feed(Strict(), {"print": tracker}, tmp_path / "results", "demo"))
    finally:
        trackers.forget(str(file))
        plugins._loaded.pop(str(file), None)
    printed = capfd.readouterr().out.splitlines()
    for spec in engine.specs:
        assert f"{spec.title} train/loss 2 0.5" in printed
        assert f"{spec.title} ok" in printed
    assert any("test/accuracy" in line for line in printed)
