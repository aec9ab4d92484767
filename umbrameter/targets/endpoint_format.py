"""The format of requests to an endpoint, and of its answers.

Belongs here: pure functions from records to a request's body, and from an answer to prediction vectors. Does not belong
here: settings (`endpoint`), or sending requests, files and secrets (`tasks.external_targets.endpoint`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from umbrameter.errors import DataError
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.predictions.probabilities import (
    check_single,
    class_index,
    improbable,
    known_places,
    listed,
    place_of,
)
from umbrameter.targets.columns import Columns, Rows, frame
from umbrameter.targets.endpoint import RECORDS, EndpointTarget, JsonRequest, MlflowRequest
from umbrameter.typing import Array, Floats


def encoded(X: Rows, columns: Columns, offset: int = 0) -> list[list[Any]]:
    """Return records as lists of plain Python values, ready for JSON.

    Parameters
    ----------
    X
        The source's columns, or a matrix of shape (n_records, n_features).
    columns
        The columns as the endpoint knows them.
    offset
        Number of the first record, for errors.

    Raises
    ------
    DataError
        When a value cannot be sent; the text names its column and record, never the value.

    Examples
    --------
    >>> encoded(np.array([[1, 0.5]]), Columns(("colour", "pay"), {"colour": ("blue", "red")}, (False, False)))
    [['red', 0.5]]
    """
    if isinstance(X, np.ndarray):
        _check_matrix(X, columns, offset)
    table = frame(X, columns)
    # JSON has no decimal fractions, dates or NaN: these become floats, texts and null.
    values = [
        column.tolist() if column.dtype.kind in "biuf" and not column.hasnans else map(_plain, column.tolist())
        for _, column in table.items()
    ]
    return [list(row) for row in zip(*values, strict=True)]


def _plain(value: Any) -> Any:
    if value is None or value != value:
        return None
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _check_matrix(X: Array, columns: Columns, offset: int) -> None:
    """Refuse values of made records that the source's columns cannot have."""
    if X.ndim != 2 or X.shape[1] != len(columns.names):
        raise DataError(f"records of shape {X.shape} cannot be sent; expected {len(columns.names)} columns")
    for column, name, is_integral in zip(X.T, columns.names, columns.integral, strict=True):
        texts = columns.categories.get(name)
        if texts is None and not is_integral:
            _refuse(~np.isfinite(column), name, "a finite number", offset)
            continue
        is_whole = np.isfinite(column) & (column == np.floor(column))
        if texts is None:
            _refuse(~is_whole, name, "an integer", offset)
        else:
            _refuse(~is_whole | (column < 0) | (column >= len(texts)), name, f"a code 0 .. {len(texts) - 1}", offset)


def _refuse(bad: Array, name: str, expected: str, offset: int) -> None:
    if bad.any():
        raise DataError(
            f"column {name!r} of record {offset + int(bad.argmax())} is not {expected} ({int(bad.sum())} such records) "
            "and cannot be sent; query only records such as the data's own"
        )


def body_of(request: MlflowRequest | JsonRequest, rows: Sequence[Sequence[Any]], columns: Columns) -> Any:
    """Return a request's body as JSON-able values.

    Parameters
    ----------
    request
        The format.
    rows
        Records as `encoded` returns them.
    columns
        The columns as the endpoint knows them.
    """
    if isinstance(request, MlflowRequest):
        return {"dataframe_split": {"columns": list(columns.names), "data": [list(row) for row in rows]}}
    if request.record == "mapping":
        return _filled(request.body, [dict(zip(columns.names, row, strict=True)) for row in rows])
    return _filled(request.body, [list(row) for row in rows])


def _filled(template: Any, records: list[Any]) -> Any:
    if isinstance(template, Mapping):
        return {key: _filled(value, records) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, records) for value in template]
    return records if template == RECORDS else template


