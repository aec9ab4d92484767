"""A model card: what an exported model is, what its mitigation stops and costs, and what the audit did not tell."""

from umbrameter.report.model import Report, Result
from umbrameter.report.recommendation import leak, leaks
from umbrameter.report.text import NO_PROOF, attacker_name, claim, controls_line, figure, metric_name, reading, stronger

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
    target = report.target
    parts = [
        f"# {report.audit.name}, mitigation: {mitigation}",
        f"{target.description}, trained on {target.n_members:,} records of {report.data.name}; {target.n_classes} "
        "classes. It answers a prediction vector for each record, mitigated as named above.",
        "## What an attacker learns",
        _leak(report, results, label),
        *_table(["attack", "attacker", *map(metric_name, FIGURES)], [_attack(result) for result in stronger(results)]),
        "## What the mitigation costs",
        *_table(["figure", "value", "change"], [_cost(results[0], name) for name in results[0].utility]),
        *[f"- {note}" for note in results[0].notes],
        *[f"- {claim(found)}" for found in report.guarantees if found.mitigation in mitigation.split(" + ")],
        "## The audit",
        f"Seed {report.audit.seed}, started {report.audit.started}, umbrameter {report.audit.version}, spec "
        f"{report.audit.spec_digest[:12]}; {report.shadows.n_models} shadow models. Controls: {controls_line(report)}. "
        f"Verdict: {report.verdict.status}. {reading(report)}",
        NO_PROOF,
    ]
    return "\n\n".join(parts).replace("|\n\n|", "|\n|") + "\n"


def _leak(report: Report, results: list[Result], label: str | None) -> str:
    found, base = leak(results), leaks(report.results).get(None)
    if found is None or base is None:
        return "Not measured by every attack."
    now = f"The strongest attack, {found.result.attack}, has AUC {figure(found.auc)} (0.5 is guessing)"
    return (
        f"{now}." if label is None else f"{now}; on the model without mitigation the strongest has {figure(base.auc)}."
    )


def _attack(result: Result) -> list[str]:
    return [result.attack, attacker_name(result), *(figure(result.metrics[name]) for name in FIGURES)]


def _cost(result: Result, name: str) -> list[str]:
    change = result.change.get(name)
    return [metric_name(name), figure(result.utility[name]), "" if change is None else figure(change)]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
