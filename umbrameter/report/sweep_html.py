"""The figure of a sweep: per-class attack precision at each value of the setting that varies."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from umbrameter.report.figures import COLOURS, GREY, legend, short, tidy
from umbrameter.report.sweep_model import AttackAt, SweepReport

MOST_PANELS = 3
"""The largest number of attacks drawn: the first ones with figures by class."""


def class_precision(report: SweepReport) -> Figure:
    """Draw each class's attack precision as a dot at each point, the medians connected: one panel per attack.

    Parameters
    ----------
    report
        The sweep's report.

    References
    ----------
    Shokri et al. (2017), arXiv 1610.05820, figure 4.
    """
    names = [attack.attack for attack in report.points[0].attacks if attack.class_precision][:MOST_PANELS]
    names = names or [report.points[0].attacks[0].attack]
    width = min(max(5.5, 2.0 + 0.9 * len(report.points)), 11.0)
    figure = Figure(figsize=(width, 0.4 + 3.2 * len(names)), dpi=120, layout="constrained")
    panels = figure.subplots(len(names), 1, squeeze=False, sharey=True)[:, 0]
    for axes, name, colour in zip(panels, names, COLOURS, strict=False):
        attacks = [next((a for a in point.attacks if a.attack == name), None) for point in report.points]
        _panel(axes, attacks, colour)
        axes.set_title(short(name, 40), fontsize=10, loc="left", parse_math=False)
        axes.set_xticks(range(len(attacks)), [fill(point.label, 12) for point in report.points])
        axes.set_xlabel(report.title)
    lowest = min((p for point in report.points for a in point.attacks for p in a.class_precision), default=0.5)
    panels[0].set_ylim(max(min(0.4, lowest - 0.03), -0.03), 1.03)
    return figure


def _panel(axes: Axes, attacks: Sequence[AttackAt | None], colour: str) -> None:
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=(0, (1, 2)), label="guessing: 0.5")
    medians = []
    for place, attack in enumerate(attacks):
        precision = [] if attack is None else attack.class_precision
        # Side by side, so that equal precisions do not hide each other.
        shift = np.linspace(-0.12, 0.12, len(precision)) if len(precision) > 1 else np.zeros(len(precision))
        axes.plot(place + shift, np.sort(precision), "o", color=colour, markersize=3, alpha=0.45, markeredgewidth=0)
        # NaN leaves a gap in the line.
        medians.append(np.nan if not precision else float(np.median(precision)))
    axes.plot(range(len(attacks)), medians, "-D", color=colour, markersize=5, linewidth=1.6, label="median of classes")
    for place, median in enumerate(medians):
        if np.isfinite(median):
            axes.annotate(f"{median:.3f}", (place, median), textcoords="offset points", xytext=(9, 5), fontsize=9)
    axes.set_xlim(-0.4, len(attacks) - 0.4)
    axes.set_ylabel("attack precision (0 to 1)")
    tidy(axes)
    legend(axes, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)
