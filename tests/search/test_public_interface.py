"""Optuna is used by its public interface alone, so that its next release is no new work."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import bench

SOURCES = sorted(Path(bench.__file__).parent.rglob("*.py"))


def inner_names_of_optuna(source: str) -> list[str]:
    """Imports from Optuna with an underscore, and attributes with one of anything but ``self``, beside such imports."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    imports = [line for line in imports if line.split()[1].split(".")[0] == "optuna"]
    private = [node for node in nodes if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr)]
    others = [ast.unparse(node) for node in private if ast.unparse(node.value) not in ("self", "cls")]
    return [line for line in imports if re.search(r"\b_", line)] + (others if imports else [])


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import optuna\nstudy._study_id", ["study._study_id"]),
        ("import optuna\nself._study._storage", ["self._study._storage"]),
        ("from optuna.samplers._tpe.sampler import x", ["from optuna.samplers._tpe.sampler import x"]),
        ("from optuna.pruners import _percentile", ["from optuna.pruners import _percentile"]),
        ("import optuna.storages._rdb", ["import optuna.storages._rdb"]),
        ("import optuna\nself._study.ask()", []),
        ("other._inner", []),
    ],
)
def test_an_inner_name_is_found(source, found):
    assert inner_names_of_optuna(source) == found


def test_nothing_inner_of_optuna_is_used():
    found = {path.name: names for path in SOURCES if (names := inner_names_of_optuna(path.read_text()))}
    assert found == {}
    assert sum("optuna" in path.read_text() for path in SOURCES) > 3
