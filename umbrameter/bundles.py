"""The classic interface: shadow models and attack models on arrays, without a spec, a store or an orchestrator.

`ShadowModelBundle` makes the attack's training set, `AttackModelBundle` learns from it, `prepare_attack_data` brings
the target's answers into the same form. Shokri et al. (2017), arXiv 1610.05820, section V.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from umbrameter.errors import DataError, PlanError
from umbrameter.predictions.probabilities import align_probabilities, as_integer_labels, check_labels
from umbrameter.seeds import generator, integer
from umbrameter.typing import Array, Classifier, Floats, Ints


class ShadowModelBundle:
    """Shadow models, each trained on a random sample of the records and asked about these and as many others.

    Parameters
    ----------
    model_fn
        Called without arguments, returns an unfitted classifier with `fit` and `predict_proba`: a scikit-learn one, or
        any that behaves like one (skorch, scikeras). It is fitted on integer labels.
    shadow_dataset_size
        Number of IN records of each model, and of OUT records.
    num_models
        Number of shadow models.
    seed
        Decides the records of each model and every `random_state` that `model_fn` leaves open.
    n_jobs
        Number of models fitted in parallel; the results do not depend on it.

    Attributes
    ----------
    models_
        The fitted shadow models.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> shadows = ShadowModelBundle(DecisionTreeClassifier, shadow_dataset_size=50, num_models=3)
    >>> X_shadow, y_shadow = shadows.fit_transform(X, y)
    >>> X_shadow.shape, int(y_shadow.sum())
    ((300, 4), 150)
    """

    def __init__(
        self,
        model_fn: Callable[[], Any],
        shadow_dataset_size: int,
        num_models: int = 20,
        seed: int = 42,
        n_jobs: int = 1,
    ):
        self.model_fn = model_fn
        self.shadow_dataset_size = shadow_dataset_size
        self.num_models = num_models
        self.seed = seed
        self.n_jobs = n_jobs

    def fit_transform(
        self, X: ArrayLike, y: ArrayLike, fit_kwargs: Mapping[str, Any] | None = None
    ) -> tuple[Floats, Ints]:
        """Fit the shadow models and return what an attack model learns from.

        Parameters
        ----------
        X
            Features, shape (n_records, n_features).
        y
            Labels: integers 0 .. n_classes - 1, or one-hot rows.
        fit_kwargs
            Passed to each model's `fit`.

        Returns
        -------
        X_shadow
            The prediction vector followed by the label as it was given (one column, or n_classes one-hot columns);
            2 * num_models * shadow_dataset_size rows.
        y_shadow
            1 for IN rows, 0 for OUT rows.

        Raises
        ------
        PlanError
            When there are too few records for one model's IN and OUT.
        DataError
            When labels are not as expected, or a model does not answer probabilities.
        """
        X, raw_labels = np.asarray(X), np.asarray(y)
        labels = as_integer_labels(raw_labels)
        is_one_hot = raw_labels.ndim == 2 and raw_labels.shape[1] > 1
        n_classes = raw_labels.shape[1] if is_one_hot else int(labels.max()) + 1
        if len(X) != len(labels):
            raise DataError(f"X has {len(X)} records and y has {len(labels)}; expected the same number")
        if 2 * self.shadow_dataset_size > len(X):
            raise PlanError(
                f"shadow_dataset_size={self.shadow_dataset_size} needs {2 * self.shadow_dataset_size} records, IN and "
                f"OUT, but there are {len(X)}; lower it to at most {len(X) // 2}"
            )
        fits = (
            delayed(_shadow)(self.model_fn, X, labels, n_classes, self.shadow_dataset_size, self.seed, i, fit_kwargs)
            for i in range(self.num_models)
        )
        shadows = Parallel(n_jobs=self.n_jobs)(fits)
        self.models_ = [model for model, _, _ in shadows]
        rows = np.concatenate([rows for _, rows, _ in shadows])
        answers = np.concatenate([predictions for _, _, predictions in shadows])
        # `_shadow` puts a model's IN rows first
        is_in = np.tile(np.repeat([1, 0], self.shadow_dataset_size), self.num_models)
        return _with_labels(answers, raw_labels[rows]), is_in


def _shadow(
    model_fn: Callable[[], Any],
    X: Array,
    labels: Ints,
    n_classes: int,
    size: int,
    seed: int,
    index: int,
    fit_kwargs: Mapping[str, Any] | None,
) -> tuple[Any, Ints, Floats]:
    """Fit one shadow model and return it, its rows (IN first) and its answers on them."""
    rows = generator(seed, "shadow-rows", index).permutation(len(X))[: 2 * size]
    model = _seeded_where_open(model_fn(), integer(seed, "shadow-model", index))
    model.fit(X[rows[:size]], labels[rows[:size]], **(fit_kwargs or {}))
    return model, rows, align_probabilities(model.predict_proba(X[rows]), _classes_of(model, n_classes), n_classes)


def _seeded_where_open(model: Any, seed: int) -> Any:
    """Set each `random_state` that is None, so that the bundle's seed decides a model's randomness."""
    if hasattr(model, "get_params") and hasattr(model, "set_params"):
        states = {k: v for k, v in model.get_params().items() if k == "random_state" or k.endswith("__random_state")}
        model.set_params(**{name: seed for name, value in states.items() if value is None})
    return model


def _classes_of(model: Any, n_classes: int) -> Array:
    return np.asarray(getattr(model, "classes_", np.arange(n_classes)))


def _with_labels(predictions: Floats, labels: Array) -> Floats:
    # integer labels must not widen float32 predictions
    return np.column_stack([predictions, labels.reshape(len(predictions), -1)]).astype(predictions.dtype)


class AttackModelBundle(ClassifierMixin, BaseEstimator):
    """One attack model per class: from a prediction vector and the record's label to IN (1) or OUT (0).

    Parameters
    ----------
    model_fn
        Called without arguments, returns an unfitted binary classifier; None for a bundle of fitted models.
    num_classes
        Number of classes of the target.
    n_jobs
        Number of attack models fitted in parallel; the results do not depend on it.

    Attributes
    ----------
    models_
        The fitted attack models by class; a class without IN rows or without OUT rows has none.
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

    def __init__(self, model_fn: Callable[[], Any] | None = None, num_classes: int = 2, n_jobs: int = 1):
        self.model_fn = model_fn
        self.num_classes = num_classes
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
        self, X_shadow: ArrayLike, y_shadow: ArrayLike, fit_kwargs: Mapping[str, Any] | None = None
    ) -> "AttackModelBundle":
        """Fit one attack model per class.

        Parameters
        ----------
        X_shadow, y_shadow
            As `ShadowModelBundle.fit_transform` and `prepare_attack_data` return them.
        fit_kwargs
            Passed to each model's `fit`.

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
                fits[label] = delayed(_fit)(self.model_fn(), predictions[rows], is_in[rows], fit_kwargs)
        self.models_: Mapping[int, Any] = dict(zip(fits, Parallel(n_jobs=self.n_jobs)(fits.values()), strict=True))
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
                answers[rows] = align_probabilities(model.predict_proba(predictions[rows]), _classes_of(model, 2), 2)
        return answers

    def predict(self, X: ArrayLike) -> Ints:
        """Return 1 where P(IN) exceeds P(OUT), else 0, shape (n_records,)."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(np.int64)

    def _split(self, X: ArrayLike) -> tuple[Floats, Ints]:
        """Return the prediction vectors and the integer labels."""
        rows, n = np.asarray(X), self.num_classes
        if rows.ndim != 2 or rows.shape[1] not in (n + 1, 2 * n):
            raise DataError(
                f"X has shape {rows.shape}; with num_classes={n} expected {n + 1} columns (prediction vector and "
                f"integer label) or {2 * n} (prediction vector and one-hot label), as prepare_attack_data makes them"
            )
        labels = as_integer_labels(rows[:, n:], n)
        check_labels(labels, n)
        return rows[:, :n], labels


