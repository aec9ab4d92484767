"""Check models' answers and users' labels once, where they come in."""

import numpy as np
from numpy.typing import ArrayLike

from umbrameter.errors import DataError
from umbrameter.typing import Array, Bools, Floats, Ints


def align_probabilities(proba: ArrayLike, classes: ArrayLike, n_classes: int, is_coarse: bool = False) -> Floats:
    """Spread a model's prediction vectors over all classes.

    Parameters
    ----------
    proba
        The answers, shape (n_records, n_known); a single column is read as the probability of the second of two
        classes, as networks with one output answer.
    classes
        The integer classes that the columns stand for, in the model's order, shape (n_known,).
    n_classes
        Number of all classes; those that the model does not know get 0.
    is_coarse
        Whether answers are rounded or cut off, and therefore need not sum to 1.

    Returns
    -------
    Prediction vectors, shape (n_records, n_classes), of the dtype of `proba`.

    Raises
    ------
    DataError
        When an answer is not a probability vector; the message has the index of the first bad record.

    Examples
    --------
    >>> align_probabilities([[0.25, 0.75]], classes=[0, 2], n_classes=3)
    array([[0.25, 0.  , 0.75]])
    """
    answers = np.asarray(proba)
    if answers.ndim == 1:
        answers = answers[:, None]
    known = np.asarray(classes).astype(np.int64)
    if answers.ndim == 2 and answers.shape[1] == 1 and len(known) == 2:
        answers = np.hstack([1 - answers, answers])
    if answers.ndim != 2 or answers.shape[1] != len(known):
        raise DataError(
            f"predict_proba answered an array of shape {answers.shape}; expected one column for each of the "
            f"{len(known)} classes the model knows"
        )
    _check_probabilities(answers, is_coarse)
    if len(known) == n_classes and (known == np.arange(n_classes)).all():
        return answers
    aligned = np.zeros((len(answers), n_classes), dtype=answers.dtype)
    aligned[:, known] = answers
    return aligned


def improbable(answers: Array) -> tuple[Bools, Bools, Bools]:
    """Return which vectors are not finite, which leave [0, 1], and which do not sum to 1 within 1e-3."""
    with np.errstate(invalid="ignore"):  # infinities and NaN have a mask of their own
        # 1e-6: float32 rounding may leave [0, 1] by a little
        outside = (answers < -1e-6).any(axis=1) | (answers > 1 + 1e-6).any(axis=1)
        unsummed = np.abs(answers.sum(axis=1) - 1) > 1e-3
    infinite = ~np.isfinite(answers).all(axis=1)
    return np.asarray(infinite), np.asarray(outside), np.asarray(unsummed)


def _check_probabilities(answers: Array, is_coarse: bool) -> None:
    """Refuse vectors that are not probabilities."""
    infinite, outside, unsummed = improbable(answers)
    bad = infinite | outside if is_coarse else infinite | outside | unsummed
    if bad.any():
        first = int(bad.argmax())
        raise DataError(
            f"predict_proba answered {answers[first].tolist()} for record {first} ({int(bad.sum())} such answers); "
            "expected probabilities: finite, in [0, 1], summing to 1 within 0.001; check the model, or wrap it so that "
            "it answers probabilities"
        )


def check_labels(labels: ArrayLike, n_classes: int) -> None:
    """Refuse labels that are not integers 0 .. n_classes - 1.

    Raises
    ------
    DataError
        With the first bad label and its position.
    """
    values = np.asarray(labels)
    bad = (values < 0) | (values >= n_classes)
    if bad.any():
        first = int(bad.argmax())
        raise DataError(
            f"label {values[first]!r} of record {first} is not one of 0 .. {n_classes - 1}; number the classes from 0, "
            "such as with sklearn.preprocessing.LabelEncoder, or raise the number of classes"
        )


def as_integer_labels(y: ArrayLike, n_classes: int | None = None) -> Ints:
    """Return labels as integers, from integers, integral floats, booleans or one-hot rows.

    Parameters
    ----------
    y
        Shape (n_records,), (n_records, 1), or one-hot (n_records, n_classes).
    n_classes
        Number of classes; None: as many as there are columns, or as the largest label says.

    Returns
    -------
    Labels, int64, shape (n_records,).

    Raises
    ------
    DataError
        When the labels have none of these forms, or are not 0 .. n_classes - 1.

    Examples
    --------
    >>> as_integer_labels([[0, 1], [1, 0]])
    array([1, 0])
    """
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        return _from_one_hot(values, n_classes)
    if values.ndim != 1 or values.dtype.kind not in "iufb":
        raise DataError(
            f"labels have shape {values.shape} and type {values.dtype}; expected integers 0 .. n_classes - 1 or "
            "one-hot rows; number the classes from 0, such as with sklearn.preprocessing.LabelEncoder"
        )
    labels = values.astype(np.int64)
    if (labels != values).any():
        first = int((labels != values).argmax())
        raise DataError(f"label {values[first]!r} of record {first} is not an integer; number the classes from 0")
    check_labels(labels, int(labels.max(initial=0)) + 1 if n_classes is None else n_classes)
    return labels


def _from_one_hot(rows: Array, n_classes: int | None) -> Ints:
    bad = ~(((rows == 0) | (rows == 1)).all(axis=1) & (rows.sum(axis=1) == 1))
    if bad.any():
        first = int(bad.argmax())
        raise DataError(f"row {first} of the labels is {rows[first].tolist()}, not one-hot: expected one 1, else 0")
    if n_classes is not None and rows.shape[1] != n_classes:
        raise DataError(f"one-hot labels have {rows.shape[1]} columns, expected n_classes={n_classes}")
    return np.asarray(rows.argmax(axis=1), dtype=np.int64)
