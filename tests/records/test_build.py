"""Records from somebody's Parquet: what is read back, what is refused and in which words."""

import datetime
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from umbrameter.errors import DataError
from umbrameter.records import build as build_module
from umbrameter.records import reader
from umbrameter.records.build import build, records_recipe
from umbrameter.records.columns import columns_of
from umbrameter.records.encoding import Intake
from umbrameter.records.parquet import open_source
from umbrameter.records.reader import Records
from umbrameter.records.sources import CatalogueData, ParquetData
from umbrameter.store.arrow import vector_column
from umbrameter.store.artefacts import Store

N = 30


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


@pytest.fixture
def parquet(tmp_path: Path):
    """Write a table and return its path."""

    def write(table: pa.Table | Mapping[str, Any], name: str = "data.parquet", **options: Any) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table if isinstance(table, pa.Table) else pa.table(dict(table)), path, **options)
        return str(path)

    return write


def numbers(n: int = N, **more: Any) -> dict[str, Any]:
    """Return n distinct records with two numeric columns and a label of three classes."""
    return {"a": np.arange(n) + 0.5, "b": np.arange(n) % 2, "y": np.arange(n) % 3} | more


def built(store: Store, path: str, **settings: Any) -> Records:
    return Records.open(store, build(ParquetData(**{"path": path, "label": "y"} | settings), store).path)


def refusal(store: Store, path: str, **settings: Any) -> str:
    """Return the text of the error, having checked that nothing was left in the store."""
    with pytest.raises(DataError) as caught:
        built(store, path, **settings)
    assert not list(Path(store.root).rglob("manifest.json"))
    return str(caught.value)


def stored(records: Records) -> pa.Table:
    return records.artefact.table("records.parquet")


# What is read back


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
    by_hand = np.array([[table["size"][i], table["old"][i], place[color[i]]] for i in range(N)], dtype=np.float32)
    assert records.feature_names == ["size", "old", "color"] and records.categorical == (2,)
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
    assert X.tolist() == [[0, 1], [1, 0], [2, 2]] and y.tolist() == [1, 0, 1]


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
    intake = Intake(source, columns_of(source, "y", None, ["a"], (), ()))
    batches = [(start, batch.num_rows) for start, batch in intake.batches()]
    assert batches == [(0, 8), (8, 8), (16, 8), (24, 6)]


# Row access


@pytest.fixture
def many(store, parquet, monkeypatch) -> tuple[Records, np.ndarray]:
    """Records in several row groups and several batches, and the same in memory."""
    monkeypatch.setattr("umbrameter.records.encoding.BATCH", 10_000)
    n = 20_000
    X = np.column_stack([np.arange(n), np.arange(n) % 7]).astype(np.float32)
    return built(store, parquet({"a": X[:, 0], "b": X[:, 1], "y": np.arange(n) % 5}, row_group_size=3000)), X


def test_row_groups_are_small(many):
    with many[0].artefact.parquet("records.parquet") as source:
        sizes = [source.metadata.row_group(i).num_rows for i in range(source.num_row_groups)]
    assert max(sizes) <= reader.ROW_GROUP and sum(sizes) == 20_000


@pytest.mark.parametrize("kept_bytes", [0, 2**28])
def test_rows_come_in_the_order_asked(many, monkeypatch, kept_bytes):
    monkeypatch.setattr(reader, "KEPT_BYTES", kept_bytes)
    records, X = Records(many[0].artefact), many[1]
    assert (records._small is None) is (kept_bytes == 0)
    for rows in ([], [19_999], [5, 5, 0, 5], np.random.default_rng(0).permutation(20_000)[:500]):
        rows = np.asarray(rows, dtype=np.int64)
        got, y = records.take(rows)
        np.testing.assert_array_equal(got, X[rows])
        np.testing.assert_array_equal(y, rows % 5)
        assert got.dtype == np.float32 and got.shape == (len(rows), 2)


def test_only_the_row_groups_needed_are_read(many, monkeypatch):
    monkeypatch.setattr(reader, "KEPT_BYTES", 0)
    records = Records(many[0].artefact)
    read, whole = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, i, **options: read.append(i) or whole(self, i, **options)
    )
    records.take([4097, 4100, 1])
    assert read == [0, 1]


def test_what_a_caller_does_to_its_rows_stays_with_it(many):
    records = many[0]
    records.take([1, 2])[0][:] = -1
    assert records.take([1, 2])[0].tolist() == [[1, 1], [2, 2]]


