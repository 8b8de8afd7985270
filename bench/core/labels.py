"""Labels: what a user calls a thing, in any script, and its slug, which stands for it in paths."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from bench.core.registry import NAME

JOINERS = "\u200c\u200d"
"""Not printable by themselves, and yet part of how Persian, Hindi and others are written."""
_RESERVED = set("/\\*?[]")
"""Stand between the labels of a cell, or in the patterns of ``--only`` and ``--skip``."""


def check_label(label: str, hint: str = "") -> str:
    """Return a label that can be shown on one line and told apart in a pattern, or raise `ValueError` with a hint."""
    shown = [letter for letter in label if letter not in JOINERS]
    fits = bool(shown) and len(label) <= 64 and label == label.strip() and not _RESERVED & set(label)
    if not fits or not all(map(str.isprintable, shown)):
        raise ValueError(
            f"{label!r} is no name that can be shown and told apart; use 1 to 64 letters, digits, spaces and signs of "
            f"any script, none of / \\ * ? [ ], and no space at either end{hint}"
        )
    return label


def slug(label: str) -> str:
    """Return what a label is called in paths: itself where it is a plain name (`bench.core.registry.NAME`).

    Of any other the letters that have a plain form, and the beginning of the sha256 of the whole, which tells apart
    what looks alike: ``情感分类`` is ``a6eea2e03b``, ``Größe`` is ``groe-aedc3f8098``.
    """
    if NAME.match(label):
        return label
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9._-]+", "-", plain)[:40].strip("-._")
    return "-".join(filter(None, [plain, hashlib.sha256(label.encode()).hexdigest()[:10]]))
