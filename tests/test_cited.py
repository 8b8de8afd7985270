"""Numbers in prose are those of the committed records."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.image import imread

from benchmarks import cited


@pytest.mark.parametrize("name", cited.PAGES)
def test_every_number_that_a_page_cites_is_that_of_the_records(name):
    page = (cited.ROOT / name).read_text(encoding="utf-8")
    assert len(cited.CITED.findall(page)) >= 5
    assert cited.written(page) == page, "python -m benchmarks.cited"


def test_the_findings_are_two_pages():
    page = (cited.ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert len(re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL).split()) <= 1500


def test_a_number_written_by_hand_is_found_out():
    true = cited.written("<!-- cite: score quickstart/smollm2-135m/trec6/lora --><!-- end -->")
    assert cited.written(true.replace("0.", "0.9")) == true


def test_a_cell_that_was_not_run_is_said_to_be_so():
    page = "<!-- cite: score quickstart/smollm2-135m/trec6/vera --><!-- end -->"
    assert cited.NOT_RUN in cited.written(page)


def test_a_citation_of_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="guess"):
        cited.written("<!-- cite: guess quickstart/smollm2-135m/trec6/lora --><!-- end -->")


@pytest.mark.parametrize("name", cited.FIGURES)
def test_the_figures_of_the_pages_are_drawn_from_the_records(tmp_path, name):
    cited.draw_figure(name, tmp_path / "drawn.png")
    drawn, committed = imread(tmp_path / "drawn.png"), imread(cited.ROOT / "docs" / name)
    assert drawn.shape == committed.shape, "python -m benchmarks.cited"
    assert np.sum(np.abs(drawn - committed).max(axis=2) > 0.2) < 50, "python -m benchmarks.cited"
    shown = "".join((cited.ROOT / page).read_text(encoding="utf-8") for page in cited.PAGES)
    assert f"(docs/{name})" in shown or f"({name})" in shown
