"""Real records from the same source as the target's, but none of them: the strongest assumption, and the usual one."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from umbrameter.shadow_data.base import Drawing, ShadowData
from umbrameter.typing import Floats, Ints


class Real(ShadowData):
    """The pool, unchanged.

    References
    ----------
    Shokri et al. (2017), arXiv 1610.05820, section V-C.
    """

    is_drawn: ClassVar[bool] = False

    kind: Literal["real"] = Field("real", description="The records that are neither members nor non-members.")

    @property
    def assumption(self) -> str:
        """The data that the attacker is assumed to have."""
        return "records of the same source, apart from members and non-members"

    def n_drawn(self, wanted: int, n_pool: int) -> int:
        """Return the size of the pool."""
        return n_pool

    def draw(self, drawing: Drawing) -> Iterator[tuple[Floats, Ints]]:
        """Yield the pool."""
        for start in range(0, len(drawing.pool), drawing.block):
            yield drawing.records.take(drawing.pool[start : start + drawing.block])
