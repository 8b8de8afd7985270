"""Optuna is used by its public interface alone, so that its next release is no new work."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bench

SOURCES = sorted(Path(bench.__file__).parent.rglob("*.py"))


def inner_names_of_optuna(source: str) -> list[str]:
    """Modules and names of Optuna's with an underscore, and attributes with one of anything but ``self``."""
    tree = ast.parse(source)
    imported = [
        name
        for node in ast.walk(tree)
        for name in (
            [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.ImportFrom) and node.module
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        if name.split(".")[0] == "optuna"
    ]
    found = [name for name in imported if any(part.startswith("_") for part in name.split("."))]
    if imported:
        found += [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        ]
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import optuna\nstudy._study_id", ["study._study_id"]),
        ("import optuna\nself._study._storage", ["self._study._storage"]),
        ("from optuna.samplers._tpe.sampler import x", ["optuna.samplers._tpe.sampler.x"]),
        ("from optuna.pruners import _percentile", ["optuna.pruners._percentile"]),
        ("import optuna.storages._rdb", ["optuna.storages._rdb"]),
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
