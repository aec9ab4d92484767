"""The rows that attack models learn from and are asked about: a prediction vector, then the label."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from joblib import Parallel
from numpy.typing import ArrayLike

from umbrameter.errors import DataError
from umbrameter.predictions.asking import (
    answers_of,
    as_records,
)
from umbrameter.predictions.probabilities import (
    align_probabilities,
    as_integer_labels,
    class_codes,
    classes_of,
    known_places,
)
from umbrameter.typing import Array, Floats, Ints


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
    ordered = named_classes(labelled[0], classes)
    if classes is None and not is_one_hot(labelled[0]):
        ordered = classes_of(np.concatenate([np.ravel(y) for y in labelled]) if known is None else known)
    knows = ordered if known is None else known
    parts, sizes = [], []
    for X, y in (data_in, data_out):
        labels, columns = codes_and_columns(y, ordered)
        # Only classes that records have: the numbers of classes may have gaps.
        remedy = "give labels as the model knows them"
        places = known_places(knows, ordered, "the model", remedy, needed=np.unique(labels))
        answers = align_probabilities(answers_of(model, as_records(X)), places, len(ordered))
        parts.append(with_labels(answers, columns))
        sizes.append(len(labels))
    return np.concatenate(parts), np.repeat([1, 0], sizes)


def is_one_hot(y: ArrayLike) -> bool:
    """Return whether labels are rows with a column per class."""
    return np.ndim(y) == 2 and np.shape(y)[1] > 1


def named_classes(y: ArrayLike, classes: Sequence[Any] | None) -> list[Any]:
    """Return the classes, in the order of the prediction vectors."""
    if classes is not None:
        return list(np.asarray(classes).tolist())
    return list(range(np.shape(y)[1])) if is_one_hot(y) else classes_of(y)


def codes_and_columns(y: ArrayLike, classes: Sequence[Any] | None) -> tuple[Ints, Array]:
    """Return the classes' numbers, shape (n_records,), and the columns that stand for them in the attack's data."""
    if is_one_hot(y):
        return as_integer_labels(y), np.asarray(y)
    codes = class_codes(y, named_classes(y, classes))
    return codes, codes


def with_labels(predictions: Floats, labels: Array) -> Floats:
    """Return prediction vectors with their labels behind them."""
    # integer labels must not widen float32 predictions, which hold every class's number
    return np.column_stack([predictions, labels.reshape(len(predictions), -1)]).astype(predictions.dtype)


def in_parallel(n_jobs: int, verbose: Any, calls: Any) -> list[Any]:
    """Return the results of joblib's delayed calls, in order; print how far they are if asked to.

    Raises
    ------
    DataError
        When `verbose` holds arguments of `fit`, which come after it.
    """
    if isinstance(verbose, Mapping):
        raise DataError(f"verbose={verbose!r} is not a switch; name what is for fit: fit_kwargs={verbose!r}")
    return list(Parallel(n_jobs=n_jobs, verbose=10 if verbose else 0)(calls))
