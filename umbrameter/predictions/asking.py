"""Fit and ask models of any library, on records of any kind.

Belongs here: scikit-learn's models, and those that know `fit` and `predict` alone, as Keras's do; arrays, data frames
and sparse matrices. Does not belong here: which records, and what becomes of the answers (`bundles`).
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import scipy.sparse

from umbrameter.errors import DataError
from umbrameter.predictions.scales import scale_of
from umbrameter.typing import Array, Ints

MEND = {"logits": "scipy.special.softmax({answers}, axis=1)", "percent": "{answers} / 100"}
"""What makes probabilities of answers on another scale."""


def trained(model: Any, X: Any, y: Array, options: Mapping[str, Any]) -> Any:
    """Fit a model and return it; what its `fit` returns, such as Keras's history, is not used.

    Parameters
    ----------
    model
        Has `fit`.
    X, y
        Records and labels, in the form that the model takes.
    options
        Further arguments of `fit`.

    Raises
    ------
    DataError
        When `fit` needs an argument that is not given, or does not know one that is.
    """
    try:
        with suppress(ValueError):  # compiled functions may have no signature
            inspect.signature(model.fit).bind(X, y, **options)
    except TypeError as error:
        raise DataError(
            f"{type(model).__name__}.fit cannot be called: {error}; give what it needs, and nothing else, such as "
            "fit_kwargs={'sample_weight': weights} with an entry per record"
        ) from None
    model.fit(X, y, **options)
    return model


def answers_of(model: Any, X: Any, may_be_labels: bool = False) -> Array:
    """Return a model's answers: of `predict_proba`, or of `predict` for a model that has no other.

    Parameters
    ----------
    model
        A fitted model.
    X
        Records, in the form that the model takes.
    may_be_labels
        Whether answers that are all 0 or 1, one per record, are taken as probabilities.

    Returns
    -------
    Shape (n_records, n_classes), (n_records, 1) or (n_records,).

    Raises
    ------
    DataError
        When the model cannot be asked, or answers labels, logits or percent.
    """
    name = type(model).__name__
    method = next((name for name in ("predict_proba", "predict") if hasattr(model, name)), None)
    if method is None:
        raise DataError(f"{name} has neither predict_proba nor predict; wrap it in a class with predict_proba")
    answers = np.asarray(getattr(model, method)(X))
    is_number, is_single = answers.dtype.kind in "fiub", answers.ndim == 1 or answers.shape[1:] == (1,)
    is_label = method == "predict" and is_single and not may_be_labels
    if not is_number or (is_label and (answers == np.rint(answers)).all()):
        first = answers.ravel().tolist()[0]
        raise DataError(
            f"{name}.{method} answered {first!r} for record 0: a label, not probabilities; give a model with "
            "predict_proba, such as sklearn.calibration.CalibratedClassifierCV around this one"
        )
    rows = answers.reshape(len(answers), -1).astype(np.float64, copy=False)
    scale = scale_of(rows)
    if scale in MEND:
        raise DataError(
            f"{name}.{method} answered {np.array2string(rows[0], precision=4, threshold=8)} for record 0: {scale}, not "
            f"probabilities; let it return {MEND[scale].format(answers='answers')}"
        )
    return answers


def fitted(make: Callable[[], Any], X: Any, labels: Ints, one_hot: Array | None, options: Mapping[str, Any]) -> Any:
    """Return a model fitted on class numbers, or on one-hot labels, if they were given and it takes no numbers."""
    model = make()
    if one_hot is None:
        return trained(model, X, labels, options)
    if not _is_estimator(model):  # such as Keras's
        return trained(model, X, one_hot, options)
    try:
        return trained(model, X, labels, options)
    except (ValueError, IndexError, TypeError):  # a class that was written for one-hot labels
        return trained(make(), X, one_hot, options)


def _is_estimator(model: Any) -> bool:
    """Return whether a model follows scikit-learn's interface."""
    return hasattr(model, "get_params")


def as_records(X: Any) -> Any:
    """Return records as models take them, with rows that can be selected: data frames stay data frames."""
    if scipy.sparse.issparse(X):
        return X.tocsr()
    return X if hasattr(X, "columns") else np.asarray(X)


def rows_of(X: Any, rows: Array) -> Any:
    """Return some rows of an array, a sparse matrix or a data frame."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def options_of(options: Mapping[str, Any] | None, rows: Array, n: int) -> dict[str, Any]:
    """Return options of `fit`; of what has one entry for each of n records, those of the rows."""
    return {name: np.asarray(v)[rows] if _length(v) == n else v for name, v in (options or {}).items()}


def _length(value: Any) -> int | None:
    """Return the length of a list or an array, else None."""
    shape = (len(value),) if isinstance(value, list | tuple) else getattr(value, "shape", ())
    return shape[0] if shape else None


def seeded_where_open(model: Any, seed: int) -> Any:
    """Set each `random_state` that is None, so that the bundle's seed decides a model's randomness."""
    if hasattr(model, "get_params") and hasattr(model, "set_params"):
        states = {k: v for k, v in model.get_params().items() if k == "random_state" or k.endswith("__random_state")}
        model.set_params(**{name: seed for name, value in states.items() if value is None})
    return model


def in_floats_of(model: Any, values: Array) -> Array:
    """Return values as they are for scikit-learn's estimators, else as float32, as `mia` gave them to any."""
    return values if _is_estimator(model) else values.astype(np.float32)
