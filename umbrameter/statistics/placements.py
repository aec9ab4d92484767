"""Placements: how many records of the other side each record beats, and what they leave open about the AUC.

Belongs here: the AUC and the difference of two AUCs as means of placements, and bounds of such means. Does not belong
here: what a figure is called and how it is reported (`intervals`, `paired`, `subgroups`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot, log, sqrt

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from umbrameter.typing import Bools, Floats, Ints

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
        The placements that there are, shape (n_sets, n_levels): of one set of records, or of many that are as large.
    counts
        How many records have each, shape (n_sets, n_levels).
    lowest, highest
        The smallest and the largest value that a record has, shape (n_sets,), like all that follows.
    floor, ceiling
        The smallest and the largest value that any record could have.
    step_below, step_above
        How much further than every record of this side an unseen one may lie.
    """

    values: Floats
    counts: Ints
    lowest: Floats
    highest: Floats
    floor: Floats
    ceiling: Floats
    step_below: Floats
    step_above: Floats


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
        How much further than every record of this side an unseen one may lie: for scores the largest step between two
        neighbouring scores that only the other side has.
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
    return aucs_of(*_counted(*_levels(members, nonmembers)))[0]


def aucs_of(members: Ints, nonmembers: Ints) -> list[Auc]:
    """Return the AUC of each of many sets of scores, all with as many members and as many non-members.

    Parameters
    ----------
    members, nonmembers
        How many records have each level, one distinct score, in rising order, shape (n_sets, n_levels); on one side or
        the other, each set has all levels.
    """
    wins, losses = _both_placed(members, nonmembers)
    pairs = 2 * int(members[0].sum()) * int(nonmembers[0].sum())
    # Pairs count in halves, so that neither the order of records nor rounding shows.
    return [Auc(round(pairs * a.mean) / pairs, a, b) for a, b in zip(sides_of(wins), sides_of(losses), strict=True)]


def auc_difference_of(one: Sequence[Floats], other: Sequence[Floats], alpha: float) -> tuple[float, float, float]:
    """Return another AUC of the same records less the first, and its bounds at confidence 1 - alpha.

    Parameters
    ----------
    one, other
        Scores of members and of non-members, two of shapes (n_members,) and (n_nonmembers,) each.
    alpha
        The chance that the bounds miss.
    """
    changes = [_change(*side) for side in zip(_of_records(*one), _of_records(*other), strict=True)]
    sides = [sides_of(change)[0] for change in changes]
    low, high = combined(sides[0].mean, sides, alpha)
    return sides[0].mean, max(-1.0, low), min(1.0, high)


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


def sides_of(placed: Placed) -> list[Side]:
    """Return what the placements of each set, or changes of placements, say about their mean."""
    n, floor, ceiling = int(placed.counts[0].sum()), placed.floor, placed.ceiling
    mean = (placed.values * placed.counts).sum(axis=1) / n
    deviations = placed.values - mean[:, None]
    squared = deviations * deviations * placed.counts
    cubed = squared * deviations
    squares, room = squared.sum(axis=1), (mean - floor) * (ceiling - mean)
    is_alike = placed.lowest == placed.highest
    is_flat = is_alike | (room <= 0)
    at_an_end = (placed.lowest == floor) | (placed.highest == ceiling)  # two-valued as far as one can see
    with np.errstate(divide="ignore", invalid="ignore"):  # where it is flat
        kurtosis = n * (cubed * deviations).sum(axis=1) / squares**2
        degrees = np.where(is_flat, np.inf, 1 + 2 * n / np.maximum(kurtosis - 1, 1e-9))
        spread = np.where(is_flat, at_an_end, np.minimum(1.0, squares / ((n - 1) * room)))
    is_open_below, is_open_above = (is_flat | is_open for is_open in _open_ends(cubed))
    rest = (is_open_below, is_open_above, is_alike, placed.step_below, placed.step_above)
    columns = (column.tolist() for column in (mean, floor, ceiling, spread, degrees, *rest))
    return [Side(n, *row) for row in zip(*columns, strict=True)]


