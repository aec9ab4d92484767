"""Records and labels from Python: what is written is what was given, whatever it was given as."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from umbrameter.errors import DataError
from umbrameter.local import tables
from umbrameter.local.tables import write_sides

FRAME = pd.DataFrame({"age": [31, 45, 27], "pay": [1.5, 2.25, np.nan], "job": ["a", None, "b"]})
Y = ["yes", "no", "yes"]


def written(folder: Path, X: Any, y: Any = Y) -> pa.Table:
    """Write one pair as both sides, and return what is in the members' file."""
    paths, label = write_sides({"members": (X, y), "nonmembers": (X, y)}, folder)
    table = pq.read_table(paths["members"])
    assert label == table.schema.names[-1]
    return table


@pytest.mark.parametrize(
    "as_given", [lambda f: f, lambda f: pa.Table.from_pandas(f), lambda f: f.set_index([[7, 8, 9]])]
)
def test_named_columns_are_written_as_they_are(tmp_path: Path, as_given: Any) -> None:
    table = written(tmp_path, as_given(FRAME))
    assert table.to_pydict() == {
        "age": [31, 45, 27],
        "pay": [1.5, 2.25, None],
        "job": ["a", None, "b"],
        "label": Y,
    }


def test_a_frame_of_polars_is_one_of_pandas(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"age": [31, 45, 27], "job": ["a", None, "b"]})
    assert written(tmp_path, frame, pl.Series(Y)).to_pydict() == {
        "age": [31, 45, 27],
        "job": ["a", None, "b"],
        "label": Y,
    }


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint8", "bool"])
def test_an_array_s_rows_are_vectors_of_its_type(tmp_path: Path, dtype: str) -> None:
    X = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)
    column = written(tmp_path, X)["x"]
    assert pa.types.is_fixed_size_list(column.type)
    kind = column.type.value_type.to_pandas_dtype()
    assert np.dtype(kind) == np.dtype("uint8" if dtype == "bool" else dtype)
    assert np.array(column.to_pylist()).tolist() == X.tolist()


@pytest.mark.parametrize("X", [[[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]], csr_matrix([[0.5, 0], [0, 3.0], [0, 0]])])
def test_lists_and_sparse_matrices_are_arrays(tmp_path: Path, X: Any) -> None:
    rows = X.toarray().tolist() if hasattr(X, "toarray") else X
    assert written(tmp_path, X)["x"].to_pylist() == rows


def test_an_array_of_objects_has_a_column_for_each_of_its_own(tmp_path: Path) -> None:
    X = np.array([["a", 1], ["b", 2], [None, 3]], dtype=object)
    table = written(tmp_path, X)
    assert table.to_pydict() == {"x0": ["a", "b", None], "x1": [1, 2, 3], "label": Y}


@pytest.mark.parametrize(
    "y", [[1, 0, 1], np.array([1, 0, 1]), pd.Series([1, 0, 1]), pa.array([1, 0, 1]), np.array([[1], [0], [1]])]
)
def test_labels_may_be_anything_with_one_class_a_record(tmp_path: Path, y: Any) -> None:
    assert written(tmp_path, FRAME, y)["label"].to_pylist() == [1, 0, 1]


def test_a_column_called_label_stays_a_feature(tmp_path: Path) -> None:
    table = written(tmp_path, pd.DataFrame({"label": [1, 2, 3], "label_1": [4, 5, 6]}))
    assert table.schema.names == ["label", "label_1", "label_2"] and table["label_2"].to_pylist() == Y


def test_whole_numbers_that_are_fractions_elsewhere_become_fractions_and_columns_find_their_place(
    tmp_path: Path,
) -> None:
    others = pd.DataFrame({"b": ["x", "y"], "a": [np.nan, 2.0]})
    sides = {"members": (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), [0, 1]), "nonmembers": (others, [0, 1])}
    paths, _ = write_sides(sides, tmp_path)
    schemas = [pq.read_schema(path) for path in paths.values()]
    assert schemas[0].equals(schemas[1]) and schemas[0].field("a").type == pa.float64()


def test_equal_content_has_one_path_and_other_content_another(tmp_path: Path) -> None:
    first, again = (write_sides({"members": (FRAME, Y), "nonmembers": (FRAME, Y)}, tmp_path)[0] for _ in range(2))
    other, _ = write_sides({"members": (FRAME, ["no", "no", "yes"]), "nonmembers": (FRAME, Y)}, tmp_path)
    assert first == again and other["members"] != first["members"] and other["nonmembers"] == first["nonmembers"]


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (None, r"members is a NoneType; give a pair of records and labels, such as members=\(X, y\)"),
        (FRAME, "members is a DataFrame; give a pair"),
        ((FRAME, Y[:2]), "members has 3 records and 2 labels"),
        ((FRAME.iloc[:0], []), "members has no records"),
        ((np.zeros(3), Y), r"array of shape \(3,\); expected \(n_records, n_features\)"),
        ((FRAME, np.eye(3)), r"labels are an array of shape \(3, 3\); .*argmax"),
        ((FRAME.rename(columns={"pay": "age"}), Y), "the columns age are there twice"),
        ((np.array([["a", 1], [2, 3], [4, 5]], dtype=object), Y), "values of different types"),
    ],
)
def test_what_is_no_such_pair_is_named_with_what_to_give(tmp_path: Path, members: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        write_sides({"members": members, "nonmembers": (FRAME, Y)}, tmp_path)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        write_sides({"members": (FRAME, Y[:2]), "nonmembers": None, "pool": (np.zeros(3), Y)}, tmp_path)
    assert all(text in str(error.value) for text in ("members has 3", "nonmembers is a NoneType", "pool: the records"))
    with pytest.raises(DataError) as error:
        write_sides({"members": (FRAME, Y), "nonmembers": (FRAME.rename(columns={"pay": "wage"}), Y)}, tmp_path)
    assert "nonmembers lacks the columns pay of members; nonmembers has the columns wage" in str(error.value)


def test_a_sparse_matrix_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_BYTES", 100)
    with pytest.raises(DataError, match=r"members: written out, the sparse matrix of shape \(3, 9\)"):
        written(tmp_path, csr_matrix((3, 9)))
