"""Registries: lazy, kind, open to outside packages, and not to be brought down by one of them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin import write_plugin

from bench.core.config import Config
from bench.core.errors import BadInput
from bench.core.registry import Registry, check_name


class Shape(Config):
    """What all entries derive from."""


class Circle(Shape):
    radius: float = 1.0


def shapes(**builtin: str) -> Registry[Shape]:
    return Registry("shape", f"{__name__}:Shape", {"circle": f"{__name__}:Circle", **builtin})


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A function that installs an outside package for this test alone."""

    def install(points, name="outside", **modules):
        folder = write_plugin(tmp_path / name, {"bench.shapes": points}, name, **modules)
        monkeypatch.syspath_prepend(folder)
        for module in modules:
            monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_an_entry_is_imported_when_it_is_asked_for_and_not_before():
    registry = shapes(never="module_that_does_not_exist:X")
    assert registry.names() == ["circle", "never"]
    assert registry.get("circle") is Circle
    assert registry.build("circle", {"radius": 2}, "x") == Circle(radius=2)


def test_a_typo_is_answered_with_the_nearest_name_and_the_place():
    with pytest.raises(BadInput) as caught:
        shapes().get("circel", "x.yaml: shapes[0]")
    near = "x.yaml: shapes[0]: unknown shape 'circel'; did you mean 'circle'?"
    remedy = "one of a plug-in needs its package installed, or its file with --plugin FILE"
    assert str(caught.value) == f"{near} (see 'bench list shapes'; {remedy})"


def test_an_entry_of_another_kind_is_refused():
    with pytest.raises(BadInput, match=r"TypeError: pathlib:Path is not a subclass of .*Shape"):
        shapes(path="pathlib:Path").get("path")


def test_a_decorator_adds_an_entry_of_a_notebook():
    registry = shapes()

    @registry.register("square")
    class Square(Shape):
        side: float = 1.0

    assert registry.get("square") is Square
    assert registry.owner("square") == __name__


def test_a_cell_of_a_notebook_may_be_run_again():
    registry = shapes()
    for _ in range(2):
        square = registry.register("square")(type("Square", (Shape,), {"__module__": "notebook"}))
    assert registry.get("square") is square


def test_a_name_that_another_has_is_refused():
    with pytest.raises(BadInput, match=r"shape 'circle' of \S+ is already taken by promptscale; give it another name"):
        shapes().register("circle")(Circle)


@given(st.text(max_size=70))
def test_a_name_is_a_safe_part_of_a_path_or_refused(name):
    try:
        check_name(name, "x")
    except BadInput:
        return
    assert 0 < len(name) <= 64
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert name[0] not in "._-"


def test_a_name_does_not_end_in_a_line_break():
    with pytest.raises(BadInput):
        check_name("lora\n", "x")


TRIANGLE = "from test_registry import Shape\nclass Triangle(Shape):\n    '''Three corners.'''\n"


def test_an_outside_package_is_found_by_its_entry_point(outside):
    outside({"triangle": "corners:Triangle"}, corners=TRIANGLE)
    registry = shapes()
    assert registry.names() == ["circle", "triangle"]
    assert "corners" not in sys.modules, "its name is known before it is imported"
    assert registry.get("triangle").__doc__ == "Three corners."
    assert registry.owner("triangle") == "outside"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no GPU')", "RuntimeError: no GPU (from outside)"),
        ("import sys; sys.exit(3)", "SystemExit: 3 (from outside)"),
        ("import not_installed", "ModuleNotFoundError: No module named 'not_installed' (from outside)"),
        ("x = 1", "AttributeError: module 'corners' has no attribute 'Triangle' (from outside)"),
        ("class Triangle: pass", "TypeError: corners:Triangle is not a subclass of"),
        ("def", "SyntaxError: "),
    ],
)
def test_one_broken_package_is_named_and_the_rest_goes_on(outside, source, said):
    outside({"triangle": "corners:Triangle"}, corners=source)
    registry = shapes()

    assert [name for name, _ in registry.entries()] == ["circle"]

    assert said in registry.broken["triangle"]
    with pytest.raises(BadInput, match=r"x: shape 'triangle' does not load: "):
        registry.get("triangle", "x")


def test_a_package_cannot_take_the_name_of_a_built_in_entry(outside):
    outside({"circle": "corners:Triangle"}, corners=TRIANGLE)
    registry = shapes()
    assert registry.get("circle") is Circle
    assert "already taken by promptscale" in registry.broken["circle (outside)"]


def test_of_two_packages_with_one_name_the_second_is_named_as_broken(outside):
    outside({"triangle": "corners:Triangle"}, corners=TRIANGLE)
    outside({"triangle": "corners:Triangle"}, name="another")
    registry = shapes()
    assert registry.get("triangle").__name__ == "Triangle"
    (reason,) = registry.broken.values()
    assert "is already taken by" in reason


def test_a_package_with_a_name_that_is_none_is_named_as_broken(outside):
    outside({"Tri angle": "corners:Triangle"}, corners=TRIANGLE)
    registry = shapes()
    assert registry.names() == ["circle"]
    (reason,) = registry.broken.values()
    assert "is not a valid name" in reason


def test_looking_at_all_registries_imports_nothing_heavy():
    code = (
        "import sys, bench; from bench.cli.listing import REGISTRIES; "
        "[list(r.entries()) for r in REGISTRIES.values()]; "
        "heavy = {'torch', 'transformers', 'peft', 'optuna', 'datasets', 'evaluate', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
