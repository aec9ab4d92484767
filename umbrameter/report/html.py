"""The report as one self-contained HTML page: no scripts, nothing loaded from elsewhere.

Belongs here: what goes into which table, as text. Does not belong here: markup and style (`templates`), sentences
(`sentences`) or drawings (`figures`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from umbrameter.records.in_words import in_brackets
from umbrameter.report.model import DrawnInfo, LimitOutcome, Report
from umbrameter.report.not_measured import not_measured
from umbrameter.report.recommendation import leaks
from umbrameter.report.selection import by_mitigation, stronger
from umbrameter.report.sentences import (
    LIMITS_NOTE,
    NO_PROOF,
    deciding_bound,
    drawn_line,
    finding,
    guarantee_sentence,
    likeness_rows,
    likeness_sentence,
    observed,
    other_trainings,
    recipe_note,
)
from umbrameter.report.templating import filled, or_not, unbroken
from umbrameter.report.text import (
    STATUS,
    attacker_name,
    confidence,
    control_name,
    intervals_note,
    metric_name,
    mitigation_name,
    number,
)
from umbrameter.statistics.estimates import Interval, LowerBound, Metric
from umbrameter.statistics.metrics import ClassMetrics
from umbrameter.statistics.subgroups import Excess

CAPTIONS = {
    "roc": "True-positive rate against false-positive rate on logarithmic axes. The further a line lies above the "
    "dotted diagonal, the more members an attacker finds with few mistakes.",
    "class_precision": "The share of records called members that are members, per class, with 95 % intervals. Classes "
    "far above the dotted line leak more than the figures over all classes suggest.",
    "mitigations": "The AUC of the strongest attack under each mitigation, and the test accuracy that the target "
    "keeps. Bars are 95 % intervals. Rings mark mitigations that no other beats in both (Pareto front).",
}
"""Captions, by the name of the figure."""

_GROUP_COLUMNS = (
    "class",
    "members",
    "non-members",
    "AUC",
    "attack accuracy (0 to 1)",
    "attack precision (0 to 1)",
    "attack recall (0 to 1)",
)

_UTILITY = {
    "test_accuracy": "test accuracy (0 to 1)",
    "log_loss": "log loss (nats)",
    "calibration_error": "calibration error (0 to 1)",
    "label_agreement": "same label as unmitigated (0 to 1)",
    "distortion": "distortion (mean L1, 0 to 2)",
}

_CHANGES = {
    "test_accuracy": "change in test accuracy, same records",
    "log_loss": "change in log loss",
    "calibration_error": "change in calibration error",
}

_WORST_COLUMNS = ("attack", "worst group", "AUC minus AUC over all records", "p-value")

_MAIN = ("auc", "accuracy", "tpr_at_fpr_0.01")
"""The figures of the overview."""


def render(report: Report, figures: Mapping[str, bytes]) -> str:
    """Return a report as one self-contained HTML page.

    Parameters
    ----------
    report
        The audit's report.
    figures
        PNG files by name; a figure without an entry in `CAPTIONS` is captioned with its name.

    Returns
    -------
    str
        The page. It loads and runs nothing, and everything from the report is escaped.
    """
    is_mitigated = any(result.mitigation for result in report.results)
    bounds = intervals_note(confidence(report))
    return filled(
        "report.html.j2",
        report=report,
        status=STATUS,
        finding=finding(report),
        intervals_note=bounds,
        limits_note=LIMITS_NOTE,
        limits=[_limit(outcome) for outcome in report.verdict.limits],
        summary=_summary(report),
        overview=_overview(report),
        all_figures=_all_figures(report),
        costs=_costs(report) if is_mitigated else None,
        guarantees=[guarantee_sentence(guarantee) for guarantee in report.guarantees],
        figures=[(CAPTIONS.get(name, name.replace("_", " ")), png) for name, png in figures.items()],
        worst_columns=_WORST_COLUMNS,
        worst_note=f"{bounds} Here intervals and p-values are corrected for the number of groups.",
        group_columns=_GROUP_COLUMNS,
        classes=_classes(report),
        slices=_slices(report),
        repeats=_repeats(report),
        not_measured=not_measured(report),
        controls=[(control_name(name), STATUS[c.status], c.reason) for name, c in report.controls.items()],
        drawn=None if report.shadows.drawn is None else _drawn(report.shadows.drawn),
        likeness=None if report.shadows.likeness is None else likeness_rows(report.shadows.likeness),
        set_up=_set_up(report),
        ledger=_ledger(report),
        other_trainings=other_trainings(report),
        no_proof=NO_PROOF,
    )


def _limit(outcome: LimitOutcome) -> tuple[str, ...]:
    figures = (number(outcome.limit), observed(outcome), deciding_bound(outcome))
    return (metric_name(outcome.metric), outcome.attack, *figures, STATUS[outcome.status], outcome.source)


def _summary(report: Report) -> list[str]:
    target, n_attacks = report.target, len({result.attack for result in report.results})
    asked = (
        f"{n_attacks} {'attack' if n_attacks == 1 else 'attacks'} tried to tell {target.n_members:,} records that the "
        f"model was trained on (members) from {target.n_nonmembers:,} that it was not trained on (non-members), by the "
        f"model's answers. The model ({target.description}) classifies {100 * target.train_accuracy:.1f} % of the "
        f"members and {100 * target.test_accuracy:.1f} % of the non-members correctly."
    )
    advice = [report.recommendation.reason] if report.recommendation else []
    texts = [asked, *_what_it_takes(report), likeness_sentence(report), *advice, NO_PROOF]
    return [text.replace(" %", "\u00a0%") for text in texts if text]  # no line break before the unit


def _what_it_takes(report: Report) -> list[str]:
    """Return what the strongest attack assumes and how many members it finds with few mistakes."""
    unmitigated = leaks(report.results).get(None)
    if unmitigated is None:
        return []
    text = f"The strongest attack, {unmitigated.result.attack}, assumes that {unmitigated.result.assumption}."
    tpr = unmitigated.result.metrics.get("tpr_at_fpr_0.01")
    if not isinstance(tpr, Interval):
        return [text]
    value, low, high = (f"{100 * share:.1f}" for share in (tpr.value, tpr.low, tpr.high))
    finds = f"At a false-positive rate of 1 %, it finds {value} % of the members"
    return [f"{text} {finds} (between {low} and {high} %; guessing finds 1 %)."]


def _overview(report: Report) -> dict[str, Any]:
    """Return the table: a row per mitigation with the test accuracy that it leaves, below it a row per attack."""
    groups = [
        {
            "mitigation": name,
            "accuracy": unbroken(results[0].utility.get("test_accuracy")),
            "rows": [(r.attack, attacker_name(r), *(unbroken(r.metrics.get(n)) for n in _MAIN)) for r in results],
        }
        for name, results in by_mitigation(stronger(report.results)).items()
    ]
    columns = (
        ("mitigation", "attack"),
        ("attacker", ""),
        ("AUC", "0.5 is guessing, 1 certainty"),
        ("attack accuracy", "0.5 is guessing"),
        ("TPR at 1 % FPR", "0.01 is guessing"),
    )
    return {"columns": columns, "groups": groups}


def _all_figures(report: Report) -> dict[str, Any]:
    names = list(dict.fromkeys(name for result in report.results for name in result.metrics))
    rows = [
        (mitigation_name(r), r.attack, attacker_name(r), *(unbroken(r.metrics.get(name)) for name in names))
        for r in report.results
    ]
    methods = {
        name: {m.method for r in report.results if isinstance(m := r.metrics.get(name), Interval | LowerBound)}
        for name in names
    }
    methods_text = "; ".join(f"{metric_name(name)}: {', '.join(sorted(by))}" for name, by in methods.items() if by)
    columns = ("mitigation", "attack", "attacker", *map(metric_name, names))
    return {"columns": columns, "rows": rows, "methods": methods_text}


def _costs(report: Report) -> dict[str, Any]:
    """Return the tables of each mitigation's utility and of its paired differences from the unmitigated target."""
    # Utility is the same for every attack on a mitigation, so the first result's will do.
    firsts = {name: results[0] for name, results in by_mitigation(report.results).items()}
    utility = [(name, *(_or_blank(r.utility, n) for n in _UTILITY)) for name, r in firsts.items()]
    changes = [(name, *(_or_blank(r.change, n) for n in _CHANGES)) for name, r in firsts.items() if r.change]
    note = intervals_note(confidence(report))
    paired = (
        f"{note} Differences from the unmitigated target on the same records; 0 within the interval: none was shown."
    )
    tables = [
        {"columns": ("mitigation", *_UTILITY.values()), "rows": utility, "caption": note},
        {"columns": ("mitigation", *_CHANGES.values()), "rows": changes, "caption": paired},
    ]
    return {"tables": tables, "notes": [*dict.fromkeys(note for result in report.results for note in result.notes)]}


