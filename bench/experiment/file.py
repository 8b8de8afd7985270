"""Reads experiment files: YAML by the safe loader, no key twice, ``--set a.b=c`` on top."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import yaml

from bench.core.config import Config
from bench.core.errors import BadInput
from bench.experiment.schema import Experiment

_Config = TypeVar("_Config", bound=Config)


class _Loader(yaml.SafeLoader):
    """The safe loader, with duplicate keys refused and ``1e-3`` read as the number it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # '<<' takes over another mapping; keys beside it win, and that is no duplicate
            key = self.construct_object(key_node, deep=True)
            try:
                twice = key in seen
            except TypeError:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain value", key_node.start_mark
                ) from None
            if twice:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here a second time", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot in a float; everybody who writes learning rates writes 1e-3.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_experiment(path: str | Path, assignments: Sequence[str] = ()) -> Experiment:
    """Read and validate an experiment file.

    Args:
        path: the YAML file.
        assignments: changes on top of it, as ``--set`` takes them: ``"a.b=value"``, the value in YAML;
            a part that is a number is an index into a list.

    Raises:
        BadInput: one line a finding: file, key path, what was found and what would be right.
    """
    path = Path(path)
    data = _read(path, "name:, models:, ...")
    return parse_experiment(data, str(path), assignments)


def parse_experiment(data: Mapping[str, Any], where: str, assignments: Sequence[str] = ()) -> Experiment:
    """Validate what an experiment file holds, with ``assignments`` on top; ``where`` names it in messages."""
    return Experiment.parse(assigned(data, assignments), where)


def assigned(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Return a copy of ``data`` with ``assignments`` applied, as ``--set`` takes them (see `load_experiment`)."""
    changed = deepcopy(dict(data))
    for assignment in assignments:
        _assign(changed, assignment)
    return changed


def _read(path: Path, keys: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except IsADirectoryError:
        raise BadInput(f"{path}: is a folder, a file is needed") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None
    data = load_yaml(text, str(path))
    if not isinstance(data, dict):
        found = "an empty file" if data is None else type(data).__name__
        raise BadInput(f"{path}: expected a mapping at the top ({keys}), found {found}")
    return data


def load_yaml(text: str, where: str) -> Any:
    """Read YAML by the safe loader, no key twice; `BadInput` begins with ``where`` and the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = f", line {mark.line + 1}" if mark and "\n" in text.strip() else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise BadInput(f"{where}{line}: {problem}") from None
    except RecursionError:
        raise BadInput(f"{where}: nested too deeply") from None
    except ValueError as error:  # a date such as 2026-13-01
        raise BadInput(f"{where}: not readable YAML: {error}") from None


def read_config(kind: type[_Config], path: Path, key: str) -> _Config:
    """Read a YAML file that holds ``key`` at its top.

    Raises:
        BadInput: one line a finding: file, key, what was found and what would be right.
    """
    return kind.parse(_read(path, f"{key}:, ..."), str(path))


def _assign(data: Any, assignment: str) -> None:
    """Apply one ``a.b.0.c=value`` in place."""
    key, separator, text = assignment.partition("=")
    where = f"--set {assignment}"
    if not separator or not key:
        raise BadInput(f"{where}: expected KEY=VALUE, such as study.trials=4")
    value = load_yaml(text, where)
    part, rest = _first(data, key)
    while rest:
        data = _step(data, part, where)
        part, rest = _first(data, rest)
    last = part
    if isinstance(data, list):
        data[_index(data, last, where)] = value
    elif isinstance(data, dict):
        data[last] = value
    else:
        raise BadInput(f"{where}: there is nothing below this key to set")


def _first(data: Any, key: str) -> tuple[str, str]:
    """Split a key behind its first part, which is a name with a dot where the data have one."""
    names = data if isinstance(data, dict) else ()
    part = next((name for name in names if key.startswith(f"{name}.")), key.partition(".")[0])
    return part, key[len(part) + 1 :]


def _step(data: Any, part: str, where: str) -> Any:
    if isinstance(data, list):
        place = _index(data, part, where)
        if isinstance(data[place], str):  # an entry without options: they may be given below its name
            data[place] = {data[place]: None}
        return data[place]
    if not isinstance(data, dict):
        raise BadInput(f"{where}: there is no key {part!r} to go into")
    if data.get(part) is None:
        data[part] = {}
    return data[part]


def _index(data: list[Any], part: str, where: str) -> int:
    if not part.isdecimal() or int(part) >= len(data):
        raise BadInput(f"{where}: expected an index from 0 to {len(data) - 1}, found {part!r}")
    return int(part)
