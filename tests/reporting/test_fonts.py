"""Label words in any script: drawn where an installed font has them, else numbered and said."""

from __future__ import annotations

import re
import warnings

import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from report_records import cell, scored_there, study, target, write_report_of, write_results

from bench.core.labels import slug
from bench.core.registry import NAME
from bench.reporting.figures import figures, fonts
from bench.reporting.figures.fonts import BASE, Fonts, fonts_for
from bench.reporting.figures.numbering import numbered
from bench.reporting.folders import collect
from bench.reporting.grouping import group_cells
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


LABELS = ("情感分类", "模型", "低秩")


def in_chinese():
    """Two data sets that finals were trained and tested on, and one without a trouble."""
    dataset, model, method = LABELS
    shifted = cell(model, dataset, method, transfer=(target("电影"),))
    return group_cells(
        [
            *study(shifted, [0.7, 0.8, 0.75], items=40, transfer={"电影": scored_there(0.6)}),
            *study(cell(model, dataset, "lora"), [0.5, 0.6, 0.5], items=40),
            *study(cell(model, "trec6", "lora"), [0.5, 0.6, 0.5], items=40),
        ]
    )


def drawn_texts(canvas):
    return " ".join(" ".join(one.get_text().split()) for one in canvas.findobj(Text))


def test_labels_that_no_font_can_draw_are_numbered_in_the_figure_and_told_beside_it(monkeypatch):
    monkeypatch.setattr(fonts, "installed", list)
    cells = in_chinese()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (other, drawing) = figures.get("scale")().drawings("scale", cells)
        drawing.file("png"), drawing.file("svg")
    shown = drawn_texts(drawing.canvas)
    assert "data set 1: accuracy on test" in shown and "model 1" in shown and "method 1" in shown and "lora" in shown
    assert not set("".join(LABELS)) & set(shown)
    assert "Names are numbered, for no installed font has their letters" in shown and "fonts-noto-cjk" in shown
    assert drawing.names == {"model 1": "模型", "data set 1": "情感分类", "method 1": "低秩"}
    assert drawing.title == "情感分类: accuracy on test with 模型 (1M parameters)"
    assert other.names == {"model 1": "模型"}, "what is not in a figure is not told beside it"
    assert NAME.match(drawing.stem), "names of files are plain"


def test_the_note_stands_below_all_else_and_inside_the_picture(monkeypatch):
    monkeypatch.setattr(fonts, "installed", list)
    for name in ("scale", "transfer"):
        drawing = next(figures.get(name)().drawings(name, in_chinese()))
        (note,) = (one for one in drawing.canvas.texts if one.get_text().startswith("Names are numbered"))
        low, high = note.get_window_extent().y0, note.get_window_extent().y1
        assert drawing.box.y0 * drawing.canvas.dpi < low
        assert high <= min(axes.get_tightbbox().y0 for axes in drawing.canvas.axes)


def test_data_sets_that_are_only_tested_on_are_numbered_too(monkeypatch):
    monkeypatch.setattr(fonts, "installed", list)
    (drawing,) = figures.get("transfer")().drawings("transfer", in_chinese())
    assert "data set 1 → data set 2" in drawn_texts(drawing.canvas)
    assert drawing.names["data set 2"] == "电影"


def test_numbered_cells_have_the_verdicts_of_those_they_stand_for():
    cells = in_chinese()
    shown, _ = numbered(cells, set("".join(LABELS)))
    for ours, theirs in zip(cells, shown, strict=True):
        assert ours.group.verdicts.ranks.get(ours.key) == theirs.group.verdicts.ranks.get(theirs.key)
        assert [one in ours.group.best for one in ours.group.cells] == [
            one in theirs.group.best for one in theirs.group.cells
        ]


def test_labels_are_as_written_in_every_table_and_page_and_the_files_have_plain_names(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "installed", list)
    write_results(tmp_path / "results", [record for one in in_chinese() for record in one.runs])
    write_report_of(collect(tmp_path / "results"), tmp_path / "out")
    for file in ("report.md", "table.csv", "table.tex", "runs.csv", "index.html"):
        text = (tmp_path / "out" / file).read_text()
        assert all(label in text for label in LABELS), file
    said = "data set 1 is 情感分类"
    assert said in (tmp_path / "out/report.md").read_text() and said in (tmp_path / "out/index.html").read_text()
    pictures = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert pictures == {"scale-trec6.png", f"scale-{slug(LABELS[0])}.png"}
    assert all(f"({picture})" in (tmp_path / "out/report.md").read_text() for picture in pictures)
