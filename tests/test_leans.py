"""CONTRIBUTING.md lists what we lean on inside other libraries, with a test for each."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_lean_names_a_file_and_a_test_that_are_there() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## What we lean on")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| `(.+)` \| `(.+)::(.+)` \|$", section, re.MULTILINE)
    assert len(rows) == section.count("\n| ") - 1
    for names, place, file, test in rows:
        text = (ROOT / "bench" / place).read_text()
        for name in re.findall(r"`([^`*]+)`", names):
            assert name.rpartition(".")[2] in text, f"{place} does not lean on {name} any more"
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file} has no {test}"
