"""The errors that a user can act on; each message names the parameter, its value, what was expected and what to do."""

import difflib
import re
from collections.abc import Iterable


class UmbrameterError(Exception):
    """Base of all errors that the user can fix: shown without a traceback, with exit code 1."""


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
