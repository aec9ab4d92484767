"""What a report's audit did not measure, and why.

Belongs here: the reasons, in lines for a page and for a screen. Does not belong here: what stands in a cell (`text`).
"""

from umbrameter.report.model import LimitOutcome, Report
from umbrameter.report.selection import by_mitigation
from umbrameter.report.text import listed, metric_name, mitigation_name
from umbrameter.statistics.estimates import NotMeasured


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
