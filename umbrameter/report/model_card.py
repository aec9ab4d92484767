"""The model card of an exported model: what it is, how much it still leaks, and what its mitigation costs."""

from umbrameter.report.model import Report, Result
from umbrameter.report.recommendation import leak, leaks
from umbrameter.report.selection import stronger
from umbrameter.report.sentences import NO_PROOF, controls_line, guarantee_sentence, guarantees_of, summary_sentence
from umbrameter.report.templating import filled
from umbrameter.report.text import STATUS, attacker_name, confidence, figure, intervals_note, metric_name

FIGURES = ("auc", "accuracy", "tpr_at_fpr_0.01")


def card(report: Report, mitigation: str) -> str:
    """Return the model card of a report's target under a mitigation, in Markdown.

    Parameters
    ----------
    report
        The audit's report.
    mitigation
        The mitigation as the report names it, or `none`.

    References
    ----------
    Mitchell et al. (2019), "Model Cards for Model Reporting", arXiv 1810.03993.
    """
    label = None if mitigation == "none" else mitigation
    results = [result for result in report.results if result.mitigation == label]
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
        notes=[*results[0].notes, *map(guarantee_sentence, guarantees_of(report, mitigation))],
        controls=controls_line(report),
        verdict=STATUS[report.verdict.status],
        intervals_note=intervals_note(confidence(report)),
        summary=summary_sentence(report),
        no_proof=NO_PROOF,
    )


def _leak(report: Report, results: list[Result], label: str | None) -> str:
    remaining, unmitigated = leak(results), leaks(report.results).get(None)
    if remaining is None or unmitigated is None:
        return "Not every attack was measured."
    now = f"The strongest attack, {remaining.result.attack}, has AUC {figure(remaining.auc)} (0.5 is guessing)"
    return (
        f"{now}."
        if label is None
        else f"{now}; on the model without mitigation, the strongest has {figure(unmitigated.auc)}."
    )


def _attack(result: Result) -> list[str]:
    return [result.attack, attacker_name(result), *(figure(result.metrics[name]) for name in FIGURES)]


def _cost(result: Result, name: str) -> list[str]:
    change = result.change.get(name)
    return [metric_name(name), figure(result.utility[name]), "" if change is None else figure(change)]
