"""The report in the form that MLflow shows: run names, flat metrics, Markdown.

Belongs here: the content of what is logged. Does not belong here: calls of MLflow (`tasks.mlflow_client`).
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from umbrameter.report.model import Report, Result
from umbrameter.report.recommendation import leaks
from umbrameter.report.selection import stronger
from umbrameter.report.sentences import guarantee_sentence, guarantees_of, summary_sentence
from umbrameter.report.sweep_model import SweepReport, rows
from umbrameter.report.text import STATUS, attacker_name, confidence, figure, intervals_note, mitigation_name
from umbrameter.statistics.estimates import Interval, LowerBound

TABLE = ("auc", "tpr_at_fpr_0.01", "test_accuracy", "log_loss", "calibration_error", "label_agreement", "distortion")
"""The figures in the table of mitigations."""


def run_name(report: Report) -> str:
    """Return the run's name: the AUC first, since MLflow's lists cut names short, and then the time."""
    when = f"{datetime.fromisoformat(report.audit.started):%Y-%m-%d %H:%M}"
    worst = leaks(report.results).get(None)
    return f"AUC {worst.auc.value:.3f}, {when}" if worst is not None else when


def note(report: Report) -> str:
    """Return the run's description in Markdown: what was audited, the results, and how to read them."""
    target = report.target
    rows = [
        f"| {mitigation_name(r)} | {r.attack} | {attacker_name(r)} | {figure(r.metrics['auc'])} | "
        f"{figure(r.utility['test_accuracy'])} |"
        for r in stronger(report.results)
    ]
    return "\n".join(
        [
            summary_sentence(report),
            "",
            f"**Verdict:** {STATUS[report.verdict.status]}. {report.verdict.reason}",
            "",
            f"**Target:** {target.description} on {report.data.name}, {target.n_members:,} members and "
            f"{target.n_nonmembers:,} non-members; {report.shadows.n_models} shadow models.",
            "",
            "| mitigation | attack | attacker | AUC [low, high] | test accuracy [low, high] |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            intervals_note(confidence(report)),
            "An AUC of 0.5 is guessing. The whole report is the artefact `report.html`.",
        ]
    )


def mitigation_table(report: Report) -> dict[str, list[Any]]:
    """Return the results by mitigation, attack and attacker, as columns."""
    columns: dict[str, list[Any]] = {}
    for result in report.results:
        figures = {"auc": result.metrics["auc"], "tpr_at_fpr_0.01": result.metrics["tpr_at_fpr_0.01"], **result.utility}
        row = {"mitigation": mitigation_name(result), "attack": result.attack, "attacker": result.attacker or ""}
        row |= {name: figure(figures[name]) if name in figures else "" for name in TABLE}
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return columns


def mitigation_figures(report: Report, label: str) -> dict[str, float]:
    """Return each attack's AUC under a mitigation, by the stronger attacker, and the epsilon claimed and proved.

    There is no `epsilon_claimed` for a claim that is withdrawn.
    """
    shown = stronger(result for result in report.results if result.mitigation == label)
    figures = {f"auc_{allowed(r.attack)}": m.value for r in shown if isinstance(m := r.metrics["auc"], Interval)}
    for guarantee in guarantees_of(report, label):
        figures |= {} if guarantee.is_reproducible else {"epsilon_claimed": guarantee.epsilon}
        figures |= {"epsilon_proved": guarantee.one_run_epsilon_lower_bound}
        figures |= {"epsilon_proved_if_independent": guarantee.epsilon_lower_bound}
    return figures


def mitigation_note(report: Report, label: str) -> str:
    """Return what a mitigation's claims of privacy are worth, a line each; empty without claims."""
    return "\n\n".join(map(guarantee_sentence, guarantees_of(report, label)))


def flat_metrics(result: Result) -> dict[str, float]:
    """Return every measured figure with its bounds: of the attack, of utility, and changes from no mitigation."""
    flat: dict[str, float] = {}
    changes = {f"change_of_{name}": metric for name, metric in result.change.items()}
    for name, metric in (result.utility | changes | result.metrics).items():
        if isinstance(metric, Interval):
            flat |= {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
        elif isinstance(metric, LowerBound):
            flat |= {name: metric.value, f"{name}_low": metric.low}
    return flat


def sweep_series(report: SweepReport) -> Iterator[tuple[str, float, int]]:
    """Yield a sweep's figures as name, value and step: the target's, and each attack's with medians over classes."""
    for point in report.points:
        yield "target_train_accuracy", point.train_accuracy, point.step
        yield "target_test_accuracy", point.test_accuracy, point.step
        if point.drawn is not None and point.drawn.n_records:
            yield "queries_per_record", point.drawn.queries / point.drawn.n_records, point.step
        for attack in point.attacks:
            values = {k: m.value for k, m in attack.metrics.items() if isinstance(m, Interval)}
            values |= {f"median_class_{k}": v for k, v in attack.medians.items() if v is not None}
            yield from ((f"{allowed(attack.attack)}_{name}", value, point.step) for name, value in values.items())


def sweep_note(report: SweepReport) -> str:
    """Return the description of a sweep's run in Markdown: the value of each step, and the table."""
    steps = ", ".join(f"{point.step} = {point.label}" for point in report.points)
    table = rows(report)
    head, rule = " | ".join(table[0]), " | ".join("---" for _ in table[0])
    lines = (f"| {' | '.join(row.values())} |" for row in table)
    first = f"The same audit at several values of one setting: **{report.title}**. Steps of the series: {steps}."
    return "\n".join([first, "", f"| {head} |", f"| {rule} |", *lines, "", intervals_note()])


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a nested mapping by dotted path, except those that are None."""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flatten(inner, f"{path}.{key}" if path else str(key))
    elif value is not None:
        yield allowed(path), value


def allowed(name: str) -> str:
    """Return a name with `_` for every character that MLflow does not allow in names."""
    return re.sub(r"[^\w./ -]", "_", name).rstrip("_")  # rounding(1) becomes rounding_1


def without_secrets(text: str) -> str:
    """Return a text with `user:password@` in addresses hidden."""
    return re.sub(r"://[^/@\s]+@", "://***@", text)
