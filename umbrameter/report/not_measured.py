"""What a report's audit did not measure, and why.

Belongs here: the reasons, in lines for a page and for a screen. Does not belong here: what stands in a cell (`text`).
"""

from collections.abc import Sequence

from umbrameter.report.model import LimitOutcome, Report, Result
from umbrameter.report.selection import by_mitigation, stronger
from umbrameter.report.text import listed, metric_name, mitigation_name
from umbrameter.statistics.estimates import NotMeasured, NotReachable

TIES = "not reachable, since too many records share the highest score"
"""Why ties leave a TPR out of reach, without their number."""


def not_measured(report: Report) -> list[str]:
    """Return what was not measured and why: one sentence per reason, with all figures it applies to."""
    places: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for result in report.results:
        reasons = {m.not_measured if isinstance(m, NotMeasured) else None for m in result.metrics.values()}
        # One reason for all figures is told once, not figure by figure.
        whole = len(reasons) == 1 and len(result.metrics) > 1 and None not in reasons
        for name, metric in [*result.metrics.items()][: 1 if whole else None]:
            if isinstance(metric, NotMeasured):
                what = "Every figure" if whole else metric_name(name)
                place = places.setdefault((what, metric.not_measured), {})
                place.setdefault(result.attack, {})[mitigation_name(result)] = None
    n_mitigations = len(by_mitigation(report.results))
    n_attacks = len({result.attack for result in report.results})
    listed = {reason for _, reason in places}
    return [
        *(f"{name} ({_where(place, n_attacks, n_mitigations)}): {reason}." for (name, reason), place in places.items()),
        *(line for reason, line in _classes_not_measured(report).items() if reason not in listed),
        *(f"Limit on {metric_name(x.metric)} of {x.attack}." for x in _open_limits(report)),
    ]


def in_brief(report: Report) -> list[str]:
    """Return what was not measured in a few lines: one per reason, with the number of results that a screen shows.

    Ties leave a TPR out of reach for a reason of its own in every result; such reasons are one line per TPR.
    """
    results = stronger(report.results)
    lost: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in dict.fromkeys(name for result in results for name in result.metrics):
        for i, result in enumerate(results):
            metric = result.metrics.get(name)
            if isinstance(metric, NotMeasured):
                is_tied = isinstance(metric, NotReachable)
                lost.setdefault((TIES, name) if is_tied else (metric.not_measured, ""), []).append((i, name))
    listed_reasons = {reason for reason, _ in lost}
    return [
        *(f"{_counted(cells, results)}: {reason}." for (reason, _), cells in lost.items()),
        *(line for reason, line in _classes_not_measured(report).items() if reason not in listed_reasons),
    ]


def _counted(cells: Sequence[tuple[int, str]], results: Sequence[Result]) -> str:
    """Return which figures, given as the result's index and the figure's name, and of how many of the results."""
    rows = {i for i, _ in cells}
    is_whole = len(cells) == sum(len(results[i].metrics) for i in rows) > len(rows)
    names = listed([*dict.fromkeys(metric_name(name) for _, name in cells)], 3)
    return f"{'Every figure' if is_whole else names} ({len(rows)} of {len(results)} results)"


def _where(place: dict[str, dict[str, None]], n_attacks: int, n_mitigations: int) -> str:
    if len(place) == n_attacks and all(len(mitigations) == n_mitigations for mitigations in place.values()):
        return "every attack"
    by_mitigations: dict[str, list[str]] = {}
    for attack, mitigations in place.items():
        names = "any mitigation or none" if len(mitigations) == n_mitigations else listed(list(mitigations), 4)
        by_mitigations.setdefault(names, []).append(attack)
    return "; ".join(f"{listed(attacks, 4)}: {mitigations}" for mitigations, attacks in by_mitigations.items())


def _classes_not_measured(report: Report) -> dict[str, str]:
    """Return a line per reason why figures of a class were not measured, by reason."""
    classes: dict[str, dict[str, None]] = {}
    for result in report.results:
        for entry in result.by_class:
            for metric in (entry.auc, entry.accuracy, entry.precision, entry.recall):
                if isinstance(metric, NotMeasured):
                    classes.setdefault(metric.not_measured, {})[entry.label] = None
    return {reason: f"By class ({listed(list(labels))}): {reason}." for reason, labels in classes.items()}


def _open_limits(report: Report) -> list[LimitOutcome]:
    return [limit for limit in report.verdict.limits if limit.status == "not_measured"]
