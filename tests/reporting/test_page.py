"""The page: what stands in it, and what it does in a real browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from browser import opened
from markupsafe import escape
from report_records import cell, page_of, run, study, write_report_of, write_results

from bench.reporting.folders import collect
from bench.reporting.grouping import group_cells
from bench.reporting.page import runs as page_runs
from bench.runs.record import Answers, Provenance, Text, TrainStep

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""


def records():
    """Two models, two methods with three seeds, a failure, and text that wants to be markup."""
    curve = [TrainStep(step=n, loss=2 - n / 10, learning_rate=0.01, grad_norm=1.0, tokens=9) for n in range(1, 11)]
    found = []
    for model, base in (("small", 1_000_000), ("big", 100_000_000)):
        for method, scores in (("lora", [0.5, 0.52, 0.51]), ("prompt", [0.7, 0.9, 0.8])):
            done = study(cell(model, method=method), scores, base=base, train_curve=curve, items=100)
            found += [one.model_copy(update={"predictions": hostile(one.predictions)}) for one in done]
    found.append(run(cell("big", method="lora"), 1, status="oom", reason=HOSTILE))
    return found


def hostile(answers):
    """The same answers under a label that wants to be markup."""
    if answers is None:
        return None
    return answers.model_copy(update={"labels": [HOSTILE, "plain"], "confidences": [0.75] * len(answers.ids)})


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    root = write_results(folder / "r", records(), experiment={"name": "demo", "description": HOSTILE})
    path = folder / "index.html"
    path.write_text(page_of(collect(root)), encoding="utf-8")
    return path


class Tags(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_is_one_file_that_asks_for_nothing(page):
    html = page.read_text()
    tags = Tags(html).tags
    asked = [
        value
        for _, attributes in tags
        for name, value in attributes.items()
        if name in ("src", "href") and value and not value.startswith(("data:", "#"))
    ]
    assert not asked
    assert "@import" not in html and "url(" not in html
    assert [tag for tag, _ in tags].count("script") == 1


def test_text_of_records_stays_text(page):
    parsed = Tags(page.read_text())
    assert HOSTILE in parsed.text
    assert not [tag for tag in parsed.tags if any(name.startswith("on") for name in tag[1])]
    assert all(attributes["src"].startswith("data:image/svg+xml") for tag, attributes in parsed.tags if tag == "img")


def test_the_page_says_what_was_found_in_words(page):
    text = " ".join(Tags(page.read_text()).text.split())
    for part in (
        "prompt with 0.800 ± 0.100 (3 seeds) is best, followed by lora with 0.510 ± 0.010",
        "is beyond chance over seeds and test items.",
        "trec6: with 3 seeds and 100 test items, half of the gaps in accuracy between two methods of a model are known",
        "Wins / ties / losses",
        "Probability of improvement",
        "with fewer the test cannot reach p < 0.05",
        "big / trec6 / lora, trial 1: oom.",
        "bench run experiments/demo.yaml",
        "torch 2.13.0",
        "item-0",
    ):
        assert part in text, part


def test_every_run_is_there_with_its_curve(page):
    html = page.read_text()
    rows = html.split('id="every-run"')[1].split("</table>")[0]
    assert rows.count("<tr>") == 1 + len(records())
    assert rows.count('<polyline class="loss"') == len(records()) - 1, "all but the one that ran out of memory"


def test_too_many_runs_leave_those_that_count(monkeypatch):
    monkeypatch.setattr(page_runs, "MOST_RUNS", 4)
    lora = cell()
    trials = [run(lora, n, score=0.1, params={"rank": n}) for n in range(1, 20)]
    rows, left = page_runs.run_rows(group_cells([*trials, *study(lora, [0.5, 0.6, 0.7])]))
    assert left == 19
    kept = [(row["record"].spec.kind, row["record"].spec.number) for row in rows]
    assert kept == [("trial", 0), ("final", 0), ("final", 1), ("final", 2)]


def test_records_of_unlike_code_are_flagged_at_the_top(tmp_path):
    commits = {"a": "a" * 40, "b": "a" * 12 + "+changes"}
    one, other = (
        write_results(tmp_path / name, study(cell(method=name), [0.5, 0.6], provenance=Provenance(git_commit=commit)))
        for name, commit in commits.items()
    )
    text = " ".join(Tags(page_of(collect([one, other]))).text.split())
    flag = "Read with care Not alike in all runs: git commit of the code (aaaaaaaaaaaa+changes, aaaaaaaaaaaa)."
    assert flag in text


def test_a_click_sorts_by_number_and_back_with_what_is_missing_at_the_end(page):
    with opened(page) as tab:
        score = tab.get_by_role("button", name="accuracy (test)")
        score.click()
        assert column(tab, "cells", "accuracy (test)") == ["0.510 ± 0.010"] * 2 + ["0.800 ± 0.100"] * 2
        score.click()
        assert column(tab, "cells", "accuracy (test)")[0] == "0.800 ± 0.100"
        test = tab.locator("#every-run").get_by_role("button", name="test", exact=True)
        for order in (min, max):
            test.click()
            values = column(tab, "every-run", "test")
            numbers = [float(value) for value in values if value != "-"]
            assert numbers[0] == order(numbers)
            assert set(values[len(numbers) :]) == {"-"}


def column(tab, table, heading):
    return tab.evaluate(
        """([table, heading]) => {
            const body = document.getElementById(table);
            const place = [...body.tHead.rows[0].cells].findIndex((cell) => cell.textContent.trim() === heading);
            return [...body.tBodies[0].rows].map((row) => row.cells[place].textContent.trim());
        }""",
        [table, heading],
    )


def test_a_number_says_in_plain_words_what_it_is(page):
    with opened(page) as tab:
        cell = tab.locator("#cells tbody tr").first.locator("td.number").nth(1)
        shown = cell.inner_text()
        cell.hover()
        title = cell.get_attribute("title")
        assert title.startswith(f"small, lora: accuracy (test) {shown}. Mean on test over the finals")
        interval = tab.locator("#summary abbr", has_text="95 % interval").first
        assert "95 times in 100" in interval.get_attribute("title")
        assert tab.locator("#summary dd", has_text="95 times in 100").count() == 1, "for who has no mouse"


def test_figures_stand_two_abreast_below_that_of_scale_and_the_contents_stay_in_sight(page):
    with opened(page) as tab:
        boxes = [figure.bounding_box() for figure in tab.locator("figure").all()]
        scale, first, second = boxes[:3]
        assert scale["width"] > 0.9 * 1280
        assert scale["y"] < tab.locator("#cautions, #summary").first.bounding_box()["y"] < first["y"]
        assert first["y"] == second["y"] and first["width"] > 0.45 * 1280
        assert second["x"] >= first["x"] + first["width"]
        box = tab.locator("figure").nth(1).get_by_label("full width")
        box.check()
        assert tab.locator("figure").nth(1).bounding_box()["width"] > 0.9 * 1280
        tab.evaluate("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
        contents = tab.get_by_role("navigation", name="Contents").bounding_box()
        assert 0 <= contents["y"] < 10


def test_every_figure_has_a_text_in_its_place_and_that_of_scale_has_the_numbers(page):
    alts = [attributes["alt"] for tag, attributes in Tags(page.read_text()).tags if tag == "img"]
    assert all(alts) and len(set(alts)) == len(alts)
    assert alts[0].endswith("small: lora 0.510, prompt 0.800; big: lora 0.510, prompt 0.800.")


def test_every_data_set_has_its_figure_of_scale(tmp_path):
    found = [one for n in range(5) for one in study(cell(dataset=f"data{n}"), [0.5, 0.6, 0.7])]
    report = write_report_of(collect(write_results(tmp_path / "results", found)), tmp_path / "report")
    page = (report.parent / "index.html").read_text(encoding="utf-8")
    for n in range(5):
        assert re.search(rf"<img[^>]*alt=\"[^\"]*data{n}: accuracy on test", page)
    assert "'bench plot scale' draws all" not in page


def test_on_paper_tables_and_figures_stay_inside_of_the_sheet(page):
    with opened(page, 1032, 700) as tab:  # A4, across, less its margins, at 96 dots an inch
        tab.emulate_media(media="print")
        assert tab.evaluate("document.documentElement.scrollWidth") == 1032
        assert not tab.get_by_role("navigation").is_visible()
        assert tab.evaluate("Math.max(...[...document.images].map((image) => image.clientHeight))") < 700


def test_the_filter_shows_the_rows_that_hold_all_words(page):
    with opened(page) as tab:
        box = tab.locator('input[data-filter="cells"]')
        box.fill("BIG prompt")
        assert tab.locator("#cells tbody tr:visible").count() == 1
        assert tab.locator('[data-count="cells"]').inner_text() == "1 of 4 rows"
        box.fill("<script>")
        assert tab.locator("#cells tbody tr:visible").count() == 0
        box.fill("")
        assert tab.locator("#cells tbody tr:visible").count() == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_tables_not_the_page(page, scheme):
    with opened(page, 390, 844, scheme) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        size = tab.evaluate("getComputedStyle(document.querySelector('li')).fontSize")
        assert float(size.removesuffix("px")) >= 15
        front, back = (tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
        assert contrast(front, back) > 7
        loaded = tab.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        assert loaded


def contrast(one, other):
    """The contrast of two colours by the rule of WCAG 2.2, section 1.4.3."""

    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_written_answers_of_two_methods_stand_side_by_side_as_the_text_they_are(tmp_path):
    found = []
    for method, nll, said in (("lora", 0.5, f"{HOSTILE}\nאב"), ("prompt", 0.9, "two\x1b[31m\x00lines")):
        for one in study(cell("small", method=method), [nll] * 3, base=1_000_000, items=30):
            texts = [Text(question=f"q{i}", references=["a", "b"], answer=said) for i in range(2)]
            kept = Answers(ids=["1", "2"], hashes=["0" * 16] * 2, texts=texts)
            found.append(one.model_copy(update={"answers": kept, "predictions": None}))
    html = page_of(collect(write_results(tmp_path / "r", found)))
    tags = Tags(html)
    cells = re.findall(r'<td dir="auto">(.*?)</td>', html, re.DOTALL)
    assert cells[:4] == ["q0", "a | b", "two[31mlines", str(escape(f"{HOSTILE}\nאב"))]
    assert "onerror" not in {name for _, given in tags.tags for name in given}