def _or_blank(metrics: Mapping[str, Metric], name: str) -> str:
    return unbroken(metrics[name]) if name in metrics else ""


def _classes(report: Report) -> dict[str, Any]:
    """Return the tables of the unmitigated target; those of mitigations are in report.json, to keep the page short."""
    results = [result for result in report.results if result.mitigation is None and result.by_class]
    worst = [(r.attack, *_excess(r.worst_class)) for r in results if r.worst_class is not None]
    groups = [(f"{r.attack}: {len(r.by_class)} classes", _group_rows(r.by_class)) for r in results]
    return {"worst": worst, "groups": groups}


def _slices(report: Report) -> dict[str, Any]:
    """Return the slices' tables of the unmitigated target."""
    results = [(r, name) for r in report.results if r.mitigation is None for name in r.by_slice]
    worst = [(f"{r.attack}, by {name}", *_excess(r.worst_slice[name])) for r, name in results]
    groups = [(f"{r.attack}, by {name}", _group_rows(r.by_slice[name])) for r, name in results]
    return {"worst": worst, "groups": groups}


def _excess(worst: Excess) -> tuple[str, str, str]:
    return worst.group, unbroken(worst.excess), "" if worst.p_value is None else number(worst.p_value)


def _group_rows(groups: Sequence[ClassMetrics]) -> list[tuple[str, ...]]:
    return [
        (
            c.label,
            f"{c.n_members:,}",
            f"{c.n_nonmembers:,}",
            *map(unbroken, (c.auc, c.accuracy, c.precision, c.recall)),
        )
        for c in groups
    ]


