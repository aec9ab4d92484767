"""The words of a report: its numbers as text, and names as people say them.

Belongs here: words that every form of the report shares. Does not belong here: sentences (`sentences`), escaping,
layout, colour.
"""

from collections.abc import Sequence

from umbrameter.report.model import Report, Result
from umbrameter.statistics.estimates import Interval, LowerBound, Metric, NotMeasured, NotReachable

STATUS = {
    "pass": "pass",
    "warn": "warning",
    "fail": "fail",
    "not_measured": "not measured",
    "no_limits": "no limits set",
}
"""The printed form of a status."""

_METRICS = {
    "auc": "AUC",
    "accuracy": "attack accuracy",
    "precision": "attack precision",
    "recall": "attack recall",
    "advantage": "advantage (TPR - FPR)",
    "epsilon_lower_bound": "lower bound of ε",
}


def number(value: float, near: float | None = None) -> str:
    """Return a figure with three decimals, or with four where three would hide most of it.

    Parameters
    ----------
    value
        The figure, mostly a fraction.
    near
        Use as many decimals as this figure would have; None for those of `value`.

    Examples
    --------
    >>> number(0.62149), number(0.00123), number(0.00001), number(0)
    ('0.621', '0.0012', '<0.0001', '0')
    """
    if value == 0:
        return "0"
    if 0 < value < 0.00005:
        return "<0.0001"
    # A bound has as many decimals as its figure, so that both can be compared at a glance.
    text = f"{value:.{4 if abs(value if near is None else near) < 0.01 else 3}f}"
    return text.removeprefix("-") if float(text) == 0 else text  # rounding may leave -0.000


def figure(metric: Metric) -> str:
    """Return a figure with its interval as text, or `not measured`.

    Examples
    --------
    >>> figure(Interval(value=0.62, low=0.6, high=0.64, confidence=0.95, method="DeLong"))
    '0.620 [0.600, 0.640]'
    >>> figure(NotMeasured(not_measured="there are no members"))
    'not measured'
    """
    if isinstance(metric, NotMeasured):
        return unmeasured(metric)
    if isinstance(metric, LowerBound):
        return f"at least {number(metric.value)}"
    low, high = (number(bound, near=metric.value) for bound in (metric.low, metric.high))
    return f"{number(metric.value)} [{low}, {high}]"


def point(metric: Metric) -> str:
    """Return a figure without its interval as text, or `not measured`."""
    return unmeasured(metric) if isinstance(metric, NotMeasured) else number(metric.value)


def unmeasured(metric: NotMeasured) -> str:
    """Return what stands in a table for a figure that was not measured: that, or `not reachable` if ties prevent it.

    Examples
    --------
    >>> unmeasured(NotMeasured(not_measured="there are no members"))
    'not measured'
    """
    return "not reachable" if isinstance(metric, NotReachable) else "not measured"


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with its unit.

    Examples
    --------
    >>> percent(0.001), percent(0.1)
    ('0.1 %', '10 %')
    """
    return f"{100 * fraction:g} %"


def metric_name(name: str) -> str:
    """Return a figure's name as people say it.

    Examples
    --------
    >>> metric_name("tpr_at_fpr_0.01"), metric_name("precision_at_prior_0.1"), metric_name("best_accuracy")
    ('TPR at 1 % FPR', 'precision where 10 % are members', 'best accuracy')
    """
    for prefix, text in (("tpr_at_fpr_", "TPR at {} FPR"), ("precision_at_prior_", "precision where {} are members")):
        if name.startswith(prefix):
            return text.format(percent(float(name.removeprefix(prefix))))
    return _METRICS.get(name, name.replace("_", " "))


def control_name(name: str) -> str:
    """Return a control's name as people say it.

    Examples
    --------
    >>> control_name("blind_baseline")
    'blind baseline'
    """
    return name.replace("_", " ")


def mitigation_name(result: Result) -> str:
    """Return the mitigation of a result, or `none`."""
    return result.mitigation or "none"


def attacker_name(result: Result) -> str:
    """Return `adaptive` or `static`, or an empty text without a mitigation."""
    return result.attacker or ""


def listed(labels: Sequence[str], most: int = 8) -> str:
    """Return labels joined by commas: the first `most`, and the number of the others."""
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")


def confidence(report: Report) -> str:
    """Return the confidence of a report's intervals, such as `95 %`."""
    metrics = [metric for result in report.results for metric in result.metrics.values()]
    levels = {percent(metric.confidence) for metric in metrics if isinstance(metric, Interval)}
    return " or ".join(sorted(levels)) or "95 %"


def intervals_note(level: str = "95 %") -> str:
    """Return what the bounds beside a figure mean, for every table that has some; `level` is their confidence."""
    return (
        f"[low, high]: the {level} confidence interval, for the random choice of the audited records; at least: what "
        "can only be bounded from below."
    )
