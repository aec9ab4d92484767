"""The loss threshold attack.

A record on which the model's loss is low is likely a member: score = log p_y, p_y the confidence in the record's label.

Yeom, Giacomelli, Fredrikson, Jha (2018), "Privacy Risk in Machine Learning", arXiv 1709.01604, section 3.2 (their
threshold is the mean training loss; ours is the best one on shadow data, which assumes less of the target).
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.base import Attack, Need, Signals, Vectors
from umbrameter.metrics import best_threshold
from umbrameter.typing import Floats


class Loss(Attack):
    """Score by the log of the confidence in the true label.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = Vectors(np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([0, 1]))
    >>> Loss().score(Signals(vectors)).round(2)
    array([-0.11, -0.69])
    """

    kind: Literal["loss"] = Field("loss", description="Threshold on the loss in the true label (Yeom et al. 2018).")

    needs: ClassVar[Need] = "target predictions"
    assumption: ClassVar[str] = (
        "the attacker sees the model's confidence in the record's true label; shadow models only set the threshold"
    )

    def score(self, signals: Signals) -> Floats:
        """Return log p_y, shape (n_records,)."""
        return _log_confidence(signals.target)

    def threshold(self, signals: Signals) -> float | None:
        """Return the threshold of best accuracy on the shadow vectors, or None without any."""
        shadow = signals.shadow
        if shadow is None or shadow.is_in is None:
            return None
        return best_threshold(_log_confidence(shadow), shadow.is_in)


def _log_confidence(vectors: Vectors) -> Floats:
    """Return log p_y in float64; a confidence of 0 counts as the smallest float32, so that scores stay finite."""
    smallest = np.finfo(np.float32).tiny
    return np.log(np.maximum(vectors.confidence().astype(np.float64), smallest))
