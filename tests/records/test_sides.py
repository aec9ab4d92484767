"""Which records are members, however people write it."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from umbrameter.records.sides import MEMBER, NONMEMBER, other_values, sides


@pytest.mark.parametrize(
    "values",
    [
        [True, False],
        pa.array([1, 0], pa.uint8()),
        pa.array([1.0, 0.0], pa.float16()),
        [Decimal("1.00"), Decimal("0.00")],
        ["Train", " TEST "],
        ["member", "NonMember"],
        ["in", "Out"],
        ["Yes", "no"],
        ["True", "False"],
        pa.array(["yes", "no"], pa.string_view()),
        pa.array(["yes", "no"]).dictionary_encode(),
    ],
    ids=str,
)
def test_both_sides_however_they_are_written(values: Any) -> None:
    column = pa.chunked_array([values])
    assert sides(column).to_pylist() == [True, False] and other_values(column) == []


def test_no_word_is_of_both_sides() -> None:
    assert not {*MEMBER} & {*NONMEMBER}


@pytest.mark.parametrize(
    ("values", "others"),
    [
        (["train", "test", "val", "val"], ["val"]),
        ([0, 1, 2, -1], ["-1", "2"]),
        ([1.0, np.nan, None, 0.5], ["0.5", "null"]),
        ([True, None], ["null"]),
        ([[1], [0]], ["null"]),
        (pa.nulls(2), ["null"]),
    ],
)
def test_values_that_say_neither_side_are_listed(values: Any, others: list[str]) -> None:
    assert other_values(pa.chunked_array([values])) == others