def answers_of(request: MlflowRequest | JsonRequest, content: Any, n: int, offset: int = 0) -> list[Any]:
    """Return the answers in a response, one per record, unchanged.

    Parameters
    ----------
    request
        The format.
    content
        The response, parsed from JSON.
    n
        Number of records in the request.
    offset
        Number of the first record, for errors.

    Raises
    ------
    DataError
        When the response has no answers where they are expected, or not as many as records.
    """
    path = "predictions" if isinstance(request, MlflowRequest) else request.probabilities
    answers = _at(content, path.split("."), path)
    if not isinstance(answers, list):
        raise DataError(
            f"the endpoint answered {_kind(answers)} at {path!r}; expected a list with one answer per record"
        )
    if len(answers) != n:
        raise DataError(
            f"the endpoint answered {len(answers)} times for the {n} records {offset} .. {offset + n - 1}; expected one"
            " answer per record: check target.request, or lower target.batch_size if the endpoint limits it"
        )
    return answers


def _at(value: Any, steps: Sequence[str], path: str) -> Any:
    if not steps:
        return value
    step, deeper = steps[0], steps[1:]
    if isinstance(value, list) and step == "*":
        return [_at(item, deeper, path) for item in value]
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return _at(value[int(step)], deeper, path)
    if isinstance(value, Mapping) and step in value:
        return _at(value[step], deeper, path)
    raise DataError(
        f"the endpoint's answer has nothing at {step!r} of {path!r}, but {_kind(value)} there; expected the list of "
        "answers: set target.request to what it answers"
    )


def _kind(value: Any) -> str:
    """Return a JSON value's kind and size, but never its content, which may echo the records."""
    if isinstance(value, Mapping):
        return f"a mapping with {', '.join(repr(str(key)[:40]) for key in list(value)[:5]) or 'nothing'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), "null")


def all_classes(target: EndpointTarget, classes: Sequence[Any]) -> tuple[Any, ...]:
    """Return the data's classes, in order, and behind them those that only the endpoint knows, by `target.labels`.

    Raises
    ------
    DataError
        When `target.labels` lacks a class of the data.
    """
    if target.labels is None:
        return tuple(classes)
    places = known_places(target.labels, classes, "the endpoint")
    others = sorted(
        (place, label) for place, label in zip(places.tolist(), target.labels, strict=True) if place >= len(classes)
    )
    return (*classes, *(label for _, label in others))


def aligned(
    target: EndpointTarget, parsed: Sequence[Any], classes: Sequence[Any], offset: int = 0, is_known: bool = False
) -> Floats:
    """Return answers as prediction vectors, in the order of the data's classes.

    Parameters
    ----------
    target
        The endpoint's settings: the order of its labels, and what it does to its answers.
    parsed
        Answers as `answers_of` returns them: lists of numbers, of two classes also the second's alone; mappings from
        label to number; or labels.
    classes
        The data's classes, in order; those that only the endpoint knows may follow.
    offset
        Number of the first record, for errors.
    is_known
        Whether the endpoint is known to answer probabilities, so that single ones may all be 0 or 1.

    Returns
    -------
    float32, shape (n_records, n_classes), wider by the classes that only the endpoint knows.

    Raises
    ------
    DataError
        When an answer is not a prediction vector.
    TargetError
        When single numbers are labels or scores.

    Examples
    --------
    >>> target = EndpointTarget(url="http://localhost", labels=("yes", "no"))
    >>> aligned(target, [[0.25, 0.75], {"no": 1, "yes": 0}], ["no", "yes"])
    array([[0.75, 0.25],
           [1.  , 0.  ]], dtype=float32)
    """
    reader = _Reader(target, all_classes(target, classes))
    singles = (
        [] if target.does(LabelOnly) or is_known else [number for a in parsed if (number := _single(a)) is not None]
    )
    check_single(np.array([_float(number) for number in singles]), reader.labels, "the endpoint")
    answers = np.array([reader.vector(answer, offset + i) for i, answer in enumerate(parsed)], dtype=np.float64)
    # Without any answers, the array would have no second axis.
    answers = answers.reshape(len(parsed), len(reader.classes))
    _check(target, answers, offset)
    return answers.astype(np.float32)


