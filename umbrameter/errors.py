"""The errors that a user can act on; each message names the parameter, its value, what was expected and what to do."""


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
