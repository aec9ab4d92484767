"""The inner loop of model-based synthesis, compiled by numba: random numbers, random changes, Algorithm 1's rules."""

from typing import Any, NamedTuple

import numpy as np

from umbrameter.jit import compiled
from umbrameter.typing import Array, Bools, Floats, Ints

EXACT: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
"""Options for numba: no `fastmath`, so that results do not depend on the machine."""

# SplitMix64's constants; as uint64, since numba would make floats of a uint64 and a Python integer.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFT_1, SHIFT_2, SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
DROPPED = np.uint64(11)
"""Low bits of 64 that a float64 in [0, 1) has no room for."""


class Rows(NamedTuple):
    """The state of the running searches, one row each.

    Parameters
    ----------
    searches, classes, queries, rejects
        Index of each search, its class, its queries so far, and its rejected proposals in a row; int64.
    k
        How many features a proposal changes, int64: the last proposal differs from the best in the first k of `order`.
    streams
        The states of the random number generators, uint64.
    confidence
        The target's confidence on the best record, float32.
    order
        All features in a random order, int32, shape (n_rows, n_features).
    proposed, best
        The record to ask about, and the best so far, float32, shape (n_rows, n_features).
    """

    searches: Ints
    classes: Ints
    queries: Ints
    rejects: Ints
    k: Ints
    streams: Array
    confidence: Floats
    order: Ints
    proposed: Floats
    best: Floats


class Values(NamedTuple):
    """The values that features can have, each array of shape (n_features,); see `Domain`."""

    low: Floats
    span: Floats
    is_whole: Bools


class Limits(NamedTuple):
    """The parameters of Algorithm 1; see `Search`."""

    iter_max: int
    conf_min: Any
    rej_max: int
    k_max: int
    k_min: int


def _next(streams: Array, i: int) -> Any:
    """Return the next 64 random bits of stream i: SplitMix64.

    Steele, Lea, Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA, figure 16.
    """
    streams[i] += GOLDEN
    z = streams[i]
    z = (z ^ (z >> SHIFT_1)) * MIX_1
    z = (z ^ (z >> SHIFT_2)) * MIX_2
    return z ^ (z >> SHIFT_3)


bits = compiled(_next, EXACT)


def _uniform(streams: Array, i: int) -> float:
    """Return the next number of stream i in [0, 1), with 53 random bits."""
    return float(bits(streams, i) >> DROPPED) * 2.0**-53


uniform = compiled(_uniform, EXACT)


def _change(rows: Rows, row: int, k: int, values: Values) -> None:
    """Give k randomly chosen features of a row's proposal random new values.

    k steps of the Fisher-Yates shuffle put the chosen features first in the row's order.
    """
    order, record, width = rows.order[row], rows.proposed[row], rows.order.shape[1]
    for i in range(k):
        j = i + int(uniform(rows.streams, row) * (width - i))
        feature = order[j]
        order[j] = order[i]
        order[i] = feature
        step = uniform(rows.streams, row) * values.span[feature]
        record[feature] = values.low[feature] + (np.floor(step) if values.is_whole[feature] else step)


change = compiled(_change, EXACT)


def _begin(rows: Rows, places: Ints, values: Values, limits: Limits) -> None:
    """Begin searches from random records in some rows, whose search, class and stream are set already."""
    width = rows.order.shape[1]
    for row in places:
        rows.order[row] = np.arange(width)
        change(rows, row, width, values)
        rows.best[row] = rows.proposed[row]
        rows.queries[row] = rows.rejects[row] = 0
        rows.confidence[row] = 0
        rows.k[row] = min(limits.k_max, width)


begin = compiled(_begin, EXACT)


def _take_over(record: Floats, source: Floats, features: Ints) -> None:
    """Copy some features of `source` into a record."""
    for feature in features:
        record[feature] = source[feature]


take_over = compiled(_take_over, EXACT)


def _judge(rows: Rows, row: int, answer: Floats, limits: Limits) -> bool:
    """Accept or reject a row's proposal by the target's answer; return whether the search succeeds with it."""
    label, changed = rows.classes[row], rows.order[row, : rows.k[row]]
    rows.queries[row] += 1
    if answer[label] >= rows.confidence[row]:
        take_over(rows.best[row], rows.proposed[row], changed)
        rows.confidence[row], rows.rejects[row] = answer[label], 0
        # Algorithm 1 accepts a confident record with a probability equal to its confidence.
        is_sure = answer[label] > limits.conf_min and np.argmax(answer) == label
        return bool(is_sure and uniform(rows.streams, row) < answer[label])
    take_over(rows.proposed[row], rows.best[row], changed)
    rows.rejects[row] += 1
    if rows.rejects[row] > limits.rej_max:
        rows.k[row], rows.rejects[row] = min(max(limits.k_min, (rows.k[row] + 1) // 2), rows.order.shape[1]), 0
    return False


judge = compiled(_judge, EXACT)


def _step(rows: Rows, answers: Floats, values: Values, limits: Limits, is_found: Bools, is_ended: Bools) -> None:
    """Accept or reject all proposals, mark the searches that succeed or end, and make the others' next proposals."""
    for row in range(len(answers)):
        is_found[row] = judge(rows, row, answers[row], limits)
        is_ended[row] = is_found[row] or rows.queries[row] >= limits.iter_max
        if not is_ended[row]:
            change(rows, row, rows.k[row], values)


step = compiled(_step, EXACT)
