"""Arrays as Arrow columns and back: nothing is lost, whatever the chunks, slices and widths."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from umbrameter.store.arrow import as_parquet, byte_column, places, vector_column, vectors
from umbrameter.store.schemas import SCORES, SPLIT, VERSIONS, shadow_predictions, target_predictions

repeatable = settings(derandomize=True, deadline=None, max_examples=50)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
FLOATS = st.sampled_from([np.float32, np.float64])


def chunked(column: pa.Array, *ends: int) -> pa.ChunkedArray:
    """Return a column in chunks that end at some rows."""
    starts = [0, *ends]
    pieces = [column.slice(start, end - start) for start, end in zip(starts, [*ends, len(column)], strict=True)]
    return pa.chunked_array(pieces, type=column.type)


@repeatable
@given(st.data(), SHAPES, FLOATS)
def test_vectors_come_back_bit_by_bit(data: st.DataObject, shape: tuple[int, int], kind: type[Any]) -> None:
    array = data.draw(hnp.arrays(kind, shape))  # NaN and infinities among them
    end = data.draw(st.integers(0, shape[0]))
    back = vectors(chunked(vector_column(array), end))
    assert back.dtype == array.dtype and back.shape == array.shape and back.tobytes() == array.tobytes()


@repeatable
@given(st.data(), SHAPES)
def test_bytes_come_back_bit_by_bit(data: st.DataObject, shape: tuple[int, int]) -> None:
    array = data.draw(hnp.arrays(np.uint8, shape))
    end = data.draw(st.integers(0, shape[0]))
    back = vectors(chunked(byte_column(array), end))
    assert back.dtype == np.uint8 and np.array_equal(back, array)


@pytest.mark.parametrize("column", [vector_column, byte_column])
@pytest.mark.parametrize(("start", "length"), [(0, 5), (2, 3), (4, 1), (5, 0), (2, 0)])
def test_a_slice_is_the_rows_of_the_slice(column: Any, start: int, length: int) -> None:
    array = np.arange(15, dtype=np.uint8).reshape(5, 3)
    part = pa.chunked_array([column(array).slice(start, length)])
    assert np.array_equal(vectors(part), array[start : start + length])
    table = pa.table({"x": column(array)}).slice(start, length)
    assert np.array_equal(vectors(table["x"]), array[start : start + length])


@pytest.mark.parametrize("column", [vector_column, byte_column])
def test_no_rows_keep_their_width(column: Any) -> None:
    empty = np.empty((0, 4), dtype=np.uint8)
    assert vectors(pa.chunked_array([column(empty)])).shape == (0, 4)
    assert vectors(pa.chunked_array([], type=column(empty).type)).shape == (0, 4)


@pytest.mark.parametrize("column", [vector_column, byte_column])
def test_the_order_in_memory_decides_nothing(column: Any) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for same in (np.asfortranarray(array), array[::-1][::-1], np.repeat(array, 2, axis=0)[::2]):
        assert column(same).equals(column(array))


def test_booleans_and_integers_are_vectors_too() -> None:
    for array in (np.array([[True, False], [False, False]]), np.array([[1, 2], [3, 4]], dtype=np.int64)):
        assert vector_column(array).to_pylist() == array.tolist()


def test_bytes_take_a_byte_a_value() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    column = byte_column(array)
    assert column.type == pa.binary(4) and column.to_pylist() == [bytes(row) for row in array]
    assert byte_column(array.astype(np.float32)).equals(column)  # of whole numbers up to 255


@repeatable
@given(st.sets(st.integers(-(2**40), 2**40), min_size=1, max_size=30), st.data())
def test_places_are_where_each_id_stands(ids: set[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(sorted(ids)))
    wanted = data.draw(st.lists(st.sampled_from(order), max_size=20))
    found = places(np.array(order), np.array(wanted, dtype=np.int64))
    assert found.tolist() == [order.index(one) for one in wanted]


@repeatable
@given(st.lists(st.integers(0, 3), max_size=50))
def test_a_table_as_bytes_is_a_parquet_file(values: list[int]) -> None:
    table = pa.table({"n": pa.array(values, pa.int32()), "text": [str(value) for value in values]})
    assert pq.read_table(pa.BufferReader(as_parquet(table))).equals(table)
    assert as_parquet(table) == as_parquet(table)


# Schemas


@pytest.mark.parametrize("n_classes", [2, 10, 100])
@pytest.mark.parametrize("schema", [target_predictions, shadow_predictions])
def test_predictions_are_float32_vectors_of_all_classes(schema: Any, n_classes: int) -> None:
    found = schema(n_classes)
    assert found.field("prediction").type == pa.list_(pa.float32(), n_classes)
    vector = np.full((3, n_classes), 1 / n_classes, dtype=np.float32)
    assert vector_column(vector).type == found.field("prediction").type


def test_columns_have_the_names_and_types_of_the_naming_page() -> None:
    types = {"record_id": pa.int64(), "label": pa.int32(), "model_id": pa.int32(), "is_member": pa.bool_()}
    types |= {"is_in": pa.bool_(), "score": pa.float64(), "is_predicted_member": pa.bool_(), "part": pa.string()}
    schemas = [SPLIT, SCORES, target_predictions(3), shadow_predictions(3)]
    for field in (field for schema in schemas for field in schema if field.name != "prediction"):
        assert field.type == types[field.name]
    assert {field.name for schema in schemas for field in schema} == {*types, "prediction"}


def test_versions_are_whole_numbers_from_one_on() -> None:
    assert all(isinstance(version, int) and version >= 1 for version in VERSIONS.values())
