"""Fonts: DejaVu Sans, which comes with matplotlib, and behind it installed ones for the letters that it lacks."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

BASE = "DejaVu Sans"
"""Comes with matplotlib: figures are the same on every machine as long as it has all letters."""
_FIRST = ("Noto Sans CJK SC", "Noto Sans CJK", "Source Han Sans", "WenQuanYi", "Noto Sans", "STIXGeneral")
"""Which of several fonts with a letter is taken; then by name."""
_EAST_ASIAN = ((0x1100, 0x11FF), (0x2E80, 0xA4CF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF),
               (0xFF00, 0xFFEF), (0x20000, 0x3FFFF))  # fmt: skip


@dataclass(frozen=True)
class Fonts:
    """The families that some texts are drawn with."""

    families: tuple[str, ...]
    """In the order in which matplotlib looks for a letter."""
    missing: frozenset[str]
    """Letters that no installed font has."""

    @property
    def packages(self) -> str:
        """The packages that have the missing letters, by their names in Debian and Ubuntu."""
        names = {
            "fonts-noto-cjk" if any(low <= ord(letter) <= high for low, high in _EAST_ASIAN) else "fonts-noto-core"
            for letter in self.missing
        }
        return " and ".join(sorted(names))


def fonts_for(texts: Iterable[str]) -> Fonts:
    """Choose fonts by their letters; those that were installed since matplotlib looked last are found too."""
    letters = {letter for text in texts for letter in text if letter.isprintable() and not letter.isspace()}
    missing = letters - _letters(BASE)
    families = [BASE]
    for name in installed() if missing else ():
        if having := missing & _letters(name):
            families.append(name)
            missing -= having
        if not missing:
            break
    return Fonts(tuple(families), frozenset(missing))


def installed() -> list[str]:
    """Return the installed families besides `BASE`, those that we would rather have first."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for file in findSystemFonts():
        if file not in known:
            try:
                fontManager.addfont(file)
            except (OSError, RuntimeError):  # bitmap fonts, and whatever else matplotlib cannot read
                continue
    # Of "Last Resort" every letter is a box.
    names = {entry.name for entry in fontManager.ttflist} - {BASE}
    return sorted((name for name in names if not name.startswith("Last Resort")), key=_order)


def _order(name: str) -> tuple[int, str]:
    return (next((place for place, own in enumerate(_FIRST) if name.startswith(own)), len(_FIRST)), name)


@cache
def _letters(name: str) -> frozenset[str]:
    """Return the letters of the file that matplotlib takes for a family."""
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of each family that has no normal weight, also of those not taken
    try:
        file = findfont(FontProperties(family=[name]))
    finally:
        logger.setLevel(level)
    return frozenset(map(chr, FT2Font(file).get_charmap()))
