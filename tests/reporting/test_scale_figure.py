"""The figure: score against size of the base model."""

from __future__ import annotations

import itertools
import math

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_records import cell, run, study

from bench.reporting.figures.axis_labels import spread
from bench.reporting.figures.canvas import figure_style, method_styles, render
from bench.reporting.figures.scale import Scale
from bench.reporting.grouping import group_cells

LADDER = [
    ("glasslm-0.9m", 944_000),
    ("smollm2-135m", 134_515_008),
    ("gemma3-270m", 268_098_176),
    ("qwen2.5-coder-0.5b", 494_032_768),
    ("bloomz-560m", 559_214_592),
]


def ladder(models=LADDER, methods=("lora", "prompt_tuning")):
    records = study(cell(None, method="majority", stochastic=False), [0.2])
    for (place, (model, size)), (rank, method) in itertools.product(enumerate(models), enumerate(methods)):
        score = 0.3 + 0.1 * place + 0.05 * rank
        records += study(cell(model, method=method), [score - 0.01, score, score + 0.03], base=size)
    return group_cells(records)


def draw(cells):
    with figure_style():
        return Scale().draw(cells, method_styles(c.method for c in cells))


def two_ladders():
    """Decoders and encoders of about the same sizes; one model's first record does not say what it is."""
    networks = dict(zip([model for model, _ in LADDER], itertools.cycle(["causal", "encoder"]), strict=False))
    records = [run for one in ladder() for run in one.runs]
    named = [
        run.model_copy(update={"notes": {**run.notes, "network": networks[run.spec.cell.labels[0]]}})
        if run.spec.cell.model and run.spec.kind == "final"
        else run
        for run in records
    ]
    return group_cells(named)


def test_decoders_and_encoders_are_ladders_of_their_own_with_one_score_axis_and_one_legend():
    figure = draw(two_ladders())
    decoders, encoders = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["decoders", "encoders with a head"]
    assert [len(c[0].get_xdata()) for axes in figure.axes for c in axes.containers] == [3, 3, 2, 2]
    assert decoders.get_ylim() == encoders.get_ylim()
    assert [text.get_text() for text in encoders.get_legend().get_texts()].count("lora") == 1
    assert decoders.get_legend() is None
    for axes in figure.axes:
        assert any(line.get_linestyle() == ":" for line in axes.lines), "the majority class stands in both panels"


def lines_of(figure):
    """Means and half lengths of the bars, by method."""
    found = {}
    for container in figure.axes[0].containers:
        data, _, bars = container
        halves = [(segment[1][1] - segment[0][1]) / 2 for segment in bars[0].get_segments()]
        found[container.get_label()] = (list(data.get_ydata()), halves)
    return found


def test_lines_and_bars_are_the_means_and_sds_of_the_table():
    cells = ladder()
    drawn = lines_of(draw(cells))
    for method in ("lora", "prompt_tuning"):
        of_method = [c for c in cells if c.method == method]
        assert drawn[method][0] == pytest.approx([c.mean for c in of_method])
        assert drawn[method][1] == pytest.approx([c.sd for c in of_method])


def test_methods_stand_nearer_to_their_own_size_than_to_the_next():
    figure = draw(ladder(methods=[f"m{n}" for n in range(9)]))
    sizes = [size for _, size in LADDER]
    for container in figure.axes[0].containers:
        for x, own in zip(container[0].get_xdata(), sizes, strict=True):
            assert min(sizes, key=lambda size: abs(math.log(size / x))) == own


def test_a_method_without_a_model_is_a_dotted_line_across():
    (dotted,) = [line for line in draw(ladder()).axes[0].lines if line.get_linestyle() == ":"]
    assert dotted.get_label() == "majority (no model)"
    assert set(dotted.get_ydata()) == {0.2}
    assert list(dotted.get_transform().transform([(0, 0.2), (1, 0.2)])[:, 0]) == pytest.approx(
        draw(ladder()).axes[0].get_window_extent().intervalx
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_text_overlaps_another(count):
    figure = draw(ladder(LADDER[:count], ["lora", "a-very-long-label-of-a-method-with-everything-in-it-and-more"]))
    figure.canvas.draw()
    axes = figure.axes[0]
    upright = [t for t in [*axes.texts, axes.title, axes.xaxis.label] if t.get_text() and not t.get_rotation()]
    boxes = [text.get_window_extent() for text in [*upright, axes.get_legend()]]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    assert axes.get_legend().get_window_extent().x0 > axes.bbox.x1, "the legend covers no data"
    assert len(axes.texts) == count


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).map(sorted), st.floats(0.001, 0.2))
def test_spread_keeps_the_order_the_gap_and_the_mean(places, gap):
    moved = spread(places, gap)
    assert len(moved) == len(places)
    assert all(right - left >= gap - 1e-9 for left, right in itertools.pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places))
    if all(right - left >= gap for left, right in itertools.pairwise(places)):
        assert moved == pytest.approx(places)


def test_the_title_says_what_is_seen():
    assert Scale().title(ladder()) == "trec6: accuracy on test against model size"
    assert Scale().title(ladder(LADDER[1:2])) == "trec6: accuracy on test with smollm2-135m (135M parameters)"
    only_trials = group_cells([run(cell(model), score=0.5, base=size) for model, size in LADDER])
    assert Scale().title(only_trials) == "trec6: accuracy on validation against model size"
    assert "validation" in draw(only_trials).axes[0].get_ylabel()


def test_the_look_of_a_method_depends_on_the_set_of_methods_alone():
    names = ["lora", "full", "prompt_tuning", "zero_shot"]
    styles = method_styles(names)
    assert method_styles(reversed(names * 2)) == styles
    more = method_styles([*names, "zz-new"])
    assert {name: more[name] for name in names} == styles, "a method that is sorted last changes no other"
    assert len(set(method_styles(f"m{n:02d}" for n in range(56)).values())) == 56


def test_the_png_is_a_picture_at_200_dots_an_inch():
    png = render(draw(ladder()), "png")
    assert png.startswith(b"\x89PNG")
    at = png.index(b"pHYs") + 4
    assert int.from_bytes(png[at : at + 4]) == round(200 / 0.0254)


def test_drawing_leaves_the_settings_of_matplotlib_and_pyplot_alone():
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams), plt.get_fignums()
    render(draw(ladder()), "svg")
    assert (dict(matplotlib.rcParams), plt.get_fignums()) == before
