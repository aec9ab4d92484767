"""Records built from Parquet: what is read back, under which key, and how repeated records are treated."""

import datetime
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.records.tables import N, built, numbers, refusal, stored
from umbrameter.records import build as build_module
from umbrameter.records.build import build, records_recipe
from umbrameter.records.columns import columns_of
from umbrameter.records.encoding import Intake
from umbrameter.records.parquet import open_source
from umbrameter.records.sources import ParquetData
from umbrameter.store.arrow import vector_column


def test_a_table_comes_back_as_numbers(store, parquet):
    color = np.array(["red", "blue", "green"])[np.arange(N) % 3]
    table = {
        "color": color,
        "size": np.arange(N) * 1.25,
        "old": np.arange(N) % 2 == 0,
        "y": np.where(np.arange(N) % 2, "yes", "no"),
    }
    records = built(store, parquet(table))
    X, y = records.take(np.arange(N))
    place = {"blue": 0, "green": 1, "red": 2}
    by_hand = np.array([[place[color[i]], table["size"][i], table["old"][i]] for i in range(N)], dtype=np.float32)
    assert records.feature_names == ["color", "size", "old"] and records.categorical == (0,)
    assert records.classes == ["no", "yes"] and not records.metadata.binary
    assert (records.n_records, records.n_features) == (N, 3)
    assert X.dtype == np.float32 and y.dtype == np.int64
    np.testing.assert_array_equal(X, by_hand)
    np.testing.assert_array_equal(y, np.arange(N) % 2)
    assert records.artefact.meta["categories"] == {"color": ["blue", "green", "red"]}
    assert records.artefact.meta["label_counts"] == [15, 15]
    assert records.artefact.meta["warnings"] == []


def test_the_stored_columns_and_types(store, parquet):
    table = stored(built(store, parquet(numbers(s=["u", "v"] * 15)), slices=("s", "b")))
    assert table.schema.names == ["record_id", "label", "x", "s", "b"]
    assert [str(t) for t in table.schema.types] == [
        "int64",
        "int32",
        "fixed_size_list<element: float>[1]",
        "string",
        "string",
    ]
    assert table["record_id"].to_pylist() == list(range(N))


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (np.arange(N) % 2 == 0, pa.binary(1)),
        (np.arange(N) % 256, pa.binary(1)),
        (np.full(N, 255.0) - np.arange(N), pa.binary(1)),
        (np.arange(N) - 1, pa.list_(pa.float32(), 1)),
        (np.arange(N) + 230, pa.list_(pa.float32(), 1)),
        (np.arange(N) / 2, pa.list_(pa.float32(), 1)),
    ],
)
def test_small_whole_numbers_take_one_byte(store, parquet, column, kind):
    table = {"a": column, "y": np.arange(N) % 2}
    records = built(store, parquet(table), duplicates="keep")
    assert stored(records).schema.field("x").type == kind
    np.testing.assert_array_equal(records.take(range(N))[0][:, 0], np.asarray(column, dtype=np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float32, np.float64])
def test_a_fixed_size_list_column_is_the_matrix(store, parquet, dtype):
    rng = np.random.default_rng(1)
    X = rng.integers(0, 100, (N, 7)).astype(dtype)
    records = built(store, parquet({"x": vector_column(X), "y": np.arange(N) % 2}))
    assert records.feature_names == [f"x[{i}]" for i in range(7)] and records.categorical == ()
    np.testing.assert_array_equal(records.take(range(N))[0], X.astype(np.float32))


@pytest.mark.parametrize(("high", "binary"), [(2, True), (3, False)])
def test_binary_regards_all_but_the_categories(store, parquet, high, binary):
    text = np.array(["u", "v", "w"])[np.arange(N) % 3]
    table = {"a": np.arange(N) % high, "c": text, "y": np.arange(N) % 2}
    assert built(store, parquet(table), duplicates="keep").metadata.binary is binary


@pytest.mark.parametrize("encode", [pa.Array.dictionary_encode, lambda a: a, lambda a: a.cast(pa.large_string())])
def test_categories_and_labels_of_any_text_type(store, parquet, encode):
    table = {"c": encode(pa.array(["v", "u", "w"] * 10)), "b": range(N), "y": encode(pa.array(["n", "m"] * 15))}
    records = built(store, parquet(table, row_group_size=4))
    X, y = records.take([0, 1, 2])
    assert records.classes == ["m", "n"]
    assert X.tolist() == [[1, 0], [0, 1], [2, 2]] and y.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("label", "classes"),
    [
        (np.array([7, -2, 7, 100]), [-2, 7, 100]),
        (np.array([3, 1, 3, 1], dtype=np.int8), [1, 3]),
        (np.array([2.0, 1.0, 2.0, 1.0]), [1, 2]),
        (np.array([True, False, True, False]), [False, True]),
        (np.array(["b", "a", "B", "b"]), ["B", "a", "b"]),
    ],
)
def test_classes_are_the_sorted_labels(store, parquet, label, classes):
    records = built(store, parquet({"a": np.arange(4.0), "y": label}))
    assert records.classes == classes and [type(c) for c in records.classes] == [type(c) for c in classes]
    assert [classes[code] for code in records.labels()] == label.tolist()


