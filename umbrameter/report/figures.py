"""The figures of a report, made with matplotlib's object interface: no pyplot, no global state, equal bytes every time.

Belongs here: one function per figure, from results to a `Figure`. Does not belong here: where figures go, such as HTML.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle, islice
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from umbrameter.report.model import Report
from umbrameter.report.recommendation import Leak, leaks, remaining_utility
from umbrameter.report.text import percent
from umbrameter.statistics.estimates import Interval
from umbrameter.statistics.metrics import ClassMetrics
from umbrameter.typing import Floats

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""

DASHES = ("-", "--", "-.", ":")

MOST_NAMED_CLASSES = 40
"""Up to this many classes are named on the axis."""

GREY = "0.45"
"""Colour of everything that is not a result: axes, guessing, floors."""


def roc(curves: Mapping[str, tuple[Floats, Floats]], n_nonmembers: int, title: str) -> Figure:
    """Draw ROC curves with logarithmic axes, which show the small false-positive rates that matter for privacy.

    Parameters
    ----------
    curves
        False- and true-positive rates by the curve's name, from (0, 0) to (1, 1), as `metrics.roc_curve` returns them.
        Rates between two points are reached by choosing between two thresholds at random.
    n_nonmembers
        The number of audited non-members; false-positive rates below 1 / n_nonmembers cannot be measured.
    title
        The title above the figure.

    References
    ----------
    Carlini et al. (2022), "Membership inference attacks from first principles", arXiv 2112.03570.
    """
    figure, axes = _one_panel(title, size=(6.4, 5.6))
    floor = 1 / max(n_nonmembers, 2)
    # A logarithmic axis has no 0, so it ends a little below the floor.
    low = floor / 2
    for (name, (fpr, tpr)), colour, dash in zip(curves.items(), cycle(COLOURS), cycle(DASHES)):
        axes.plot(*_dense(fpr, tpr, floor, low), color=colour, linestyle=dash, linewidth=1.8, label=name)
    axes.plot([low, 1], [low, 1], color=GREY, linewidth=1, linestyle=(0, (1, 2)), label="guessing")
    axes.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1.15))
    axes.set_xlabel("false-positive rate: share of non-members called members")
    axes.set_ylabel("true-positive rate: share of members found")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda rate, _: percent(rate))
    axes.axvspan(low, floor, color="0.92", zorder=0)
    text = f"floor: 1 in {n_nonmembers:,} non-members;\nnothing to the left can be measured"
    axes.axvline(floor, color=GREY, linewidth=1, zorder=1, label=text)
    legend(axes, loc="lower right")
    return figure


def _dense(fpr: Floats, tpr: Floats, floor: float, low: float) -> tuple[Floats, Floats]:
    """Return a curve's points from the floor on, and many between, since straight lines bend on log axes."""
    grid = np.geomspace(floor, 1, 300)
    x, y = np.append(fpr, grid), np.append(tpr, np.interp(grid, fpr, tpr))
    # By rate and then by height, or the line would go back where it rises straight up.
    order = np.lexsort((y, x))
    order = order[x[order] >= floor]
    return x[order], np.maximum(y[order], low)


def class_precision(by_class_of: Mapping[str, Sequence[ClassMetrics]]) -> Figure:
    """Draw each class's attack precision with its interval: one panel per series, classes in rising order.

    Parameters
    ----------
    by_class_of
        The classes' figures by the series' name. Classes that were not measured are counted below the panel and not
        drawn.

    References
    ----------
    Shokri et al. (2017), "Membership inference attacks against machine learning models", arXiv 1610.05820, figure 8.
    """
    n_classes = max((len(entries) for entries in by_class_of.values()), default=0)
    width = min(max(6.5, 2.4 + 0.2 * n_classes), 11.0)
    figure = Figure(figsize=(width, 0.4 + 3.2 * max(len(by_class_of), 1)), dpi=120, layout="constrained")
    panels = figure.subplots(max(len(by_class_of), 1), 1, squeeze=False, sharey=True)[:, 0]
    for axes, (name, entries), colour in zip(panels, by_class_of.items(), cycle(COLOURS)):
        _class_panel(axes, name, entries, colour)
    # The panels share this axis.
    lows = [x.low for entries in by_class_of.values() for x, _ in _measured(entries)]
    panels[0].set_ylim(max(min([0.4, *(low - 0.03 for low in lows)]), -0.03), 1.03)
    return figure


