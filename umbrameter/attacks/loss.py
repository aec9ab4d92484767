"""The loss threshold attack.

A record on which the model's loss is low is likely a member: score = log p_y, p_y the confidence in the record's label.

Yeom, Giacomelli, Fredrikson, Jha (2018), "Privacy Risk in Machine Learning", arXiv 1709.01604, section 3.2 (their
threshold is the mean training loss; ours is the best one on shadow data, which assumes less about the target).
"""

from typing import Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.pointwise import PointwiseAttack
from umbrameter.predictions.vectors import TINY, Vectors
from umbrameter.typing import Floats


class Loss(PointwiseAttack):
    """Score by the log of the confidence in the true label.

    Examples
    --------
    >>> import numpy as np
    >>> vectors = Vectors(np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([0, 1]))
    >>> Loss().signal(vectors).round(2)
    array([-0.11, -0.69])
    """

    kind: Literal["loss"] = Field("loss", description="Threshold on the loss of the true label (Yeom et al. 2018).")

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do."""
        return (
            "the attacker sees the model's confidence in the record's true label; shadow models only set the threshold"
        )

    def signal(self, vectors: Vectors) -> Floats:
        """Return log p_y, shape (n_records,)."""
        return np.log(np.maximum(vectors.confidence().astype(np.float64), TINY))
