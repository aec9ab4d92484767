"""Checks of a network's parameters, with messages that name the values allowed."""

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.utils import check_random_state, check_scalar

Check: TypeAlias = Callable[[Any, str], None]
"""Takes a value and the parameter's name; raises `TypeError` or `ValueError` with a message for people."""


def whole_number(low: int) -> Check:
    """Return a check for whole numbers that are at least `low`."""

    def check(value: Any, name: str) -> None:
        check_scalar(value, name, Integral, min_val=low)

    return check


def number(low: float, high: float | None = None, ends: Literal["left", "right", "neither"] = "left") -> Check:
    """Return a check for real numbers.

    Parameters
    ----------
    low, high
        The ends of the range; no upper end if None.
    ends
        Which of the ends belong to the range.
    """

    def check(value: Any, name: str) -> None:
        check_scalar(value, name, Real, min_val=low, max_val=high, include_boundaries=ends)

    return check


def one_of(*choices: str) -> Check:
    """Return a check for one of several strings."""

    def check(value: Any, name: str) -> None:
        if value not in choices:
            raise ValueError(f"{name} == {value!r}, must be {' or '.join(map(repr, choices))}.")

    return check


def unset_or(other: Check, unset: Any = None) -> Check:
    """Return a check for the value `unset`, or for whatever another check allows."""

    def check(value: Any, name: str) -> None:
        # Only strings are compared by `==`: an array would compare element by element.
        if not (value is unset or (isinstance(unset, str) and value == unset)):
            other(value, name)

    return check


def each(other: Check, length: int | None = None) -> Check:
    """Return a check for a single value or a sequence of them, of the given length if there is one."""

    def check(value: Any, name: str) -> None:
        entries = value if isinstance(value, tuple | list | np.ndarray) else (value,)
        if length is not None and len(entries) != length:
            raise ValueError(f"{name} == {value!r}, must be {length} values.")
        for entry in entries:
            other(entry, name)

    return check


def boolean(value: Any, name: str) -> None:
    """Check that a value is a boolean."""
    check_scalar(value, name, (bool, np.bool_))


def random_state(value: Any, name: str) -> None:
    """Check that a value is a seed, a `RandomState` or None."""
    try:
        check_random_state(value)
    except ValueError:
        raise ValueError(f"{name} == {value!r}, must be a whole number, a numpy.random.RandomState or None.") from None


def check_parameters(owner: str, values: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Check all parameters, and raise a single error for all that are wrong.

    Parameters
    ----------
    owner
        The name of the class, for the message.
    values, checks
        The parameters' values and checks, by name.

    Raises
    ------
    ValueError
        When a value is not allowed; the message names every such parameter.
    """
    wrong = []
    for name, check in checks.items():
        try:
            check(values[name], name)
        except (TypeError, ValueError) as error:
            wrong.append(str(error).rstrip("."))
    if wrong:
        raise ValueError(f"{owner}: {'; '.join(wrong)}")
