"""Every figure: what it draws, what it says where it has nothing, and that its words do not overlap."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from report_records import MIB, cell, run, scored_there, study, target
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, confusion_matrix

from bench.core.config import Config
from bench.core.distributions import Float, Int
from bench.core.entries import Entry
from bench.core.errors import BadInput
from bench.experiment.settings import Study, Training
from bench.reporting.figures import Drawing, figures, in_order, sections
from bench.reporting.figures.canvas import figure_style, log_ticks, method_styles, render
from bench.reporting.figures.curves import thinned
from bench.reporting.figures.ensemble import vote_accuracy
from bench.reporting.grouping import group_cells
from bench.reporting.page.tables import statistics_tables
from bench.runs.objectives import undominated
from bench.runs.record import Parameters, PhaseMemory, Predictions, Retention, TrainStep

SEARCH = {"learning_rate": Float(low=1e-5, high=0.1, log=True), "num_virtual_tokens": Int(low=5, high=80)}
LONG = "a-very-long-label-of-a-method-with-everything-in-it-and-more"


def answers(seed, right=0.7, items=40):
    rng = np.random.default_rng(seed)
    references = np.arange(items) % 4
    predictions = np.where(rng.random(items) < right, references, rng.integers(4, size=items))
    return Predictions(
        ids=[str(n) for n in range(items)],
        references=references.tolist(),
        predictions=predictions.tolist(),
        labels=["abbreviation", "a rather long label", "$dollars$", "<b>"],
        confidences=np.round(rng.uniform(0.25, 1, items), 3).tolist(),
    )


def memory(base):
    return {
        phase: PhaseMemory(live_tensor_peak_bytes=base * 4, resident_peak_bytes=base * 4 + extra * MIB)
        for phase, extra in (("load", 300), ("train", 900), ("validate", 400), ("test", 500))
    }


def everything(models=3, methods=("lora", "prompt_tuning-text", "prompt_tuning-random", LONG)):
    """Cells in which every figure finds something."""
    records = [*study(cell(None, "trec6-16", "majority", stochastic=False), [0.2], predictions=answers(0))]
    curve = [TrainStep(step=n, loss=3 / n, learning_rate=0.01, grad_norm=n, tokens=9) for n in range(1, 11)]
    for m, (k, method), size in itertools.product(range(models), enumerate(methods), (16, 64)):
        objectives = Study(objectives=("score", "memory", "seconds")) if method == "lora" else Study()
        of = cell(f"model-{m}", method=method, options={"init": "text" if k % 2 else "random"}, study=objectives)
        of = of.model_copy(update={"search": SEARCH if k < 2 else {}})
        of = of.model_copy(update={"dataset": Entry(name="trec6", label=f"trec6-{size}", options={"train_size": size})})
        if size == 16:
            of = of.model_copy(update={"transfer": (target("trec6-64"), target("a-data-set-of-long-name", "mcc"))})
        base = 10 ** (6 + m)
        values = {"base": base, "train_curve": curve, "memory": memory(base)}
        score = 0.4 + 0.1 * m + 0.03 * k + size / 1000
        for n in range(5):
            params = {"learning_rate": 10 ** (-n - 1), "num_virtual_tokens": 5 * 2**n}
            status = ("ok", "ok", "pruned", "ok", "oom")[n]
            records.append(run(of, n, score=score - n / 50, params=params, status=status, **values))
        for n in range(5, 21 if k < 2 else 5):
            params = {"learning_rate": 10 ** -(1 + n % 4), "num_virtual_tokens": 5 + n}
            records.append(run(of, n, score=score - 0.1 - (n % 4) / 50, params=params, **values))
        params = {"learning_rate": 0.1, "num_virtual_tokens": 5}
        for n in range(3):
            moved = {one.dataset.label: scored_there(score - 0.1 + n / 50, one.objective) for one in of.transfer}
            final = run(
                of, n, "final", score + n / 100, params=params, predictions=answers(n), transfer=moved,
                retention=Retention(before=1.5, after=1.5 + k / 10 + n / 100, text="general", bytes=65536), **values,
            )  # fmt: skip
            records.append(final)
    for m, shots in itertools.product(range(models), (0, 4, 16)):
        records += few_shot(
            f"model-{m}", shots, [0.3 + 0.1 * m + shots / 100 + n / 100 for n in range(3)], 10 ** (6 + m)
        )
    for m, length in itertools.product(range(models), (1, 20, 150)):
        scores = [0.5 + 0.1 * m + length / 1000 + n / 100 for n in range(3)]
        records += prompted(f"model-{m}", f"length-{length}", length, scores, dataset="lengths", base=10 ** (6 + m))
    return group_cells(records)


def prompted(model, label, length, scores, init="random", dataset="trec6", base=10**6, **values):
    """Finals of a prompt of so many virtual tokens."""
    method = Entry(name="prompt_tuning", label=label, options={"init": init, "num_virtual_tokens": length})
    of = cell(model, dataset).model_copy(update={"method": method, **values})
    return [run(of, n, "final", score, params={}, base=base) for n, score in enumerate(scores)]


def few_shot(model, shots, scores, base=10**6):
    """Finals of a hard prompt with so many examples; zero is not spelled out."""
    method = Entry(name="hard_prompt", label=f"hard-{shots}-shot", options={"shots": shots} if shots else {})
    of = cell(model, "trec6-16", "hard_prompt").model_copy(update={"method": method})
    nothing = Parameters(total=base, trainable=0, with_gradient=0, adapter_bytes=None, base=base)
    return [run(of, n, "final", score, params={}, base=base, parameters=nothing) for n, score in enumerate(scores)]


def drawn(name, cells, style="paper"):
    """The first drawing of a figure that has data in these cells."""
    return next(one for one in figures.get(name)().drawings(name, cells, style) if isinstance(one, Drawing))


@pytest.fixture(scope="module")
def cells():
    return everything()


@pytest.mark.parametrize("style", ["paper", "slides"])
@pytest.mark.parametrize("name", [name for name in figures.names() if name != "scale"])
def test_no_text_overlaps_another_and_none_leaves_the_page(cells, name, style):
    drawing = drawn(name, cells, style)
    assert drawing.title
    with figure_style(style):
        drawing.canvas.draw_without_rendering()
        boxes = list(words_of(drawing.canvas))
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not (first.overlaps(second) and shared(first, second) > 1), f"{one!r} overlaps {other!r}"


def words_of(canvas):
    """Texts with their boxes; of slanted labels their anchors alone, for boxes of slanted text are empty at corners."""
    texts = [canvas._suptitle] if canvas._suptitle else []
    for axes in canvas.axes:
        if axes.axison:
            texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                # Ticks beyond the limits have labels that are not drawn.
                texts += [t.label1 for t in axis.get_major_ticks() if min(limits) <= t.get_loc() <= max(limits)]
    for text in texts:
        if text.get_text() and text.get_visible() and text.get_rotation() in (0, 90):
            yield text.get_text(), text.get_window_extent()
    for legend in canvas.legends:
        yield "legend", legend.get_window_extent()
        for axes in canvas.axes:
            if axes.axison:
                yield "panel", axes.get_window_extent().shrunk(0.98, 0.98)


def shared(one, other):
    """Pixels that two boxes share; texts that only touch are not said to overlap, nor panels with themselves."""
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(0.0, wide) * max(0.0, high)


@pytest.mark.parametrize("name", figures.names())
def test_a_figure_without_data_says_what_is_missing(name):
    found = list(figures.get(name)().drawings(name, group_cells([run(cell(), status="oom", params={})])))
    assert len(found) == 1
    assert isinstance(found[0], str)
    assert len(found[0]) > 10


@pytest.mark.parametrize("name", figures.names())
def test_drawn_twice_it_is_the_same_file(name):
    cells = everything(1, ("lora", "prompt_tuning-text"))
    one, two = (next(figures.get(name)().drawings(name, cells)) for _ in range(2))
    if isinstance(one, Drawing):
        assert one.file("svg") == two.file("svg") and one.file("png") == two.file("png")
        assert b"<svg" in one.file("svg") and b"dc:date" not in one.file("svg")
        assert not re.search(rb"20[2-9]\d-\d\d-\d\d", one.file("svg"))


@pytest.mark.parametrize("name", figures.names())
def test_a_file_shows_what_drawing_it_once_more_would_find_to_be_seen(name):
    one = next(figures.get(name)().drawings(name, everything(2, ("lora", "a-method-with-a-name-that-is-long"))))
    if isinstance(one, Drawing):
        sizes = [np.frombuffer(png[16:24], ">u4") for png in (one.file("png"), render(one.canvas, "png"))]
        assert np.abs(np.subtract(*map(np.int64, sizes))).max() <= 8  # pixels, of 200 an inch: text is hinted anew


def test_a_method_has_one_colour_in_all_figures(cells):
    styles = method_styles(one.method for one in cells)
    for name in ("expected_best", "curves", "ensemble", "few_shot", "learning_rate"):
        drawing = drawn(name, cells)
        handles = drawing.canvas.legends[0].legend_handles
        colours = {handle.get_label().replace("\n", ""): handle.get_color() for handle in handles}
        assert colours
        for method, colour in colours.items():
            assert styles[method].colour == colour


SEEN_BY = {
    "any reader": np.eye(3),
    "protanopes": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Linear RGB as others see it (Machado, Oliveira and Fernandes, 2009, table 1, severity 1)."""


