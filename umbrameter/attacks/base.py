"""What an attack sees and what every attack is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from umbrameter.metrics import best_threshold
from umbrameter.noise import Noise
from umbrameter.typing import Array, Bools, Classifier, Floats, Ints

Need = Literal["shadow vectors", "OUT shadows", "IN and OUT shadows", "population", "noisy answers"]
"""What an attack cannot do without, beside the target's answers on the audited records:

- shadow vectors: shadow models' answers, each marked IN or OUT;
- OUT shadows: answers on the audited records by models that were not trained on them;
- IN and OUT shadows: the same, and by models that were;
- population: the target's answers on records that are no members, and all records' features;
- noisy answers: the target's and the shadow models' answers on records with noise.
"""

TINY = float(np.finfo(np.float32).tiny)
"""What a confidence of 0 counts as, so that logarithms stay finite."""


@dataclass(frozen=True)
class Vectors:
    """Prediction vectors with their records' labels.

    Parameters
    ----------
    predictions
        Probabilities, shape (n_records, n_classes).
    labels
        The records' classes, 0 to n_classes - 1, shape (n_records,).
    is_in
        Shadow vectors only: whether the record was in the training set of the model that answered, shape (n_records,).
    """

    predictions: Floats
    labels: Ints
    is_in: Bools | None = None

    def confidence(self) -> Floats:
        """Return each record's confidence in its own label, shape (n_records,)."""
        return self.predictions[np.arange(len(self.labels)), self.labels]

    def logit(self, temperature: float = 1.0) -> Floats:
        """Return each record's scaled logit, log p_y - log(sum of the other confidences), float64, shape (n_records,).

        Summed over the other classes, since 1 - p_y has no digits left where p_y is near 1.

        Parameters
        ----------
        temperature
            Confidences are raised to 1 / temperature first: what a softmax of that temperature would answer.

        References
        ----------
        Carlini et al. (2022), arXiv 2112.03570, section VI-A.
        """
        others = self.predictions.astype(np.float64)
        if temperature != 1:
            others **= 1 / temperature
        confidence = others[np.arange(len(others)), self.labels]
        others[np.arange(len(others)), self.labels] = 0
        return np.asarray(np.log(np.maximum(confidence, TINY)) - np.log(np.maximum(others.sum(axis=1), TINY)))

    def where(self, rows: Bools | Ints) -> "Vectors":
        """Return the vectors of some records."""
        return Vectors(self.predictions[rows], self.labels[rows], None if self.is_in is None else self.is_in[rows])


@dataclass(frozen=True)
class References:
    """Shadow models' scaled logits of some records, and which of them was trained on which.

    Parameters
    ----------
    logits
        `Vectors.logit` of each model's answers, shape (n_models, n_records).
    is_in
        Whether the record was in the model's training set, shape (n_models, n_records).
    """

    logits: Floats
    is_in: Bools

    def without(self, model: int) -> "References":
        """Return the references less one model."""
        return References(np.delete(self.logits, model, axis=0), np.delete(self.is_in, model, axis=0))

    def where(self, rows: Bools | Ints) -> "References":
        """Return the references of some records."""
        return References(self.logits[:, rows], self.is_in[:, rows])


@dataclass(frozen=True)
class Signals:
    """All that an attack may look at: the target's answers and, if it needs them, the shadow models'.

    Parameters
    ----------
    target
        The target's answers on the audited records.
    shadow
        The shadow models' answers with known IN and OUT; None when the audit has no shadow models.
    seed
        Of the attack's own randomness.
    models
        Attack models fitted before, by class; an attack that finds one here does not fit it again.
    references
        The shadow models' answers on the audited records, by temperature.
    calibration
        Their answers on other records, of which each was trained on some, by temperature; empty where `references` has
        IN and OUT.
    features
        The audited records themselves, shape (n_records, n_features).
    population
        The target's answers on records that are no members.
    population_features
        Those records, shape (n_population, n_features).
    robustness
        How well the target's label holds under noise, by the noise, shape (n_records,) each.
    shadow_robustness
        The same of shadow models' records, and which were IN.
    """

    target: Vectors
    shadow: Vectors | None = None
    seed: int = 0
    models: "Mapping[int, Classifier] | None" = None
    references: Mapping[float, References] = field(default_factory=dict)
    calibration: Mapping[float, References] = field(default_factory=dict)
    features: Array | None = None
    population: Vectors | None = None
    population_features: Array | None = None
    robustness: Mapping[Noise, Floats] = field(default_factory=dict)
    shadow_robustness: Mapping[Noise, tuple[Floats, Bools]] = field(default_factory=dict)

    def where(self, rows: Bools | Ints) -> "Signals":
        """Return the signals of some audited records, or of all in another order."""
        return replace(
            self,
            target=self.target.where(rows),
            references={t: known.where(rows) for t, known in self.references.items()},
            robustness={noise: held[rows] for noise, held in self.robustness.items()},
            features=None if self.features is None else self.features[rows],
        )


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
