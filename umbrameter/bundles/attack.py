"""Attack models: from a prediction vector and its label to IN or OUT."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from joblib import delayed
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from umbrameter.bundles.lazy_models import LazyModels
from umbrameter.bundles.rows import in_parallel
from umbrameter.errors import DataError
from umbrameter.predictions.asking import (
    answers_of,
    in_floats_of,
    options_of,
    trained,
)
from umbrameter.predictions.probabilities import (
    align_probabilities,
    as_integer_labels,
    check_labels,
    class_places,
)
from umbrameter.typing import Classifier, Floats, Ints


class AttackModelBundle(ClassifierMixin, BaseEstimator):
    """One attack model per class: from a prediction vector and the record's label to IN (1) or OUT (0).

    Parameters
    ----------
    model_fn
        Called without arguments, returns an unfitted binary classifier; None for a bundle of fitted models.
    num_classes
        Number of classes of the target.
    serializer
        Keeps the models instead of memory: `save(model_id, model)` and `load(model_id)`.
    class_one_hot_coded
        Whether rows end with a one-hot label; if None, their number of columns says so.
    n_jobs
        Number of attack models fitted in parallel; the results do not depend on it.

    Attributes
    ----------
    models_
        The fitted attack models by class; a class without IN rows or without OUT rows has none. Also as
        `attack_models_`.
    classes_
        0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> X_shadow = np.array([[0.99, 0.01, 0], [0.6, 0.4, 0], [0.02, 0.98, 1], [0.5, 0.5, 1]])
    >>> attack = AttackModelBundle(LogisticRegression, num_classes=2).fit(X_shadow, [1, 0, 1, 0])
    >>> attack.predict(np.array([[1.0, 0.0, 0], [0.55, 0.45, 0]]))
    array([1, 0])
    """

    def __init__(
        self,
        model_fn: Callable[[], Any] | None = None,
        num_classes: int = 2,
        serializer: Any = None,
        class_one_hot_coded: bool | None = None,
        n_jobs: int = 1,
    ):
        self.model_fn = model_fn
        self.num_classes = num_classes
        self.serializer = serializer
        self.class_one_hot_coded = class_one_hot_coded
        self.n_jobs = n_jobs

    @classmethod
    def from_models(cls, models: Mapping[int, Classifier], num_classes: int) -> "AttackModelBundle":
        """Return a bundle of attack models that were fitted before.

        Parameters
        ----------
        models
            Fitted models by class; their `predict_proba` takes prediction vectors and answers for the classes 0 and 1.
        num_classes
            Number of classes of the target.
        """
        bundle = cls(None, num_classes)
        bundle.models_ = models
        bundle.classes_ = np.array([0, 1])
        return bundle

    def fit(
        self,
        X_shadow: ArrayLike,
        y_shadow: ArrayLike,
        verbose: bool = False,
        fit_kwargs: Mapping[str, Any] | None = None,
    ) -> "AttackModelBundle":
        """Fit one attack model per class.

        Parameters
        ----------
        X_shadow, y_shadow
            As `ShadowModelBundle.fit_transform` and `prepare_attack_data` return them.
        verbose
            Whether to print how many models are fitted.
        fit_kwargs
            Passed to each model's `fit`; what has one entry per row of X_shadow, such as `sample_weight`, is cut down
            to the class's rows.

        Raises
        ------
        DataError
            When the columns or labels are not as expected.
        """
        if self.model_fn is None:
            raise DataError("model_fn=None: this bundle holds fitted models; give model_fn to fit new ones")
        predictions, labels = self._split(X_shadow)
        is_in = as_integer_labels(y_shadow, 2)
        fits = {}
        for label in range(self.num_classes):
            rows = labels == label
            if 0 < is_in[rows].sum() < rows.sum():
                options = options_of(fit_kwargs, rows, len(rows))
                fits[label] = delayed(_attack)(self, label, predictions[rows], is_in[rows], options)
        models = in_parallel(self.n_jobs, verbose, fits.values())
        self.models_: Mapping[int, Any] = dict(zip(fits, models, strict=True))
        if self.serializer is not None:
            self.models_ = LazyModels([*fits], lambda label: self.serializer.load(f"attack_{label}"))
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return P(OUT) and P(IN), shape (n_records, 2); .5 for a class without an attack model."""
        check_is_fitted(self, "models_")
        predictions, labels = self._split(X)
        answers = np.full((len(labels), 2), 0.5)
        for label in self.models_:
            rows = labels == int(label)
            if rows.any():
                model = self.models_[label]
                places = class_places(getattr(model, "classes_", (0, 1)), (0, 1), "an attack model")
                answered = answers_of(model, in_floats_of(model, predictions[rows]), may_be_labels=True)
                answers[rows] = align_probabilities(answered.astype(np.float64), places, 2)
        return answers

    def predict(self, X: ArrayLike) -> Ints:
        """Return 1 where P(IN) exceeds P(OUT), else 0, shape (n_records,)."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(np.int64)

    @property
    def attack_models_(self) -> Mapping[int, Any]:
        """The fitted attack models by class."""
        return self.models_

    def _split(self, X: ArrayLike) -> tuple[Floats, Ints]:
        """Return the prediction vectors and the integer labels."""
        rows, n, is_one_hot = np.asarray(X), self.num_classes, self.class_one_hot_coded
        widths = {
            n + 1: f"{n + 1} columns (prediction vector and integer label)",
            2 * n: f"{2 * n} columns (prediction vector and one-hot label)",
        }
        allowed = widths if is_one_hot is None else {2 * n if is_one_hot else n + 1}
        if rows.ndim != 2 or rows.shape[1] not in allowed:
            said = "" if is_one_hot is None else f" and class_one_hot_coded={is_one_hot}"
            raise DataError(
                f"X has shape {rows.shape}; with num_classes={n}{said} expected "
                f"{' or '.join(widths[width] for width in allowed)}, as prepare_attack_data makes them"
            )
        labels = as_integer_labels(rows[:, n:], n)
        check_labels(labels, n)
        return rows[:, :n], labels


def _attack(bundle: AttackModelBundle, label: int, predictions: Floats, is_in: Ints, options: Mapping[str, Any]) -> Any:
    """Fit one attack model and return it, or None if a serializer keeps it."""
    model = bundle.model_fn() if bundle.model_fn is not None else None
    trained(model, in_floats_of(model, predictions), in_floats_of(model, is_in), options)
    if bundle.serializer is None:
        return model
    bundle.serializer.save(f"attack_{label}", model)
    return None
