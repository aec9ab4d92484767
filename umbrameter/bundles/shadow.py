"""Shadow models: a training set for the attack."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from joblib import delayed
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from umbrameter.bundles.lazy_models import LazyModels
from umbrameter.bundles.rows import codes_and_columns, in_parallel, named_classes, with_labels
from umbrameter.errors import DataError, PlanError
from umbrameter.predictions.asking import (
    answers_of,
    as_records,
    fitted,
    options_of,
    rows_of,
    seeded_where_open,
)
from umbrameter.predictions.probabilities import (
    align_probabilities,
    class_places,
)
from umbrameter.seeds import generator, integer
from umbrameter.typing import Array, Floats, Ints


class ShadowModelBundle(BaseEstimator):
    """Shadow models, each trained on a random sample of the records and asked about these and as many others.

    Parameters
    ----------
    model_fn
        Called without arguments, returns an unfitted classifier with `fit` and `predict_proba`, or, as Keras's models,
        with `fit` and a `predict` that answers probabilities. It is fitted on class numbers, 0 .. n_classes - 1; on
        one-hot labels as they are given, if it is no scikit-learn estimator, or takes no numbers.
    shadow_dataset_size
        Number of IN records of each model, and of OUT records.
    num_models
        Number of shadow models.
    seed
        Decides the records of each model and every `random_state` that `model_fn` leaves open.
    serializer
        Keeps the models instead of memory: `save(model_id, model)` and `load(model_id)`.
    n_jobs
        Number of models fitted in parallel; the results do not depend on it.
    classes
        The classes in the order of the prediction vectors, such as the target's `classes_`, if the labels do not show
        all of them. If None: 0 .. the largest label where all are whole numbers from 0 on, else the labels, sorted.

    Attributes
    ----------
    models_
        The fitted shadow models; also as `shadow_models_`.
    shadow_train_indices_, shadow_test_indices_
        The rows of each model's IN records, and of its OUT records.
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
        serializer: Any = None,
        n_jobs: int = 1,
        classes: Sequence[Any] | None = None,
    ):
        self.model_fn = model_fn
        self.classes = classes
        self.shadow_dataset_size = shadow_dataset_size
        self.num_models = num_models
        self.seed = seed
        self.serializer = serializer
        self.n_jobs = n_jobs

    def fit_transform(
        self, X: ArrayLike, y: ArrayLike, verbose: bool = False, fit_kwargs: Mapping[str, Any] | None = None
    ) -> tuple[Floats, Ints]:
        """Fit the shadow models and return what an attack model learns from.

        Parameters
        ----------
        X
            Features, shape (n_records, n_features): an array, a data frame or a sparse matrix.
        y
            Labels: numbers, booleans or text, or one-hot rows.
        verbose
            Whether to print how many models are fitted.
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
        records, (labels, columns) = as_records(X), codes_and_columns(y, self.classes)
        self.classes_, n, size = named_classes(y, self.classes), len(labels), self.shadow_dataset_size
        if records.shape[0] != n:
            raise DataError(f"X has {records.shape[0]} records and y has {n}; expected the same number")
        if 2 * size > n:
            raise PlanError(
                f"shadow_dataset_size={size} needs {2 * size} records, IN and OUT, but there are {n}; lower it to at "
                f"most {n // 2}"
            )
        models = range(self.num_models)
        rows = [generator(self.seed, "shadow-rows", i).permutation(n)[: 2 * size] for i in models]
        self.shadow_train_indices_ = [drawn[:size] for drawn in rows]
        self.shadow_test_indices_ = [drawn[size:] for drawn in rows]
        data = (records, labels, columns if columns.ndim == 2 else None, len(self.classes_))
        fits = (delayed(_shadow)(self, data, rows[i], i, fit_kwargs or {}) for i in models)
        shadows = in_parallel(self.n_jobs, verbose, fits)
        if self.serializer is None:
            self.models_: Sequence[Any] | Mapping[int, Any] = [model for model, _ in shadows]
        else:
            self.models_ = LazyModels(models, lambda i: self.serializer.load(f"shadow_{i}"))
        answers = np.concatenate([predictions for _, predictions in shadows])
        is_in = np.tile(np.repeat([1, 0], size), self.num_models)  # a model's IN rows come first
        return with_labels(answers, columns[np.concatenate(rows)]), is_in

    @property
    def shadow_models_(self) -> Sequence[Any] | Mapping[int, Any]:
        """The fitted shadow models by number."""
        return self.models_


def _shadow(
    bundle: ShadowModelBundle,
    data: tuple[Any, Ints, Array | None, int],
    rows: Ints,
    index: int,
    fit_kwargs: Mapping[str, Any],
) -> tuple[Any, Floats]:
    """Fit one shadow model and return it, or None if a serializer keeps it, and its answers on its rows, IN first."""
    X, labels, one_hot, n_classes = data
    seed, rows_in = integer(bundle.seed, "shadow-model", index), rows[: bundle.shadow_dataset_size]
    options = options_of(fit_kwargs, rows_in, len(labels))
    given = None if one_hot is None else one_hot[rows_in]
    model = fitted(
        lambda: seeded_where_open(bundle.model_fn(), seed), rows_of(X, rows_in), labels[rows_in], given, options
    )
    places = class_places(getattr(model, "classes_", range(n_classes)), range(n_classes), "a shadow model")
    answers = align_probabilities(answers_of(model, rows_of(X, rows)), places, n_classes)
    if bundle.serializer is None:
        return model, answers
    bundle.serializer.save(f"shadow_{index}", model)
    return None, answers
