"""The shadow-model attack: one binary classifier per class of the target.

Shadow models imitate the target on records whose membership is known; for each class y an attack model learns to tell
the prediction vectors of IN records from those of OUT records. Score = the attack model's P(IN | prediction, y).

Shokri, Stronati, Song, Shmatikov (2017), "Membership Inference Attacks Against Machine Learning Models",
arXiv 1610.05820, section V.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field, field_validator
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline, make_pipeline

from umbrameter.attacks.base import Attack
from umbrameter.attacks.inputs import AttackModels, Input, ShadowVectors
from umbrameter.attacks.signals import Signals
from umbrameter.estimators import Estimator
from umbrameter.networks import StackedMLP
from umbrameter.predictions.vectors import Vectors
from umbrameter.seeds import generator, integer
from umbrameter.typing import Bools, Classifier, Floats, Ints

STACK = 8
"""Attack networks trained side by side, at most: more would not fit the processor's cache."""

STACK_BYTES = 32 * 2**20
"""Roughly how many bytes of shadow vectors the networks trained side by side may have."""

NETWORK = {"hidden": [64], "activation": "relu", "epochs": 20, "batch_size": 64}
"""The paper's attack network; 20 passes in batches of 64 do as well as 50 in batches of 200."""


class Shokri(Attack):
    """One attack model per class, trained on shadow models' prediction vectors.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> is_in, labels = np.arange(400) % 2 == 0, rng.integers(0, 2, 400)
    >>> sure = np.where(is_in, 0.95, 0.65) + 0.05 * rng.random(400)
    >>> vectors = np.where(labels[:, None] == [0, 1], sure[:, None], 1 - sure[:, None])
    >>> attack = Shokri(model=Estimator(kind="logistic_regression"))
    >>> signals = Signals(Vectors(vectors[:100], labels[:100]), Vectors(vectors, labels, is_in))
    >>> bool(((attack.score(signals) > 0.5) == is_in[:100]).all())
    True
    """

    kind: Literal["shokri"] = Field("shokri", description="Shadow models and one attack model per class (Shokri 2017).")
    model: Estimator = Field(
        default_factory=lambda: Estimator(kind="mlp", params=NETWORK),
        description="The attack model; the paper's is a network of 64 ReLU units.",
    )
    features: Literal["raw", "log", "sorted", "top3"] = Field(
        "raw",
        description="What the attack model sees: `raw`, the prediction vector; `log`, its log; `sorted`, the logs of "
        "the confidence in the label and of all confidences in descending order, which suits many classes with few "
        "records each; `top3`, the same with the three largest only.",
    )
    label_known: bool = Field(
        True,
        description="Whether the attacker knows the record's class; if not, the predicted class stands in.",
    )

    @field_validator("model")
    @classmethod
    def _answers(cls, model: Estimator) -> Estimator:
        if not model.answers_probabilities:
            raise ValueError(
                f"{model.describe()} answers no probabilities (it has no predict_proba); wrap it: "
                "{kind: calibrated, params: {estimator: {kind: ...}}}"
            )
        return model

    @property
    def inputs(self) -> frozenset[Input]:
        """Attack models; if the label is unknown, shadow vectors, on which the attack fits them itself."""
        return frozenset({AttackModels() if self.label_known else ShadowVectors()})

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do."""
        label = "knows" if self.label_known else "does not know"
        return (
            f"the attacker sees whole prediction vectors, {label} the record's true label, knows the kind of model and "
            "has records of the same distribution to train shadow models on"
        )

    @property
    def label(self) -> str:
        """The attack's name with its attack model's kind, such as `shokri(random_forest)`, and unusual settings."""
        features = () if self.features == "raw" else (self.features,)
        unknown = () if self.label_known else ("label unknown",)
        return f"shokri({', '.join([self._kind, *features, *unknown])})"

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the libraries that determine a fitted attack model."""
        return self.model.versions

    @property
    def _kind(self) -> str:
        return self.model.kind.rpartition(".")[2]

    def score(self, signals: Signals) -> Floats:
        """Return P(IN) by the attack model of each record's class, shape (n_records,).

        A class without an attack model (no shadow vectors, or only IN, or only OUT ones) gets .5: the attack knows
        nothing about it.
        """
        target, models = self.seen(signals.target), self.prepared(signals).models or {}
        scores = np.full(len(target.labels), 0.5)
        for label in np.unique(target.labels):
            rows = target.labels == label
            if int(label) in models:
                scores[rows] = models[int(label)].predict_proba(target.predictions[rows])[:, 1]
        return scores

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return the scores of shadow vectors, each half by attack models fitted on the other, and which are IN."""
        shadow = signals.shadow
        if shadow is None or shadow.is_in is None:
            return None
        is_first = generator(signals.seed, "shokri-halves").permutation(len(shadow.labels)) % 2 == 0
        scores = np.empty(len(shadow.labels))
        for half in (is_first, ~is_first):
            scores[~half] = self.score(Signals(shadow.where(~half), shadow.where(half), signals.seed))
        return scores, shadow.is_in

    def threshold(self, signals: Signals) -> float | None:
        """Return a value just above .5: the attack says "member" where P(IN) exceeds P(OUT)."""
        return float(np.nextafter(0.5, 1))  # .5 itself is the score of records that it knows nothing about

    def prepared(self, signals: Signals) -> Signals:
        """Return the signals with attack models, fitted on the shadow vectors unless the signals bring some."""
        if signals.models is not None or signals.shadow is None:
            return signals
        shadow = self.seen(signals.shadow)
        by_class = {int(y): shadow.where(shadow.labels == y) for y in np.unique(shadow.labels)}
        return replace(signals, models=self.fit(by_class, signals.seed))

    def seen(self, vectors: Vectors) -> Vectors:
        """Return vectors as the attacker sees them: where labels are unknown, with the predicted classes instead."""
        return vectors if self.label_known else replace(vectors, labels=vectors.predictions.argmax(axis=1))

    def fit(self, shadows: Mapping[int, Vectors], seed: int) -> dict[int, Classifier]:
        """Fit the attack models of several classes; networks are trained side by side.

        Parameters
        ----------
        shadows
            For each class, its shadow vectors with `is_in`.
        seed
            Seed of the attack models' randomness.

        Returns
        -------
        The fitted classifiers by class; none for a class without IN or without OUT vectors.
        """
        trainable = {y: v for y, v in shadows.items() if v.is_in is not None and v.is_in.any() and not v.is_in.all()}
        models = {y: self._build(y, integer(seed, f"shokri({self._kind})", y)) for y in trainable}
        truths = {y: np.asarray(v.is_in).astype(np.int64) for y, v in trainable.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # how long to train is the spec's choice
            if self.model.kind != "mlp" or len(trainable) < 2:
                for y, model in models.items():
                    model.fit(trainable[y].predictions, truths[y])
            else:
                # a pipeline's last step is the network; the steps before it are fitted per class
                features = [model[:-1].fit_transform(trainable[y].predictions) for y, model in models.items()]
                ends = np.cumsum([len(X) for X in features])
                rows = [np.arange(end - len(X), end) for X, end in zip(features, ends, strict=True)]
                stack = StackedMLP([model[-1] for model in models.values()])
                stack.fit(np.concatenate(features), np.concatenate([*truths.values()]), rows)
        return models

    def at_once(self, n_bytes: int) -> int:
        """Return how many classes' attack models to fit together if each class has `n_bytes` bytes of vectors."""
        return min(STACK, max(1, STACK_BYTES // max(n_bytes, 1))) if self.model.kind == "mlp" else 1

    def _build(self, label: int, seed: int) -> Pipeline:
        model = self.model.build(seed, binary=False)
        steps = {
            "raw": [],
            "log": [LogConfidences()],
            "sorted": [SortedConfidences(label)],
            "top3": [SortedConfidences(label, most=3)],
        }[self.features]
        return (
            make_pipeline(*steps, *(step for _, step in model.steps))
            if isinstance(model, Pipeline)
            else make_pipeline(*steps, model)
        )


class SortedConfidences(TransformerMixin, BaseEstimator):
    """Turn a prediction vector into the log of the label's confidence, then those of all classes in descending order.

    Parameters
    ----------
    label
        The class whose attack model this precedes.
    most
        How many of the sorted confidences to keep, the largest first; None: all.

    Examples
    --------
    >>> import numpy as np
    >>> SortedConfidences(label=0).transform(np.array([[0.25, 0.75]])).round(2)
    array([[-1.39, -0.29, -1.39]], dtype=float32)
    """

    def __init__(self, label: int = 0, most: int | None = None):
        self.label = label
        self.most = most

    def fit(self, X: Floats, y: Ints | None = None) -> "SortedConfidences":
        """Return the transformer; there is nothing to learn."""
        return self

    def transform(self, X: Floats) -> Floats:
        """Return the features, float32, shape (n_records, 1 + n_classes), or fewer with `most`."""
        return _log(np.column_stack([X[:, self.label], -np.sort(-X, axis=1)[:, : self.most]]))

    def __sklearn_is_fitted__(self) -> bool:
        """Return True: there is nothing to fit."""
        return True


class LogConfidences(TransformerMixin, BaseEstimator):
    """Turn a prediction vector into the logs of its confidences.

    Examples
    --------
    >>> import numpy as np
    >>> LogConfidences().transform(np.array([[0.25, 0.75]])).round(2)
    array([[-1.39, -0.29]], dtype=float32)
    """

    def fit(self, X: Floats, y: Ints | None = None) -> "LogConfidences":
        """Return the transformer; there is nothing to learn."""
        return self

    def transform(self, X: Floats) -> Floats:
        """Return the features, float32, shape (n_records, n_classes)."""
        return _log(X)

    def __sklearn_is_fitted__(self) -> bool:
        """Return True: there is nothing to fit."""
        return True


def _log(confidences: Floats) -> Floats:
    # finite at 0, and not so far from the other logs that a network could not learn
    return np.asarray(np.log(np.maximum(confidences, 1e-12)), dtype=np.float32)
