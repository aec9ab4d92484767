"""Shadow data made from real records with noise: the attacker's records are similar to the target's, not alike."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from umbrameter.shadow_data.base import Drawing, ShadowData
from umbrameter.typing import Floats, Ints


class Noisy(ShadowData):
    """The pool with a share of its features changed: bits are flipped, categories replaced, numbers shifted.

    A category takes another record's value. A number is shifted by normal noise with its column's standard deviation,
    clipped to its column's range, and rounded if the column holds whole numbers. Labels stay the same.

    References
    ----------
    Shokri et al. (2017), arXiv 1610.05820, section V-C, "noisy real data": 10 % and 20 % of the bits flipped.
    """

    kind: Literal["noisy"] = Field("noisy", description="The pool with a share of its features changed.")
    rate: float = Field(gt=0, le=1, description="The share of features changed; a fraction.", examples=[0.1])

    @property
    def label(self) -> str:
        """The data's name, such as `noisy(0.1)`."""
        return f"noisy({self.rate:g})"

    @property
    def assumption(self) -> str:
        """The data that the attacker is assumed to have."""
        return f"records of the same source with {self.rate:.0%} of their features changed at random"

    def n_drawn(self, wanted: int, n_pool: int) -> int:
        """Return the size of the pool."""
        return n_pool

    def draw(self, drawing: Drawing) -> Iterator[tuple[Floats, Ints]]:
        """Yield the pool with noise."""
        spread = _spread(drawing)
        for block, start in enumerate(range(0, len(drawing.pool), drawing.block)):
            X, y = drawing.records.take(drawing.pool[start : start + drawing.block])
            yield self._changed(X, spread, drawing, drawing.rng("noisy", block)), y

    def _changed(self, X: Floats, spread: Floats, drawing: Drawing, rng: np.random.Generator) -> Floats:
        # float32 is precise enough for a rate, and takes half the memory.
        domain, hit = drawing.records.domain, rng.random(X.shape, dtype=np.float32) < self.rate
        is_number = ~drawing.is_category & ~domain.is_bit
        out = np.where(hit & domain.is_bit, 1 - X, X)
        for column in np.flatnonzero(drawing.is_category):
            out[:, column] = np.where(hit[:, column], X[rng.integers(len(X), size=len(X)), column], X[:, column])
        moved = X[:, is_number] + rng.standard_normal((len(X), int(is_number.sum()))) * spread[is_number]
        moved = np.where(domain.is_whole[is_number], np.rint(moved), moved)
        moved = np.clip(moved, domain.low[is_number], domain.high[is_number])
        out[:, is_number] = np.where(hit[:, is_number], moved, X[:, is_number])
        return np.asarray(out, dtype=X.dtype)


def _spread(drawing: Drawing) -> Floats:
    """Return each feature's standard deviation over the pool, shape (n_features,), in one pass."""
    total, square = np.zeros(drawing.records.n_features), np.zeros(drawing.records.n_features)
    # Sums of squares about the middle of the range lose fewer digits than about 0.
    middle = (drawing.records.domain.low + drawing.records.domain.high) / 2
    for start in range(0, len(drawing.pool), drawing.block):
        deviations = drawing.records.take(drawing.pool[start : start + drawing.block])[0] - middle
        total += deviations.sum(axis=0)
        square += (deviations**2).sum(axis=0)
    n = max(1, len(drawing.pool))
    return np.asarray(np.sqrt(np.maximum(square / n - (total / n) ** 2, 0)))
