"""The shadow-model attack: one binary classifier for each class of the target.

Shadow models imitate the target on records whose membership is known; for each class y an attack model learns to tell
the prediction vectors of IN records from those of OUT records. Score = the attack model's P(IN | prediction, y).

Shokri, Stronati, Song, Shmatikov (2017), "Membership Inference Attacks Against Machine Learning Models",
arXiv 1610.05820, section V.
"""

import warnings
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from umbrameter.attacks.base import Attack, Need, Signals, Vectors
from umbrameter.estimators import Estimator
from umbrameter.seeds import integer
from umbrameter.typing import Classifier, Floats, Ints


class Shokri(Attack):
    """One attack model a class, trained on shadow models' prediction vectors.

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

    kind: Literal["shokri"] = Field("shokri", description="Shadow models and one attack model a class (Shokri 2017).")
    model: Estimator = Field(
        default_factory=lambda: Estimator(kind="mlp", params={"hidden": [64], "activation": "relu", "epochs": 50}),
        description="The attack model; the paper's is a network of 64 ReLU units.",
    )
    features: Literal["raw", "sorted"] = Field(
        "raw",
        description="What the attack model sees: `raw`, the prediction vector; `sorted`, the log of the confidence in "
        "the label and of all confidences in falling order, which suits many classes with few records each.",
    )

    needs: ClassVar[Need] = "shadow predictions"
    assumption: ClassVar[str] = (
        "the attacker sees whole prediction vectors, knows the record's true label, knows the kind of model and has "
        "records of the same distribution to train shadow models on"
    )

    @property
    def label(self) -> str:
        """The attack's name with its attack model's kind, such as `shokri(random_forest)`."""
        return f"shokri({self.model.kind.rpartition('.')[2]})"

    def score(self, signals: Signals) -> Floats:
        """Return P(IN) by the attack model of each record's class, shape (n_records,).

        A class without an attack model (no shadow vectors of it, or only IN, or only OUT) gets .5: the attack knows
        nothing there.
        """
        target = signals.target
        scores = np.full(len(target.labels), 0.5)
        for label in np.unique(target.labels):
            model = self._model(signals, int(label))
            rows = target.labels == label
            if model is not None:
                scores[rows] = model.predict_proba(target.predictions[rows])[:, 1]
        return scores

    def threshold(self, signals: Signals) -> float | None:
        """Return just above .5: the attack says "member" where P(IN) exceeds P(OUT)."""
        return float(np.nextafter(0.5, 1))

    def fit(self, shadow: Vectors, seed: int) -> Classifier | None:
        """Fit the attack model of one class.

        Parameters
        ----------
        shadow
            Shadow vectors of that class, with `is_in`.
        seed
            Of the attack model's randomness.

        Returns
        -------
        The fitted classifier, or None when there are no IN or no OUT vectors to tell apart.
        """
        if shadow.is_in is None or not shadow.is_in.any() or shadow.is_in.all():
            return None
        model = self.model.build(seed, binary=False)
        if self.features == "sorted":
            model = make_pipeline(SortedConfidences(int(shadow.labels[0])), model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(shadow.predictions, shadow.is_in.astype(np.int64))
        return model

    def _model(self, signals: Signals, label: int) -> Classifier | None:
        if signals.models is not None:
            return signals.models.get(label)
        if signals.shadow is None:
            return None
        return self.fit(signals.shadow.where(signals.shadow.labels == label), integer(signals.seed, self.label, label))


class SortedConfidences(TransformerMixin, BaseEstimator):
    """From a prediction vector, the log of the confidence in the label, then those of all classes in falling order.

    Parameters
    ----------
    label
        The class whose attack model this precedes.

    Examples
    --------
    >>> import numpy as np
    >>> SortedConfidences(label=0).transform(np.array([[0.25, 0.75]])).round(2)
    array([[-1.39, -0.29, -1.39]], dtype=float32)
    """

    def __init__(self, label: int = 0):
        self.label = label

    def fit(self, X: Floats, y: Ints | None = None) -> "SortedConfidences":
        """Return the transformer; there is nothing to learn."""
        return self

    def transform(self, X: Floats) -> Floats:
        """Return the features, float32, shape (n_records, n_classes + 1)."""
        confidences = np.column_stack([X[:, self.label], -np.sort(-X, axis=1)])
        return np.asarray(np.log(np.maximum(confidences, 1e-12)), dtype=np.float32)

    def __sklearn_is_fitted__(self) -> bool:
        """Say that it can be used at once."""
        return True
