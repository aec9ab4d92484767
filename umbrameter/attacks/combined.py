"""The best of several attacks, chosen on shadow models: the choice costs nothing of the target's figures.

Taking the best of many attacks on the audited records themselves would report their luck. Here each attack is turned on
shadow models first; the one with the highest AUC there is the one whose scores on the target count.

Varma, Simon (2006), "Bias in error estimation when using cross-validation for model selection", BMC Bioinformatics 7:
what is chosen on some data has to be measured on others.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.base import Attack
from umbrameter.attacks.inputs import AttackModels, Input, ShadowVectors
from umbrameter.attacks.signals import Signals
from umbrameter.statistics import intervals
from umbrameter.typing import Bools, Floats

if TYPE_CHECKING:
    from umbrameter.attacks import SingleAttack


class Combined(Attack):
    """Score by the attack that does best on shadow models.

    Examples
    --------
    >>> from umbrameter.attacks import Confidence, Entropy, Vectors
    >>> rng = np.random.default_rng(0)
    >>> is_in, p = np.arange(200) % 2 == 0, rng.uniform(0.5, 1, 200)
    >>> right = np.where(is_in, rng.random(200) < 0.9, rng.random(200) < 0.5)  # who is right says more than how sure
    >>> vectors = Vectors(np.column_stack([p, 1 - p]), np.where(right, 0, 1), is_in)
    >>> attack = Combined(attacks=(Entropy(), Confidence()))
    >>> attack.chosen(Signals(vectors, vectors)).label
    'confidence'
    """

    kind: Literal["combined"] = Field("combined", description="The best of several attacks, chosen on shadow models.")
    attacks: tuple["SingleAttack", ...] = Field(min_length=2, description="The attacks to choose from.")

    @property
    def inputs(self) -> frozenset[Input]:
        """Shadow vectors to choose by, and what any of the attacks looks at; attack models are fitted here."""
        inputs = frozenset[Input]({ShadowVectors()}).union(*(attack.inputs for attack in self.attacks))
        return inputs - {AttackModels(), ShadowVectors(is_required=False)}

    @property
    def uses_confidences(self) -> bool:
        """Whether any of the attacks looks at more of an answer than its label."""
        return any(attack.uses_confidences for attack in self.attacks)

    @property
    def compares_records(self) -> bool:
        """Whether any of the attacks compares records."""
        return any(attack.compares_records for attack in self.attacks)

    @property
    def assumption(self) -> str:
        """Which knowledge the attacks assume."""
        return "the attacker can do all of this: " + "; or: ".join(a.assumption for a in self.attacks)

    @property
    def n_queries(self) -> int:
        """The most that any of the attacks needs."""
        return max(attack.n_queries for attack in self.attacks)

    def chosen(self, signals: Signals) -> Attack:
        """Return the attack of highest AUC on shadow models; of equals, the first.

        Raises
        ------
        ValueError
            When none of the attacks can be turned on shadow models.
        """
        aucs = [_auc(attack.on_shadows(signals)) for attack in self.attacks]
        if max(aucs) == -np.inf:
            raise ValueError(
                "none of the attacks can be turned on these shadow models, so there is nothing to choose by"
            )
        return self.attacks[int(np.argmax(aucs))]

    def score(self, signals: Signals) -> Floats:
        """Return the chosen attack's scores, shape (n_records,)."""
        return self.chosen(signals).score(signals)

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the chosen attack's scores on shadow models."""
        return self.chosen(signals).on_shadows(signals)

    def threshold(self, signals: Signals) -> float | None:
        """Return the chosen attack's threshold."""
        return self.chosen(signals).threshold(signals)


def _auc(found: tuple[Floats, Bools] | None) -> float:
    if found is None or not found[1].any() or found[1].all():
        return -np.inf
    return intervals.auc(found[0][found[1]], found[0][~found[1]]).value
