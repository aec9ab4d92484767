"""Records as they are outside, and texts without the values of records."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.targets.people import people
from umbrameter.targets.columns import Columns, frame, masked
from umbrameter.targets.endpoint_format import encoded

COLUMNS = Columns(("age", "pay", "colour"), {"colour": ("blue", "green", "red")}, (True, False, True))


def rows(*values: Any) -> np.ndarray:
    return np.array([[37, 0.25, 2], *values], np.float32)


# What records are called


def test_columns_are_those_of_the_records(tmp_path: Path) -> None:
    records = people(tmp_path, flag=np.arange(120) % 2)
    columns = Columns.of(records)
    assert columns.names == ("height", "year", "colour", "flag")  # as in the file
    assert dict(columns.categories) == {"colour": ("blue", "green", "red")}
    whole = dict(zip(columns.names, columns.integral, strict=True))
    assert whole == {"height": False, "year": True, "flag": True, "colour": False}


# A data frame


def test_a_frame_has_codes_as_text_and_whole_numbers_as_integers() -> None:
    table = frame(rows([18, -3.5, 0]), COLUMNS)
    assert [*table.columns] == ["age", "pay", "colour"]
    assert table["colour"].tolist() == ["red", "blue"]
    assert table["age"].tolist() == [37, 18] and table["age"].dtype.kind == "i"
    assert table["pay"].dtype == np.float32


def test_a_whole_column_stays_a_fraction_where_one_value_is_none() -> None:
    table = frame(rows([18.5, 0, 0]), COLUMNS)
    assert table["age"].tolist() == [37.0, 18.5] and table["age"].dtype.kind == "f"


def test_no_records_make_an_empty_frame_of_the_same_columns() -> None:
    table = frame(np.empty((0, 3), np.float32), COLUMNS)
    assert [*table.columns] == ["age", "pay", "colour"] and len(table) == 0


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.permutations(range(6)), st.integers(0, 99))
def test_rows_in_another_order_make_the_same_rows(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(18, 90, 6), rng.normal(size=6), rng.integers(0, 3, 6)]).astype(np.float32)
    assert frame(X[order], COLUMNS).equals(frame(X, COLUMNS).iloc[order].reset_index(drop=True))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 99), st.floats(-9, 9, width=32), st.integers(0, 2)), min_size=1, max_size=9))
def test_what_is_sent_is_what_a_frame_holds(people: list[tuple[int, float, int]]) -> None:
    X = np.array(people, np.float32)
    sent, table = encoded(X, COLUMNS), frame(X, COLUMNS)
    assert [list(row) for row in table.itertuples(index=False)] == sent


# Texts without values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age 37 is odd", "age # is odd"),
        ("37 columns", "# columns"),  # it is a value, whatever it counts here
        ("row 3712 of 137", "row 3712 of 137"),
        ("pay 0.25, -0.25, 2.5e-7", "pay #, #, #"),
        ("1e5 and 1E-5", "# and #"),
        ("'red' but not redder, predicted or red_", "'#' but not redder, predicted or red_"),
        ("", ""),
    ],
)
def test_values_are_taken_out_and_other_words_stay(text: str, expected: str) -> None:
    assert masked(text, [[37, 0.25, "red"]]) == expected


def test_a_text_within_a_longer_one_goes_with_it() -> None:
    assert masked("Exec-managerial and Exec", [["Exec", "Exec-managerial"]]) == "# and #"


@pytest.mark.parametrize("text", ["a.b", "(x|y)", "[37]", "back\\slash", 'with "quotes"', "line\nbreak", "Zürich"])
def test_a_value_is_taken_as_it_is_and_as_json_writes_it(text: str) -> None:
    import json

    said = f"refused: {text} ({json.dumps(text)[1:-1]})"
    assert masked(said, [[text]]) == "refused: # (#)"


def test_an_empty_text_is_no_value() -> None:
    assert masked("nothing here", [["", 1]]) == "nothing here"


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    st.lists(
        st.one_of(st.integers(-99, 9999), st.sampled_from(["red", "dark red", "Exec-managerial", "ü"])), min_size=1
    ),
    st.sampled_from(["of 12 rows", "column age", "no value", "0.5 is no class"]),
)
def test_no_value_of_a_record_is_left_and_it_is_taken_out_once(values: list[int | str], around: str) -> None:
    said = masked(f"{around}: {', '.join(map(str, values))}", [values])
    words = [word for word in said.replace(",", " ").replace(":", " ").split() if word not in around.split()]
    assert not {*map(str, values)} & {*words}
    assert masked(said, [values]) == said
