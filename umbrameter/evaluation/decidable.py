"""Which limits an audit can decide, before it runs: at which sizes a limit could fail, and at which it would pass.

Belongs here: what numbers of records can show, by the intervals and the decision of an audit themselves. Does not
belong here: the decision on measured figures (`verdict`).
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

from umbrameter.evaluation.verdict import LimitStatus, decide
from umbrameter.seeds import generator
from umbrameter.spec.limits import Limit
from umbrameter.statistics import intervals
from umbrameter.statistics.estimates import LowerBound, Metric
from umbrameter.statistics.metrics import measure
from umbrameter.typing import Bools, Floats

CHANCE = 0.8
"""The chance of a pass, without any leak, from which on a limit counts as one that can pass."""

SIZES = (*(digit * 10**power for power in (1, 2, 3, 4) for digit in (1, 2, 3, 4, 5, 6, 8)), 100_000)
"""The numbers of members, and of as many non-members, among which the smallest that suffices to pass is looked for."""

MOST_DRAWS = 200
"""Audits without a leak that are drawn, at most, to estimate the chance of a pass: its standard error is .03 at .8."""

FEWEST_DRAWS = 20
"""Draws after which the estimate may end, if it is further than three standard errors from `CHANCE`."""


class Decidable(NamedTuple):
    """What an audit of given sizes can show about a limit.

    Parameters
    ----------
    limit
        The limit.
    sizes
        Numbers of members and of non-members; None if they are not known yet.
    at_worst
        How the limit comes out at these sizes under an attack that makes no mistake.
    chance
        The chance that one attack passes at these sizes though nothing leaks, a fraction; at most 100,000 a side count.
    fails_from, passes_from
        The smallest number of members, with as many non-members, at which the limit can fail, and at which the chance
        is `CHANCE`; None if there is none up to the largest of `SIZES`.
    """

    limit: Limit
    sizes: tuple[int, int] | None
    at_worst: LimitStatus | None
    chance: float | None
    fails_from: int | None
    passes_from: int | None


def decidable(limit: Limit, sizes: tuple[int, int] | None = None) -> Decidable:
    """Return the sizes at which a limit could fail or pass, and whether it could at given ones.

    A limit can fail if an attack that makes no mistake would exceed it. It passes without a leak if members and
    non-members score alike and none tie, and half of both are called members.

    Parameters
    ----------
    limit
        The limit.
    sizes
        Numbers of members and of non-members; None if they are not known yet.

    Examples
    --------
    >>> found = decidable(Limit(metric="auc", limit=0.55, source="us"), (50, 50))
    >>> found.at_worst, found.chance < 0.5, found.fails_from
    ('fail', True, 7)
    """
    smallest = range(2, SIZES[-1] + 1)
    fails = bisect_left(smallest, True, key=lambda n: at_worst(limit, n, n) == "fail")
    passes = bisect_left(SIZES, CHANCE, key=lambda n: chance_of_pass(limit, n, n))
    return Decidable(
        limit=limit,
        sizes=sizes,
        at_worst=None if sizes is None else at_worst(limit, *sizes),
        chance=None if sizes is None else chance_of_pass(limit, *(min(n, SIZES[-1]) for n in sizes)),
        fails_from=smallest[fails] if fails < len(smallest) else None,
        passes_from=SIZES[passes] if passes < len(SIZES) else None,
    )


def at_worst(limit: Limit, n_members: int, n_nonmembers: int) -> LimitStatus:
    """Return how a limit comes out under an attack that makes no mistake: without a failure, it cannot fail.

    Parameters
    ----------
    limit
        The limit.
    n_members, n_nonmembers
        Numbers of audited records.
    """
    is_member = np.arange(n_members + n_nonmembers) >= n_nonmembers
    return _status(limit, _figure(limit.metric, np.arange(len(is_member), dtype=float), is_member, is_member))


def chance_of_pass(limit: Limit, n_members: int, n_nonmembers: int) -> float:
    """Return the chance that a limit passes under one attack though nothing leaks, a fraction, estimated by draws.

    The more it differs from `CHANCE`, the fewer draws are made, at least `FEWEST_DRAWS` and at most `MOST_DRAWS`.

    Parameters
    ----------
    limit, n_members, n_nonmembers
        See `at_worst`.
    """
    rng, is_member = generator(0, "decidable"), np.arange(n_members + n_nonmembers) < n_members
    n_passed = 0
    for n in range(1, MOST_DRAWS + 1):
        scores = rng.random(len(is_member))
        figure = _figure(limit.metric, scores, is_member, scores >= 0.5)
        if isinstance(figure, LowerBound):  # what can only be bounded from below never passes
            return 0.0
        n_passed += _status(limit, figure) == "pass"
        if n >= FEWEST_DRAWS and abs(n_passed / n - CHANCE) > 3 * sqrt(CHANCE * (1 - CHANCE) / n):
            break
    return n_passed / n


def sentence(found: Decidable) -> str:
    """Return what an audit can show about a limit, in a line."""
    fails, passes = _of_each(found.fails_from), _of_each(found.passes_from)
    limit = f"{found.limit.metric} at most {found.limit.limit:g}, attack {found.limit.attack}"
    if found.sizes is None:
        return (
            f"{limit}: can fail from {fails} on; without any leak passes with a chance of {CHANCE:g} from {passes} on"
        )
    worst = "CANNOT BE MEASURED" if found.at_worst == "not_measured" else "CANNOT FAIL, whatever leaks"
    can = "can fail" if found.at_worst == "fail" else f"{worst} (it can fail from {fails} on)"
    enough = "" if (found.chance or 0) >= CHANCE else f" ({CHANCE:g} from {passes} on)"
    return (
        f"{limit}: with {found.sizes[0]:,} members and {found.sizes[1]:,} non-members it {can}; without any leak it "
        f"passes with a chance of about {found.chance:.2f}{enough}"
    )


def sentences(limits: Sequence[Limit], sizes: tuple[int, int] | None = None) -> list[str]:
    """Return a line per limit on what an audit can show; see `decidable`."""
    return [sentence(decidable(limit, sizes)) for limit in limits]


def _of_each(n: int | None) -> str:
    return f"more than {SIZES[-1]:,} of each side" if n is None else f"about {n:,} of each side"


def _status(limit: Limit, figure: Metric) -> LimitStatus:
    return decide([limit], [(limit.attack, {limit.metric: figure})]).limits[0].status


def _figure(metric: str, scores: Floats, is_member: Bools, called: Bools) -> Metric:
    """Return one figure as `measure` does, without the others where they would take most of the time."""
    members, nonmembers = scores[is_member], scores[~is_member]
    if metric == "auc":
        return intervals.auc(members, nonmembers)
    if metric.startswith("tpr_at_fpr_"):
        return intervals.tpr_at_fpr(members, nonmembers, float(metric.removeprefix("tpr_at_fpr_")))
    return measure(scores, is_member, called)[metric]