def _open_ends(cubed: Floats) -> tuple[Bools, Bools]:
    """Return whether the longer tail, which a sample may have missed, is below or above the mean; both if alike."""
    skewness, rounding = cubed.sum(axis=1), 1e-9 * np.abs(cubed).sum(axis=1)
    return skewness <= rounding, skewness >= -rounding


def _change(before: Placed, after: Placed) -> Placed:
    """Return how far each record's placement moves, and how far one could."""
    values = after.values - before.values
    lowest, highest = values.min(axis=1), values.max(axis=1)
    floor, ceiling = after.floor - before.ceiling, after.ceiling - before.floor
    if (lowest != highest).all():
        furthest = np.maximum(-lowest, highest)
        ends = _open_ends((values - values.mean()) ** 3)
        unseen = [furthest * np.where(is_open, FURTHER, 1.0) for is_open in ends]
        below, above = (np.maximum(furthest, np.minimum(*pair)) for pair in zip(unseen, (-floor, ceiling), strict=True))
        steps = [np.maximum(after.step_below, before.step_above), np.maximum(after.step_above, before.step_below)]
        return Placed(values, after.counts, lowest, highest, -below, above, *steps)
    # No record moves unlike the others, so one that would is not known to stop short of where there is room.
    is_fixed = floor == ceiling
    floor, ceiling = np.where(is_fixed, -1.0, floor), np.where(is_fixed, 1.0, ceiling)
    return Placed(values, after.counts, lowest, highest, floor, ceiling, lowest - floor, ceiling - lowest)


def _levels(members: Floats, nonmembers: Floats) -> tuple[Ints, Ints]:
    """Return the place of each record's score among the distinct scores of both sides."""
    level = np.unique(np.concatenate([members, nonmembers]), return_inverse=True)[1]
    return level[: len(members)], level[len(members) :]


def _counted(*levels: Ints) -> list[Ints]:
    """Return how many records of each side have each level, as of one set."""
    n_levels = 1 + max(int(side.max()) for side in levels)
    return [np.bincount(side, minlength=n_levels)[None] for side in levels]


def _of_records(members: Floats, nonmembers: Floats) -> list[Placed]:
    """Return members' and non-members' placements, record by record."""
    levels = _levels(members, nonmembers)
    wins, losses = _both_placed(*_counted(*levels))
    places = (levels[0], losses.values.shape[1] - 1 - levels[1])
    return [
        replace(placed, values=placed.values[:, place], counts=np.ones((1, len(place)), np.int64))
        for placed, place in zip((wins, losses), places, strict=True)
    ]


def _both_placed(members: Ints, nonmembers: Ints) -> tuple[Placed, Placed]:
    """Return members' and non-members' placements, 1 for a member above all and for a non-member below all.

    The share of the other side that a record beats, ties counting half, is the same for all records of one level. The
    numbers of records at each level tell it: of members in rising order of their scores, of non-members in falling.
    """
    n_members, n_nonmembers = int(members[0].sum()), int(nonmembers[0].sum())
    beaten, lost_to = _doubled(nonmembers), 2 * n_members - _doubled(members)
    return (
        _placed(beaten / (2 * n_nonmembers), members),
        _placed(lost_to[:, ::-1] / (2 * n_members), nonmembers[:, ::-1]),
    )


def _doubled(counts: Ints) -> Ints:
    """Return twice the records below each level, those at the level counting half."""
    return 2 * counts.cumsum(axis=1) - counts


def _placed(attainable: Floats, counts: Ints) -> Placed:
    """Return the placements of the records that there are at each of all attainable ones, which rise."""
    is_there, steps, rows = counts > 0, np.diff(attainable, axis=1), np.arange(len(counts))
    first, last = is_there.argmax(axis=1), steps.shape[1] - is_there[:, ::-1].argmax(axis=1)
    place, below, above = np.arange(steps.shape[1]), slice(first.max()), slice(last.min(), None)
    return Placed(
        values=attainable,
        counts=counts,
        lowest=attainable[rows, first],
        highest=attainable[rows, last],
        floor=attainable[:, 0],
        ceiling=attainable[:, -1],
        step_below=steps[:, below].max(axis=1, where=place[below] < first[:, None], initial=0.0),
        step_above=steps[:, above].max(axis=1, where=place[above] >= last[:, None], initial=0.0),
    )
