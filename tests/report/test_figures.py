"""The figures show every curve, class and mitigation under its name, and the names do not overlap."""

import numpy as np
import pytest
from matplotlib.text import Annotation, Text

from umbrameter.report import figures
from umbrameter.statistics.estimates import NotMeasured
from umbrameter.statistics.metrics import roc_curve

PNG = b"\x89PNG\r\n\x1a\n"
LOST = NotMeasured(not_measured="there are no members")


@pytest.fixture(scope="module")
def curves():
    rng, member = np.random.default_rng(0), np.arange(1000) < 500
    scores = {
        "loss": rng.normal(size=1000) + 0.4 * member,
        "label_only": (rng.random(1000) < 0.8 + 0.19 * member) * 1.0,
    }
    return {name: roc_curve(score, member)[:2] for name, score in scores.items()}


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def named(axes):
    return [child for child in axes.get_children() if isinstance(child, Annotation)]


def test_roc_names_curves_diagonal_and_floor(curves):
    (axes,) = figures.roc(curves, 500, "who was there").axes
    assert legend_of(axes)[:3] == ["loss", "label_only", "guessing"]
    assert "1 in 500 non-members" in legend_of(axes)[3]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlim()[0] == pytest.approx(0.5 / 500)
    assert len(axes.lines) == 4


def test_roc_draws_the_given_rates(curves):
    fpr, tpr = curves["loss"]
    x, y = figures.roc(curves, 500, "").axes[0].lines[0].get_data()
    assert x.min() == pytest.approx(1 / 500)
    assert np.all(np.diff(x) >= 0)
    assert np.all(np.diff(y) >= -1e-12)
    drawn = set(zip(x.tolist(), y.tolist(), strict=True))
    assert {(a, b) for a, b in zip(fpr.tolist(), tpr.tolist(), strict=True) if a >= 1 / 500} <= drawn


def test_roc_between_points_is_the_straight_line(curves):
    fpr, tpr = curves["label_only"]
    x, y = figures.roc(curves, 500, "").axes[0].lines[1].get_data()
    inside = (x > 0.01) & (x < 0.5)
    assert inside.sum() > 20
    np.testing.assert_allclose(y[inside], x[inside] * tpr[1] / fpr[1])


@pytest.mark.parametrize("n_nonmembers", [1, 2, 100_000])
def test_roc_with_few_or_many_nonmembers(curves, n_nonmembers):
    assert figures.png(figures.roc(curves, n_nonmembers, "")).startswith(PNG)


@pytest.mark.parametrize("n_classes", [2, 30, 100])
def test_class_precision_shows_each_measured_class_in_rising_order(build_classes, n_classes):
    entries = build_classes(n_classes)
    figure = figures.class_precision({"loss": entries, "shokri(mlp)": build_classes(n_classes, seed=1)})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "shokri(mlp)"]
    heights = figure.axes[0].containers[0].lines[0].get_ydata()
    assert len(heights) == n_classes - 1
    assert np.all(np.diff(heights) >= 0)
    assert f"1 of {n_classes} not measured" in figure.axes[0].get_xlabel()
    assert legend_of(figure.axes[0])[:2] == ["guessing: 0.5", f"median: {np.median(heights):.3f}"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


@pytest.mark.parametrize(("n_classes", "n_names"), [(2, 1), (30, 29), (100, 0)])
def test_class_precision_names_classes_where_there_is_room(build_classes, n_classes, n_names):
    (axes,) = figures.class_precision({"loss": build_classes(n_classes)}).axes
    assert len(axes.get_xticklabels()) == n_names


def test_class_precision_where_nothing_was_measured(build_classes):
    entries = [entry.model_copy(update={"precision": LOST}) for entry in build_classes(3)]
    figure = figures.class_precision({"loss": entries})
    assert "not measured in any class" in [text.get_text() for text in figure.axes[0].texts]
    assert figures.png(figure).startswith(PNG)


def test_class_precision_without_series():
    assert figures.png(figures.class_precision({})).startswith(PNG)


def test_mitigations_names_every_point(report):
    (axes,) = figures.mitigations(report).axes
    assert len(axes.containers) == 5
    assert [text.get_text() for text in named(axes)] == [
        "none: 0.621",
        "rounding(1): 0.611",
        "top_k(1): 0.604",
        "label_only: 0.577",
        "params(min_samples_leaf=20): 0.506",
    ]


@pytest.mark.parametrize("n", [10, 24])
def test_mitigations_names_and_points_do_not_overlap(report, n):
    same = report.results[0].model_copy(update={"attack": "loss"})
    results = [
        same.model_copy(update={"mitigation": name}) for name in (None, *(f"rounding({i})" for i in range(n - 1)))
    ]
    figure = figures.mitigations(report.model_copy(update={"results": results}))
    figures.png(figure)
    (axes,) = figure.axes
    boxes = [Text.get_window_extent(text) for text in named(axes)]
    assert len(boxes) == n
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    dots = [container.lines[0] for container in axes.containers]
    places = [float(dot.get_transform().transform(dot.get_xydata())[0, 0]) for dot in dots]
    assert np.diff(places).min() > 10  # pixels
    assert max(box.y1 for box in boxes) < figure.bbox.y1
    assert min(box.y0 for box in boxes) > 0
    assert "side by side" in axes.get_xlabel()


def test_mitigations_leaves_out_what_was_not_measured(report):
    results = [
        r.model_copy(update={"metrics": r.metrics | {"auc": LOST}}) if r.mitigation == "label_only" else r
        for r in report.results
    ]
    (axes,) = figures.mitigations(report.model_copy(update={"results": results})).axes
    assert len(named(axes)) == 4


def test_mitigations_without_any_result_says_so(report):
    figure = figures.mitigations(report.model_copy(update={"results": []}))
    assert "not measured" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("gap", [0.05, 0.1])
def test_spread_keeps_order_and_distance(gap):
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 9):
        heights = rng.choice([0.2, 0.5, 0.97, 1.0], n) + 1e-9 * rng.random(n)
        spread = figures._spread(heights, gap)
        assert np.array_equal(np.argsort(spread), np.argsort(heights))
        assert n == 1 or np.diff(np.sort(spread)).min() >= gap - 1e-12
        assert spread.max() <= 1 + 1e-8


def test_png_is_the_same_each_time_and_undated(report):
    first, second = (figures.png(figures.mitigations(report)) for _ in range(2))
    assert first == second
    assert first.startswith(PNG)
    assert b"tEXt" not in first
    assert b"tIME" not in first


def test_names_are_not_read_as_formulas(curves, build_classes):
    hostile = r"$\frac{1$ <b>"
    roc = figures.roc({hostile: curves["loss"]}, 500, hostile)
    classes = [entry.model_copy(update={"label": hostile}) for entry in build_classes(3)]
    assert figures.png(roc).startswith(PNG)
    assert figures.png(figures.class_precision({hostile: classes})).startswith(PNG)
