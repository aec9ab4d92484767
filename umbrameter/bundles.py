"""The classic interface: shadow models and attack models on arrays, without a spec, a store or an orchestrator.

`ShadowModelBundle` makes the attack's training set, `AttackModelBundle` learns from it, `prepare_attack_data` brings
the target's answers into the same form. Shokri et al. (2017), arXiv 1610.05820, section V.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from umbrameter.errors import DataError, PlanError
from umbrameter.predictions.probabilities import (
    align_probabilities,
    as_integer_labels,
    check_labels,
    class_codes,
    class_places,
    classes_of,
    known_places,
)
from umbrameter.seeds import generator, integer
from umbrameter.typing import Array, Classifier, Floats, Ints


class ShadowModelBundle:
    """Shadow models, each trained on a random sample of the records and asked about these and as many others.

    Parameters
    ----------
    model_fn
        Called without arguments, returns an unfitted classifier with `fit` and `predict_proba`: a scikit-learn one, or
        any that behaves like one (skorch, scikeras). It is fitted on class numbers, 0 .. n_classes - 1.
    shadow_dataset_size
        Number of IN records of each model, and of OUT records.
    num_models
        Number of shadow models.
    seed
        Decides the records of each model and every `random_state` that `model_fn` leaves open.
    n_jobs
        Number of models fitted in parallel; the results do not depend on it.
    classes
        The classes in the order of the prediction vectors, such as the target's `classes_`, if the labels do not show
        all of them. If None: 0 .. the largest label where all are whole numbers from 0 on, else the labels, sorted.

    Attributes
    ----------
    models_
        The fitted shadow models.
    classes_
        The classes, in the order of the prediction vectors.

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
        classes: Sequence[Any] | None = None,
    ):
        self.model_fn = model_fn
        self.classes = classes
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
            Features, shape (n_records, n_features): an array, a data frame or a sparse matrix.
        y
            Labels: numbers, booleans or text, or one-hot rows.
        fit_kwargs
            Passed to each model's `fit`; what has one entry per record of X, such as `sample_weight`, is cut down to
            the model's IN records.

        Returns
        -------
        X_shadow
            The prediction vector followed by the class's number, 0 .. n_classes - 1, or by the one-hot label as given;
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
        records, (labels, columns) = _records(X), _labels(y, self.classes)
        self.classes_, n, size = _classes(y, self.classes), len(labels), self.shadow_dataset_size
        if records.shape[0] != n:
            raise DataError(f"X has {records.shape[0]} records and y has {n}; expected the same number")
        if 2 * size > n:
            raise PlanError(
                f"shadow_dataset_size={size} needs {2 * size} records, IN and OUT, but there are {n}; lower it to at "
                f"most {n // 2}"
            )
        fits = (
            delayed(_shadow)(self.model_fn, records, labels, len(self.classes_), size, self.seed, i, fit_kwargs)
            for i in range(self.num_models)
        )
        shadows = Parallel(n_jobs=self.n_jobs)(fits)
        self.models_ = [model for model, _, _ in shadows]
        rows = np.concatenate([rows for _, rows, _ in shadows])
        answers = np.concatenate([predictions for _, _, predictions in shadows])
        # `_shadow` puts a model's IN rows first
        is_in = np.tile(np.repeat([1, 0], self.shadow_dataset_size), self.num_models)
        return _with_labels(answers, columns[rows]), is_in


def _shadow(
    model_fn: Callable[[], Any],
    X: Any,
    labels: Ints,
    n_classes: int,
    size: int,
    seed: int,
    index: int,
    fit_kwargs: Mapping[str, Any] | None,
) -> tuple[Any, Ints, Floats]:
    """Fit one shadow model and return it, its rows (IN first) and its answers on them."""
    rows = generator(seed, "shadow-rows", index).permutation(len(labels))[: 2 * size]
    model = _seeded_where_open(model_fn(), integer(seed, "shadow-model", index))
    rows_in = rows[:size]
    model.fit(_taken(X, rows_in), labels[rows_in], **_taken_options(fit_kwargs, rows_in, len(labels)))
    places = class_places(getattr(model, "classes_", range(n_classes)), range(n_classes), "a shadow model")
    return model, rows, align_probabilities(model.predict_proba(_taken(X, rows)), places, n_classes)


def _records(X: Any) -> Any:
    """Return records as models take them, with rows that can be selected: data frames stay data frames."""
    if scipy.sparse.issparse(X):
        return X.tocsr()
    return X if hasattr(X, "columns") else np.asarray(X)


