"""Figures as values: what is written is read again as it was."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from umbrameter.statistics.estimates import Interval, LowerBound, Metric, NotMeasured


@pytest.mark.parametrize(
    "metric",
    [
        Interval(value=0.5, low=0.4, high=0.6, confidence=0.95, method="m"),
        LowerBound(value=0.5, low=0.5, confidence=0.95, method="m"),
        NotMeasured(not_measured="there are no members"),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_figure_is_read_again_as_what_it_was(metric: Metric) -> None:
    adapter: TypeAdapter[Metric] = TypeAdapter(Metric)
    again = adapter.validate_json(adapter.dump_json(metric))
    assert again == metric and type(again) is type(metric)
    with pytest.raises(ValidationError):
        adapter.validate_python({**json.loads(adapter.dump_json(metric)), "unit": "%"})
