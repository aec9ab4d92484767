"""Placements: how many records of the other side each record beats, and what they leave open about the AUC.

Belongs here: the AUC and the difference of two AUCs as means of placements, and bounds of such means. Does not belong
here: what a figure is called and how it is reported (`intervals`, `paired`, `subgroups`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, log, sqrt

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from umbrameter.typing import Floats, Ints

FEWEST = 10
"""Records per side below which the spread of their placements is itself too uncertain to rely on."""

FURTHER = 3.0
"""How much further than the furthest change seen one may reach in the longer tail, of which few records show little."""

METHOD = "Clopper-Pearson of placements, both sides"


@dataclass(frozen=True)
class Placed:
    """The placements of one side's records, each the share of the other side that the record beats; or changes of them.

    Parameters
    ----------
    values
        Shape (n_records,).
    floor, ceiling
        The smallest and the largest value that any record could have.
    step_below, step_above
        How much further than every record of this side an unseen one may lie.
    """

    values: Floats
    floor: float
    ceiling: float
    step_below: float
    step_above: float


@dataclass(frozen=True)
class Side:
    """What one side's placements say about their mean, in numbers from which bounds of any level follow.

    Parameters
    ----------
    n_records
        Number of records of the side.
    mean, floor, ceiling
        The mean placement, and the smallest and the largest that any record could have.
    spread
        The placements' variance, as a share of that of records which all lie at the floor or the ceiling; 0 to 1.
    degrees
        Degrees of freedom of that variance, from the kurtosis; at least 1.
    is_open_below, is_open_above
        Whether the longer tail, which a sample may have missed, is below or above the mean.
    is_alike
        Whether all records have the same placement.
    step_below, step_above
        See `Placed`; for scores the largest step between two neighbouring scores that only the other side has.
    """

    n_records: int
    mean: float
    floor: float
    ceiling: float
    spread: float
    degrees: float
    is_open_below: bool
    is_open_above: bool
    is_alike: bool
    step_below: float
    step_above: float

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return the bounds of the mean, each missed with a chance of alpha / 2.

        The mean is a share of the way from floor to ceiling. Its bounds are those of Clopper and Pearson for as many
        trials as would give the placements' variance: for two-valued scores, the records themselves.
        """
        width = self.ceiling - self.floor
        share = min(1.0, max(0.0, (self.mean - self.floor) / width))
        below, above = self._trials(alpha, self.is_open_below), self._trials(alpha, self.is_open_above)
        low = betaincinv(below * share, below * (1 - share) + 1, alpha / 2) if share > 0 else 0.0
        high = betaincinv(above * share + 1, above * (1 - share), 1 - alpha / 2) if share < 1 else 1.0
        unseen = 1 - (alpha / 2) ** (1 / self.n_records)  # a larger share would show among so many records
        return (
            min(self.mean - unseen * self.step_below, float(self.floor + width * low)),
            max(self.mean + unseen * self.step_above, float(self.floor + width * high)),
        )

    @property
    def variance(self) -> float:
        """The estimated variance of the mean."""
        return self.spread * max(0.0, (self.mean - self.floor) * (self.ceiling - self.mean)) / self.n_records

    def _trials(self, alpha: float, is_open: bool) -> float:
        """Return the number of two-valued trials that are as uncertain as the placements."""
        # As in Agresti and Min (2005), one more record at an end: a spread of 0 among n records is no proof of none.
        spread = self.spread + 1 / self.n_records
        if is_open:
            spread = max(spread, self.spread * float(stdtrit(self.degrees, alpha / 2) / ndtri(alpha / 2)) ** 2)
        return self.n_records / min(1.0, spread)


@dataclass(frozen=True)
class Auc:
    """The AUC of two sides of scores, with what bounds it at any level."""

    value: float
    members: Side
    nonmembers: Side

    def bounds(self, alpha: float) -> tuple[float, float, str]:
        """Return the bounds of the AUC at confidence 1 - alpha, and the method behind them."""
        pairs = min(self.members.n_records, self.nonmembers.n_records)
        if self.members.is_alike and self.nonmembers.is_alike:
            alike = (alpha / 2) ** (1 / pairs)
            low, high = self.value * alike, 1 - (1 - self.value) * alike
            return low, high, f"exact bound from {pairs:,} independent pairs"
        if pairs < FEWEST:
            reach = sqrt(log(2 / alpha) / (2 * pairs))
            return max(0.0, self.value - reach), min(1.0, self.value + reach), "Hoeffding bound (few records)"
        sides = self.members, self.nonmembers
        low, high = combined(self.value, sides, alpha)
        # Far in the tails of few records MOVER is too narrow, and one proportion with both sides' variance is right.
        if variance := sum(side.variance for side in sides):
            hits, misses = self.value**2 * (1 - self.value) / variance, self.value * (1 - self.value) ** 2 / variance
            low = min(low, float(betaincinv(hits, misses + 1, alpha / 2)))
            high = max(high, float(betaincinv(hits + 1, misses, 1 - alpha / 2)))
        return max(0.0, low), min(1.0, high), METHOD


def auc_of(members: Floats, nonmembers: Floats) -> Auc:
    """Return the AUC of checked scores.

    Parameters
    ----------
    members, nonmembers
        Scores, shapes (n_members,) and (n_nonmembers,), at least one each, without NaN.
    """
    wins, losses = _both_placed(members, nonmembers)
    doubled = np.rint(2 * len(nonmembers) * wins.values)  # whole numbers, so that their order does not count
    return Auc(
        value=float(doubled.sum() / (2 * len(members) * len(nonmembers))),
        members=side_of(wins),
        nonmembers=side_of(losses),
    )


