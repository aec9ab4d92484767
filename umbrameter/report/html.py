"""The report as one HTML file for readers who were not there: no scripts, nothing fetched from anywhere.

Belongs here: the page's parts and its style. Does not belong here: what is said (`words`) or drawn (`figures`). All
text that comes from a report is escaped in `cells`, `items` or where it is put in.
"""

from collections.abc import Mapping, Sequence
from html import escape

from umbrameter.report.markup import (
    cells,
    definitions,
    details,
    image,
    items,
    or_not,
    page,
    section,
    table,
    unbroken,
)
from umbrameter.report.model import DrawnInfo, LimitOutcome, Report, Result
from umbrameter.report.recommendation import leaks
from umbrameter.report.text import (
    NO_PROOF,
    STATUS,
    attacker_name,
    by_mitigation,
    claim,
    confidence,
    control_name,
    drawn_line,
    metric_name,
    mitigation_name,
    not_measured,
    number,
    reading,
    stronger,
)
from umbrameter.statistics.estimates import Interval, LowerBound, Metric
from umbrameter.statistics.metrics import ClassMetrics
from umbrameter.statistics.subgroups import Excess

CAPTIONS = {
    "roc": "True- against false-positive rate on logarithmic axes. The further a line lies above the dotted diagonal, "
    "the more members an attacker finds at the price of few mistakes.",
    "class_precision": "Of the records that an attack calls members, how many are, class by class, with 95 % "
    "intervals. Classes far above the dotted line leak more than the figures over all classes say.",
    "mitigations": "What each mitigation leaves of the strongest attack, and the test accuracy that the target keeps. "
    "Bars are 95 % intervals. Rings mark mitigations that no other betters in both (Pareto front).",
}
"""What a figure of that name shows."""

_COLOURS = {"pass": "#1a7f4b", "warn": "#9a6700", "fail": "#b3261e", "not_measured": "#57606a"}

_CLASS_COLUMNS = (
    "class",
    "members",
    "non-members",
    "AUC",
    "attack accuracy (of 1)",
    "attack precision (of 1)",
    "attack recall (of 1)",
)

_WORTH = {
    "test_accuracy": "test accuracy (of 1)",
    "log_loss": "log loss (nats)",
    "calibration_error": "calibration error (of 1)",
    "label_agreement": "same label as without (of 1)",
    "distortion": "distortion (mean L1, of 2)",
}

_CHANGES = {
    "test_accuracy": "change of test accuracy, same records",
    "log_loss": "change of log loss",
    "calibration_error": "change of calibration error",
}

_WORST_COLUMNS = ("attack", "worst", "AUC above that of all records", "p-value")


def render(report: Report, figures: Mapping[str, bytes]) -> str:
    """Return a report as one self-contained HTML page.

    Parameters
    ----------
    report
        The audit's report.
    figures
        PNG files by name; the names in `CAPTIONS` are printed with what the figure shows, others with their name.

    Returns
    -------
    str
        The page. It loads nothing, runs nothing, and everything that comes from the report is escaped.
    """
    title = f"Membership-inference audit: {report.audit.name}"
    mitigated = any(result.mitigation for result in report.results)
    parts = (
        _head(report),
        _verdict(report),
        section("In short", _summary(report)),
        section("Attacks and mitigations", _overview(report) + _all_figures(report)),
        section("What mitigations cost", _recommended(report) + _costs(report)) if mitigated else "",
        section("Figures", "".join(_figure(name, png) for name, png in figures.items())) if figures else "",
        section("Class by class", _classes(report)),
        section("Slice by slice", _slices(report)) if any(r.by_slice for r in report.results) else "",
        section("Over repeats", _repeats(report)) if report.repeats else "",
        section("What was not measured", items(not_measured(report)) or "<p>Everything asked for was measured.</p>"),
        section("Controls: can this audit be trusted?", _controls(report)) if report.controls else "",
        section("Shadow data", _drawn(report.shadows.drawn)) if report.shadows.drawn else "",
        section("Set-up", _set_up(report)),
        section("What the audit cost", _ledger(report)),
        section("How to read this, and its limits", _limits_of_method()),
    )
    return page(title, "".join(parts))


