"""Records of a served model as its source had them: types, levels, what may be left out, and what is refused."""

import datetime
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from umbrameter.errors import DataError
from umbrameter.records.own import CONSTANT, LEVELS
from umbrameter.serving.source_tables import as_source

SIZES = ["S", "M", "L"]
SCHEMA = pa.schema(
    [
        ("count", pa.int32()),
        ("plan", pa.large_string()),
        pa.field("size", pa.dictionary(pa.int32(), pa.string(), ordered=True), metadata={LEVELS: json.dumps(SIZES)}),
        ("born", pa.date32()),
        pa.field("one", pa.int64(), metadata={CONSTANT: "7.0"}),
        ("unread", pa.float64()),
    ]
)
FRAME = pd.DataFrame(
    {
        "size": pd.Categorical(["L", "S", "M"], categories=["M", "S", "L"]),
        "count": [1.0, np.nan, 3.0],
        "plan": ["basic", None, "plus"],
        "born": [datetime.date(2020, 1, 2)] * 3,
    }
)


def test_columns_get_the_source_s_order_and_types() -> None:
    table = as_source(FRAME, SCHEMA, {"plan": ("basic", "plus"), "size": ("L", "M", "S")})
    assert table.to_pydict() == {
        "count": [1, None, 3],
        "plan": ["basic", None, "plus"],
        "size": ["L", "S", "M"],
        "born": [datetime.date(2020, 1, 2)] * 3,
        "one": [7, 7, 7],
        "unread": [None] * 3,
    }
    size = table["size"].combine_chunks()
    assert size.dictionary.to_pylist() == SIZES and size.type.ordered and size.indices.to_pylist() == [2, 0, 1]


@pytest.mark.parametrize("dates", [["2020-01-02"] * 3, pd.Series(pd.to_datetime(["2020-01-02"] * 3))])
def test_dates_may_be_text_or_times(dates: Any) -> None:
    assert as_source(FRAME.assign(born=dates), SCHEMA, {})["born"].to_pylist() == [datetime.date(2020, 1, 2)] * 3


def test_text_for_a_category_and_one_that_was_never_seen() -> None:
    assert as_source(FRAME.assign(size=["M", "XXL", "S"]), SCHEMA, {})["size"].to_pylist() == ["M", None, "S"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"count": [1.5, 2, 3]}, "column 'count' holds values that are not of type int32"),
        ({"count": ["one", "two", "three"]}, "column 'count'"),
        ({"count": [2**40, 1, 1]}, "column 'count'"),
        ({"born": ["soon", "later", "never"]}, r"column 'born' holds values that are not of type date32\[day\]"),
    ],
)
def test_other_types_are_refused_with_the_column(changed: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        as_source(FRAME.assign(**changed), SCHEMA, {})


def test_vectors_are_read_by_place() -> None:
    schema, X = pa.schema([("x", pa.list_(pa.float32(), 3))]), np.arange(6.0).reshape(2, 3)
    for given in (X, pd.DataFrame(X, columns=[*"abc"])):
        assert as_source(given, schema, {})["x"].to_pylist() == X.tolist()
    with pytest.raises(DataError, match=r"shape \(2, 2\); expected \(n_records, 3\)"):
        as_source(X[:, :2], schema, {})


def test_what_has_no_names_is_no_frame() -> None:
    with pytest.raises(DataError, match="a ndarray; expected a data frame"):
        as_source(np.zeros((1, 6)), SCHEMA, {})
