"""What is measured: a figure with its interval, a figure with a lower bound alone, or why there is none.

Belongs here: the values. Does not belong here: how an interval is made (`intervals`, `bounds`).
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
        The probability with which such intervals hold the true figure, such as 0.95.
    method
        How the bounds were found, in a few words.
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
        Why, in a sentence for the reader of a report.
    """

    not_measured: str


class LowerBound(BaseModel, frozen=True, extra="forbid"):
    """A figure that scores can bound from below alone, such as epsilon: a stronger attack may show more.

    Parameters
    ----------
    value, low
        The bound, twice.
    high
        None: there is none.
    confidence
        The probability with which the true figure is at least that.
    method
        How the bound was found, in a few words.
    """

    value: float
    low: float
    high: None = None
    confidence: float
    method: str


Metric = Interval | LowerBound | NotMeasured