def _head(report: Report) -> str:
    started = report.audit.started.replace("T", " ")[:16]
    line = f"{report.data.name}; started {started} UTC; umbrameter {report.audit.version}"
    return f'<h1>{escape(report.audit.name)}</h1>\n<p class="small">Membership-inference audit of {escape(line)}</p>\n'


def _verdict(report: Report) -> str:
    verdict = report.verdict
    rows = [_limit(outcome) for outcome in verdict.limits]
    columns = ("limit on", "attack", "at most", "measured", "bound held against it", "outcome", "set by")
    return (
        f'<div class="verdict" style="border-color: {_COLOURS[verdict.status]}">'
        f'<strong style="color: {_COLOURS[verdict.status]}">Verdict: {STATUS[verdict.status]}</strong>'
        f"<br>{escape(verdict.reason)}{table(columns, rows) if rows else ''}</div>\n"
    )


def _limit(outcome: LimitOutcome) -> tuple[str, ...]:
    figures = (number(outcome.limit), or_not(outcome.observed), or_not(outcome.bound))
    return (metric_name(outcome.metric), outcome.attack, *figures, STATUS[outcome.status], outcome.source)


def _summary(report: Report) -> str:
    target, n_attacks = report.target, len({result.attack for result in report.results})
    asked = (
        f"{n_attacks} {'attack' if n_attacks == 1 else 'attacks'} had to tell {target.n_members:,} records that the "
        f"model was trained on (members) from {target.n_nonmembers:,} that it was not (non-members), by the model's "
        f"answers. The model ({target.description}) is right on {100 * target.train_accuracy:.1f} % of the members and "
        f"on {100 * target.test_accuracy:.1f} % of the non-members."
    )
    texts = [asked, reading(report), *_what_it_takes(report), NO_PROOF]
    return "".join(f"<p>{escape(text)}</p>\n" for text in texts).replace(" %", "\u00a0%")


def _what_it_takes(report: Report) -> list[str]:
    """Return what the strongest attack assumes and how many members it finds with few mistakes."""
    base = leaks(report.results).get(None)
    if base is None:
        return []
    text = f"This attack ({base.result.attack}) assumes that {base.result.assumption}."
    tpr = base.result.metrics.get("tpr_at_fpr_0.01")
    if not isinstance(tpr, Interval):
        return [text]
    value, low, high = (f"{100 * share:.1f}" for share in (tpr.value, tpr.low, tpr.high))
    found = f"When 1 % of the non-members may be called members by mistake, it finds {value} % of the members"
    return [f"{text} {found} (between {low} and {high} %; guessing finds 1 %)."]


def _overview(report: Report) -> str:
    """Return the table mitigation × attack: a body a mitigation, which heads the rows of its attacks."""
    groups = by_mitigation(stronger(report.results))
    caption = (
        f"Figures with [low, high], the {confidence(report)} confidence interval. Rates are "
        "fractions of 1. TPR: share of the members found; FPR: share of the non-members called members by mistake. "
        "Of two attackers, one who knows of the mitigation and one who does not, the stronger is shown."
    )
    bodies = "".join(_group(name, results) for name, results in groups.items())
    columns = (
        _column("mitigation"),
        _column("test accuracy", "of 1"),
        _column("attack"),
        _column("attacker", "of the mitigation"),
        _column("AUC", "0.5 guessing, 1 certainty"),
        _column("attack accuracy", "of 1; 0.5 guessing"),
        _column("TPR at 1 % FPR", "of 1; 0.01 guessing"),
    )
    head = f"<caption>{caption}</caption><thead><tr>{''.join(columns)}</tr></thead>"
    return f'<div class="wide"><table>{head}{bodies}</table></div>\n'


def _column(name: str, unit: str = "") -> str:
    return f'<th scope="col">{name}<span class="small">{unit}</span></th>'


def _group(name: str, results: Sequence[Result]) -> str:
    span = f'rowspan="{len(results)}"'
    accuracy = unbroken(results[0].utility.get("test_accuracy"))
    first = f'<th scope="rowgroup" {span}>{escape(name)}</th><td {span}>{escape(accuracy)}</td>'
    rows = [cells((result.attack, attacker_name(result), *_main_figures(result))) for result in results]
    return f'<tbody class="group"><tr>{first}{"</tr><tr>".join(rows)}</tr></tbody>'


