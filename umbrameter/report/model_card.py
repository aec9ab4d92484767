"""A model card: what an exported model is, what its mitigation stops and costs, and what the audit did not tell."""

from umbrameter.report.model import Report, Result
from umbrameter.report.recommendation import leak, leaks
from umbrameter.report.templating import filled
from umbrameter.report.text import (
    NO_PROOF,
    attacker_name,
    controls_line,
    figure,
    guarantee_sentence,
    metric_name,
    stronger,
    summary_sentence,
)

FIGURES = ("auc", "accuracy", "tpr_at_fpr_0.01")


def card(report: Report, mitigation: str) -> str:
    """Return the card of a report's model under a mitigation, in Markdown.

    Parameters
    ----------
    report
        The audit's report.
    mitigation
        As the report names it, or `none`.

    References
    ----------
    Mitchell et al. (2019), "Model Cards for Model Reporting", arXiv 1810.03993.
    """
    label = None if mitigation == "none" else mitigation
    results = [result for result in report.results if result.mitigation == label]
    guarantees = [g for g in report.guarantees if g.mitigation in mitigation.split(" + ")]
    attacks = {
        "columns": ("attack", "attacker", *map(metric_name, FIGURES)),
        "rows": [_attack(result) for result in stronger(results)],
    }
    costs = {"columns": ("figure", "value", "change"), "rows": [_cost(results[0], n) for n in results[0].utility]}
    return filled(
        "model_card.md.j2",
        report=report,
        mitigation=mitigation,
        leak=_leak(report, results, label),
        attacks=attacks,
        costs=costs,
        notes=[*results[0].notes, *map(guarantee_sentence, guarantees)],
        controls=controls_line(report),
        summary=summary_sentence(report),
        no_proof=NO_PROOF,
    )


def _leak(report: Report, results: list[Result], label: str | None) -> str:
    found, unmitigated = leak(results), leaks(report.results).get(None)
    if found is None or unmitigated is None:
        return "Not measured by every attack."
    now = f"The strongest attack, {found.result.attack}, has AUC {figure(found.auc)} (0.5 is guessing)"
    return (
        f"{now}."
        if label is None
        else f"{now}; on the model without mitigation the strongest has {figure(unmitigated.auc)}."
    )


def _attack(result: Result) -> list[str]:
    return [result.attack, attacker_name(result), *(figure(result.metrics[name]) for name in FIGURES)]


def _cost(result: Result, name: str) -> list[str]:
    change = result.change.get(name)
    return [metric_name(name), figure(result.utility[name]), "" if change is None else figure(change)]
