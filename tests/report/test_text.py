"""Numbers as text: decimals and units."""

import pytest

from umbrameter.report.text import confidence, figure, number
from umbrameter.statistics.estimates import Interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.62149, "0.621"),
        (1.0, "1.000"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.00951, "0.0095"),
        (0.00001, "<0.0001"),
        (-0.00001, "0.0000"),
        (-0.25, "-0.250"),
        (2.5, "2.500"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_bounds_have_as_many_decimals_as_their_figure():
    metric = Interval(value=0.0012, low=0.0004, high=0.0111, confidence=0.95, method="")
    assert figure(metric) == "0.0012 [0.0004, 0.0111]"


def test_confidence_is_read_from_the_intervals(report):
    assert confidence(report) == "95 %"
    assert confidence(report.model_copy(update={"results": []})) == "95 %"
