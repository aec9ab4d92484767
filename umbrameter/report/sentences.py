"""The sentences of a report: what the attacks showed, what it is worth, and how it was come by.

Belongs here: sentences that the HTML page, the terminal and MLflow share. Does not belong here: numbers and names
(`text`), what was not measured (`not_measured`), escaping, layout, colour.
"""

from collections.abc import Sequence

from scipy.special import ndtri

from umbrameter.report.model import DrawnInfo, Guarantee, Likeness, LimitOutcome, Report, Result, ShadowInfo
from umbrameter.report.recommendation import leaks, measured_auc
from umbrameter.report.selection import strongest
from umbrameter.report.text import STATUS, control_name, figure, listed, metric_name, number, percent
from umbrameter.statistics.estimates import Interval
from umbrameter.statistics.metrics import FPRS
from umbrameter.statistics.repeats import Spread, instability

NO_PROOF = (
    "A failed attack proves no privacy: a stronger attack, or an attacker who knows more, may succeed where these did "
    "not."
)
"""Printed in every report, however good its figures are."""

LIMITS_NOTE = (
    "A limit fails if the lower bound of the figure's interval lies above it, passes if the upper bound lies below it, "
    "and is a warning in between. What can only be bounded from below never passes."
)
"""Explains the bound that decided on a limit, wherever limits are listed."""

GUESSING = {"auc": 0.5} | {f"tpr_at_fpr_{fpr}": fpr for fpr in FPRS}
"""The figures that show whether members can be told from non-members, and their values under guessing."""

STABLE = 1.5
"""Spread over trainings, as a multiple of what an interval implies, up to which one run is enough: it then contains
the mean over trainings in .8 of cases or more, instead of in .95."""

_ALIKE = {True: "alike", False: "not alike", None: "too few models to tell"}


def finding(report: Report) -> str:
    """Return what the attacks on the unmitigated target showed, in a sentence: the first that a reader should see.

    Members are said to be told from non-members if an AUC, or a TPR at a small FPR, is above guessing by its lower
    bound, corrected for the number of such figures that were looked at (Bonferroni).
    """
    unmitigated = [result for result in report.results if result.mitigation is None]
    measured = [result for result in unmitigated if measured_auc(result)]
    n_lost = len(unmitigated) - len(measured)
    text = _told(measured) if measured else "No attack on the unmitigated target was measured."
    lost = f" {n_lost} of {len(unmitigated)} attacks were not measured, and may be stronger; a list says why."
    failed = [control_name(name) for name, control in report.controls.items() if control.status == "fail"]
    doubt = f"Do not rely on what follows, since a control failed ({', '.join(failed)}). " if failed else ""
    return doubt + text + (lost if n_lost else "")


def _told(results: Sequence[Result]) -> str:
    """Return whether attacks with a measured AUC told members from non-members."""
    looks = [(r, n, m) for r in results for n in GUESSING if isinstance(m := r.metrics.get(n), Interval)]
    proven = [(r, n, m) for r, n, m in looks if _corrected(m, len(looks)) > GUESSING[n]]
    best = strongest(results, 1)[0]
    name = best.attack if len(results) == 1 else f"the strongest of {len(results)} attacks, {best.attack},"
    auc = f"AUC {figure(best.metrics['auc'])} (0.5 is guessing, 1 is certainty)"
    told = [look for look in proven if look[1] == "auc"]
    if any(result is best for result, _, _ in told):
        return f"Members can be told from non-members: {auc} by {name.rstrip(',')}."
    if proven:
        result, metric, rate = max(told or proven, key=lambda look: look[2].value / GUESSING[look[1]])
        shown = f"{metric_name(metric)} {figure(rate)} ({number(GUESSING[metric])} is guessing) by {result.attack}"
        return f"Members can be told from non-members: {shown}, though {name} has {auc}."
    beyond = " An interval above guessing is no proof here: {} figures were looked at, and by chance some lie above it."
    is_above = any(metric.low > GUESSING[name] for _, name, metric in looks)
    return f"No attack told members from non-members: {name} has {auc}.{beyond.format(len(looks)) if is_above else ''}"


def _corrected(metric: Interval, n_looks: int) -> float:
    """Return a figure's lower bound, corrected for the number of figures by the normal quantiles' ratio."""
    alpha = 1 - metric.confidence
    return float(metric.value - (metric.value - metric.low) * ndtri(alpha / (2 * n_looks)) / ndtri(alpha / 2))


def summary_sentence(report: Report) -> str:
    """Return the conclusion of a report: what the attacks showed, and the recommended mitigation."""
    return " ".join([finding(report), *([report.recommendation.reason] if report.recommendation else [])])


def other_trainings(report: Report) -> str:
    """Return what is known of the difference that training another model would make."""
    first = (
        "The intervals cover the random choice of the audited records, not the difference that training another model "
        "would make"
    )
    if not report.target.is_trained_here:
        shown = "; repeats show how much the audit's own draws and models vary" if report.repeats else ""
        return f"{first}: the target was trained elsewhere, and once{shown}."
    strongest_one = leaks(report.results).get(None)
    name = None if strongest_one is None else strongest_one.result.attack
    spreads = [
        r.spread["auc"] for r in report.repeats if (r.attack, r.mitigation) == (name, None) and "auc" in r.spread
    ]
    if strongest_one is None or not spreads:
        return f"{first}; `repeats` in the spec measures that."
    return f"{first}. {_stability(spreads[0], strongest_one.auc, str(name))}"


