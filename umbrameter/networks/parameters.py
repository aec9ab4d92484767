"""What values a network's parameters may have, and what is said of one that may not be."""

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.utils import check_random_state, check_scalar

Check: TypeAlias = Callable[[Any, str], None]
"""Takes a value and the parameter's name; raises `TypeError` or `ValueError` with a text for people."""


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
        The ends of the range; without an upper end if None.
    ends
        Which of them belong to the range.
    """

    def check(value: Any, name: str) -> None:
        check_scalar(value, name, Real, min_val=low, max_val=high, include_boundaries=ends)

    return check


def one_of(*choices: str) -> Check:
    """Return a check for one of some texts."""

    def check(value: Any, name: str) -> None:
        if value not in choices:
            raise ValueError(f"{name} == {value!r}, must be {' or '.join(map(repr, choices))}.")

    return check


def unset_or(other: Check, unset: Any = None) -> Check:
    """Return a check for a value that stands for none, or for what another check allows."""

    def check(value: Any, name: str) -> None:
        if not (value is unset or (isinstance(unset, str) and value == unset)):
            other(value, name)

    return check


def each(other: Check, length: int | None = None) -> Check:
    """Return a check for a single value or a list of them, of a given length where there is one."""

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
    check_random_state(value)


def check_parameters(owner: str, values: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Check all parameters, and say of all that are wrong what is.

    Parameters
    ----------
    owner
        Whose parameters they are.
    values, checks
        By name.

    Raises
    ------
    ValueError
        When a value may not be; the text names each.
    """
    wrong = []
    for name, check in checks.items():
        try:
            check(values[name], name)
        except (TypeError, ValueError) as error:
            wrong.append(str(error).rstrip("."))
    if wrong:
        raise ValueError(f"{owner}: {'; '.join(wrong)}")
