"""The best of several attacks, chosen on shadow models so that the choice does not bias the target's figures.

Choosing the best of many attacks on the audited records themselves would report its luck. Here each attack runs against
shadow models first, and the one with the highest AUC there scores the target.

Varma, Simon (2006), "Bias in error estimation when using cross-validation for model selection", BMC Bioinformatics 7:
what is chosen on one sample must be measured on another.
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
    >>> right = np.where(is_in, rng.random(200) < 0.9, rng.random(200) < 0.5)  # being right tells more than being sure
    >>> vectors = Vectors(np.column_stack([p, 1 - p]), np.where(right, 0, 1), is_in)
    >>> attack = Combined(attacks=(Entropy(per_class=False), Confidence(per_class=False)))
    >>> attack.chosen(Signals(vectors, vectors)).label
    'confidence(global)'
    """

    kind: Literal["combined"] = Field("combined", description="The best of several attacks, chosen on shadow models.")
    attacks: tuple["SingleAttack", ...] = Field(
        min_length=2, description="The attacks to choose from.", examples=[["loss", "gap"]]
    )

    @property
    def inputs(self) -> frozenset[Input]:
        """Shadow vectors to choose by, and the attacks' inputs except attack models: attacks fit those themselves."""
        inputs = frozenset[Input]({ShadowVectors()}).union(*(attack.inputs for attack in self.attacks))
        return inputs - {AttackModels(), ShadowVectors(is_required=False)}

    @property
    def uses_confidences(self) -> bool:
        """Whether any of the attacks uses more of an answer than the predicted class."""
        return any(attack.uses_confidences for attack in self.attacks)

    @property
    def compares_records(self) -> bool:
        """Whether any of the attacks compares records."""
        return any(attack.compares_records for attack in self.attacks)

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do: all that any of the attacks assumes."""
        return "all of this holds: " + "; and ".join(a.assumption for a in self.attacks)

    @property
    def n_queries(self) -> int:
        """The most queries per record that any of the attacks needs."""
        return max(attack.n_queries for attack in self.attacks)

    def chosen(self, signals: Signals) -> Attack:
        """Return the attack with the highest AUC on shadow models; in a tie, the first.

        Raises
        ------
        ValueError
            When none of the attacks can run against shadow models.
        """
        aucs = [_auc(attack.on_shadows(signals)) for attack in self.attacks]
        if max(aucs) == -np.inf:
            raise ValueError(
                "none of the attacks can run against these shadow models, so there is nothing to choose by"
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


def _auc(shadow_scores: tuple[Floats, Bools] | None) -> float:
    if shadow_scores is None or not shadow_scores[1].any() or shadow_scores[1].all():
        return -np.inf
    scores, is_in = shadow_scores
    return intervals.auc(scores[is_in], scores[~is_in]).value
