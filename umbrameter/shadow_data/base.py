"""The base of shadow data: records that an attacker has, or makes, to train shadow models on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.typing import Bools, Floats, Ints

BLOCK_VALUES = 2**22
"""Feature values drawn at once."""

Ask = Callable[[Floats], Floats]
"""A function from records to the target's prediction vectors."""


@dataclass(frozen=True)
class Drawing:
    """Everything that records are drawn from.

    Parameters
    ----------
    records
        All records; of the audited ones, only the range of each feature is used.
    pool
        The rows that the attacker owns, shape (n_pool,); may be empty if `needs_pool` is false.
    n_records
        How many to draw.
    seed
        The audit's seed.
    ask
        The target, if the attacker queries it.
    """

    records: Records
    pool: Ints
    n_records: int
    seed: int
    ask: Ask | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.records.classes)

    @property
    def block(self) -> int:
        """Number of records drawn at once."""
        return max(1, BLOCK_VALUES // self.records.n_features)

    def rng(self, role: str, *index: int) -> np.random.Generator:
        """Return the generator of one role and index."""
        return generator(self.seed, role, *index)

    @cached_property
    def is_category(self) -> Bools:
        """Which features hold codes of categories, shape (n_features,)."""
        return np.isin(np.arange(self.records.n_features), self.records.categorical)


class ShadowData(BaseModel, ABC):
    """A source of shadow models' records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_drawn: ClassVar[bool] = True
    """Whether the records are made; otherwise they are rows of the pool."""

    @property
    def label(self) -> str:
        """The data's name in reports."""
        return str(getattr(self, "kind", ""))

    @property
    @abstractmethod
    def assumption(self) -> str:
        """The data that the attacker is assumed to have, as a phrase for the report."""

    @property
    def asks(self) -> bool:
        """Whether the target is queried to make the records."""
        return False

    @property
    def needs_pool(self) -> bool:
        """Whether a pool is needed: records that are neither members nor non-members."""
        return True

    def digest(self) -> str | None:
        """Return the SHA-256 of the file that the records are made from, or None without one."""
        return None

    def n_drawn(self, wanted: int, n_pool: int) -> int:
        """Return the largest number of records that will be drawn; for searches, the number of searches.

        Parameters
        ----------
        wanted
            The number that the spec asks for.
        n_pool
            The size of the pool.
        """
        return wanted

    def most_queries(self, n_records: int) -> int:
        """Return the largest number of queries that drawing `n_records` records takes."""
        return n_records if self.asks else 0

    @abstractmethod
    def draw(self, drawing: Drawing) -> Iterator[tuple[Floats, Ints]]:
        """Yield blocks of records and their labels, shapes (n, n_features) and (n,)."""
