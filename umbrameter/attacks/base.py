"""What an attack sees and what every attack is."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from umbrameter.attacks.signals import Signals
from umbrameter.records.noise import Noise
from umbrameter.statistics.metrics import best_threshold
from umbrameter.typing import Bools, Floats, Ints

Need = Literal["shadow vectors", "OUT shadows", "IN and OUT shadows", "population", "noisy answers"]
"""What an attack cannot do without, beside the target's answers on the audited records:

- shadow vectors: shadow models' answers, each marked IN or OUT;
- OUT shadows: answers on the audited records by models that were not trained on them;
- IN and OUT shadows: the same, and by models that were;
- population: the target's answers on records that are no members, and all records' features;
- noisy answers: the target's and the shadow models' answers on records with noise.
"""


class Attack(BaseModel, ABC):
    """A membership-inference attack. Higher scores mean more likely a member, everywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def label(self) -> str:
        """The attack's name in reports, unique within an audit."""
        return str(getattr(self, "kind", ""))

    @property
    @abstractmethod
    def needs(self) -> frozenset[Need]:
        """What the attack cannot do without."""

    @property
    def wants(self) -> frozenset[Need]:
        """What the attack looks at where it is there."""
        return self.needs

    @property
    def n_queries(self) -> int:
        """Queries to the target for each record."""
        return 1

    @property
    def noises(self) -> frozenset[Noise]:
        """Under which models' labels are looked at; mostly none."""
        return frozenset()

    @property
    def needs_shadows(self) -> bool:
        """Whether the attack cannot do without shadow models."""
        return bool(self.temperatures or self.noises) or "shadow vectors" in self.needs

    @property
    def temperatures(self) -> frozenset[float]:
        """At which the target's answers are compared with shadow models' answers on the same records; mostly none."""
        return frozenset()

    @property
    @abstractmethod
    def assumption(self) -> str:
        """Which knowledge the attack assumes, in words for the report."""

    def chosen(self, signals: Signals) -> "Attack":
        """Return the attack that scores: this one, unless it is one that chooses."""
        return self

    def prepared(self, signals: Signals) -> Signals:
        """Return the signals with all that the attack fits on shadow models, so that it fits that once."""
        return signals

    @abstractmethod
    def score(self, signals: Signals) -> Floats:
        """Return a score for each of the target's records, shape (n_records,)."""

    def keeps_scores(self, signals: Signals, scores: Floats, order: Ints) -> bool:
        """Return whether records, some or all of them in another order, have the scores that they had.

        Parameters
        ----------
        signals, scores
            What was scored, and the scores.
        order
            The records' places, in the order in which they are scored again.
        """
        return bool(np.allclose(self.score(signals.where(order)), scores[order], rtol=1e-4, atol=1e-6))

    @abstractmethod
    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the scores where the attack is turned on shadow models, and who is IN; None when it cannot be."""

    def threshold(self, signals: Signals) -> float | None:
        """Return the score from which on the attack says "member", from shadow data alone; None when it cannot."""
        found = self.on_shadows(signals)
        if found is None or not found[1].any() or found[1].all():
            return None
        return best_threshold(*found)
