"""The label-only attack: a record whose label holds under noise is likely a member.

Training pushes the decision boundary away from training records. The attacker sees only predicted classes, asks for
those of changed copies of a record, and counts how often the label stays. score = that share, or 0 where the record
itself is misclassified.

Choquette-Choo, Tramer, Carlini, Papernot (2021), "Label-Only Membership Inference Attacks", arXiv 2007.14321, section
IV (noise and flips in place of the distance to the boundary, as they do for records of bits).
"""

from typing import Literal

from pydantic import Field

from umbrameter.attacks.base import Attack
from umbrameter.attacks.inputs import Input, NoisyLabels
from umbrameter.attacks.signals import Signals
from umbrameter.records.noise import Noise
from umbrameter.typing import Bools, Floats


class LabelOnly(Attack):
    """Score by how well the label holds under noise.

    Examples
    --------
    >>> import numpy as np
    >>> from umbrameter.attacks import Vectors
    >>> attack = LabelOnly()
    >>> target = Vectors(np.full((2, 2), 0.5), np.array([0, 1]))
    >>> attack.score(Signals(target, robustness={attack.noise: np.array([0.9, 0.2])}))
    array([0.9, 0.2])
    """

    kind: Literal["label_only"] = Field("label_only", description="Labels under noise (Choquette-Choo et al. 2021).")
    noise: Noise = Field(
        default_factory=Noise, description="How records are changed.", examples=[{"copies": 50, "rate": 0.05}]
    )

    @property
    def inputs(self) -> frozenset[Input]:
        """The labels of changed copies under this attack's noise."""
        return frozenset({NoisyLabels(self.noise)})

    @property
    def uses_confidences(self) -> bool:
        """False: the attack uses the predicted class alone."""
        return False

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do."""
        return (
            "the attacker sees only the predicted class, knows the record and its true label, and can ask the model "
            f"{self.n_queries} times about each record; shadow models on records of the same distribution set the "
            "threshold"
        )

    @property
    def n_queries(self) -> int:
        """Queries to the target per record: itself and its changed copies."""
        return 1 + self.noise.copies

    def score(self, signals: Signals) -> Floats:
        """Return the share of changed copies that keep the label, shape (n_records,).

        Raises
        ------
        ValueError
            When the signals have no answers on changed copies.
        """
        if self.noise not in signals.robustness:
            raise ValueError("label_only needs signals.robustness: answers on changed copies of the audited records")
        return signals.robustness[self.noise]

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the same share for shadow models' records, and which of them are IN."""
        return signals.shadow_robustness.get(self.noise)
