"""Tables as they come: CSV, Feather, missing values, times, lists, empty and constant columns, labels to cut."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tests.records.tables import N, built, numbers, refusal
from umbrameter.errors import DataError
from umbrameter.records.build import build
from umbrameter.records.own import as_days, own_column
from umbrameter.records.parquet import open_source
from umbrameter.records.reader import Records
from umbrameter.records.sources import CsvSettings, SidesData

TIMES = {
    "stamp": pa.array([datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=7 * i) for i in range(N)]),
    "zone": pa.array([1_600_000_000 + 61 * i for i in range(N)], pa.timestamp("s", "Europe/Berlin")),
    "day": pa.array([datetime.date(1969, 12, 30) + datetime.timedelta(i) for i in range(N)]),
    "milli": pa.array([86_400_000 * i for i in range(N)], pa.date64()),
    "clock": pa.array([datetime.time(i % 24, i) for i in range(N)]),
    "second": pa.array([61 * i for i in range(N)], pa.time32("s")),
    "long": pa.array([10**9 * i for i in range(N)], pa.duration("us")),
}


def days_by_hand(value: Any) -> float:
    day = datetime.timedelta(1)
    if isinstance(value, datetime.datetime):
        start = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC if value.tzinfo else None)
        return (value - start) / day
    if isinstance(value, datetime.date):
        return (value - datetime.date(1970, 1, 1)) / day
    if isinstance(value, datetime.time):
        return datetime.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second) / day
    return float(value / day)


def csv(folder: Path, text: str | bytes, name: str = "data.csv") -> str:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / name)


@pytest.mark.parametrize("name", TIMES)
def test_times_are_days_and_come_back(store, parquet, name):
    column = TIMES[name]
    by_hand = [days_by_hand(value) for value in column.to_pylist()]
    np.testing.assert_allclose(as_days(column).to_pylist(), by_hand, rtol=1e-12)
    assert own_column(np.array(by_hand), pa.field(name, column.type), None).equals(column)
    holed = pa.array([None, *column.to_pylist()[1:]], column.type)
    records = built(store, parquet(numbers(t=holed)), precision="float64")
    assert records.own(range(N))["t"].combine_chunks().cast(holed.type).equals(holed)
    np.testing.assert_allclose(records.take(range(N))[0][:, 2], [np.nan, *by_hand[1:]], rtol=1e-12)


def test_missing_values_stay_missing_or_are_the_median_and_the_source_s_own_are_kept(store, parquet):
    holed: dict[str, Any] = {
        "i": pa.array([None, *range(N - 1)]),
        "f": [np.nan, None, *np.arange(N - 2.0)],
        "c": [None, *"uv" * 14, "u"],
        "t": pa.array([None, True] * 15),
        "d": pa.array(["u", None] * 15).dictionary_encode(),
    }
    path = parquet(numbers(**holed))
    kept, filled = built(store, path), built(store, path, missing={"numbers": "median"})
    assert kept.metadata.missing == {"i": 1, "f": 2, "t": 15} and filled.metadata.missing == {}
    for records in (kept, filled):
        own = records.own(range(N))
        assert own["i"].to_pylist() == holed["i"].to_pylist() and own["c"].to_pylist() == holed["c"]
        assert own["d"].to_pylist() == ["u", None] * 15 and own["t"].to_pylist() == [None, True] * 15
        assert records.metadata.categories["c"] == ("(missing)", "u", "v")
    X, filled_X = kept.take(range(N))[0], filled.take(range(N))[0]
    assert np.isnan(X).sum(axis=0).tolist() == [0, 0, 1, 2, 0, 15, 0]
    # The lower of two in the middle, of all records.
    by_hand = [sorted(X[~np.isnan(X[:, j]), j])[(int((~np.isnan(X[:, j])).sum()) - 1) // 2] for j in (2, 3, 5)]
    assert filled_X[0, [2, 3, 5]].tolist() == by_hand == [14, 13, 1]
    np.testing.assert_array_equal(np.where(np.isnan(X), filled_X, X), filled_X)
    warnings = " ".join(kept.artefact.meta["warnings"])
    assert "missing values stay missing in i (1), f (2), t (15)" in warnings
    assert "missing values are a category of their own in c (1), d (15)" in warnings
    assert "are the column's median in i (1)" in " ".join(filled.artefact.meta["warnings"])


def test_records_are_equal_where_the_same_values_are_missing(store, parquet):
    path = parquet({"a": pa.array([None, 0, None, 2**60, 2**60 + 1]), "y": [0, 0, 0, 1, 1]})
    assert "1 of 5 records repeat another in features and label, first row 2 (equal to row 0)" in refusal(store, path)


def test_medians_of_more_columns_than_are_kept_at_once(store, parquet, monkeypatch):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((N, 5)) < 0.3, np.nan, rng.normal(size=(N, 5)))
    path = parquet(numbers(**{f"c{i}": X[:, i] for i in range(5)}))
    whole = built(store, path, missing={"numbers": "median"}).take(range(N))[0]
    monkeypatch.setattr("umbrameter.records.encoding.MOST_KEPT", 2 * N)
    other = Records.open(store, build(_data(path, missing={"numbers": "median"}, note="again"), store).path)
    np.testing.assert_array_equal(whole, other.take(range(N))[0])


def _data(path: str, **settings: Any) -> Any:
    from umbrameter.records.sources import ParquetData

    return ParquetData.model_validate({"kind": "table", "path": path, "label": "y"} | settings)


@pytest.mark.parametrize("value", [7, -2.5, "same", True, datetime.date(2020, 1, 1)])
def test_constant_columns_are_left_out_of_the_matrix_alone(store, parquet, value):
    path = parquet(numbers(one=[value] * N, none=pa.nulls(N), nan=np.full(N, np.nan), text=pa.nulls(N, pa.string())))
    out = built(store, path, kind="table")
    assert out.feature_names == ["a", "b"] and out.take([0])[0].shape == (1, 2) and out.numbers([3]).shape == (1, 2)
    own = out.own([3, 4])
    assert own.column_names == ["a", "b", "one", "none", "nan", "text"] and own["one"].to_pylist() == [value] * 2
    assert [own[name].null_count for name in ("none", "text")] == [2, 2]
    assert out.artefact.meta["warnings"][:2] == [
        "columns none, nan, text are without any value, and left out",
        "column one is the same in every record, and left out",
    ]
    kept = built(store, path)
    assert kept.feature_names == ["a", "b", "one"] == built(store, path, kind="table", constant="keep").feature_names


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.int64()), pa.list_(pa.float64(), 3)], ids=str
)
def test_lists_of_one_length_are_vectors(store, parquet, kind):
    rows = np.arange(3 * N).reshape(N, 3)
    lists = pa.array(rows.tolist(), kind)
    beside = built(store, parquet(numbers(e=lists)))
    assert beside.feature_names == ["a", "b", "e[0]", "e[1]", "e[2]"]
    np.testing.assert_array_equal(beside.take(range(N))[0][:, 2:], rows)
    alone = built(store, parquet({"e": lists, "y": np.arange(N) % 3}, "alone.parquet"))
    assert alone.feature_names == ["e[0]", "e[1]", "e[2]"] and alone.own([0]).column_names == ["e"]
    np.testing.assert_array_equal(alone.take(range(N))[0], rows)


def test_one_error_says_all_that_is_wrong(store, parquet):
    path = parquet(
        numbers(1500)
        | {
            "name": [f"p{i}" for i in range(1500)],
            "blob": [b"u"] * 1500,
            "big": np.where(np.arange(1500) == 9, np.inf, 1.5),
            "i": [1, 1, *range(1498)],
            "s": pa.array([None, *["u"] * 1499]),
            "y": [None, *[0, 1] * 749, 1],
        }
    )
    text = refusal(store, path, id="i", slices=("s",))
    for part in (
        "the data need 6 corrections:\n",
        "column blob (binary): not a number",
        "column 'y' has missing values (null or NaN), the first in row 0, 1 in all",
        "column 's' has missing values",
        "column 'name' has 1500 different values",
        "data.id='i' is not unique: row 1 repeats 1",
        "column 'big' is infinite, or too large for float32, in row 9",
    ):
        assert part in text
    mended = built(store, path, ignore=("blob", "name", "big", "i", "s"), missing={"label": "drop"})
    assert mended.n_records == 1499 and "1 of 1500 records have no label" in mended.artefact.meta["warnings"][0]


@pytest.mark.parametrize("y", [np.arange(200) / 2, np.arange(200), np.arange(200.0)])
def test_a_label_of_measurements_is_asked_about_and_the_advice_works(store, parquet, y):
    path = parquet(numbers(200, y=y))
    text = refusal(store, path)
    assert "look like regression" in text and "200 different values in 200 records" in text
    edges = eval(text.partition("data.bins: ")[2].partition("]")[0] + "]")
    records = built(store, path, bins=edges)
    assert sorted(records.artefact.meta["label_counts"]) == [50] * 4
    low, middle, high = (f"{edge:g}" for edge in edges)
    by_hand = [
        f"below {low}" if v < edges[0] else f"{low} to {middle}" if v < edges[1] else
        f"{middle} to {high}" if v < edges[2] else f"{high} and above"
        for v in y
    ]  # fmt: skip
    assert [records.classes[code] for code in records.labels()] == by_hand
    assert built(store, parquet(numbers(200, y=[str(v) for v in y]), "text.parquet")).n_records == 200
    with pytest.raises(ValidationError, match="ascending"):
        _data(path, bins=[2, 1])


def shared(n_values: int, n: int, kind: str) -> Any:
    """Return n whole numbers that are marks of a test, or numbers of classes."""
    rng = np.random.default_rng(n_values)
    if kind == "marks":
        return np.clip(rng.normal(60, 18, n).round(), 0, 100).astype(int)
    if kind == "by size":  # as of classes that are numbered from the largest to the smallest
        weights = 1 / np.arange(1, n_values + 1)
        return np.append(np.arange(n_values), rng.choice(n_values, n - n_values, p=weights / weights.sum()))
    weights = rng.dirichlet(np.full(n_values, 3.0))
    return np.append(np.arange(n_values), rng.choice(n_values, n - n_values, p=weights))


@pytest.mark.parametrize(
    ("y", "is_asked"),
    [
        (np.arange(1000) % 200, True),  # 200 different whole numbers in 1,000 records
        (np.random.default_rng(0).integers(0, 200, 1000), True),
        (np.random.default_rng(0).integers(17, 91, 5000), True),  # no class is numbered 17 without a 0 or a 1
        (shared(101, 6000, "marks"), True),
        (np.random.default_rng(0).poisson(30, 5000), True),
        (np.arange(5010) % 30, False),  # Location-30
        (shared(100, 6000, "classes"), False),  # Purchase-100
        (shared(100, 6000, "classes") + 1, False),
        (shared(100, 6000, "classes").astype(float), False),
        (shared(100, 20000, "by size"), False),
        (np.arange(60) % 20 * 7, False),  # few
    ],
)  # fmt: skip
def test_whole_numbers_are_asked_about_unless_they_look_like_numbers_of_classes(store, parquet, y, is_asked):
    path = parquet(numbers(len(y), y=y))
    if is_asked:
        text = refusal(store, path)
        assert f"{len({*y.tolist()})} different values in {len(y)} records look like regression" in text
        assert "data.numeric_label: classes" in text
    answered = built(store, path, **({"numeric_label": "classes"} if is_asked else {}))
    assert answered.classes == sorted({*y.tolist()})
    assert [answered.classes[code] for code in answered.labels()] == y.tolist()


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_fractions_are_classes_where_that_is_said(store, parquet, kind):
    y = np.array([0.5, 1.5, -0.0, 0.0] * 9, dtype=kind)
    path = parquet(numbers(36, y=y))
    assert "holds 0.5" in refusal(store, path)
    infinite = parquet(numbers(36, y=np.where(np.arange(36) == 3, np.inf, y)), "infinite.parquet")
    assert "holds inf" in refusal(store, infinite, numeric_label="classes")
    records = built(store, path, numeric_label="classes")
    assert records.classes == [0.0, 0.5, 1.5] and records.labels().tolist() == [1, 2, 0, 0] * 9


def test_small_classes_are_left_out_and_named(store, parquet):
    path = parquet(numbers(y=["rare", "u", "v"] + ["u", "v", "v"] * 9))
    records = built(store, path, smallest_class=2)
    assert records.classes == ["u", "v"] and records.n_records == N - 1
    assert records.artefact.meta["warnings"] == ["classes with fewer than 2 records were left out: 'rare' (1)"]
    assert "has only one class with at least 15 records ('v')" in refusal_of(path, smallest_class=15, store=store)


def refusal_of(path: str, store: Any, **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        build(_data(path, **settings), store)
    return str(caught.value)


# Formats


def test_the_same_table_in_every_format_is_the_same_records(store, tmp_path):
    table = pa.table(
        numbers(300, c=[f"a, {i % 5}" for i in range(300)], d=[datetime.date(2020, 1, 1 + i % 9) for i in range(300)])
    )
    pq.write_table(table, tmp_path / "t.parquet")
    feather.write_feather(table, tmp_path / "t.feather")
    pacsv.write_csv(table, tmp_path / "t.csv")
    with pa.CompressedOutputStream(str(tmp_path / "t.csv.gz"), "gzip") as stream:
        pacsv.write_csv(table, stream)
    first, *others = (built(store, str(tmp_path / f"t.{end}")) for end in ("parquet", "feather", "csv", "csv.gz"))
    for other in others:
        np.testing.assert_array_equal(first.take(range(300))[0], other.take(range(300))[0])
        assert other.fingerprints().tolist() == first.fingerprints().tolist() and other.classes == first.classes
    sides = SidesData(
        members=str(tmp_path / "t.csv"), nonmembers=str(tmp_path / "t.feather"), label="y", duplicates="keep"
    )
    assert Records.open(store, build(sides, store).path).known_parts().tolist() == [0] * 300 + [1] * 300  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "words", "row"),
    [
        ("a,b\n1,x\n", "delimiter ',', header, utf-8", {"a": 1, "b": "x"}),
        ("a;b\n1,5;x\n2,25;y,z\n", "delimiter ';', header, utf-8, decimal comma", {"a": 1.5, "b": "x"}),
        ("a\tb\n1.5\tx\n", "delimiter tab", {"a": 1.5, "b": "x"}),
        ("1,x,2.5\n2,y,3.5\n", "no header", {"f0": 1, "f1": "x", "f2": 2.5}),
        ("0,1,y\n5,6,u\n", "header", {"0": 5, "1": 6, "y": "u"}),
        ('a,b\n"1","x\ny, z"\n', "header", {"a": 1, "b": "x\ny, z"}),
        (",a\n0,5\n1,6\n", "header", {"__index_level_0__": 0, "a": 5}),
        ("zip,a\n01234,1\n98765,2\n", "header", {"zip": "01234", "a": 1}),
        ("a,b\n1,True\n2,false\n", "header", {"a": 1, "b": True}),
        ("a,b\nNaN,None\n1.5,u\n", "header", {"a": None, "b": None}),
        ("a,b\n1,2020-01-02\n", "header", {"a": 1, "b": datetime.date(2020, 1, 2)}),
        ("a,b\n1,2020-01-02 03:04\n", "header", {"a": 1, "b": datetime.datetime(2020, 1, 2, 3, 4)}),
        ("\ufeffa,b\n1,é\n", "utf-8", {"a": 1, "b": "é"}),
        ("a,b\n1,é\n".encode("cp1252"), "cp1252", {"a": 1, "b": "é"}),
        ("a,b\n1,é\n".encode("utf-16"), "utf-16", {"a": 1, "b": "é"}),
    ],
)
def test_dialects_and_types_are_found(tmp_path, text, words, row):
    source = open_source(csv(tmp_path, text))
    assert words in source.files[0].format.describe()
    assert source.to_table(source.schema.names).to_pylist()[0] == row


def test_a_type_is_that_of_all_values_wherever_the_odd_one_is(tmp_path, monkeypatch):
    monkeypatch.setattr("umbrameter.records.csv_tables.BLOCK", 1024)
    for odd, kind in {"7": pa.int64(), "7.5": pa.float64(), "u": pa.string(), "": pa.int64()}.items():
        source = open_source(csv(tmp_path, "a,y\n" + "1,2\n" * 5000 + f"{odd},2\n"))
        assert source.schema.field("a").type == kind and source.n_rows == 5001
        last = source.to_table(["a"])["a"].to_pylist()[-1]
        assert last == (None if odd == "" else pa.scalar(odd).cast(kind).as_py())


def test_files_of_a_folder_share_a_type(store, tmp_path):
    for name, values in {"1": ["1", "2"], "2": ["1.5", ""], "3": ["", ""]}.items():
        csv(tmp_path, "a,y\n" + "".join(f"{value},{i}\n" for i, value in enumerate(values)), f"{name}.csv")
    source = open_source(str(tmp_path))
    assert source.to_table(["a"])["a"].to_pylist() == [1, 2, 1.5, None, None, None]


def test_what_is_said_of_csv_is_heeded(tmp_path):
    path = csv(tmp_path, "a|b\n1|05.02.2020\n")
    settings = CsvSettings(types={"a": "text", "b": "%d.%m.%Y"}, nulls=("x",), delimiter="|")
    (row,) = open_source(path, settings=settings).to_table(["a", "b"]).to_pylist()
    assert row == {"a": "1", "b": datetime.datetime(2020, 2, 5)}
    with pytest.raises(ValidationError, match="expected one of integer"):
        CsvSettings(types={"a": "colour"})
    with pytest.raises(ValidationError, match="no such encoding"):
        CsvSettings(encoding="klingon")


@pytest.mark.parametrize(
    ("text", "types", "words"),
    [
        ("a,b\n1,2\n3\n4,5,6\n", {}, "2 lines do not have 2 values, such as line 3, which has 1"),
        ("a,a\n1,2\n", {}, "names a twice"),
        ("\n", {}, "is empty"),
        ("a,b\n", {}, "has no rows"),
        ("a,b\nu,2\n", {"a": "integer"}, "the column 'a' holds values that are not integer"),
        ("a,b\nu,2\n", {"z": "integer"}, "data.csv.types names z"),
    ],
)
def test_csv_that_cannot_be_read_is_refused(tmp_path, text, types, words):
    with pytest.raises(DataError, match=words):
        open_source(csv(tmp_path, text), settings=CsvSettings(types=types))
