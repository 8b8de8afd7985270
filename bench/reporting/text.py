"""Numbers and foreign text, written for people: one place for all tables, figures and sentences."""

from __future__ import annotations

import re
import textwrap

from bench.core.labels import JOINERS

MISSING = "-"


def count(value: float | None) -> str:
    """Write a whole number with its thousands apart: ``8,192``."""
    return MISSING if value is None else f"{value:,.0f}"


def short_count(value: float) -> str:
    """Write a number of parameters as people speak of it: ``135M``, ``1.7B``, ``910K``."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.{0 if scaled >= 99.5 else 1}f}".removesuffix(".0") + unit
    return f"{value:.0f}"


def file_size(value: float | None) -> str:
    """Write bytes in binary units: ``33.1 KiB``."""
    if value is None:
        return MISSING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1023.95:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def flops(value: float | None) -> str:
    """Write floating-point operations with three digits: ``1.62 TFLOP``."""
    if value is None:
        return MISSING
    power = 0
    while power < 6 and value >= 999.5:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {('', 'K', 'M', 'G', 'T', 'P', 'E')[power]}FLOP"


def duration(seconds: float | None) -> str:
    """Write seconds: ``4.2s``, ``1m 05s``, ``2h 03m``."""
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}h {minutes:02d}m"


def rough_duration(seconds: float) -> str:
    """Write a time that is only guessed: ``40 s``, ``5 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def significant(value: float | None) -> str:
    """Write a number with three significant digits: ``0.00146``."""
    return MISSING if value is None else f"{value:.3g}"


def quantity(value: float | None) -> str:
    """Write a measurement of any size: whole with its thousands apart from a thousand on, else three digits."""
    return count(value) if value is not None and abs(value) >= 1000 else significant(value)


def percent(value: float | None) -> str:
    """Write a percentage with three significant digits, and never round a part up to the whole."""
    if value is not None and 99.9 < value < 100:
        return "99.9"
    return significant(value)


def score(value: float | None) -> str:
    """Write a score with three decimals (one from 100 on)."""
    return MISSING if value is None else f"{value:.{3 if abs(value) < 100 else 1}f}"


def mean_sd(mean: float | None, sd: float | None) -> str:
    """Write ``0.912 ± 0.004``, or the mean alone where there is no spread to speak of."""
    return score(mean) if sd is None else f"{score(mean)} ± {score(sd)}"


def signed(value: float | None) -> str:
    """Write a difference of scores with its sign: ``+0.075``."""
    return MISSING if value is None else f"{value:+.{3 if abs(value) < 100 else 1}f}"


def p_value(value: float) -> str:
    """Write a p value: ``0.031``, ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def number_of(value: int, noun: str) -> str:
    """Write ``1 seed`` or ``3 seeds``."""
    return f"{value:,} {noun}" + ("" if value == 1 else "s")


def one_line(text: str, width: int = 300) -> str:
    """Put foreign text on one line, without control characters, cut to a readable length."""
    visible = "".join(letter if letter.isprintable() or letter in JOINERS else " " for letter in text)
    line = " ".join(visible.split())
    return line if len(line) <= width else line[: width - 3] + "..."


def visible(text: str, width: int | None = None) -> str:
    """Return foreign text of several lines without what a terminal would obey, cut to so many letters."""
    kept = "".join(letter for letter in text if letter.isprintable() or letter in JOINERS or letter in "\n\t")
    return kept if width is None or len(kept) <= width else kept[: width - 3] + "..."


def markdown(text: str, width: int = 300) -> str:
    """Escape foreign text for Markdown, inside and outside of a table: it stays the text that it is."""
    line = one_line(text, width).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|~#$!])", r"\\\1", line)
    # An underscore inside a word means nothing to Markdown, and names are full of them.
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
    # What would begin a list, a rule or a heading's underline.
    return re.sub(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=][-+=\s]))", r"\1\\", line)


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
}


def latex(text: str, width: int = 300) -> str:
    """Escape foreign text for LaTeX: no command, no comment and no column break comes of it."""
    return "".join(_LATEX.get(letter, letter) for letter in one_line(text, width))


def wrap(label: str, width: int) -> str:
    """Break a long label into lines, for a figure."""
    return "\n".join(textwrap.wrap(label, width)) or label
