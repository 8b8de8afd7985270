"""How the files of the package import each other."""

from __future__ import annotations

import grimp

import bench
from bench.core.registry import Registry


def test_no_file_imports_a_file_that_imports_it():
    """Not even for its types: one of two such files cannot be read without the other."""
    graph = grimp.build_graph("bench", exclude_type_checking_imports=False)
    files = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    circles = {tuple(sorted((one, other))) for one in files for other in files[one] if one in files[other]}
    assert not circles


def test_what_the_public_page_names_is_a_package_that_holds_its_registry():
    for name in ("methods", "datasets", "models", "metrics"):
        package = getattr(bench, name)
        assert package.__name__ == f"bench.{name}"
        assert isinstance(getattr(package, name), Registry)
        assert f"`{name}`" in bench.__doc__
    assert callable(bench.run) and callable(bench.load_results)


def test_a_plug_in_finds_what_it_needs_in_one_place():
    from bench.methods import Choice, Float, Int, Method, TunedModel, methods

    assert methods.get("lora")().search_space().keys() == {"learning_rate", "rank"}
    assert issubclass(methods.get("lora"), Method)
    assert {Choice, Float, Int}.isdisjoint({Method, TunedModel})
