"""The report on a terminal: the summary after `umbrameter audit`, with or without colour.

Belongs here: layout for a screen of 80 columns or more. Does not belong here: sentences (`sentences`).
"""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from umbrameter.report.model import AS_STORED, LimitOutcome, Report, Result
from umbrameter.report.not_measured import TIES, in_brief
from umbrameter.report.recommendation import remaining_utility
from umbrameter.report.selection import by_mitigation, stronger
from umbrameter.report.sentences import (
    LIMITS_NOTE,
    NO_PROOF,
    controls_line,
    deciding_bound,
    drawn_line,
    finding,
    guarantee_sentence,
    likeness_sentence,
    observed,
    other_trainings,
    recipe_note,
    summary_sentence,
)
from umbrameter.report.sweep_model import SweepReport, lines, queries
from umbrameter.report.text import STATUS, confidence, figure, intervals_note, metric_name, number, point

_COLOURS = {"pass": "green", "warn": "yellow", "fail": "red", "not_measured": "cyan", "no_limits": "cyan"}

_FIGURES_WIDTH = 55
"""The width of the three columns of figures and the gaps between them."""

_MARKS = {"not reachable": ("ties", TIES), "not measured": ("-", "not measured")}
"""What stands in the narrow column of TPRs for these words, and how a line below the table explains it."""


def summary(report: Report, places: Mapping[str, str]) -> RenderableType:
    """Return the summary of a report, for a rich console to print.

    Parameters
    ----------
    report
        The audit's report.
    places
        The places to list at the end, by name, such as `{"Report": "runs/demo/report.html"}`.

    Returns
    -------
    RenderableType
        Readable from 80 columns on; colour alone carries no information.

    Examples
    --------
    >>> from rich.console import Console
    >>> Console().print(summary(report, {"Report": "report.html"}))  # doctest: +SKIP
    """
    verdict = report.verdict
    parts: list[RenderableType] = [
        Text(f"umbrameter audit: {report.audit.name}", style="bold"),
        Padding(Text(finding(report), style="bold"), (0, 0, 0, 2)),
        _pairs(_audited(report)),
        *_results(report),
        *_unmeasured(report, "Report" in places),
        Text(),
        Text.assemble(("Verdict: ", "bold"), (STATUS[verdict.status], f"bold {_COLOURS[verdict.status]}")),
        Padding(Text(verdict.reason), (0, 0, 0, 2)),
        *([Padding(Text(LIMITS_NOTE), (0, 0, 0, 2))] if verdict.limits else []),
        *(_bullet(_limit(outcome)) for outcome in verdict.limits),
        *(_bullet(guarantee_sentence(guarantee)) for guarantee in report.guarantees),
        Text("Summary", style="bold"),
        Padding(Text(f"{summary_sentence(report)} {NO_PROOF}"), (0, 0, 0, 2)),
        *([Text("Where", style="bold"), _pairs(places)] if places else []),
    ]
    return Group(*parts)


def sweep_summary(report: SweepReport, places: Mapping[str, str]) -> RenderableType:
    """Return the summary of a sweep, for a rich console to print: one line per point and attack."""
    made = queries(report)
    parts: list[RenderableType] = [
        Text(f"umbrameter sweep over {report.title}: {report.name}", style="bold"),
        _table(lines(report)),
        Text("medians are over classes; the report has the intervals"),
        Text("Verdict", style="bold"),
        _pairs({point.label: STATUS[point.status] for point in report.points}),
        *(_titled("Shadow data made by querying the target", made) if made else ()),
        Text("Where", style="bold"),
        _pairs({**places, **{point.label: point.run for point in report.points}}),
    ]
    return Group(*parts)


def _titled(title: str, entries: Sequence[Mapping[str, str]]) -> tuple[RenderableType, ...]:
    return (Text(title, style="bold"), _table(entries))


def _table(entries: Sequence[Mapping[str, str]]) -> Table:
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for name in entries[0]:
        shown.add_column(name, overflow="fold")
    for entry in entries:
        # rich would read brackets in plain strings as markup.
        shown.add_row(*map(Text, entry.values()))
    return shown