@dataclass(frozen=True)
class _Reader:
    """Turn one answer into one vector."""

    target: EndpointTarget
    classes: tuple[Any, ...]

    @cached_property
    def labels(self) -> Sequence[Any]:
        """The endpoint's labels, in the order of an answer's numbers."""
        return self.target.labels or self.classes

    @cached_property
    def places(self) -> Mapping[Any, int]:
        """Each class's position, by its value and by its text."""
        return class_index(self.classes)

    def vector(self, answer: Any, record: int) -> list[float]:
        if isinstance(answer, Mapping):
            return self._spread(list(answer), list(answer.values()), record, self.target.does(TopK))
        if answer is not None and self.target.does(LabelOnly) and (label := _sole(answer)) is not None:
            return self._spread([label], [1.0], record, True)
        if (number := _single(answer)) is not None and len(self.labels) == 2:
            return self._spread(self.labels, [1 - number, number], record, False)
        if isinstance(answer, list):
            return self._spread(self.labels, answer, record, False)
        raise DataError(
            f"the endpoint answered {_kind(answer)} for record {record}; expected {len(self.labels)} numbers, "
            "one per class; if it returns labels only, set target.answers: [{kind: label_only}]"
        )

    def _spread(self, labels: Sequence[Any], numbers: Sequence[Any], record: int, is_part: bool) -> list[float]:
        """Return a vector over the data's classes, with each number at its label's class."""
        if len(numbers) > len(self.labels) or (len(numbers) < len(self.labels) and not is_part):
            text = "if it knows other classes, list all that it knows in target.labels, in the order of its numbers"
            if len(numbers) < len(self.labels):
                text += "; if it leaves out all but the largest, let it answer mappings from label to number, and set "
                text += f"target.answers: [{{kind: top_k, k: {len(numbers)}}}]"
            raise DataError(
                f"the endpoint answered {len(numbers)} numbers for record {record}; expected {len(self.labels)}, one "
                f"for each of {listed(self.labels)}: {text}"
            )
        vector = [0.0] * len(self.classes)
        for label, number in zip(labels, numbers, strict=True):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise DataError(
                    f"the endpoint answered {_kind(number)} within a vector for record {record}; expected numbers"
                )
            vector[self._place(label, record)] = _float(number)
        return vector

    def _place(self, label: Any, record: int) -> int:
        place = place_of(label, self.places)
        if place is None:
            raise DataError(
                f"the endpoint's label {str(label)[:40]!r} (record {record}) is none of the classes "
                f"{listed(self.classes)}; list all labels that it answers in target.labels, those of the data written "
                "as in the data, or, if it answers probabilities, take label_only out of target.answers"
            )
        return place


def _sole(answer: Any) -> Any:
    """Return the only element of a list of one, or what is no list; None for any other list."""
    return answer if not isinstance(answer, list) else answer[0] if len(answer) == 1 else None


def _single(answer: Any) -> float | None:
    """Return an answer that is one number, in a list or not; None for any other."""
    number = _sole(answer)
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf if number > 0 else -math.inf


def _check(target: EndpointTarget, answers: Floats, offset: int) -> None:
    infinite, outside, unsummed = improbable(answers)
    unsummed &= not target.does(Rounding, TopK)
    remedy = "if it rounds, or leaves out all but the largest, set target.answers: [{kind: rounding, decimals: 2}] or "
    for bad, expected in ((infinite, "finite numbers"), (outside, "numbers in [0, 1]"), (unsummed, "a sum of 1")):
        if bad.any():
            first = int(bad.argmax())
            shown = ", ".join(f"{number:.6g}" for number in answers[first, :8]) + ", ..." * (answers.shape[1] > 8)
            top_k = f"[{{kind: top_k, k: {max(1, np.count_nonzero(answers[first]))}}}]"
            raise DataError(
                f"the endpoint answered [{shown}] for record {offset + first} ({int(bad.sum())} such answers in the "
                f"batch); expected probabilities: {expected}; {remedy + top_k if bad is unsummed else 'check it'}"
            )