def _main_figures(result: Result) -> tuple[str, ...]:
    names = ("auc", "accuracy", "tpr_at_fpr_0.01")
    return tuple(unbroken(result.metrics.get(name)) for name in names)


def _all_figures(report: Report) -> str:
    names = list(dict.fromkeys(name for result in report.results for name in result.metrics))
    who = [(mitigation_name(r), r.attack, attacker_name(r)) for r in report.results]
    rows = [(*w, *(unbroken(r.metrics.get(n)) for n in names)) for w, r in zip(who, report.results, strict=True)]
    whole = table(("mitigation", "attack", "attacker", *map(metric_name, names)), rows)
    methods = {
        n: {m.method for r in report.results if isinstance(m := r.metrics.get(n), Interval | LowerBound)} for n in names
    }
    stated = "; ".join(f"{metric_name(n)}: {', '.join(sorted(found))}" for n, found in methods.items() if found)
    return details("All figures", f'{whole}<p class="small">Intervals by {escape(stated)}.</p>')


def _costs(report: Report) -> str:
    """Return what each mitigation costs, and the paired differences from the target as it is."""
    firsts = {name: results[0] for name, results in by_mitigation(report.results).items()}
    worth = [(name, *(_there(r.utility, n) for n in _WORTH)) for name, r in firsts.items()]
    changes = [(name, *(_there(r.change, n) for n in _CHANGES)) for name, r in firsts.items() if r.change]
    notes = dict.fromkeys(note for result in report.results for note in result.notes)
    tables = table(("mitigation", *_WORTH.values()), worth) + table(("mitigation", *_CHANGES.values()), changes)
    return tables + items(notes)


def _there(metrics: Mapping[str, Metric], name: str) -> str:
    return unbroken(metrics[name]) if name in metrics else ""


def _recommended(report: Report) -> str:
    """Return the recommendation and the guarantees, if there are any."""
    advice = f"<p>{escape(report.recommendation.reason)}</p>" if report.recommendation else ""
    return advice + items(claim(guarantee) for guarantee in report.guarantees)


def _figure(name: str, png: bytes) -> str:
    return image(CAPTIONS.get(name, name.replace("_", " ")), png)


def _classes(report: Report) -> str:
    """Return the tables of the target as it is; mitigated ones would make the page long and are in report.json."""
    base = [result for result in report.results if result.mitigation is None and result.by_class]
    if not base:
        return "<p>No figures by class.</p>"
    worst = [(r.attack, *_excess(r.worst_class)) for r in base if r.worst_class is not None]
    tables = "".join(_group_table(f"{r.attack}: {len(r.by_class)} classes", r.by_class) for r in base)
    return (
        '<p class="small">Without mitigation; report.json has the classes of every mitigation. First the class that '
        "leaks most, against all records; intervals and p-values are corrected for the number of classes.</p>"
        f"{table(_WORST_COLUMNS, worst) if worst else ''}{tables}"
    )


def _slices(report: Report) -> str:
    """Return the slices' tables of the target as it is, or nothing without slices."""
    base = [(r, name) for r in report.results if r.mitigation is None for name in r.by_slice]
    worst = [(f"{r.attack}, by {name}", *_excess(r.worst_slice[name])) for r, name in base]
    tables = "".join(_group_table(f"{r.attack}, by {name}", r.by_slice[name]) for r, name in base)
    return f"{table(_WORST_COLUMNS, worst)}{tables}" if base else ""


def _excess(worst: Excess) -> tuple[str, str, str]:
    return worst.group, unbroken(worst.excess), "" if worst.p_value is None else number(worst.p_value)


def _group_table(title: str, groups: Sequence[ClassMetrics]) -> str:
    rows = [
        (
            c.label,
            f"{c.n_members:,}",
            f"{c.n_nonmembers:,}",
            *map(unbroken, (c.auc, c.accuracy, c.precision, c.recall)),
        )
        for c in groups
    ]
    return details(title, table(_CLASS_COLUMNS, rows))