def _stability(spread: Spread, auc: Interval, attack: str) -> str:
    """Return whether one run is enough, as far as repeats can tell."""
    n, ratio = len(spread.values), instability(spread.values, auc)
    seen = (
        f"Over {n} trainings, the AUC of {attack} has standard deviation {number(spread.sd)}, {ratio.value:.1f} times "
        f"what one run's interval implies (between {ratio.low:.1f} and {ratio.high:.1f})"
    )
    if ratio.low > 1:
        ends = f"from {number(min(spread.values))} to {number(max(spread.values))}"
        return f"{seen}: one run is not enough. It ranged {ends}; read its mean, {number(spread.mean)}."
    if ratio.high <= STABLE:
        return f"{seen}: one run tells what others would."
    return f"{seen}: too few to tell whether one run is enough."


def likeness_rows(likeness: Likeness) -> list[tuple[str, str, str, str]]:
    """Return how alike shadow models and target are: what is compared, the target's figure, theirs, and the outcome."""
    compared = {
        **{f"{name} on non-members, OUT records": c for name, c in likeness.nonmembers.items()},
        **{f"{name} on members, IN records": c for name, c in likeness.members.items()},
        **({"same class on non-members": likeness.agreement} if likeness.agreement else {}),
    }
    return [(name, number(c.target), number(c.shadows), _ALIKE[c.is_alike]) for name, c in compared.items()]


def recipe_note(shadows: ShadowInfo) -> str:
    """Return that the shadow models' estimator was read off the target, and which it is; empty if the spec gave it."""
    return "" if shadows.recipe is None else f"; recipe read off the target: {shadows.recipe}"


def likeness_sentence(report: Report) -> str | None:
    """Return in what the shadow models are not like the target and what follows, or None if they are alike."""
    likeness = report.shadows.likeness
    differing = [row for row in likeness_rows(likeness) if row[3] == _ALIKE[False]] if likeness else []
    if not differing:
        return None
    listed = "; ".join(f"{name}: target {target}, shadow models {shadows}" for name, target, shadows, _ in differing)
    return (
        f"The shadow models are not like the target ({listed}). Attacks that learn from them find less than shadow "
        "models of the target's kind and training size would allow; and is_member or the target's answers may be wrong."
    )


def controls_line(report: Report) -> str:
    """Return how many controls passed and which did not, in a line."""
    by_status = {s: [control_name(n) for n, c in report.controls.items() if c.status == s] for s in STATUS}
    parts = [f"{len(by_status['pass'])} of {len(report.controls)} passed"]
    parts += [f"failed: {', '.join(by_status['fail'])}"] if by_status["fail"] else []
    parts += [f"not measured: {', '.join(by_status['not_measured'])}"] if by_status["not_measured"] else []
    return "; ".join(parts)


def drawn_line(drawn: DrawnInfo) -> str:
    """Return how many shadow records were drawn, with how many queries, in a line."""
    made = f"{drawn.kind}: {drawn.n_records:,} of {drawn.n_wanted:,} records"
    if not drawn.queries:
        return made
    per_record = f", {drawn.queries / drawn.n_records:,.1f} per record" if drawn.n_records else ""
    missing = [row.label for row in drawn.by_class if not row.n_found]
    without = f"; none of {len(missing)} classes: {listed(missing)}" if missing else ""
    return f"{made} by {drawn.queries:,} queries to the target{per_record}{without}"


def observed(outcome: LimitOutcome) -> str:
    """Return the figure that a limit is set on: a number, `not reachable`, or `not measured`."""
    if outcome.observed is not None:
        return number(outcome.observed)
    return "not measured" if outcome.bound is None else "not reachable"


def deciding_bound(outcome: LimitOutcome) -> str:
    """Return the bound that decided on a limit, such as `lower bound 0.610`."""
    return "not measured" if outcome.bound is None else f"{outcome.side} bound {number(outcome.bound)}"


def guarantees_of(report: Report, mitigation: str) -> list[Guarantee]:
    """Return the claims of privacy that a mitigation or a part of it makes."""
    # The label of a composition joins those of its parts by a plus sign.
    return [guarantee for guarantee in report.guarantees if guarantee.mitigation in mitigation.split(" + ")]


def guarantee_sentence(found: Guarantee) -> str:
    """Return a claimed guarantee, or that it is withdrawn, and the epsilon that attacks prove, in a line."""
    claim = (
        f"ε {number(found.epsilon)} at δ {found.delta:g} ({found.accountant}; noise multiplier "
        f"{number(found.noise_multiplier)}, {found.n_steps:,} steps)"
    )
    gaussian = found.gaussian_epsilon_lower_bound
    proofs = (
        f"attacks on this one training prove at least {number(found.one_run_epsilon_lower_bound)}; "
        f"{number(found.epsilon_lower_bound)} if records leak independently"
        f"{'' if gaussian is None else f', and {number(gaussian)} if the trade-off is Gaussian, too'} "
        f"({found.n_attacks} attacks, {percent(found.confidence)})"
    )
    if found.is_reproducible:
        return (
            f"withdrawn: {found.mitigation} claims no privacy, since its noise follows from a seed, and whoever knows "
            f"the seed can draw it again; for a claim, train it with secret noise (without reproducible); {proofs}"
        )
    state = "BROKEN" if found.is_broken else "DOUBTFUL" if found.is_doubtful else "not disproved"
    return f"{state}: {found.mitigation} claims {claim}; {proofs}"
