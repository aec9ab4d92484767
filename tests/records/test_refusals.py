"""Odd Parquet files that give a warning, those that are refused, and the messages."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tests.records.tables import N, built, numbers, refusal
from umbrameter.errors import DataError
from umbrameter.records import build as build_module
from umbrameter.records.build import build
from umbrameter.records.sources import CatalogueData, ParquetData
from umbrameter.store.arrow import vector_column


def test_constant_and_inexact_columns_are_warned_of(store, parquet):
    table = numbers(c=np.ones(N), d=["same"] * N, e=2**25 + np.arange(N) * 2, f=-(2**26) - np.arange(N) * 8)
    warnings = built(store, parquet(table)).artefact.meta["warnings"]
    assert warnings == [
        "columns c, d are the same in every record, which no model can learn from",
        "columns e, f are beyond 2**24, where float32 rounds integers",
    ]


def test_many_odd_columns_make_a_short_warning(store, parquet):
    table = numbers(**{f"c{i}": np.ones(N) for i in range(9)})
    (warning,) = built(store, parquet(table)).artefact.meta["warnings"]
    assert warning.startswith("columns c0, c1, c2, c3, c4 and 4 more are the same")


@pytest.mark.parametrize(
    ("more", "settings", "expected"),
    [
        ({"y": [None, *[0, 1] * 14, 1]}, {}, "the first in row 0, 1 in all"),
        ({"y": [None, *[0, 1] * 14, 1]}, {}, "leave these records out with data.missing: {label: drop}"),
        ({"c": ["(missing)", "v", None] * 10}, {}, "column 'c' has missing values, and others that are '(missing)'"),
        ({"y": [0, None, 1] * 10}, {}, "column 'y' has missing values"),
        ({"s": ["u", None] * 15}, {"slices": ("s",)}, "column 's' has missing values"),
        ({"i": [None, *range(1, N)]}, {"id": "i"}, "column 'i' has missing values"),
        ({"i": [None, None, *range(2, N)]}, {"id": "i"}, "column 'i' has missing values"),
        ({"a": [*range(N - 1), np.inf]}, {}, f"column 'a' is infinite, or too large for float32, in row {N - 1}"),
        ({"a": [-np.inf, *range(1, N)]}, {}, "column 'a' is infinite"),
        ({"y": np.arange(N) / 2}, {}, "data.label='y' holds 0.5; expected classes"),
        ({"y": np.ones(N, dtype=int)}, {}, "data.label='y' has only one class (1)"),
        ({"y": [datetime.date(2020, 1, 1 + i % 2) for i in range(N)]}, {}, "data.label='y' holds date"),
        ({"b": [b"u"] * N}, {}, "column b (binary): not a number"),
        ({"l": [[1]] * 9 + [[1, 2, 3]] * 21}, {}, "column 'l' has lists of 1 to 3 numbers; give all the same length"),
        ({"l": pa.array([[]] * N, pa.list_(pa.int8()))}, {}, "column 'l' has only empty lists"),
        ({"y": np.arange(N)}, {}, "data.label='y' holds 30 different numbers; expected classes"),
        ({}, {"label": "z"}, "data.label='z' is not a column; the columns are a, b, y"),
        ({}, {"id": "z"}, "data.id='z' is not a column; the columns are a, b, y"),
        ({}, {"features": ("a", "z")}, "data.features='z' is not a column"),
        ({}, {"ignore": ("z",)}, "data.ignore='z' is not a column"),
        ({}, {"slices": ("z",)}, "data.slices='z' is not a column"),
        ({}, {"features": ("a", "y")}, "data.features lists the label 'y'"),
        ({}, {"ignore": ("a", "b")}, "no column is left as a feature"),
        ({"i": np.arange(N) // 2}, {"id": "i"}, "data.id='i' is not unique: row 1 repeats 0 of row 0; remove repeated"),
        ({"i": pa.array(["u"] * N).dictionary_encode()}, {"id": "i"}, "data.id='i' is not unique: row 1 repeats 'u'"),
        ({"i": [[1]] * N}, {"id": "i"}, "data.id='i' is of type list<element: int64>; expected numbers, text"),
        ({"s": [[1]] * N}, {"slices": ("s",)}, "data.slices='s' is of type list<element: int64>; expected numbers"),
        ({"s": [b"\xff"] * N}, {"slices": ("s",)}, "data.slices='s' is of type binary; expected numbers"),
        ({"x": ["u"] * N}, {"slices": ("x",)}, "data.slices='x' has a name that umbrameter uses itself; rename"),
    ],
)
def test_refusals_and_their_messages(store, parquet, more, settings, expected):
    assert expected in refusal(store, parquet(numbers(**more)), **settings)


def test_rows_are_counted_over_batches(store, parquet):
    a = np.arange(40_000.0)
    s = [None if i == 33_333 else "u" for i in range(40_000)]
    path = parquet(numbers(40_000, a=a, s=s), row_group_size=1000)
    assert "first in row 33333" in refusal(store, path, slices=("s",))
    a[33_333] = np.inf
    assert "in row 33333" in refusal(store, parquet(numbers(40_000, a=a), row_group_size=1000))


def test_a_missing_value_in_a_vector_is_found(store, parquet):
    X = np.arange(N * 3.0).reshape(N, 3)
    X[4, 1] = np.nan
    path = parquet({"x": vector_column(X), "y": np.arange(N) % 2})
    assert "column 'x' has missing values (null or NaN), the first in row 4" in refusal(store, path)
    X[4, 1] = np.inf
    path = parquet({"x": vector_column(X), "y": np.arange(N) % 2})
    assert "column 'x[1]' is infinite, or too large for float32, in row 4" in refusal(store, path)


def test_unique_text_is_not_a_category(store, parquet):
    names = [f"person {i}" for i in range(1500)]
    path = parquet(numbers(1500, name=names))
    text = refusal(store, path)
    assert "column 'name' has 1500 different values in 1500 rows" in text and "set data.id=name" in text
    assert built(store, path, id="name").feature_names == ["a", "b"]
    few = parquet(numbers(3000, name=[f"town {i % 1001}" for i in range(3000)]), "few.parquet")
    assert len(built(store, few).artefact.meta["categories"]["name"]) == 1001


def test_files_that_are_not_parquet_are_refused(store, parquet, tmp_path):
    assert "does not exist; give a Parquet file" in refusal(store, str(tmp_path / "nowhere.parquet"))
    (tmp_path / "folder").mkdir()
    assert "holds no Parquet file" in refusal(store, str(tmp_path / "folder"))
    for name, content in {"text.parquet": b"a,b,y\n1,2,0\n" * 10, "nothing.parquet": b""}.items():
        (tmp_path / name).write_bytes(content)
        assert "cannot be read as Parquet" in refusal(store, str(tmp_path / name))
    assert "has no rows; an audit needs records" in refusal(store, parquet(pa.table(numbers()).slice(0, 0)))


def test_a_truncated_or_damaged_file_is_refused(store, parquet, tmp_path):
    whole = Path(parquet(numbers(5000))).read_bytes()
    (tmp_path / "short.parquet").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as Parquet" in refusal(store, str(tmp_path / "short.parquet"))
    (tmp_path / "holed.parquet").write_bytes(whole[:4] + bytes(2000) + whole[2004:])
    assert "the Parquet file is damaged" in refusal(store, str(tmp_path / "holed.parquet"))


def test_a_file_damaged_after_the_checks_is_the_data_s_fault(store, parquet, monkeypatch):
    path = Path(parquet(numbers(5000)))
    whole, check = path.read_bytes(), build_module.look_at

    def then_damage(*given: Any) -> Any:
        found = check(*given)
        path.write_bytes(whole[:4] + bytes(2000) + whole[2004:])
        return found

    monkeypatch.setattr(build_module, "look_at", then_damage)
    assert "the Parquet file is damaged" in refusal(store, str(path))


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("2", "1")])
def test_a_file_that_lacks_a_column_is_named_in_either_order(store, parquet, tmp_path, first, second):
    parquet(numbers(), f"parts/{first}.parquet")
    parquet({"a": np.arange(3.0) + 90, "y": [0, 1, 2]}, f"parts/{second}.parquet")
    text = refusal(store, str(tmp_path / "parts"))
    assert f"file '{second}.parquet' has no column 'b'" in text and f"file '{first}.parquet' has one" in text
    assert built(store, str(tmp_path / "parts"), ignore=("b",)).n_records == N + 3


@pytest.mark.parametrize(
    ("kind", "other", "shown"),
    [
        (pa.int64(), pa.float64(), "as double, and"),
        (pa.float64(), pa.int64(), "as int64, and"),
        (pa.int64(), pa.int32(), "as int32, and"),
        (pa.string(), pa.int64(), "as int64, and"),
    ],
)
def test_a_column_whose_type_changes_is_named_with_the_file(store, parquet, tmp_path, kind, other, shown):
    for name, (start, dtype) in {"1": (0, kind), "2": (N, other)}.items():
        values = pa.array([str(i % 9) if pa.types.is_string(dtype) else i for i in range(start, start + N)], dtype)
        parquet({"a": values, "b": np.arange(start, start + N) + 0.5, "y": np.arange(N) % 2}, f"parts/{name}.parquet")
    text = refusal(store, str(tmp_path / "parts"))
    assert "file '2.parquet' holds the column 'a' " + shown in text and "write it as one type in all files" in text
    assert built(store, str(tmp_path / "parts"), ignore=("a",)).n_records == 2 * N


def test_the_spec_refuses_what_it_does_not_know():
    with pytest.raises(ValidationError, match="extra"):
        ParquetData(path="p", label="y", colour="red")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="frozen"):
        CatalogueData(name="adult").name = "other"  # type: ignore[misc]
    for model in (ParquetData, CatalogueData):
        assert all(field.description for field in model.model_fields.values())


def test_numbers_in_double_precision_are_told_apart_by_all_their_bits(store, parquet):
    path = parquet({"a": [1.0, 1.0 + 1e-12, 1.0], "y": [0, 1, 0]})
    with pytest.raises(DataError, match="1 of 3 records repeat another"):
        build(ParquetData(path=path, label="y", precision="float64"), store)
    kept = build(ParquetData(path=path, label="y", precision="float64", duplicates="drop"), store)
    assert kept.meta["n_records"] == 2
