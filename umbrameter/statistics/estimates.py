"""The result of a measurement: a figure with its interval, a figure with only a lower bound, or why there is none.

Belongs here: the value types. Does not belong here: how an interval is computed (`intervals`, `paired`, `epsilon`).
"""

from pydantic import BaseModel


class Interval(BaseModel, frozen=True, extra="forbid"):
    """A measured figure and its confidence interval.

    Parameters
    ----------
    value
        The point estimate.
    low, high
        The bounds of the interval; `value` lies between them.
    confidence
        The probability with which such intervals contain the true figure, such as 0.95.
    method
        The method behind the bounds, in a few words.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: str


class NotMeasured(BaseModel, frozen=True, extra="forbid"):
    """A figure that could not be measured: never zero, and never a pass.

    Parameters
    ----------
    not_measured
        The reason, in a sentence for the reader of a report.
    """

    not_measured: str


class NotReachable(NotMeasured, frozen=True, extra="forbid"):
    """A TPR at an FPR that no threshold has, since too many records share the highest score: never zero.

    Parameters
    ----------
    low, high
        Bounds of the TPR of an attacker who calls some of these records at random, as many as the FPR allows. They
        decide on limits.
    confidence
        The probability with which such bounds contain it.
    """

    low: float
    high: float
    confidence: float


class LowerBound(BaseModel, frozen=True, extra="forbid"):
    """A figure that scores can only bound from below, such as epsilon: a stronger attack may show more.

    Parameters
    ----------
    value, low
        The lower bound, in both fields.
    high
        Always None: there is no upper bound.
    confidence
        The probability with which the true figure is at least the bound.
    method
        The method behind the bound, in a few words.
    """

    value: float
    low: float
    high: None = None
    confidence: float
    method: str


Metric = Interval | LowerBound | NotReachable | NotMeasured
