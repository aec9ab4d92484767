"""How much a target leaks under each mitigation, and the rule that recommends one.

Belongs here: conclusions from the results. Does not belong here: other sentences (`sentences`) and layout.
"""

from collections.abc import Sequence
from typing import NamedTuple

from umbrameter.evaluation.verdict import decide
from umbrameter.report.model import Recommendation, Result
from umbrameter.spec.limits import Limit
from umbrameter.statistics.estimates import Interval

WORTHWHILE = 0.01
"""How much a mitigation must lower the upper bound of the AUC to be recommended."""


class Leak(NamedTuple):
    """How much a target leaks, by the strongest of the attacks on it.

    Parameters
    ----------
    result
        The strongest attack's result: the one with the highest AUC, by either attacker.
    auc
        Its AUC.
    upper
        The highest upper bound of the AUC over all attacks and attackers, not only the strongest.
    """

    result: Result
    auc: Interval
    upper: float


def measured_auc(result: Result) -> Interval | None:
    """Return a result's AUC, or None when it was not measured."""
    auc = result.metrics.get("auc")
    return auc if isinstance(auc, Interval) else None


def remaining_utility(result: Result, name: str = "test_accuracy") -> float | None:
    """Return a figure of the target's utility under a mitigation, or None if it was not measured."""
    metric = result.utility.get(name)
    return metric.value if isinstance(metric, Interval) else None


def leak(results: Sequence[Result]) -> Leak | None:
    """Return the leak under one mitigation from its results, or None if any attack's AUC was not measured."""
    aucs = [auc for result in results if (auc := measured_auc(result))]
    if not results or len(aucs) < len(results):
        return None
    auc, result = max(zip(aucs, results, strict=True), key=lambda pair: pair[0].value)
    return Leak(result, auc, max(auc.high for auc in aucs))


def leaks(results: Sequence[Result]) -> dict[str | None, Leak]:
    """Return the leak under each mitigation for which it was measured; the key None is the unmitigated target."""
    labels = dict.fromkeys([None, *(result.mitigation for result in results)])
    by_label = {label: leak([r for r in results if r.mitigation == label]) for label in labels}
    return {label: entry for label, entry in by_label.items() if entry}


def recommend(results: Sequence[Result], limits: Sequence[Limit], accepted_loss: float) -> Recommendation | None:
    """Return the mitigation to deploy, by rule.

    A mitigation qualifies if its measured loss of test accuracy is accepted, if every attack on it was measured, also
    by an adaptive attacker, and if no limit is shown to be exceeded. Of those, the one with the lowest upper bound of
    the AUC over all attacks and attackers is recommended, provided that it lowers the bound by `WORTHWHILE`. If there
    is none, the recommendation says why.

    Parameters
    ----------
    results
        The results of a report.
    limits
        The limits of the spec, presets expanded.
    accepted_loss
        The accepted loss of test accuracy, a fraction.

    Returns
    -------
    None if there is no mitigation to choose from, or if the unmitigated target was not shown to leak.
    """
    by_mitigation = leaks(results)
    # The unmitigated target is what mitigations are compared with, and no candidate itself.
    unmitigated = by_mitigation.pop(None, None)
    if unmitigated is None or unmitigated.auc.low <= 0.5 or all(result.mitigation is None for result in results):
        return None
    cheap = {name: entry for name, entry in by_mitigation.items() if _loss(entry.result) <= accepted_loss}
    good = {n: e for n, e in cheap.items() if e.upper <= unmitigated.upper - WORTHWHILE and _faces_adaptive(results, n)}
    kept = {name: entry for name, entry in good.items() if not _exceeds(results, name, limits)}
    if not kept:
        return Recommendation(accepted_loss=accepted_loss, reason=_none(cheap, good, unmitigated, accepted_loss))
    name, best = min(kept.items(), key=lambda item: item[1].upper)
    return Recommendation(
        accepted_loss=accepted_loss,
        mitigation=name,
        reason=f"Of the mitigations measured to cost at most {accepted_loss:g} of test accuracy, {name} leaves the "
        f"lowest upper bound of AUC over all attacks, adaptive and static: {best.upper:.3f} instead of "
        f"{unmitigated.upper:.3f} (the strongest attack is {best.result.attack}). Test accuracy changes by "
        f"{_change(best.result)}.",
    )


def _none(cheap: dict[str | None, Leak], good: dict[str | None, Leak], unmitigated: Leak, accepted_loss: float) -> str:
    """Return why no mitigation suffices."""
    if good:
        return f"None suffices: under {', '.join(map(str, good))} a limit is still exceeded."
    if not cheap:
        return f"None suffices: no mitigation costs at most {accepted_loss:g} of test accuracy."
    return (
        f"None suffices: no mitigation that costs at most {accepted_loss:g} of test accuracy lowers the upper bound "
        f"of AUC, {unmitigated.upper:.3f}, by {WORTHWHILE:g}."
    )


def _loss(result: Result) -> float:
    """Return how much test accuracy a mitigation costs."""
    change = result.change.get("test_accuracy")
    return -change.value if isinstance(change, Interval) else 1.0  # not measured is never accepted


def _change(result: Result) -> str:
    change = result.change["test_accuracy"]
    assert isinstance(change, Interval)  # it is among those whose loss is known
    return f"{change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"


def _faces_adaptive(results: Sequence[Result], name: str | None) -> bool:
    """Return whether an adaptive attacker attacked a mitigation."""
    return any(result.mitigation == name and result.attacker == "adaptive" for result in results)


def _exceeds(results: Sequence[Result], name: str | None, limits: Sequence[Limit]) -> bool:
    figures = [(result.attack, result.metrics) for result in results if result.mitigation == name]
    return bool(limits) and decide(limits, figures).status == "fail"