def _taken(X: Any, rows: Array) -> Any:
    """Return some rows of an array, a sparse matrix or a data frame."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def _taken_options(options: Mapping[str, Any] | None, rows: Array, n: int) -> dict[str, Any]:
    """Return options of `fit`; of what has one entry for each of n records, those of the rows."""
    return {name: np.asarray(v)[rows] if _length(v) == n else v for name, v in (options or {}).items()}


def _length(value: Any) -> int | None:
    """Return the length of a list or an array, else None."""
    shape = (len(value),) if isinstance(value, list | tuple) else getattr(value, "shape", ())
    return shape[0] if shape else None


def _is_one_hot(y: ArrayLike) -> bool:
    return np.ndim(y) == 2 and np.shape(y)[1] > 1


def _classes(y: ArrayLike, classes: Sequence[Any] | None) -> list[Any]:
    """Return the classes, in the order of the prediction vectors."""
    if classes is not None:
        return list(np.asarray(classes).tolist())
    return list(range(np.shape(y)[1])) if _is_one_hot(y) else classes_of(y)


def _labels(y: ArrayLike, classes: Sequence[Any] | None) -> tuple[Ints, Array]:
    """Return the classes' numbers, shape (n_records,), and the columns that stand for them in the attack's data."""
    if _is_one_hot(y):
        return as_integer_labels(y), np.asarray(y)
    codes = class_codes(y, _classes(y, classes))
    return codes, codes


def _seeded_where_open(model: Any, seed: int) -> Any:
    """Set each `random_state` that is None, so that the bundle's seed decides a model's randomness."""
    if hasattr(model, "get_params") and hasattr(model, "set_params"):
        states = {k: v for k, v in model.get_params().items() if k == "random_state" or k.endswith("__random_state")}
        model.set_params(**{name: seed for name, value in states.items() if value is None})
    return model


def _with_labels(predictions: Floats, labels: Array) -> Floats:
    # integer labels must not widen float32 predictions, which hold every class's number
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
                options = _taken_options(fit_kwargs, rows, len(rows))
                fits[label] = delayed(_fit)(self.model_fn(), predictions[rows], is_in[rows], options)
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
                places = class_places(getattr(model, "classes_", (0, 1)), (0, 1), "an attack model")
                answers[rows] = align_probabilities(model.predict_proba(predictions[rows]), places, 2)
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


def _fit(model: Any, predictions: Floats, is_in: Ints, options: Mapping[str, Any]) -> Any:
    return model.fit(predictions, is_in, **options)


def prepare_attack_data(
    model: Any,
    data_in: tuple[ArrayLike, ArrayLike],
    data_out: tuple[ArrayLike, ArrayLike],
    classes: Sequence[Any] | None = None,
) -> tuple[Floats, Ints]:
    """Ask a target about members and non-members, and return the answers in the form that the attack takes.

    Parameters
    ----------
    model
        The fitted target.
    data_in, data_out
        Features and labels of members and of non-members, as for `ShadowModelBundle.fit_transform`.
    classes
        The classes in the order of the prediction vectors, such as `ShadowModelBundle.classes_`. If None, the model's
        own, or without `classes_` those of the labels, ordered as `ShadowModelBundle` orders them.

    Returns
    -------
    X
        The prediction vector followed by the class's number, or by the one-hot label as given, data_in first.
    y
        1 for members, 0 for non-members.

    Raises
    ------
    DataError
        When labels are not as expected, or the model lacks a class of the data or does not answer probabilities.

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
    known, labelled = getattr(model, "classes_", None), (data_in[1], data_out[1])
    ordered = _classes(labelled[0], classes)
    if classes is None and not _is_one_hot(labelled[0]):
        ordered = classes_of(np.concatenate([np.ravel(y) for y in labelled]) if known is None else known)
    knows = ordered if known is None else known
    parts, sizes = [], []
    for X, y in (data_in, data_out):
        labels, columns = _labels(y, ordered)
        # Only classes that records have: the numbers of classes may have gaps.
        remedy = "give labels as the model knows them"
        places = known_places(knows, ordered, "the model", remedy, needed=np.unique(labels))
        answers = align_probabilities(model.predict_proba(_records(X)), places, len(ordered))
        parts.append(_with_labels(answers, columns))
        sizes.append(len(labels))
    return np.concatenate(parts), np.repeat([1, 0], sizes)
