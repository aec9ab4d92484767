"""Check models' answers and users' labels once, where they come in, and bring them to the data's classes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from umbrameter.errors import DataError, TargetError
from umbrameter.typing import Array, Bools, Floats, Ints

TOLERANCE = 1e-6
"""How far float32 rounding may take a probability out of [0, 1]."""


def class_index(classes: Iterable[Any]) -> Mapping[Any, int]:
    """Return the place of each class by its value and by its text; where two classes share a key, the value counts.

    Examples
    --------
    >>> index = class_index([-1, 1])
    >>> place_of(True, index), place_of(np.float32(-1), index), place_of("1.0", index), place_of("one", index)
    (1, 0, 1, None)
    """
    places = [(_plain(label), i) for i, label in enumerate(classes)]
    return {text: i for label, i in places for text in _texts(label)} | dict(places)


def place_of(label: Any, index: Mapping[Any, int]) -> int | None:
    """Return a label's place in an index of classes, by its value, else by its text; None if it is none of them."""
    value = _plain(label)
    return next((index[key] for key in (value, *_texts(value)) if key in index), None)


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _texts(label: Any) -> tuple[str, ...]:
    """Return the texts by which a label is recognised: whole floats without fraction, booleans as JSON and as bits."""
    if isinstance(label, bool):
        return str(label).lower(), str(int(label))
    text = re.sub(r"^(-?\d+)\.0+$", r"\1", str(label))
    return (text.lower() if text in ("True", "False") else text,)


def class_places(labels: Iterable[Any], classes: Sequence[Any], name: str = "the model") -> Ints:
    """Return the place of each label of a model among the data's classes.

    Labels are compared by value, so that 1, 1.0 and True are one class, and else by text, so that "1" is, too. A label
    that none of the data's records has gets a place behind their classes.

    Parameters
    ----------
    labels
        The labels that a model's columns stand for, in their order, such as its `classes_`.
    classes
        The data's classes, in order.
    name
        The model's name, for errors.

    Returns
    -------
    Distinct places from 0 on, shape (n_labels,).

    Raises
    ------
    DataError
        When two labels are one class.

    Examples
    --------
    >>> class_places(["yes", "never", "no"], ["no", "yes"])
    array([1, 2, 0])
    """
    # As objects, so that labels keep their Python types.
    known = np.asarray(labels if hasattr(labels, "dtype") else [*labels], dtype=object).ravel().tolist()
    index = class_index(classes)
    others = [label for label in known if place_of(label, index) is None]
    every = [*classes, *dict.fromkeys(map(_plain, others))]
    index = class_index(every)
    places = [place_of(label, index) for label in known]
    distinct, counts = np.unique(np.array(places, dtype=np.int64), return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"{name} has two columns of answers for the class {every[distinct[counts.argmax()]]!r}; correct "
            "target.labels"
        )
    return np.array(places, dtype=np.int64)


LABELS_REMEDY = (
    "correct data.label, or list in target.labels what the answers' columns stand for, written as in the data"
)
"""What to do about an external target whose labels are not the data's."""


def known_places(
    labels: Iterable[Any],
    classes: Sequence[Any],
    name: str,
    remedy: str = LABELS_REMEDY,
    needed: ArrayLike | None = None,
) -> Ints:
    """Return the place of each label of a model, as `class_places` does, and refuse one that lacks a class of the data.

    Parameters
    ----------
    labels, classes, name
        See `class_places`.
    remedy
        What to do, for errors.
    needed
        The places of the classes that records have; None for all classes.

    Raises
    ------
    DataError
        With the classes that the model lacks; or when two labels are one class.
    """
    places = class_places(labels, classes, name)
    lacking = [classes[i] for i in np.setdiff1d(np.arange(len(classes)) if needed is None else needed, places)]
    if lacking:
        raise DataError(
            f"{name} does not know the class {listed(lacking)}, which records have; it knows {listed(labels)}: leave "
            f"these records out, or {remedy}"
        )
    return places


def listed(labels: Iterable[Any], most: int = 8) -> str:
    """Return labels in a line, the first few of many, cut off where long."""
    texts = [str(_plain(label))[:40] for label in labels]
    return ", ".join(texts[:most]) + (" ..." if len(texts) > most else "")


def check_single(values: Floats, classes: Sequence[Any], name: str) -> None:
    """Refuse answers of one number per record that are labels or scores, not probabilities of the second class.

    Parameters
    ----------
    values
        The numbers, shape (n_records,).
    classes
        The classes that the model knows.
    name
        The model's name, for errors.

    Raises
    ------
    TargetError
        When each number is 0, 1 or a class, or when one is outside [0, 1].
    """
    distinct, index = np.unique(values).tolist(), class_index(classes)
    are_classes = all(place_of(value, index) is not None for value in distinct)
    if distinct and (are_classes or set(distinct) <= {0, 1}):
        written = "" if are_classes else f", and let it answer labels as the data have them ({listed(classes)})"
        raise TargetError(
            f"{name} answered one number for each of {len(values)} records, and all are {listed(distinct)}: labels, "
            f"not probabilities; set target.answers: [{{kind: label_only}}]{written}, or, if they are probabilities "
            "after all, let it answer those of both classes"
        )
    outside = np.flatnonzero((values < -TOLERANCE) | (values > 1 + TOLERANCE))
    if len(outside):
        raise TargetError(
            f"{name} answered {values[outside[0]]:.6g}, one number per record and outside [0, 1]: a score or a label, "
            "not a probability; wrap the model so that it answers probabilities, such as 1 / (1 + exp(-score)), or so "
            "that it answers labels, and set target.answers: [{kind: label_only}]"
        )


