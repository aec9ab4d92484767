"""Rounding: answer with confidences of a few decimals (Shokri et al. 2017, section IX, "coarsen precision")."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from umbrameter.mitigations.base import PostHoc
from umbrameter.typing import Floats


class Rounding(PostHoc):
    """Round every confidence; the rounded vector need not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> Rounding(decimals=1).transform(np.array([[0.66, 0.34]]))
    array([[0.7, 0.3]])
    """

    breaks_sums: ClassVar[bool] = True
    kind: Literal["rounding"] = Field("rounding", description="Confidences rounded to a few decimals.")
    decimals: int = Field(ge=0, le=6, description="Number of decimals to keep.", examples=[1])

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"rounding({self.decimals})"

    def transform(self, predictions: Floats) -> Floats:
        """Return the rounded vectors."""
        return np.round(predictions, self.decimals)