def _measured(entries: Sequence[ClassMetrics]) -> list[tuple[Interval, str]]:
    """Return the precision and name of each class with a precision, in rising order."""
    pairs = [(entry.precision, entry.label) for entry in entries if isinstance(entry.precision, Interval)]
    return sorted(pairs, key=lambda pair: pair[0].value)


def _class_panel(axes: Axes, name: str, entries: Sequence[ClassMetrics], colour: str) -> None:
    measured = _measured(entries)
    missing = len(entries) - len(measured)
    axes.set_title(short(name, 40), fontsize=10, loc="left", parse_math=False)
    axes.set_ylabel("attack precision (0 to 1)")
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=(0, (1, 2)), label="guessing: 0.5")
    if measured:
        _class_dots(axes, [interval for interval, _ in measured], colour)
        _name_classes(axes, [label for _, label in measured])
    else:
        axes.text(0.5, 0.75, "not measured in any class", transform=axes.transAxes, ha="center")
        axes.set_xticks([])
    note = f" ({missing} of {len(entries)} not measured)" if missing else ""
    axes.set_xlabel(f"{len(measured)} classes in rising order of precision{note}")
    tidy(axes)
    legend(axes, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)


def _class_dots(axes: Axes, intervals: Sequence[Interval], colour: str) -> None:
    values = np.array([interval.value for interval in intervals])
    size = 5.0 if len(values) <= MOST_NAMED_CLASSES else 3.0
    style: dict[str, Any] = {"fmt": "o", "color": colour, "markersize": size, "elinewidth": 1.0, "capsize": size / 2.5}
    axes.errorbar(np.arange(len(values)), values, yerr=_arms(intervals), **style)
    median = float(np.median(values))
    axes.axhline(median, color=colour, linewidth=1, label=f"median: {median:.3f}")
    axes.set_xlim(-0.7, len(values) - 0.3)


def _name_classes(axes: Axes, labels: Sequence[str]) -> None:
    if len(labels) > MOST_NAMED_CLASSES:
        axes.set_xticks([])
        return
    upright = len(labels) <= 12 and max(map(len, labels)) * len(labels) < 60
    turn: dict[str, Any] = {} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(labels)), [short(label) for label in labels], fontsize=8, parse_math=False, **turn)


def mitigations(report: Report) -> Figure:
    """Draw how much each mitigation lets leak against the accuracy that it keeps.

    The vertical axis is the AUC of the strongest attack, adaptive or static, with its interval; the horizontal axis is
    the target's test accuracy. Down and to the right is better. Rings mark the Pareto front: mitigations that no other
    beats in both. Mitigations whose AUC was not measured are not drawn.

    Parameters
    ----------
    report
        The audit's report.
    """
    measured = leaks(report.results).items()
    points = {name or "none": entry for name, entry in measured if remaining_utility(entry.result) is not None}
    size = (7.6, max(4.8, 0.4 * len(points)))
    figure, axes = _one_panel("Leak and accuracy under each mitigation (low and right is best)", size)
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=(0, (1, 2)))
    axes.set_ylabel("AUC of the strongest attack (dotted: guessing)")
    if points:
        _limits(axes, list(points.values()))
        shifts = _shifts([_accuracy(entry) for entry in points.values()], axes)
        _points(axes, points, shifts)
        ring: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 11, "markerfacecolor": "none"}
        # Nothing is drawn; this is the ring's entry in the legend.
        axes.plot([], [], color="0.15", label="Pareto front: no other beats both", **ring)
        legend(axes, loc="upper left")
        note = "\n(points at nearly the same accuracy are drawn side by side)" if any(shifts) else ""
        axes.set_xlabel(f"test accuracy of the target (0 to 1){note}")
    else:
        axes.text(0.5, 0.6, "not measured", transform=axes.transAxes, ha="center")
        axes.set(ylim=(0.4, 1), xticks=[])
    return figure


def pareto(points: Sequence[tuple[float, float]]) -> Floats:
    """Return the Pareto front: the points that no other beats in both higher accuracy and lower AUC.

    Parameters
    ----------
    points
        Accuracy and AUC of each point.

    Returns
    -------
    The points in order of rising accuracy, shape (n_front, 2).

    Examples
    --------
    >>> pareto([(0.7, 0.9), (0.6, 0.8), (0.5, 0.85)])
    array([[0.6, 0.8],
           [0.7, 0.9]])
    """
    front: list[tuple[float, float]] = []
    # From the most accurate on, a point is on the front if its AUC is below those of all before it.
    for accuracy, auc in sorted(points, key=lambda point: (-point[0], point[1])):
        if not front or auc < front[-1][1]:
            front.append((accuracy, auc))
    return np.array(front[::-1])