def _fit(model: Any, predictions: Floats, is_in: Ints, fit_kwargs: Mapping[str, Any] | None) -> Any:
    return model.fit(predictions, is_in, **(fit_kwargs or {}))


def prepare_attack_data(
    model: Any, data_in: tuple[ArrayLike, ArrayLike], data_out: tuple[ArrayLike, ArrayLike]
) -> tuple[Floats, Ints]:
    """Ask a target about members and non-members, and return the answers in the form that the attack takes.

    Parameters
    ----------
    model
        The fitted target.
    data_in, data_out
        Features and labels of members and of non-members; labels as for
        `ShadowModelBundle.fit_transform`.

    Returns
    -------
    X
        The prediction vector followed by the label as given, data_in first.
    y
        1 for members, 0 for non-members.

    Raises
    ------
    DataError
        When labels are not as expected, or the model does not answer probabilities.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_iris(return_X_y=True)
    >>> target = GaussianNB().fit(X[::2], y[::2])
    >>> rows, is_member = prepare_attack_data(target, (X[::2], y[::2]), (X[1::2], y[1::2]))
    >>> rows.shape, int(is_member.sum())
    ((150, 4), 75)
    """
    parts, sizes = [], []
    for X, y in (data_in, data_out):
        raw_labels = np.asarray(y)
        labels = as_integer_labels(raw_labels)
        is_one_hot = raw_labels.ndim == 2 and raw_labels.shape[1] > 1
        n_classes = raw_labels.shape[1] if is_one_hot else _n_classes(model, labels)
        answers = align_probabilities(model.predict_proba(np.asarray(X)), _classes_of(model, n_classes), n_classes)
        parts.append(_with_labels(answers, raw_labels))
        sizes.append(len(labels))
    return np.concatenate(parts), np.repeat([1, 0], sizes)


def _n_classes(model: Any, labels: Ints) -> int:
    return max(int(np.max(_classes_of(model, 1))), int(labels.max())) + 1
