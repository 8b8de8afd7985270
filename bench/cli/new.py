"""``bench new``: the skeleton of a plug-in that works as it stands."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

from bench.core.errors import BadInput
from bench.core.files import make_writable
from bench.core.registry import check_name
from bench.methods import methods

_FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "{module}.py": "method.py.txt",
    "tests/test_{module}.py": "test.py.txt",
}


def new_method(name: str, folder: Path) -> list[Path]:
    """Write a package with a working method, to be changed into one's own; return its files.

    Raises:
        BadInput: a name that cannot be one or is taken, or a folder that is not empty.
    """
    check_name(name, "bench new method")
    if name in methods:
        raise BadInput(f"bench new method: the method '{name}' is there already, from {methods.owner(name)}")
    module = re.sub(r"[^a-z0-9_]", "_", name)
    if not module.isidentifier() or keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise BadInput(f"bench new method: '{name}' cannot name a Python module ({module}.py); choose another")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: is there already, and not empty; choose another folder")
    make_writable(folder, "another DIR")
    words = re.split(r"[^a-z0-9]+", name)
    values = {
        "name": name,
        "module": module,
        "class_name": "".join(word.capitalize() for word in words),
        "title": " ".join(words).strip().capitalize(),
        "distribution": re.sub(r"[._-]+", "-", name).strip("-"),
    }
    written = []
    for target, source in _FILES.items():
        path = folder / target.format(module=module)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(skeleton(source, **values), encoding="utf-8")
        written.append(path)
    return written


def skeleton(file: str, **values: str) -> str:
    """Return a file of the skeleton with its names filled in."""
    return Template((files("bench.cli") / "skeleton" / file).read_text(encoding="utf-8")).substitute(values)
