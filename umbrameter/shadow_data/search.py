"""Algorithm 1 of Shokri et al. (2017) for many searches side by side: each step queries the target for all of them.

Each search has its own stream of random numbers, so that its course depends on its seed alone: not on how many searches
run beside it, nor on which.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from umbrameter.records.reader import Domain
from umbrameter.shadow_data import kernels
from umbrameter.typing import Array, Bools, Floats, Ints


@dataclass(frozen=True)
class Search:
    """The parameters of Algorithm 1.

    Parameters
    ----------
    iter_max
        Most queries of one search.
    conf_min
        A record is accepted only if the target's confidence in the class is higher.
    rej_max
        Rejected proposals in a row before fewer features are changed.
    k_max, k_min
        Features that a proposal changes at first, and fewest features that it changes.
    """

    iter_max: int
    conf_min: float
    rej_max: int
    k_max: int
    k_min: int


@dataclass(frozen=True)
class Found:
    """The outcome of searches that ended in the same step.

    Parameters
    ----------
    searches
        Their positions among all searches, shape (n_ended,).
    records
        The record that each search found, or its best one if it failed; float32, shape (n_ended, n_features).
    is_found
        Whether each search succeeded, shape (n_ended,).
    queries
        Queries that each search took, shape (n_ended,).
    """

    searches: Ints
    records: Floats
    is_found: Bools
    queries: Ints


def search(
    ask: Callable[[Floats], Floats], classes: Ints, seeds: Array, domain: Domain, how: Search, side_by_side: int
) -> Iterator[Found]:
    """Run Algorithm 1 once for each entry of `classes`, and yield searches as they end.

    Parameters
    ----------
    ask
        Function from records to the target's prediction vectors, shapes (n, n_features) and (n, n_classes); it must
        not keep the records, whose array is overwritten afterwards.
    classes
        The class that each search is for, shape (n_searches,).
    seeds
        Seed of each search's random numbers, uint64, shape (n_searches,).
    domain
        The values that features can have.
    how
        The parameters of Algorithm 1.
    side_by_side
        Most searches that run at once; a new one begins as soon as another has ended.

    References
    ----------
    Shokri et al. (2017), arXiv 1610.05820, algorithm 1.
    """
    begun = min(side_by_side, len(classes))
    running = _Running(begun, domain, how)
    running.begin(np.arange(begun), np.arange(begun), classes, seeds)
    while running.n:
        is_found, is_ended = running.step(ask(running.proposed))
        ended = np.flatnonzero(is_ended)
        if len(ended):
            yield running.outcome(ended, is_found)
            following = np.arange(begun, min(begun + len(ended), len(classes)))
            running.begin(ended[: len(following)], following, classes, seeds)
            running.close(ended[len(following) :])
            begun += len(following)


class _Running:
    """The running searches, in the first n rows of their state; a new one takes the row of one that ended."""

    def __init__(self, n: int, domain: Domain, how: Search):
        width = len(domain.low)
        searches, classes, queries, rejects, k = np.zeros((5, n), dtype=np.int64)
        proposed, best = np.zeros((2, n, width), dtype=np.float32)
        streams, confidence = np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.float32)
        order = np.zeros((n, width), dtype=np.int32)
        self.n = n
        self._rows = kernels.Rows(searches, classes, queries, rejects, k, streams, confidence, order, proposed, best)
        low, span = (np.asarray(values, dtype=np.float64) for values in (domain.low, domain.span))
        self._values = kernels.Values(low, span, domain.is_whole)
        # Answers are float32, so the confidence is compared with a float32, too.
        self._limits = kernels.Limits(how.iter_max, np.float32(how.conf_min), how.rej_max, how.k_max, how.k_min)

    @property
    def proposed(self) -> Floats:
        """The records to ask about, shape (n, n_features)."""
        return self._rows.proposed[: self.n]

    def begin(self, rows: Ints, searches: Ints, classes: Ints, seeds: Array) -> None:
        """Begin searches in some rows."""
        self._rows.searches[rows] = searches
        self._rows.classes[rows] = classes[searches]
        self._rows.streams[rows] = seeds[searches]
        kernels.begin(self._rows, rows, self._values, self._limits)

    def step(self, answers: Floats) -> tuple[Bools, Bools]:
        """Process the answers to the proposals; return which searches succeed, and which end."""
        is_found, is_ended = np.empty(self.n, np.bool_), np.empty(self.n, np.bool_)
        answers = np.ascontiguousarray(answers, np.float32)
        kernels.step(self._rows, answers, self._values, self._limits, is_found, is_ended)
        return is_found, is_ended

    def outcome(self, ended: Ints, is_found: Bools) -> Found:
        """Return the outcome of searches that ended, copied out of the rows."""
        rows = self._rows
        return Found(rows.searches[ended], rows.best[ended], is_found[ended], rows.queries[ended])

    def close(self, rows: Ints) -> None:
        """Remove some rows; the last running ones move into their places."""
        kept = self.n - len(rows)
        moved = np.setdiff1d(np.arange(kept, self.n), rows)
        for column in self._rows:
            column[rows[rows < kept]] = column[moved]
        self.n = kept
