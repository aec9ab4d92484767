"""What shadow data are: records that an attacker has, or makes, to train shadow models on."""

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
"""Values of features that are drawn at once."""

Ask = Callable[[Floats], Floats]
"""From records to the target's prediction vectors."""


@dataclass(frozen=True)
class Drawing:
    """What records are drawn from.

    Parameters
    ----------
    records
        All records; of those that are audited, only what values features can have is used.
    pool
        The rows that the attacker owns, shape (n_pool,); may be empty where the data are made from less.
    n_records
        How many to draw.
    seed
        The audit's seed.
    ask
        The target, where the attacker asks it.
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
        """Records that are drawn at once."""
        return max(1, BLOCK_VALUES // self.records.n_features)

    def rng(self, role: str, *index: int) -> np.random.Generator:
        """Return the generator of one role and index."""
        return generator(self.seed, role, *index)

    @cached_property
    def is_category(self) -> Bools:
        """Which features hold codes of categories, shape (n_features,)."""
        return np.isin(np.arange(self.records.n_features), self.records.categorical)


class ShadowData(BaseModel, ABC):
    """Where the records of shadow models come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_drawn: ClassVar[bool] = True
    """Whether records are made; else they are rows of the pool."""

    @property
    def label(self) -> str:
        """The data's name in reports."""
        return str(getattr(self, "kind", ""))

    @property
    @abstractmethod
    def assumption(self) -> str:
        """What the attacker has, in words for the report."""

    @property
    def asks(self) -> bool:
        """Whether the target is asked about the records."""
        return False

    @property
    def needs_pool(self) -> bool:
        """Whether records are needed that are neither members nor non-members."""
        return True

    def digest(self) -> str | None:
        """Return the SHA-256 of the file that records are made from, if there is one."""
        return None

    def n_drawn(self, wanted: int, n_pool: int) -> int:
        """Return how many records there will be, at most; of searches, how many there are.

        Parameters
        ----------
        wanted
            As many as the spec asks for.
        n_pool
            Records that are neither members nor non-members.
        """
        return wanted

    def most_queries(self, n_records: int) -> int:
        """Return how many queries drawing so many records takes, at most."""
        return n_records if self.asks else 0

    @abstractmethod
    def draw(self, drawing: Drawing) -> Iterator[tuple[Floats, Ints]]:
        """Yield records and their labels, some at a time, shapes (n, n_features) and (n,)."""