def _repeats(report: Report) -> str:
    """Return what repeats agree on, of the figures that are printed first."""
    names = ("auc", "accuracy", "tpr_at_fpr_0.01")
    rows = [
        (
            r.mitigation or "none",
            r.attack,
            *(f"{number(s.mean)} ± {number(s.sd)}" if (s := r.spread.get(n)) else "not measured" for n in names),
            or_not(r.rank_correlation),
            or_not(r.exposed_overlap),
        )
        for r in report.repeats
    ]
    columns = ("mitigation", "attack", *map(metric_name, names), "rank correlation", "overlap of the most exposed 1 %")
    text = (
        f"The whole audit {report.audit.n_repeats} times, each with another split and other seeds: mean and standard "
        "deviation over repeats. The rank correlation and the overlap say how far repeats agree on single records; "
        "where they are low, nothing can be said of one record."
    )
    return f"<p>{escape(text)}</p>{table(columns, rows)}"


def _set_up(report: Report) -> str:
    audit, data, target, shadows = report.audit, report.data, report.target, report.shadows
    made = f"{shadows.n_trained} trained now, {shadows.n_reused} taken from earlier runs"
    right = f"right on {or_not(shadows.train_accuracy)} of IN and {or_not(shadows.test_accuracy)} of OUT records"
    size = f"{data.n_records:,} records, {data.n_features:,} features, {data.n_classes:,} classes"
    entries = {
        "Data": f"{data.name}: {size}",
        "Target": f"{target.kind}: {target.description}, {target.n_classes:,} classes",
        "Shadow models": f"{shadows.n_models} models of {shadows.size:,} records each ({made}), {right}; design "
        f"{shadows.design}; data: {shadows.data}"
        if shadows.n_models
        else "none needed",
        **{f"What {r.attack} assumes": r.assumption for r in report.results},
        **{f"What {r.attack} chose on shadow models": r.chosen for r in report.results if r.chosen},
        "Seed": str(audit.seed),
        "Spec": f"SHA-256 {audit.spec_digest}",
    }
    return definitions(entries) + _warnings(data.warnings)


def _drawn(drawn: DrawnInfo) -> str:
    """Return how shadow data were made, class by class where they were searched for."""
    columns = ("class", "records found", "failures", "queries", "queries a record", "seconds")
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
    classes = details("Class by class", table(columns, rows)) if rows else ""
    return f"<p>{escape(drawn_line(drawn))}.</p>\n{classes}"


def _controls(report: Report) -> str:
    rows = [(control_name(name), STATUS[c.status], c.reason) for name, c in report.controls.items()]
    return table(("control", "outcome", "what was found"), rows)


def _warnings(warnings: Sequence[str]) -> str:
    return f"<p>Warnings about the data:</p>{items(warnings)}" if warnings else ""


def _ledger(report: Report) -> str:
    ledger = report.ledger
    entries = {
        "Time": f"{report.audit.seconds:,.1f} s from start to end",
        "Queries": f"{ledger.queries:,} records sent to the target",
        "Models trained": f"{ledger.fits:,}, and {ledger.reused_fits:,} taken from earlier runs",
        "Results taken from earlier runs": f"{ledger.reused:,}",
        "Peak memory": f"{ledger.driver_peak_rss_mb:,.0f} MB in the process that orders the work, "
        f"{ledger.worker_peak_rss_mb:,.0f} MB in the largest that does it",
    }
    stages = {**dict.fromkeys(ledger.seconds), **dict.fromkeys(ledger.cpu_seconds)}
    rows = [(stage, *(_seconds(by.get(stage)) for by in (ledger.seconds, ledger.cpu_seconds))) for stage in stages]
    return definitions(entries) + (table(("stage", "seconds", "CPU seconds, all processes"), rows) if rows else "")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def _limits_of_method() -> str:
    texts = (
        "AUC is the probability that the attack finds a random member more suspicious than a random non-member: 0.5 "
        "is guessing, 1 is certainty. An interval that includes 0.5 means that no leak was shown, not that there is "
        "none.",
        "The attack's yes or no uses a threshold chosen on shadow data alone, as a real attacker would have to; "
        "attack accuracy, precision and recall are for as many members as non-members.",
        "The intervals answer for the choice of the audited records, not for the training of another model.",
        NO_PROOF,
    )
    return "".join(f"<p>{escape(text)}</p>\n" for text in texts)
