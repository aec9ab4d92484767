"""What an attack sees."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from umbrameter.attacks.inputs import Input
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.noise import Noise
from umbrameter.typing import Array, Bools, Classifier, Floats, Ints


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
    target_logits
        The target's scaled logits by temperature, shape (n_records,) each, where `target` has no vectors to take them
        from.
    extra
        What inputs from outside this package have read: an array over the audited records each.
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
    target_logits: Mapping[float, Floats] = field(default_factory=dict)
    extra: Mapping[Input, Array] = field(default_factory=dict)

    def logit(self, temperature: float) -> Floats:
        """Return the target's scaled logits of the audited records at a temperature, shape (n_records,)."""
        return self.target_logits[temperature] if self.target_logits else self.target.logit(temperature)

    def where(self, rows: Bools | Ints) -> "Signals":
        """Return the signals of some audited records, or of all in another order."""
        return replace(
            self,
            target=self.target.where(rows),
            references={t: known.where(rows) for t, known in self.references.items()},
            robustness={noise: held[rows] for noise, held in self.robustness.items()},
            features=None if self.features is None else self.features[rows],
            target_logits={t: logits[rows] for t, logits in self.target_logits.items()},
            extra={entry: values[rows] for entry, values in self.extra.items()},
        )
