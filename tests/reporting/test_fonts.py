"""Label words in any script: drawn where an installed font has them, else numbered and said."""

from __future__ import annotations

import re
import warnings

import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from report_records import cell, study

from bench.reporting.cells import group_cells
from bench.reporting.figures import figures, fonts
from bench.reporting.figures.fonts import BASE, Fonts, fonts_for
from bench.runs.record import Predictions

CIRCLED, CHINESE, HINDI = "\u29c0\u29c1", ("正面", "负面"), "अच्छा"
"""Letters of STIXGeneral, which comes with matplotlib as DejaVu Sans does, and lacks them; two scripts of neither."""


def test_the_letters_are_where_this_file_says():
    base, stix = (FT2Font(findfont(FontProperties(family=[name]))).get_charmap() for name in (BASE, "STIXGeneral"))
    for letter in CIRCLED:
        assert ord(letter) not in base and ord(letter) in stix


def confusion(*labels):
    predictions = Predictions(ids=list("abcd"), references=[0, 1, 0, 1], predictions=[0, 1, 1, 1], labels=list(labels))
    (drawing,) = figures.get("confusion")().drawings(
        "confusion", group_cells(study(cell(), [0.7], predictions=predictions))
    )
    return drawing


def words_of(drawing):
    """Tick labels of the matrix, and what stands below the figure."""
    note = drawing.canvas._supxlabel.get_text().replace("\n", " ") if drawing.canvas._supxlabel else ""
    return [label.get_text() for label in drawing.canvas.axes[0].get_yticklabels()], note


def glyphs_of(svg):
    """The fonts of the glyphs that an SVG draws, by its paths."""
    return set(re.findall(r'<path id="([A-Za-z]+)-', svg.decode()))


def test_letters_that_dejavu_lacks_are_drawn_by_a_font_that_has_them_in_png_and_svg():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Glyph 10688 missing from font(s) DejaVu Sans"
        drawing = confusion(*CIRCLED)
        png, svg = drawing.file("png"), drawing.file("svg")
    assert words_of(drawing) == (list(CIRCLED), "")
    (fallback,) = glyphs_of(svg) - {"DejaVuSans"}
    assert fallback_of(fallback), "the glyph is one of a font that has the letter"
    assert png != confusion("\u25a1", "\u25a1").file("png")


def fallback_of(name):
    (family, *_) = [one for one in fonts.installed() if one.replace(" ", "").startswith(re.sub("Regular$", "", name))]
    return all(letter in fonts._letters(family) for letter in CIRCLED)


def test_texts_that_dejavu_has_never_look_for_another_font(monkeypatch):
    monkeypatch.setattr(fonts, "installed", lambda: pytest.fail("figures are to be the same on every machine"))
    assert fonts_for(["lora", "überprüft ± ≈", "مرحبا", "שלום", "привет"]) == Fonts((BASE,), frozenset())


@pytest.mark.parametrize(
    ("labels", "package"),
    [
        (CHINESE, "fonts-noto-cjk"),
        ((HINDI, "b"), "fonts-noto-core"),
        ((*CHINESE, HINDI), "fonts-noto-cjk and fonts-noto-core"),
    ],
)
def test_without_such_a_font_labels_are_numbered_and_the_package_is_named(monkeypatch, labels, package):
    monkeypatch.setattr(fonts, "installed", list)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = confusion(*labels)
        drawing.file("png"), drawing.file("svg")
    shown, note = words_of(drawing)
    assert shown == [str(n) for n in range(1, len(labels) + 1)]
    assert "numbered in the order of the data set's label words" in note
    assert f"Install {package} (Debian, Ubuntu)" in note
    left, right = (axes.get_tightbbox() for axes in drawing.canvas.axes)
    assert 0 < (right.x0 - left.x1) / drawing.canvas.dpi < 0.6, "the halves stand beside each other (inches)"


def test_preferred_families_come_first_and_one_without_letters_of_its_own_never(monkeypatch):
    has = {BASE: "ab", "A": "x", "Noto Sans CJK SC": "xy", "Z": "z"}
    monkeypatch.setattr(fonts, "_letters", lambda name: frozenset(has[name]))
    monkeypatch.setattr(fonts, "installed", lambda: sorted((name for name in has if name != BASE), key=fonts._order))
    assert fonts_for(["abxz"]) == Fonts((BASE, "Noto Sans CJK SC", "Z"), frozenset())
    assert fonts_for(["ab?"]).missing == {"?"}
