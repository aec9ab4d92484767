"""The errors that a user can act on; each message names the parameter, its value, what was expected and what to do."""

import difflib
import re
from collections.abc import Callable, Iterable


class UmbrameterError(Exception):
    """Base of all errors that the user can fix: shown without a traceback, with exit code 1.

    Of an error that says several things, `parts` are the errors that say one each.
    """

    parts: tuple["UmbrameterError", ...] = ()


class SpecError(UmbrameterError):
    """A spec, or a setting in it, is not valid."""


class DataError(UmbrameterError):
    """The data cannot be read, or cannot be audited as they are."""


class PlanError(UmbrameterError):
    """The plan asks for more than the data hold."""


class StoreError(UmbrameterError):
    """The run's folder cannot be read or written."""


class ComputeError(UmbrameterError):
    """The cluster cannot be reached, or cannot do the work."""


class TargetError(UmbrameterError):
    """The audited model does not answer, or answers nonsense."""


class TrackingError(UmbrameterError):
    """MLflow cannot be reached, or refused what was logged; `run` is the audit's folder, which is complete on disk."""

    run: str | None = None


class MissingRingError(UmbrameterError):
    """An optional dependency is not installed; the message has the command that installs it."""


def errors_in(*checks: Callable[[], object]) -> list[UmbrameterError]:
    """Return the errors that checks raise, each of which is made whatever the others say."""
    errors = []
    for check in checks:
        try:
            check()
        except UmbrameterError as error:
            errors.append(error)
    return errors


def in_one(errors: Iterable[UmbrameterError | str], what: str) -> UmbrameterError | None:
    r"""Return one error that says all that is wrong, or None if there is nothing.

    Parameters
    ----------
    errors
        What is wrong: errors, or sentences about the data.
    what
        What has to be corrected, in the plural.

    Returns
    -------
    A single error as it is; several as a list, in an error of the first one's type.

    Examples
    --------
    >>> in_one(["a is empty", "b is empty", PlanError("a is empty")], "the data")
    DataError('the data need 2 corrections:\n  - a is empty\n  - b is empty')
    """
    distinct: dict[str, UmbrameterError] = {}
    for error in errors:
        whole = DataError(error) if isinstance(error, str) else error
        distinct |= {str(part): part for part in whole.parts or (whole,) if str(part) not in distinct}
    parts = tuple(distinct.values())
    if len(parts) < 2:
        return parts[0] if parts else None
    lines = [f"{what} need {len(parts)} corrections:", *(f"  - {text}" for text in distinct)]
    error = type(parts[0])("\n".join(lines))
    error.parts = parts
    return error


def brief(error: BaseException, most: int = 200) -> str:
    r"""Return what an error says on one line, or its type where it says nothing.

    Examples
    --------
    >>> brief(ValueError("two\nlines")), brief(KeyboardInterrupt())
    ('two lines', 'KeyboardInterrupt')
    """
    return " ".join(str(error).split())[:most] or type(error).__name__


def one_of(name: object, names: Iterable[str], what: str, most: int = 40) -> str:
    """Return the names to choose from, in words, after the one that was probably meant.

    Case and punctuation do not count: whoever writes `Random-Forest` means `random_forest`.

    Parameters
    ----------
    name
        The name that is wrong.
    names
        Those to choose from.
    what
        The words before them.
    most
        How many of them to list.

    Examples
    --------
    >>> one_of("cuont", ["count", "size"], "the settings are")
    'did you mean count? The settings are count, size'
    >>> one_of("x", ["count", "size"], "the settings are")
    'the settings are count, size'
    """
    names = [*names]
    further = f" and {len(names) - most} more" if len(names) > most else ""
    listed = f"{what} {', '.join(names[:most])}{further}"
    by_letters = {_letters(other): other for other in names}
    close = difflib.get_close_matches(_letters(str(name)), by_letters, n=1)
    return f"did you mean {by_letters[close[0]]}? {listed[0].upper()}{listed[1:]}" if close else listed


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