def _accuracy(entry: Leak) -> float:
    return remaining_utility(entry.result) or 0.0


def _limits(axes: Axes, entries: Sequence[Leak]) -> None:
    accuracies = [_accuracy(entry) for entry in entries]
    margin = max(0.12 * (max(accuracies) - min(accuracies)), 0.01)
    low, high = min(entry.auc.low for entry in entries), max(entry.auc.high for entry in entries)
    axes.set_xlim(min(accuracies) - margin, max(accuracies) + margin)
    axes.set_ylim(min(low, 0.5) - 0.03, max(high, 0.5) + 0.03)


def _points(axes: Axes, points: Mapping[str, Leak], shifts: Sequence[float]) -> None:
    """Draw the points, each tied to its name in a column at the right, where names cannot overlap."""
    low, high = axes.get_ylim()
    aucs = np.array([entry.auc.value for entry in points.values()])
    places = _spread((aucs - low) / (high - low), gap=min(0.075, 0.9 / len(aucs)))
    colours = islice(cycle(COLOURS), len(points))
    front = {tuple(point) for point in pareto([(_accuracy(e), e.auc.value) for e in points.values()]).tolist()}
    for (name, entry), place, shift, colour in zip(points.items(), places, shifts, colours, strict=True):
        is_best = (_accuracy(entry), entry.auc.value) in front
        _point(axes, f"{short(name, 34)}: {entry.auc.value:.3f}", entry, place, shift, colour, is_best)


def _point(axes: Axes, name: str, entry: Leak, place: float, shift: float, colour: str, is_best: bool = False) -> None:
    accuracy, auc = _accuracy(entry), entry.auc
    figure = axes.get_figure(root=True)
    # Moved by points on paper, 72 to the inch, since data units would falsify the accuracy.
    aside = ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans) if figure else None
    moved = axes.transData + aside if aside else axes.transData
    axes.errorbar([accuracy], [auc.value], yerr=_arms([auc]), fmt="o", color=colour, capsize=3, transform=moved)
    if is_best:
        axes.plot([accuracy], [auc.value], "o", markersize=11, mfc="none", color="0.15", transform=moved)
    axes.annotate(
        name,
        (accuracy, auc.value),
        xycoords=moved,
        xytext=(1.03, place),
        textcoords="axes fraction",
        va="center",
        fontsize=9,
        color="0.15",
        parse_math=False,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6, "shrinkB": 4},
    )


def _shifts(values: Sequence[float], axes: Axes, step: float = 9.0) -> list[float]:
    """Return by how many typographic points to move each point aside, so that equal accuracies do not overlap."""
    low, high = axes.get_xlim()
    order = np.argsort(values, kind="stable")
    # Accuracies closer than a fortieth of the axis would overlap.
    group = np.cumsum(np.diff(np.array(values)[order], prepend=-np.inf) > (high - low) / 40)
    shifts = np.empty(len(order))
    for number in np.unique(group):
        together = order[group == number]
        shifts[together] = step * (np.arange(len(together)) - (len(together) - 1) / 2)
    return [float(shift) for shift in shifts]


def _spread(heights: Floats, gap: float) -> Floats:
    """Return heights at least `gap` apart, in the same order and near the originals, within 0 and 1 if they fit."""
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(heights))
    spread = np.maximum.accumulate(heights[order] - steps) + steps
    overflow = spread - np.minimum(spread, 1 - steps[::-1])
    placed: Floats = np.empty_like(spread)
    placed[order] = spread - overflow
    return placed


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file: the same bytes for the same figure, without date or version in its metadata."""
    buffer = BytesIO()
    # matplotlib would write its version into the file.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _one_panel(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    tidy(axes)
    return figure, axes


def tidy(axes: Axes) -> None:
    """Remove the top and right spines, and draw a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color="0.9", linewidth=0.7)
    axes.set_axisbelow(True)


def legend(axes: Axes, **where: Any) -> None:
    """Draw a legend; its texts may contain `$`, which would otherwise start a formula."""
    legend = axes.legend(frameon=False, fontsize=8, **where)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _arms(intervals: Sequence[Interval]) -> Floats:
    """Return the lengths of the error bars below and above, shape (2, n)."""
    arms = [(interval.value - interval.low, interval.high - interval.value) for interval in intervals]
    lengths: Floats = np.maximum(np.array(arms).T, 0.0)
    return lengths


def short(text: str, most: int = 24) -> str:
    """Return a text, cut off with an ellipsis if it is too long."""
    return text if len(text) <= most else text[: most - 1] + "…"