def auc_difference_of(one: Sequence[Floats], other: Sequence[Floats], alpha: float) -> tuple[float, float, float]:
    """Return another AUC of the same records less the first, and its bounds at confidence 1 - alpha.

    Parameters
    ----------
    one, other
        Scores of members and of non-members, two of shapes (n_members,) and (n_nonmembers,) each.
    alpha
        The chance that the bounds miss.
    """
    changes = [_change(*side) for side in zip(_both_placed(*one), _both_placed(*other), strict=True)]
    value = float(changes[0].values.mean())
    low, high = combined(value, [side_of(change) for change in changes], alpha)
    return value, max(-1.0, low), min(1.0, high)


def combined(value: float, sides: Sequence[Side], alpha: float) -> tuple[float, float]:
    """Return bounds of a figure that moves with both sides' independent means, from the bounds of each.

    References
    ----------
    Zou, Donner (2008), "Construction of confidence limits about effect measures", Statistics in Medicine 27 (MOVER);
    for two proportions Newcombe (1998), Statistics in Medicine 17, method 10.
    """
    bounds = [side.bounds(alpha) for side in sides]
    below = hypot(*(side.mean - low for side, (low, _) in zip(sides, bounds, strict=True)))
    above = hypot(*(high - side.mean for side, (_, high) in zip(sides, bounds, strict=True)))
    return value - below, value + above


def side_of(placed: Placed) -> Side:
    """Return what placements, or changes of placements, say about their mean."""
    values, floor, ceiling = placed.values, placed.floor, placed.ceiling
    n, mean = len(values), float(values.mean())
    deviations = values - mean
    squared = deviations**2
    squares, room = float(squared.sum()), (mean - floor) * (ceiling - mean)
    is_alike = bool(values.max() == values.min())
    rest = (is_alike, placed.step_below, placed.step_above)
    if is_alike or room <= 0:
        at_an_end = values[0] in (floor, ceiling)  # two-valued as far as one can see: its variance is known
        return Side(n, mean, floor, ceiling, float(at_an_end), np.inf, True, True, *rest)
    kurtosis = n * float((deviations**4).sum()) / squares**2
    degrees, spread = 1 + 2 * n / max(kurtosis - 1, 1e-9), min(1.0, squares / ((n - 1) * room))
    is_open_below, is_open_above = _open_ends(deviations)
    return Side(n, mean, floor, ceiling, spread, degrees, is_open_below, is_open_above, *rest)


def _open_ends(deviations: Floats) -> tuple[bool, bool]:
    """Return whether the longer tail, which a sample may have missed, is below or above the mean; both if alike."""
    cubed = deviations**2 * deviations  # a power of a negative number costs tens of times as much
    skewness, rounding = float(cubed.sum()), 1e-9 * float(np.abs(cubed).sum())
    return skewness <= rounding, skewness >= -rounding


def _change(before: Placed, after: Placed) -> Placed:
    """Return how far each record's placement moves, and how far one could."""
    values = after.values - before.values
    floor, ceiling = after.floor - before.ceiling, after.ceiling - before.floor
    if np.ptp(values):
        furthest = float(np.abs(values).max())
        unseen = [furthest * (FURTHER if is_open else 1) for is_open in _open_ends(values - values.mean())]
        below, above = (max(furthest, min(pair)) for pair in zip(unseen, (-floor, ceiling), strict=True))
        steps = max(after.step_below, before.step_above), max(after.step_above, before.step_below)
        return Placed(values, -below, above, *steps)
    # No record moves unlike the others, so one that would is not known to stop short of where there is room.
    still = float(values[0])
    if floor == ceiling:
        floor, ceiling = -1.0, 1.0
    return Placed(values, floor, ceiling, still - floor, ceiling - still)


def _both_placed(members: Floats, nonmembers: Floats) -> tuple[Placed, Placed]:
    """Return members' and non-members' placements, 1 for a member above all and for a non-member below all.

    The share of the other side that a record beats, ties counting half, is the same for all records of one level, one
    distinct score; so one sort of both sides tells it for both.
    """
    n_members, scores = len(members), np.concatenate([members, nonmembers])
    order = scores.argsort()
    ascending = scores[order]
    is_last = np.ones(len(scores), dtype=bool)
    is_last[:-1] = ascending[1:] != ascending[:-1]
    level_of_record = np.empty(len(scores), np.intp)
    level_of_record[order] = is_last.cumsum() - is_last
    upto = is_last.nonzero()[0] + 1
    members_upto = (order < n_members).cumsum()[is_last]
    beaten, lost_to = _doubled(upto - members_upto), 2 * n_members - _doubled(members_upto)
    return (
        _placed(level_of_record[:n_members], beaten, len(nonmembers)),
        _placed(len(upto) - 1 - level_of_record[n_members:], lost_to[::-1], n_members),
    )


def _doubled(upto: Ints) -> Ints:
    """Return twice the records below each level, those at the level counting half, from those up to each level."""
    doubled = upto.copy()
    doubled[1:] += upto[:-1]
    return doubled


def _placed(levels: Ints, doubled: Ints, n_others: int) -> Placed:
    """Return the placements of records at some levels, from twice the number of others that each level beats."""
    attainable = doubled / (2 * n_others)
    steps = attainable[1:] - attainable[:-1]
    first, last = levels.min(), levels.max()
    missed = float(steps[:first].max(initial=0.0)), float(steps[last:].max(initial=0.0))
    return Placed(attainable[levels], float(attainable[0]), float(attainable[-1]), *missed)
