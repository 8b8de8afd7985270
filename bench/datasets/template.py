"""Templates: a column's name in braces is replaced by its text, and nothing else is interpreted.

`str.format` is not used: a template comes from an experiment file, and ``{text.__class__}`` or
``{text!r}`` should be a column that does not exist, not a way into Python. Text that is put in is
never read again, so braces in a cell are harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bench.core.errors import BadInput, did_you_mean

_PART = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def columns(template: str) -> tuple[str, ...]:
    """Return the columns that a template names, each once, in their order."""
    return tuple(dict.fromkeys(name for name in _PART.findall(template) if name))


def unfilled(template: str) -> bool:
    """Whether a template holds a brace that is neither a column's nor written twice."""
    return bool(set("{}") & set(_PART.sub("", template)))


def render(template: str, fields: Mapping[str, str]) -> str:
    """Fill in a template; ``{{`` and ``}}`` stand for single braces.

    Raises:
        KeyError: the template names a column that ``fields`` does not have.
    """

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        return fields[name] if name else match.group()[0]

    return _PART.sub(fill, template)


def missing_column(origin: str, who: str, name: str, known: Iterable[str]) -> BadInput:
    """Return the error for a column that a source does not have, with the nearest and with all that it has."""
    known = list(known)
    return BadInput(
        f"{origin}: {who} '{name}', which is not there{did_you_mean(name, known)} (columns: {', '.join(known)})"
    )