def _repeats(report: Report) -> dict[str, Any]:
    """Return the table of the repeats' agreement, for the figures of the overview."""
    rows = [
        (
            r.mitigation or "none",
            r.attack,
            *(f"{number(s.mean)} ± {number(s.sd)}" if (s := r.spread.get(n)) else "not measured" for n in _MAIN),
            or_not(r.rank_correlation),
            or_not(r.exposed_overlap),
        )
        for r in report.repeats
    ]
    columns = ("mitigation", "attack", *map(metric_name, _MAIN), "rank correlation", "overlap of the most exposed 1 %")
    return {"columns": columns, "rows": rows}


def _set_up(report: Report) -> dict[str, str]:
    audit, data, target, shadows = report.audit, report.data, report.target, report.shadows
    made = f"{shadows.n_trained} trained now, {shadows.n_reused} reused from earlier runs"
    accuracy = f"accuracy {or_not(shadows.train_accuracy)} on IN and {or_not(shadows.test_accuracy)} on OUT records"
    size = f"{data.n_records:,} records, {data.n_features:,} features, {data.n_classes:,} classes"
    return {
        "Data": f"{data.name}: {size}",
        **({"Files": "; ".join(map(": ".join, data.files.items()))} if data.files else {}),
        **({"Columns": in_brackets(data.columns)} if data.columns else {}),
        "Target": f"{target.kind}: {target.description}, {target.n_classes:,} classes",
        "Shadow models": f"{shadows.n_models} models of {shadows.size:,} records each ({made}), {accuracy}; design: "
        f"{shadows.design}; data: {shadows.data}{recipe_note(shadows)}"
        if shadows.n_models
        else "none needed",
        **{f"What {r.attack} assumes": r.assumption for r in report.results},
        **{f"What {r.attack} chose on shadow models": r.chosen for r in report.results if r.chosen},
        "Seed": str(audit.seed),
        "Spec": f"SHA-256 {audit.spec_digest}",
    }


def _drawn(drawn: DrawnInfo) -> dict[str, Any]:
    """Return how shadow data were drawn, and the table by class if records were searched for."""
    rows = [
        (
            row.label,
            f"{row.n_found:,}",
            f"{row.n_failed:,}",
            f"{row.queries:,}",
            f"{row.queries / row.n_found:,.1f}" if row.n_found else "not measured",
            f"{row.seconds:.2f}",
        )
        for row in drawn.by_class
    ]
    return {"line": drawn_line(drawn), "rows": rows}


def _ledger(report: Report) -> dict[str, Any]:
    ledger = report.ledger
    entries = {
        "Time": f"{report.audit.seconds:,.1f} s from start to end",
        "Queries": f"{ledger.queries:,} records sent to the target",
        "Models trained": f"{ledger.fits:,}, and {ledger.reused_fits:,} reused from earlier runs",
        "Artefacts reused from earlier runs": f"{ledger.reused:,}",
        "Peak memory": f"{ledger.driver_peak_rss_mb:,.0f} MB in the coordinating process, "
        f"{ledger.worker_peak_rss_mb:,.0f} MB in the largest working one",
    }
    stages = {**dict.fromkeys(ledger.seconds), **dict.fromkeys(ledger.cpu_seconds)}
    rows = [(stage, *(_seconds(by.get(stage)) for by in (ledger.seconds, ledger.cpu_seconds))) for stage in stages]
    return {"entries": entries, "rows": rows}


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def page_and_figures(report: Report, figures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a report that a reader opens, by name.

    Parameters
    ----------
    report
        The report.
    figures
        Its figures, as PNG files by name.
    """
    pictures = {f"figures/{name}.png": content for name, content in figures.items()}
    return {"report.html": render(report, figures).encode(), **pictures}