def classes_of(labels: ArrayLike) -> list[Any]:
    """Return the classes that labels stand for, in the order of a prediction vector's columns.

    Whole numbers from 0 on are places in the vector: 0 .. the largest. All other labels are sorted.

    Parameters
    ----------
    labels
        Whole numbers, booleans or text, shape (n_records,) or (n_records, 1).

    Raises
    ------
    DataError
        When a label is a fraction or not finite, or when numbers and text are mixed.

    Examples
    --------
    >>> classes_of([0, 2, 2]), classes_of([1, -1]), classes_of(["yes", "no"])
    ([0, 1, 2], [-1, 1], ['no', 'yes'])
    """
    values = np.asarray(labels).ravel()
    if values.dtype.kind == "O":  # such as pandas' nullable integers
        inferred = np.array(values.tolist())
        values = inferred if inferred.dtype.kind in "iufb" else values
    if values.dtype.kind in "iufb":
        bad = ~np.isfinite(values) | (values != np.rint(values))
        if bad.any():
            first = int(bad.argmax())
            raise DataError(f"label {values[first]!r} of record {first} is not an integer; give each class a number")
        if values.min(initial=0) >= 0:
            return list(range(int(values.max(initial=-1)) + 1))
    try:
        return list(np.unique(values).tolist())
    except TypeError:
        kinds = ", ".join(sorted({type(value).__name__ for value in values.tolist()}))
        raise DataError(f"labels are of several types ({kinds}); give numbers alone, or text alone") from None


def class_codes(labels: ArrayLike, classes: Sequence[Any]) -> Ints:
    """Return each record's class as its place among the classes, int64, shape (n_records,).

    Parameters
    ----------
    labels
        Shape (n_records,) or (n_records, 1); compared as `class_places` compares them.
    classes
        The classes, in order.

    Raises
    ------
    DataError
        When a label is none of the classes.
    """
    values, index = np.asarray(labels).ravel().tolist(), class_index(classes)
    place = {value: place_of(value, index) for value in dict.fromkeys(values)}
    first = next((i for i, value in enumerate(values) if place[value] is None), None)
    if first is not None:
        raise DataError(
            f"label {values[first]!r} of record {first} is none of the classes {listed(classes)}; correct it, or name "
            "all classes in the order of the prediction vectors (classes=...)"
        )
    return np.array([place[value] for value in values], dtype=np.int64)


def in_columns(answers: Array, n_known: int) -> Array:
    """Return answers with a column per class; of two classes, one number per record is the second's probability."""
    columns = answers[:, None] if answers.ndim == 1 else answers
    is_single = columns.ndim == 2 and columns.shape[1] == 1 and n_known == 2
    return np.hstack([1 - columns, columns]) if is_single else columns


def align_probabilities(proba: ArrayLike, classes: ArrayLike, n_classes: int, is_coarse: bool = False) -> Floats:
    """Spread a model's prediction vectors over all classes.

    Parameters
    ----------
    proba
        The answers, shape (n_records, n_known); a single column is read as the probability of the second of two
        classes, as networks with one output answer.
    classes
        The places of the columns' classes, in the model's order, shape (n_known,); see `class_places`.
    n_classes
        Number of the data's classes; those that the model does not know get 0.
    is_coarse
        Whether answers are rounded or cut off, and therefore need not sum to 1.

    Returns
    -------
    Prediction vectors, shape (n_records, n_classes), or wider by the classes that the model alone knows, whose places
    are behind; of the dtype of `proba`, but at least float32.

    Raises
    ------
    DataError
        When an answer is not a probability vector; the message has the index of the first bad record.

    Examples
    --------
    >>> align_probabilities([[0.25, 0.75]], classes=[0, 2], n_classes=3)
    array([[0.25, 0.  , 0.75]])
    """
    known = np.asarray(classes)
    places = known.astype(np.int64)
    if (places != known).any() or (places < 0).any() or len(np.unique(places)) < len(places):
        raise DataError(f"columns stand for the classes {listed(known)}; expected distinct places from 0 on")
    answers = in_columns(np.asarray(proba), len(places))
    if answers.ndim != 2 or answers.shape[1] != len(places):
        raise DataError(
            f"predict_proba answered an array of shape {answers.shape}; expected one column for each of the "
            f"{len(places)} classes the model knows; if it knows others, give it classes_, or list in target.labels "
            "what its columns stand for"
        )
    if answers.dtype == np.float16:  # too coarse to sum up in
        answers = answers.astype(np.float32)
    if len(places) != n_classes or (places != np.arange(n_classes)).any():
        aligned = np.zeros((len(answers), max(n_classes, int(places.max(initial=0)) + 1)), dtype=answers.dtype)
        aligned[:, places] = answers
        answers = aligned
    _check_probabilities(answers, is_coarse)  # after they were spread, so that no column is lost unseen
    return answers


def improbable(answers: Array) -> tuple[Bools, Bools, Bools]:
    """Return which vectors are not finite, which leave [0, 1], and which do not sum to 1 within 1e-3."""
    with np.errstate(invalid="ignore"):  # infinities and NaN have a mask of their own
        outside = (answers < -TOLERANCE).any(axis=1) | (answers > 1 + TOLERANCE).any(axis=1)
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