# The key


def test_the_second_build_finds_the_first(store, parquet, monkeypatch):
    source = ParquetData(path=parquet(numbers()), label="y")
    first = build(source, store)
    monkeypatch.setattr(build_module, "_check", lambda *_: pytest.fail("read again"))
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


# What is odd, and what is refused


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
        ({"a": np.where(np.arange(N) > 3, np.nan, 1.0)}, {}, "column 'a' has missing values"),
        (
            {"a": [None, *range(1, N)]},
            {},
            "the first in row 0",
        ),
        ({"a": [None, *range(1, N)]}, {}, "fill them in, drop the rows, or list the column under data.ignore"),
        ({"c": ["u", "v", None] * 10}, {}, "column 'c' has missing values"),
        ({"y": [0, None, 1] * 10}, {}, "column 'y' has missing values"),
        ({"s": ["u", None] * 15}, {"slices": ("s",)}, "column 's' has missing values"),
        ({"i": [None, *range(1, N)]}, {"id": "i"}, "column 'i' has missing values"),
        ({"i": [None, None, *range(2, N)]}, {"id": "i"}, "column 'i' has missing values"),
        ({"a": [*range(N - 1), np.inf]}, {}, f"column 'a' is infinite, or too large for float32, in row {N - 1}"),
        ({"a": [-np.inf, *range(1, N)]}, {}, "column 'a' is infinite"),
        ({"y": np.arange(N) / 2}, {}, "data.label='y' holds 0.5; expected classes"),
        ({"y": np.ones(N, dtype=int)}, {}, "data.label='y' has one class only (1)"),
        ({"y": [datetime.date(2020, 1, 1 + i % 2) for i in range(N)]}, {}, "data.label='y' holds date"),
        ({"t": [datetime.datetime(2020, 1, 1)] * N}, {}, "column t (timestamp[us]): not a number"),
        ({"l": [[1, 2]] * N}, {}, "column l (list<element: int64>): not a number"),
        ({"b": [b"u"] * N}, {}, "column b (binary): not a number"),
        (
            {"x": vector_column(np.ones((N, 2)))},
            {},
            "columns a, b, x: a fixed-size list column must be the only feature",
        ),
        ({}, {"label": "z"}, "data.label='z' is no column; the columns are a, b, y"),
        ({}, {"id": "z"}, "data.id='z' is no column; the columns are a, b, y"),
        ({}, {"features": ("a", "z")}, "data.features='z' is no column"),
        ({}, {"ignore": ("z",)}, "data.ignore='z' is no column"),
        ({}, {"slices": ("z",)}, "data.slices='z' is no column"),
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
def test_what_is_refused_and_how_it_is_said(store, parquet, more, settings, expected):
    assert expected in refusal(store, parquet(numbers(**more)), **settings)


def test_rows_are_counted_over_batches(store, parquet):
    a = np.arange(40_000.0)
    a[33_333] = np.nan
    assert "first in row 33333" in refusal(store, parquet(numbers(40_000, a=a), row_group_size=1000))
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


def test_text_that_names_each_record_is_no_category(store, parquet):
    names = [f"person {i}" for i in range(1500)]
    path = parquet(numbers(1500, name=names))
    text = refusal(store, path)
    assert "column 'name' has 1500 different values in 1500 rows" in text and "set data.id=name" in text
    assert built(store, path, id="name").feature_names == ["a", "b"]
    few = parquet(numbers(3000, name=[f"town {i % 1001}" for i in range(3000)]), "few.parquet")
    assert len(built(store, few).artefact.meta["categories"]["name"]) == 1001


def test_what_is_no_parquet_is_refused(store, parquet, tmp_path):
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
    whole, check = path.read_bytes(), build_module._check

    def then_damage(*given: Any) -> Any:
        found = check(*given)
        path.write_bytes(whole[:4] + bytes(2000) + whole[2004:])
        return found

    monkeypatch.setattr(build_module, "_check", then_damage)
    assert "the Parquet file is damaged" in refusal(store, str(path))


def test_a_part_without_a_column_counts_as_missing_values(store, parquet, tmp_path):
    parquet(numbers(), "parts/1.parquet")
    parquet({"a": np.arange(3.0), "y": [0, 1, 2]}, "parts/2.parquet")
    assert f"column 'b' has missing values (null or NaN), the first in row {N}" in refusal(
        store, str(tmp_path / "parts")
    )


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
