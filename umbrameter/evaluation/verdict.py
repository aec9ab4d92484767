"""The decision: an audit's figures against the limits of its spec, on the confidence bound, never on the point.

Belongs here: limits, presets, and how figures become pass, warn, fail or not measured. Does not belong here: how a
figure is measured.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from umbrameter.spec.limits import ANY, Limit
from umbrameter.statistics.estimates import Interval, LowerBound, Metric, NotReachable

LimitStatus: TypeAlias = Literal["pass", "warn", "fail", "not_measured"]
"""How a limit came out."""

Status: TypeAlias = LimitStatus | Literal["no_limits"]
"""How the whole audit came out; without limits there was nothing to decide, whatever the figures are."""

WORST_FIRST: tuple[LimitStatus, ...] = ("fail", "not_measured", "warn", "pass")


class LimitOutcome(BaseModel):
    """One limit of the spec, and how it came out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(description="The limited figure.")
    attack: str = Field(description="The attack whose figure decided.")
    limit: float = Field(description="The largest accepted value.")
    observed: float | None = Field(description="The figure; null when it was not measured or not reachable.")
    bound: float | None = Field(description="The confidence bound that decided; null when nothing was measured.")
    side: Literal["lower", "upper"] | None = Field(default=None, description="Which bound that is; null as above.")
    status: LimitStatus = Field(description="How it came out.")
    source: str = Field(description="Who set the limit and why.")


class Verdict(BaseModel):
    """The outcome of an audit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Status = Field(description="The worst of the limits; no_limits when there are none.")
    reason: str = Field(description="Why, in a sentence.")
    limits: list[LimitOutcome] = Field(default=[], description="Each limit's outcome.")


NO_LIMITS = (
    "No limits are set, so nothing was decided, whatever the figures are: set limits in the spec, or --fail-on auc=0.6."
)


def decide(
    limits: Sequence[Limit],
    figures: Sequence[tuple[str, dict[str, Metric]]],
    doubts: Sequence[str] = (),
    alarms: Sequence[str] = (),
) -> Verdict:
    """Return the verdict on figures, given limits.

    A limit fails when the figure's lower confidence bound exceeds it, passes when the upper bound is below it and the
    lower one does not exceed the warning level, and warns between. A figure that can only be bounded from below never
    passes. A limit on any attack takes the outcome of the worst one.

    Parameters
    ----------
    limits
        The spec's limits, with presets expanded.
    figures
        Each attack's name and its metrics on the unmitigated target.
    doubts
        Reasons not to trust the audit, such as a failed control; then nothing is decided.
    alarms
        Reasons to fail the audit whatever the limits, such as a guarantee that attacks disprove.

    Examples
    --------
    >>> sure = Interval(value=0.7, low=0.68, high=0.72, confidence=0.95, method="DeLong")
    >>> limit = Limit(metric="auc", limit=0.55, source="ours")
    >>> decide([limit], [("loss", {"auc": sure})]).status
    'fail'
    """
    outcomes = [_outcome(limit, figures) for limit in limits]
    if doubts:
        return Verdict(status="not_measured", reason=" ".join(doubts), limits=outcomes)
    if alarms:
        return Verdict(status="fail", reason=" ".join(alarms), limits=outcomes)
    if not outcomes:
        return Verdict(status="no_limits", reason=NO_LIMITS)
    status = min((outcome.status for outcome in outcomes), key=WORST_FIRST.index)
    return Verdict(status=status, reason=_reason(status, outcomes), limits=outcomes)


def _outcome(limit: Limit, figures: Sequence[tuple[str, dict[str, Metric]]]) -> LimitOutcome:
    """Return a limit's outcome under the worst attack; of equally bad ones, under that with the highest bound."""
    outcomes = [_of_attack(limit, name, metrics) for name, metrics in figures if limit.attack in (ANY, name)]
    if not outcomes:
        return _entry(limit, limit.attack, "not_measured")
    return min(outcomes, key=lambda o: (WORST_FIRST.index(o.status), -(o.bound if o.bound is not None else 0)))


def _of_attack(limit: Limit, name: str, metrics: dict[str, Metric]) -> LimitOutcome:
    metric = metrics[limit.metric]
    if not isinstance(metric, Interval | LowerBound | NotReachable):
        return _entry(limit, name, "not_measured")
    value = None if isinstance(metric, NotReachable) else metric.value
    if metric.low > limit.limit:
        return _entry(limit, name, "fail", value, metric.low, "lower")
    if metric.high is None:
        return _entry(limit, name, "warn", value, metric.low, "lower")
    below_warning = limit.warn is None or metric.low <= limit.warn
    status: LimitStatus = "pass" if metric.high < limit.limit and below_warning else "warn"
    return _entry(limit, name, status, value, metric.high, "upper")


def _entry(
    limit: Limit,
    attack: str,
    status: LimitStatus,
    observed: float | None = None,
    bound: float | None = None,
    side: Literal["lower", "upper"] | None = None,
) -> LimitOutcome:
    return LimitOutcome(
        metric=limit.metric,
        attack=attack,
        limit=limit.limit,
        observed=observed,
        bound=bound,
        side=side,
        status=status,
        source=limit.source,
    )


def _reason(status: LimitStatus, outcomes: Sequence[LimitOutcome]) -> str:
    """Return the verdict in a sentence."""
    n = sum(outcome.status == status for outcome in outcomes)
    share = f"{n} of {len(outcomes)} limits"
    return {
        "fail": f"{share} exceeded: the lower confidence bound lies above the limit.",
        "not_measured": f"{share} could not be decided, since a figure was not measured.",
        "warn": f"No limit was shown to be exceeded, and {share} could not be shown to be kept.",
        "pass": "Every limit is kept: the upper confidence bounds lie below the limits.",
    }[status]