def _audited(report: Report) -> dict[str, str]:
    data, target, shadows = report.data, report.target, report.shadows
    reused = f"{shadows.n_trained} trained, {shadows.n_reused} reused"
    made = f"{shadows.n_models} models of {shadows.size:,} records each ({reused})"
    known = f"{shadows.n_models} models" if shadows.n_models else "models that are not told apart (no model_id)"
    shadow = f"{made if shadows.size else known}; {shadows.design}; data: {shadows.data}{recipe_note(shadows)}"
    return {
        "Data": f"{data.name}: {data.n_records:,} records, {data.n_features:,} features, {data.n_classes:,} classes",
        "Target": f"{target.description}; accuracy {number(target.train_accuracy)} on {target.n_members:,} members, "
        f"{number(target.test_accuracy)} on {target.n_nonmembers:,} non-members",
        "Shadows": shadow if shadows.n_models or shadows.design == AS_STORED else "none needed",
        **({} if shadows.drawn is None else {"Drawn": drawn_line(shadows.drawn)}),
        "Took": f"{report.audit.seconds:,.1f} s; {report.ledger.fits:,} models trained, "
        f"{report.ledger.reused:,} results reused, {report.ledger.queries:,} queries",
        **({"Controls": controls_line(report)} if report.controls else {}),
        **({"Warning": "; ".join(data.warnings)} if data.warnings else {}),
        **({"Repeats": other_trainings(report)} if report.repeats else {}),
        **({"Not alike": unlike} if (unlike := likeness_sentence(report)) else {}),
    }


def _limit(outcome: LimitOutcome) -> str:
    """Return a limit, its outcome and its source, in a line."""
    measured = "" if outcome.bound is None else f" (measured {observed(outcome)}, {deciding_bound(outcome)})"
    return (
        f"{STATUS[outcome.status]}: {metric_name(outcome.metric)} of {outcome.attack} at most {number(outcome.limit)}"
        f"{measured}; {outcome.source}"
    )


def _results(report: Report) -> list[RenderableType]:
    """Return the table: a line per mitigation with the test accuracy that it leaves, below it a line per attack."""
    shown = stronger(report.results)
    first = min(max(max((len(_name(result)) for result in shown), default=6) + 1, 14), 25)
    head = _grid(first)  # 25 columns and those of the figures fill a screen of 80
    head.add_row("mitigation", "AUC [low, high]", "attack accuracy", "TPR at")
    head.add_row(" attack", "0.5 is guessing", "0.5 is guessing", "1 % FPR")
    notes = [
        f"{intervals_note(confidence(report))} Rates are fractions from 0 to 1; the report has the TPR's interval."
    ]
    if any(result.attacker == "static" for result in shown):
        notes.append("*: the static attacker, who does not know the mitigation, did better than the adaptive one")
    rates = {_rate(result) for result in shown}
    notes += [f"{mark}: {reason}" for mark, reason in _MARKS.values() if mark in rates]
    rule = Text("-" * (first + _FIGURES_WIDTH), no_wrap=True, overflow="crop")
    groups = [
        part
        for name, results in by_mitigation(shown).items()
        for part in (_heading(name, results[0], first + _FIGURES_WIDTH), _rows(results, first))
    ]
    return [Text(), head, rule, *groups, rule, *map(Text, notes)]


def _unmeasured(report: Report, is_written: bool) -> list[RenderableType]:
    """Return what was not measured, counted: before the verdict, which is to be on the screen at the end."""
    notes = in_brief(report)
    title = f"Not measured ({'the report' if is_written else 'a report, by --out DIR,'} lists each result and reason)"
    return [Text(), Text(title, style="bold"), *(_bullet(note) for note in notes)] if notes else []


def _heading(mitigation: str, result: Result, width: int) -> RenderableType:
    accuracy = remaining_utility(result)
    utility = "test accuracy not measured" if accuracy is None else f"test accuracy {number(accuracy)}"
    line = Table.grid(expand=True)
    line.width = width
    line.add_column(overflow="fold")
    line.add_column(justify="right", no_wrap=True)
    line.add_row(Text(mitigation, style="bold"), Text(utility, style="bold"))
    return line


def _rows(results: Sequence[Result], first: int) -> Table:
    rows = _grid(first)
    for result in results:
        metrics = (result.metrics.get(name) for name in ("auc", "accuracy"))
        figures = ("not measured" if metric is None else figure(metric) for metric in metrics)
        rows.add_row(*map(Text, (_attack(_name(result), first), *figures, _rate(result))))
    return rows


def _rate(result: Result) -> str:
    """Return the TPR, or the mark of why there is none: the words would take two lines."""
    tpr = result.metrics.get("tpr_at_fpr_0.01")
    text = "not measured" if tpr is None else point(tpr)
    return _MARKS[text][0] if text in _MARKS else text


def _name(result: Result) -> str:
    """Return an attack's name, marked if the attacker is static."""
    return f"{result.attack} *" if result.attacker == "static" else result.attack


def _attack(name: str, width: int) -> str:
    """Return an attack's name, broken before its attack model if it is too long for one line."""
    return f" {name}" if len(name) < width else f" {name.replace('(', chr(10) + '(', 1)}"


def _grid(first: int) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=first, overflow="fold")
    for width in (20, 20, 9):
        grid.add_column(width=width)
    return grid


def _pairs(entries: Mapping[str, str]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in entries.items():
        grid.add_row(Text(f"  {name}"), Text(text))
    return grid


def _bullet(text: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(Text("  -"), Text(text, overflow="fold"))
    return grid
