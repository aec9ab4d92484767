"""Temperature: a softer answer, of higher entropy (Shokri et al. 2017, section IX, "increase entropy").

softmax(z / t) of logits z. The logs of a softmax's confidences are its logits less a per-record constant, which cancels
in a softmax, so that softmax(log p / t) is the same: for networks and logistic regression this is the
temperature on the logits (Guo et al. 2017, arXiv 1706.04599, equation 9). Models without logits, such as forests, have
log p alone.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from umbrameter.mitigations.base import PostHoc
from umbrameter.typing import Floats

TINY = float(np.finfo(np.float32).tiny)
"""Stands in for a confidence of 0, which has no log."""


class Temperature(PostHoc):
    """Raise confidences to 1 / t and scale them to sum to 1; the predicted class stays.

    Examples
    --------
    >>> Temperature(t=2).transform(np.array([[0.9, 0.1]])).round(2)
    array([[0.75, 0.25]])
    """

    kind: Literal["temperature"] = Field("temperature", description="Softer answers: a softmax at a temperature.")
    t: float = Field(
        gt=0, le=1000, description="The temperature; 1 changes nothing, larger ones soften.", examples=[5.0]
    )

    @property
    def label(self) -> str:
        """The mitigation in a few words."""
        return f"temperature({self.t:g})"

    def transform(self, predictions: Floats) -> Floats:
        """Return the softened vectors, their confidences in the same order; only near ones may become equal."""
        rows, called = np.arange(len(predictions)), predictions.argmax(axis=1)
        logs = np.log(np.maximum(predictions, TINY, dtype=np.float64)) / self.t
        powers = np.exp(logs - logs.max(axis=1, keepdims=True))
        soft: Floats = (powers / powers.sum(axis=1, keepdims=True)).astype(predictions.dtype)
        moved = soft.argmax(axis=1) != called  # the two largest were so near that they are equal now
        top = soft[rows[moved], called[moved]]
        soft[rows[moved], called[moved]] = np.nextafter(top, np.asarray(2, dtype=soft.dtype))
        return soft

    def note(self, predictions: Floats) -> str | None:
        """Return a caveat about confidences of exactly 0, which have no logit, or None."""
        share = np.mean(predictions <= 0)
        if share == 0:
            return None
        return (
            f"{self.label} acts on log p: {100 * share:.1f} % of the confidences are exactly 0, which is usual for "
            f"models without logits, and count as {TINY:.0e}."
        )
