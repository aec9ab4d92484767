"""The data that an attack scores records from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from umbrameter.attacks.inputs import Input
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.noise import Noise
from umbrameter.typing import Array, Bools, Classifier, Floats, Ints


@dataclass(frozen=True)
class References:
    """Shadow models' scaled logits of the same records, and which model was trained on which record.

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
        """Return the references without one model."""
        return References(np.delete(self.logits, model, axis=0), np.delete(self.is_in, model, axis=0))

    def where(self, rows: Bools | Ints) -> "References":
        """Return the references of the selected records."""
        return References(self.logits[:, rows], self.is_in[:, rows])


@dataclass(frozen=True)
class Signals:
    """Everything an attack may use: the target's answers and, if it needs them, the shadow models'.

    Parameters
    ----------
    target
        The target's answers on the audited records.
    shadow
        The shadow models' answers, marked IN or OUT; None when the audit has no shadow models.
    seed
        Seed of the attack's own randomness.
    models
        Attack models that were fitted before, by class; the attack then fits none.
    references
        The shadow models' logits of the audited records, by temperature.
    calibration
        Their logits of other records, of which each model was trained on a part, by temperature; empty where
        `references` has IN and OUT itself.
    features
        The audited records themselves, shape (n_records, n_features).
    population
        The target's answers on known non-members.
    population_features
        The features of these, shape (n_population, n_features).
    robustness
        By noise, the share of each record's changed copies to which the target gives its label, shape (n_records,).
    shadow_robustness
        The same for shadow models' records, and which of them are IN.
    target_logits
        The target's scaled logits by temperature, shape (n_records,) each, where `target` has no vectors to compute
        them from.
    extra
        The values of inputs from other packages: for each, an array over the audited records.
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
        """Return the signals of the selected audited records, or of all in another order."""
        return replace(
            self,
            target=self.target.where(rows),
            references={t: references.where(rows) for t, references in self.references.items()},
            robustness={noise: shares[rows] for noise, shares in self.robustness.items()},
            features=None if self.features is None else self.features[rows],
            target_logits={t: logits[rows] for t, logits in self.target_logits.items()},
            extra={entry: values[rows] for entry, values in self.extra.items()},
        )