def test_roles_decide_what_is_a_feature(store, parquet):
    table = numbers(i=np.arange(N) + 100, s=np.arange(N) % 4, z=[None] * N)
    path = parquet(table)
    assert built(store, path, id="i", ignore=("z",), slices=("s",)).feature_names == ["a", "b"]
    assert built(store, path, features=("b", "a")).feature_names == ["b", "a"]
    both = built(store, path, features=("a", "s"), slices=("s",))
    assert both.feature_names == ["a", "s"]
    assert both.slice_values("s").tolist() == [str(i % 4) for i in range(N)]


def test_slices_of_dates_and_categories_become_text(store, parquet):
    day = pa.array([datetime.date(2020, 1, 1 + i % 2) for i in range(N)])
    records = built(store, parquet(numbers(d=day, c=pa.array(["u", "v"] * 15).dictionary_encode())), slices=("d", "c"))
    assert records.slice_values("d")[:2].tolist() == ["2020-01-01", "2020-01-02"]
    assert records.slice_values("c")[:2].tolist() == ["u", "v"]


def test_a_partitioned_folder_gives_its_keys_as_columns(store, parquet, tmp_path):
    for key in (2, 1):
        parquet({"a": np.arange(5.0) + 5 * key, "y": np.arange(5) % 2}, f"parts/k={key}/one.parquet")
    whole = built(store, str(tmp_path / "parts"))
    assert whole.feature_names == ["a", "k"]
    assert whole.take([0, 5])[0].tolist() == [[5, 1], [10, 2]]
    by_label = built(store, str(tmp_path / "parts"), label="k", ignore=("y",))
    assert by_label.classes == [1, 2] and by_label.labels().tolist() == [0] * 5 + [1] * 5


def test_a_file_is_read_some_rows_at_a_time_whatever_its_row_groups(parquet, monkeypatch):
    monkeypatch.setattr("umbrameter.records.encoding.BATCH", 8)
    source = open_source(parquet(numbers(a=np.arange(N)), row_group_size=N))
    intake = Intake(source, columns_of(source.schema, "y", None, ["a"], (), ()), ParquetData(path="p", label="y"))
    batches = [(start, batch.num_rows) for start, batch in intake.batches()]
    assert batches == [(0, 8), (8, 8), (16, 8), (24, 6)]


# The key


def test_the_second_build_finds_the_first(store, parquet, monkeypatch):
    source = ParquetData(path=parquet(numbers()), label="y")
    first = build(source, store)
    monkeypatch.setattr(build_module, "look_at", lambda *_: pytest.fail("read again"))
    assert build(source, store).path == first.path


def test_the_key_is_of_the_content_and_the_settings_not_of_the_place(parquet, tmp_path):
    def key(path: Path | str, **settings: Any) -> str:
        return records_recipe(ParquetData(**{"path": str(path), "label": "y"} | settings)).key

    one = parquet(numbers())
    moved = shutil.copy(one, tmp_path / "elsewhere.parquet")
    assert key(one) == key(moved)
    assert len({key(one), key(one, label="b"), key(one, duplicates="keep"), key(parquet(numbers(31), "31"))}) == 4
    parquet(numbers(), "parts/k=1/p.parquet")
    parts = tmp_path / "parts"
    assert key(parts) == key(f"{parts}/") == key(shutil.copytree(parts, tmp_path / "copy"))
    shutil.move(parts / "k=1", parts / "k=2")
    assert key(parts) != key(tmp_path / "copy")


def test_a_changed_file_is_other_records(store, parquet):
    first = built(store, parquet(numbers()))
    second = built(store, parquet(numbers(a=np.arange(N) + 0.25)))
    assert first.take([1])[0][0, 0] == 1.5 and second.take([1])[0][0, 0] == 1.25


# Repeated records


def test_repeated_records_stop_the_audit_unless_told_otherwise(store, parquet):
    twice = np.array([0, 1, 2, 1, 3, 0, 1])
    path = parquet({"a": twice, "c": np.array(list("pqrs"))[twice], "y": twice % 2})
    text = refusal(store, path)
    assert "3 of 7 records repeat" in text and "first row 3 (equal to row 1)" in text
    assert "data.duplicates to drop (keeps the first) or keep" in text

    dropped = built(store, path, duplicates="drop")
    assert dropped.take(range(4))[0][:, 0].tolist() == [0, 1, 2, 3]
    assert (dropped.n_records, dropped.artefact.meta["label_counts"]) == (4, [2, 2])
    assert stored(dropped)["record_id"].to_pylist() == [0, 1, 2, 3]
    assert "3 of 7 records repeat" in dropped.artefact.meta["warnings"][0]
    assert "left out" in dropped.artefact.meta["warnings"][0]

    kept = built(store, path, duplicates="keep")
    assert kept.n_records == 7 and "kept" in kept.artefact.meta["warnings"][0]


def test_equal_features_under_another_label_are_no_repeat(store, parquet):
    path = parquet({"a": [1, 1, 2, 2], "y": [0, 1, 0, 1]})
    assert built(store, path).n_records == 4


@pytest.mark.parametrize("seed", range(5))
def test_repeats_are_those_that_a_set_of_rows_finds(store, parquet, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, 2, (20_000, 10), dtype=np.uint8), rng.integers(0, 3, 20_000)
    seen: set[tuple[int, ...]] = set()
    first = [
        i for i, row in enumerate(np.column_stack([X, y]).tolist()) if not (tuple(row) in seen or seen.add(tuple(row)))
    ]
    records = built(store, parquet({"x": vector_column(X), "y": y}), duplicates="drop")
    np.testing.assert_array_equal(records.take(range(records.n_records))[0], X[first])