def lab(colour, seen):
    """CIE L*a*b* (D65) of a colour, to which distances are about even: 2 is just seen, 20 at a glance."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(seen @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("reader", SEEN_BY)
def test_twelve_methods_are_told_apart_by(reader):
    styles = method_styles(f"m{n:02d}" for n in range(12)).values()
    for one, other in itertools.combinations(styles, 2):
        far = np.linalg.norm(lab(one.colour, SEEN_BY[reader]) - lab(other.colour, SEEN_BY[reader])) > 20
        assert far or (one.line != other.line and one.marker != other.marker), (one, other)


def test_shots_are_joined_over_cells_to_a_line_a_model_that_begins_at_zero():
    records = [*few_shot("a", 16, [0.7, 0.8]), *few_shot("a", 0, [0.5]), *few_shot("a", 4, [0.6, 0.6])]
    records += [*few_shot("b", 0, [0.4], 10**8), *study(cell("a", "trec6-16"), [0.9])]
    (drawing,) = figures.get("shots")().drawings("shots", group_cells(records))
    (panel,) = (axes for axes in drawing.canvas.axes if axes.axison)
    lines = [(bars[0].get_xdata(), bars[0].get_ydata()) for bars in panel.containers]
    assert [(list(x), pytest.approx(list(y))) for x, y in lines] == [([0, 4, 16], [0.5, 0.6, 0.75]), ([0], [0.4])]
    assert [text.get_text() for text in drawing.canvas.legends[0].texts] == ["a (1M)", "b (100M)"]


def lines_of(drawing):
    """Places and heights of the lines of each panel, by colour."""
    return {
        panel.get_title().split()[0]: {
            bars[0].get_color(): [*zip(*bars[0].get_data(), strict=True)] for bars in panel.containers
        }
        for panel in drawing.canvas.axes
        if panel.axison
    }


def test_methods_alike_but_for_the_length_of_their_prompt_are_one_line():
    records = [*prompted("a", "text-20", 20, [0.7, 0.8], "text"), *prompted("a", "text-1", 1, [0.5], "text")]
    records += [
        *prompted("a", "random-1", 1, [0.3]),
        *prompted("a", "random-5", 5, [0.4]),
        *prompted("b", "text-1", 1, [0.6], "text"),
    ]
    searched = {"num_virtual_tokens": Int(low=5, high=80)}
    records += [*prompted("a", "found", 9, [0.9], search=searched), *prompted("a", "labels", 7, [0.9], "labels")]
    (drawing,) = figures.get("prompt_length")().drawings("prompt_length", group_cells(records))
    styles = method_styles(["text", "random"])
    text, random = styles["text"].colour, styles["random"].colour
    assert lines_of(drawing) == {
        "a": {text: [(1, 0.5), (20, pytest.approx(0.75))], random: [(1, 0.3), (5, 0.4)]},
        "b": {text: [(1, 0.6)]},
    }
    assert [entry.get_text() for entry in drawing.canvas.legends[0].texts] == ["random", "text"]
    on_lines = [one for one in records if one.spec.cell.method.label not in ("found", "labels")]
    (reason,) = figures.get("initialisation")().drawings("initialisation", group_cells(on_lines))
    assert reason == "the methods differ in the length of their prompt too; prompt_length shows both"


def test_lengths_that_differ_between_models_or_with_the_training_are_no_line():
    records = [*prompted("a", "text", 20, [0.5], "text"), *prompted("b", "text", 50, [0.6], "text")]
    records += [*prompted("a", "random", 20, [0.4]), *prompted("b", "random", 50, [0.5])]
    lacking = "no two methods differ in the length of their prompt alone"
    assert list(figures.get("prompt_length")().drawings("prompt_length", group_cells(records))) == [lacking]
    assert drawn("initialisation", group_cells(records))
    longer = prompted("a", "long", 20, [0.7], training=Training(max_steps=400))
    unlike = group_cells([*prompted("a", "short", 5, [0.5]), *longer])
    assert list(figures.get("prompt_length")().drawings("prompt_length", unlike)) == [lacking]


def test_an_initialisation_of_one_length_is_still_shown_beside_one_of_several():
    records = [*prompted("a", "text-1", 1, [0.5], "text"), *prompted("a", "text-20", 20, [0.7], "text")]
    drawing = drawn("initialisation", group_cells([*records, *prompted("a", "random", 20, [0.6])]))
    assert len(drawing.canvas.legends[0].texts) == 3


@pytest.mark.parametrize(
    ("labels", "line"),
    [(("short", "text"), "short, text"), (("p-1", "p-2"), "p"), (("10", "100"), "10, 100"), (("p1", "p10"), "p")],
)
def test_a_line_of_lengths_is_named_by_what_its_labels_begin_with(labels, line):
    records = [one for n, label in enumerate(labels, 1) for one in prompted("a", label, n, [0.5])]
    drawing = drawn("prompt_length", group_cells(records))
    assert [entry.get_text() for entry in drawing.canvas.legends[0].texts] == [line]


def moved(model, method, scores, source="a", to="b", home=0.9, **values):
    """Finals that were trained on one data set and tested on another."""
    of = cell(model, source, method, transfer=(target(to),), **values)
    return [run(of, n, "final", home, params={}, transfer={to: scored_there(score)}) for n, score in enumerate(scores)]


def marks(panel):
    """What is drawn in a panel: the marker, whether it is hollow, and its place."""
    return [
        (line.get_marker(), line.get_markerfacecolor() == "white", round(float(line.get_xdata()[0]), 6))
        for line in panel.lines
        if line.get_marker() not in (None, "None", "") and len(line.get_xdata()) == 1
    ]


def test_a_method_that_was_transferred_stands_beside_itself_trained_where_it_is_tested():
    there = run(cell("m", "b", "lora"), 0, "final", 0.8, params={})
    (drawing,) = figures.get("transfer")().drawings("transfer", group_cells([*moved("m", "lora", [0.5, 0.7]), there]))
    (panel,) = (axes for axes in drawing.canvas.axes if axes.axison)
    shape = method_styles(["lora"])["lora"].marker
    assert {("|", False, 0.9), (shape, True, 0.8), (shape, False, 0.6)} <= set(marks(panel))
    assert panel.get_title().startswith("a → b\nm")
    assert drawing.title == "Transfer: accuracy on b of what was trained on a"


def test_a_point_of_retention_is_a_cell_at_its_mean_loss_and_mean_score():
    kept = [Retention(before=1.5, after=1.5 + loss, text="general") for loss in (0.25, 0.75)]
    of = cell()
    records = [run(of, n, "final", 0.6 + n / 5, params={}, retention=one) for n, one in enumerate(kept)]
    records += study(cell(method="full"), [0.9])
    (drawing,) = figures.get("retention")().drawings("retention", group_cells(records))
    (panel,) = (axes for axes in drawing.canvas.axes if axes.axison)
    (bars,) = panel.containers
    assert (bars[0].get_xdata(), bars[0].get_ydata()) == (pytest.approx([0.5]), pytest.approx([0.7]))
    assert bars[0].get_color() == method_styles(["full", "lora"])["lora"].colour


def test_methods_without_a_model_stand_in_every_panel_of_transfer_and_no_other_model_does():
    records = [*moved("m1", "lora", [0.5]), *moved("m2", "lora", [0.6]), *moved(None, "majority", [0.3])]
    (drawing,) = figures.get("transfer")().drawings("transfer", group_cells(records))
    first, second = (axes for axes in drawing.canvas.axes if axes.axison)
    assert {place for _, _, place in marks(first)} == {0.5, 0.3, 0.9}
    assert {place for _, _, place in marks(second)} == {0.6, 0.3, 0.9}


def test_of_many_models_the_largest_are_shown_and_the_title_says_so():
    records = [
        one.model_copy(update={"parameters": Parameters(total=9, trainable=1, base=10**6 + n)})
        for n in range(20)
        for one in moved(f"m{n:02}", "lora", [0.5])
    ]
    (drawing,) = figures.get("transfer")().drawings("transfer", group_cells(records))
    titles = [axes.get_title() for axes in drawing.canvas.axes if axes.axison]
    assert len(titles) == 18
    assert "m02" in titles[0] and "m19" in titles[-1]
    assert drawing.title.endswith("the 18 largest of 20 models")


def test_confusion_and_calibration_are_over_the_answers_of_all_seeds():
    of, kept = cell(), [answers(1), answers(2)]
    records = [run(of), *(run(of, n, "final", predictions=one) for n, one in enumerate(kept))]
    (drawing,) = figures.get("confusion")().drawings("confusion", group_cells(records))
    matrix, diagram, *_ = drawing.canvas.axes
    references, predictions = ([x for a in kept for x in getattr(a, n)] for n in ("references", "predictions"))
    shares = confusion_matrix(references, predictions, normalize="true")
    assert np.asarray(matrix.images[0].get_array()) == pytest.approx(100 * shares)
    claimed = [value for one in kept for value in one.confidences]
    shown = diagram.lines[1].get_xydata()  # behind the diagonal
    right, confident = calibration_curve(np.equal(references, predictions), claimed, n_bins=10)
    assert shown == pytest.approx(np.transpose([confident, right]))


def test_a_vote_of_one_is_the_mean_accuracy_and_a_vote_of_three_is_the_majority():
    voters = [answers(n) for n in range(3)]
    single = np.mean([accuracy_score(one.references, one.predictions) for one in voters])
    assert vote_accuracy(voters, 1) == pytest.approx(single)
    sure = [one.model_copy(update={"confidences": None}) for one in voters]
    votes = np.array([one.predictions for one in sure])
    # Where two of three agree, they win; otherwise the first voter does.
    majority = [b if b == c and a != b else a for a, b, c in votes.T]
    assert vote_accuracy(sure, 3) == pytest.approx(accuracy_score(voters[0].references, majority))


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=20))
def test_no_point_of_the_front_is_beaten_and_every_other_is(points):
    front = {points[place] for place in undominated([(cost, -score) for cost, score in points])}
    for cost, score in points:
        beaten = any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
        assert ((cost, score) in front) == (not beaten)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=500))
def test_a_thinned_curve_keeps_its_end_and_its_range(values):
    curve = list(enumerate(values, 1))
    thin = thinned(curve, 20)
    assert len(thin) <= 20
    assert thin[-1][0] == len(values)
    assert min(values) - 1e-9 <= min(v for _, v in thin) and max(v for _, v in thin) <= max(values) + 1e-9


def test_trials_of_all_kinds_are_on_the_learning_rate_figure(cells):
    of = sections(cells)["trec6-16"]
    with figure_style():
        canvas = figures.get("learning_rate")().draw(of, method_styles(one.method for one in cells))
    points = sum(len(line.get_xdata()) for axes in canvas.axes for line in axes.lines)
    assert points == sum(len(one.trials) for one in of)


def test_costs_of_nothing_are_not_put_on_a_log_axis():
    free = Parameters(total=10, trainable=0, base=10)
    records = [*study(cell(method="zero"), [0.5], parameters=free), *study(cell(method="lora"), [0.6])]
    drawing = next(figures.get("cost")().drawings("cost", group_cells(records)))
    low, high = drawing.canvas.axes[0].get_xlim()
    assert 0 < low < 8192 < high and math.isfinite(high)


def test_a_figure_is_a_plug_in_like_a_method():
    @figures.register("of-a-test")
    class OfATest(figures.get("ranks")):
        """A figure of a test."""

        extra: int = 1

    try:
        assert issubclass(figures.get("of-a-test"), Config)
        assert in_order()[-1] == "of-a-test"
        with pytest.raises(BadInput, match="did you mean 'extra'"):
            figures.build("of-a-test", {"extr": 2}, "x")
    finally:
        del figures._targets["of-a-test"]


def test_the_front_of_a_study_with_several_objectives_is_drawn_and_in_a_table():
    of = cell(study=Study(objectives=("score", "seconds")))
    pairs = [(0.5, 1.0), (0.7, 2.0), (0.6, 3.0), (0.9, 9.0)]
    cells = group_cells([run(of, n, score=score, seconds={"train": cost}) for n, (score, cost) in enumerate(pairs)])
    (drawing,) = figures.get("trade_off")().drawings("trade_off", cells)
    (panel,) = (axes for axes in drawing.canvas.axes if axes.axison)
    large = {(float(line.get_ydata()[0]), float(line.get_xdata()[0])) for line in panel.lines if line.get_alpha() == 1}
    assert large == {(0.5, 1.0), (0.7, 2.0), (0.9, 9.0)}
    (table,) = (table for table in statistics_tables(cells) if table.title == "Pareto front: score, seconds")
    assert [row[1:4] for row in table.rows] == [("3", "0.9", "9"), ("1", "0.7", "2"), ("0", "0.5", "1")]
    (reason,) = figures.get("trade_off")().drawings("trade_off", group_cells(study(cell(), [0.5])))
    assert reason.startswith("no study has the score and another objective")


def test_entries_of_different_templates_are_no_line_of_one_data_set():
    def of(size, template):
        options = {"train_size": size, "template": template}
        entry = Entry(name="trec6", label=f"trec6-{template}-{size}", options=options)
        return cell().model_copy(update={"dataset": entry})

    records = [*study(of(16, "a"), [0.5]), *study(of(64, "a"), [0.6]), *study(of(16, "b"), [0.7])]
    found = list(figures.get("few_shot")().drawings("few_shot", group_cells(records)))
    drawing, reason = found
    assert [list(bars[0].get_xdata()) for bars in drawing.canvas.axes[0].containers] == [[16, 64]]
    assert "trec6-a-16, trec6-a-64" in drawing.title
    assert reason.endswith("no data set was used with two sizes of its training split")


@pytest.mark.parametrize(("models", "panels"), [(["small", "large"], 2), ([], 1)])
def test_methods_without_a_model_stand_beside_each_model_that_learned_from_few_examples(models, panels):
    def of(model, method, size):
        entry = Entry(name="trec6", label=f"trec6-{size}", options={"train_size": size})
        return cell(model, method=method).model_copy(update={"dataset": entry})

    records = []
    for place, size in enumerate((1024, 64)):
        records += study(of(None, "tfidf_logistic", size), [0.6 - 0.2 * place])
        for model in models:
            records += study(of(model, "lora", size), [0.7 - 0.3 * place])
    drawing = drawn("few_shot", group_cells(records))
    shown = [axes for axes in drawing.canvas.axes if axes.axison]
    assert [len(axes.containers) for axes in shown] == [2 if models else 1] * panels
    assert len({axes.get_ylim() for axes in shown}) == 1
    assert drawing.title.startswith("trec6-64, trec6-1024:")


@given(st.floats(1e-6, 1e12), st.floats(1.001, 1e9), st.sampled_from([4, 6]))
@example(0.451, 1.001, 4)
def test_a_logarithmic_axis_has_two_to_so_many_ticks_in_its_range(low, factor, most):
    ticks = log_ticks(low, low * factor, most)
    assert 2 <= len(ticks) <= most
    assert all(low <= tick <= low * factor for tick in ticks)
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize("share", [1.0, 1.002, 1.02, 1.3, 2.0, 40.0])
def test_tick_labels_of_costs_do_not_touch(share):
    records = []
    for n, method in enumerate(("lora", "full", "ia3")):
        memory = {"train": PhaseMemory(live_tensor_peak_bytes=int(2**30 * 0.0153 * share**n))}
        records += study(cell(method=method), [0.5 + n / 10], memory=memory, seconds={"train": 837.4 * share**n})
    canvas = drawn("cost", group_cells(records)).canvas
    canvas.draw_without_rendering()
    for axes in (axes for axes in canvas.axes if axes.axison):
        inside = [tick for tick in axes.xaxis.get_major_ticks() if tick.label1.get_text()]
        boxes = sorted((tick.label1.get_window_extent() for tick in inside), key=lambda box: box.x0)
        assert len(boxes) >= 2
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_the_halves_of_the_confusion_figure_stand_beside_each_other(cells):
    canvas = drawn("confusion", cells).canvas
    canvas.draw_without_rendering()
    left, right = (axes.get_tightbbox() for axes in canvas.axes[:2])
    assert 0 < (right.x0 - left.x1) / canvas.dpi < 0.6, "inches"
