"""Algorithm 1 of Shokri et al. (2017) for many searches side by side: one query for all of them a step.

Each search has a stream of random numbers of its own, so that its course depends on nothing but its seed: not on how
many run beside it, nor on which.
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
        Queries of one search, at most.
    conf_min
        A record is returned only where the target's confidence in the class is above it.
    rej_max
        Proposals turned down in a row after which fewer features are changed.
    k_max, k_min
        Features changed for a proposal, at first and at last.
    """

    iter_max: int
    conf_min: float
    rej_max: int
    k_max: int
    k_min: int


@dataclass(frozen=True)
class Found:
    """How some searches ended.

    Parameters
    ----------
    searches
        Their places among all, shape (n_ended,).
    records
        The records of those that succeeded, float32, shape (n_ended, n_features); of others the best so far.
    is_found
        Whether each succeeded, shape (n_ended,).
    queries
        Of each, shape (n_ended,).
    """

    searches: Ints
    records: Floats
    is_found: Bools
    queries: Ints


def search(
    ask: Callable[[Floats], Floats], classes: Ints, seeds: Array, domain: Domain, how: Search, side_by_side: int
) -> Iterator[Found]:
    """Run Algorithm 1 once for each of some classes, and yield searches as they end.

    Parameters
    ----------
    ask
        From records to the target's prediction vectors, shapes (n, n_features) and (n, n_classes); the records are
        overwritten afterwards.
    classes
        The class each search is for, shape (n_searches,).
    seeds
        Of each search's random numbers, uint64, shape (n_searches,).
    domain
        What values features can have.
    how
        The parameters.
    side_by_side
        Searches that run at once, at most; a new one begins where one has ended.

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
            yield running.of(ended, is_found)
            more = np.arange(begun, min(begun + len(ended), len(classes)))
            running.begin(ended[: len(more)], more, classes, seeds)
            running.close(ended[len(more) :])
            begun += len(more)


class _Running:
    """The searches that run, in the first rows of their state: one that begins takes the place of one that ended."""

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
        """Take in the answers on the proposals; return which searches end with a record, and which end."""
        is_found, is_ended = np.empty(self.n, np.bool_), np.empty(self.n, np.bool_)
        answers = np.ascontiguousarray(answers, np.float32)
        kernels.step(self._rows, answers, self._values, self._limits, is_found, is_ended)
        return is_found, is_ended

    def of(self, ended: Ints, is_found: Bools) -> Found:
        """Return how some searches ended."""
        drawing = self._rows
        return Found(drawing.searches[ended], drawing.best[ended], is_found[ended], drawing.queries[ended])

    def close(self, rows: Ints) -> None:
        """Leave out some rows: the last ones that run take their places."""
        kept = self.n - len(rows)
        moved = np.setdiff1d(np.arange(kept, self.n), rows)
        for column in self._rows:
            column[rows[rows < kept]] = column[moved]
        self.n = kept
