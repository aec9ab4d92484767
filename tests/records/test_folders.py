"""Files and folders as one source: columns by name, keys below the given path alone, and no index of a data frame."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.records.tables import N, built, numbers, refusal
from umbrameter.errors import DataError
from umbrameter.records.build import build
from umbrameter.records.parquet import open_source
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.store.artefacts import Store


def written(folder: Path, *tables: Any) -> str:
    folder.mkdir(parents=True)
    for i, table in enumerate(tables):
        pq.write_table(pa.table(table), folder / f"{i}.parquet")
    return str(folder)


# Columns by name


def test_the_order_of_columns_is_the_first_file_s(store, tmp_path):
    a, b, t, y = np.arange(N) + 0.5, np.arange(N) % 7, np.array(["v", "u"] * (N // 2)), np.arange(N) % 2
    one, two = slice(0, 20), slice(20, N)
    path = written(
        tmp_path / "parts",
        {"t": t[one], "a": a[one], "y": y[one], "b": b[one]},
        {"b": b[two], "y": y[two], "a": a[two], "t": t[two]},
    )
    records = built(store, path)
    assert records.feature_names == ["t", "a", "b"]
    own = records.own(range(N))
    assert [own[name].to_pylist() for name in ("t", "a", "b")] == [t.tolist(), a.tolist(), b.tolist()]
    assert records.labels().tolist() == y.tolist()
    assert built(store, path, features=("b", "t"), duplicates="keep").feature_names == ["b", "t"]


TEXTS = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]


@pytest.mark.parametrize("second", TEXTS, ids=str)
@pytest.mark.parametrize("first", TEXTS, ids=str)
def test_text_of_any_type_is_one_type(store, tmp_path, first, second):
    kinds = [first, second]
    texts = [["b", "a", "c", "a"], ["a", "d", "d", "b"]]
    columns = [
        pa.array(text).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(text)
        for text, kind in zip(texts, kinds, strict=True)
    ]
    tables = [
        {"c": c.cast(k), "a": np.arange(4) + 9.5 * i, "y": c.cast(k)}
        for i, (c, k) in enumerate(zip(columns, kinds, strict=True))
    ]
    whole = texts[0] + texts[1]
    places = {"members": tables[0], "nonmembers": tables[1]}
    for name, table in places.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    sides = SidesData(**{name: str(tmp_path / f"{name}.parquet") for name in places}, label="y")
    folder = ParquetData(path=written(tmp_path / "parts", *tables), label="y")
    for source in (sides, folder):
        records = Records.open(store, build(source, store).path)
        assert records.own(range(8))["c"].to_pylist() == whole
        assert [records.classes[label] for label in records.labels()] == whole


def test_categories_keep_the_order_that_pandas_gave_them(store, tmp_path):
    column = pd.Categorical(["mid", "low", "high"] * 10, ["low", "mid", "high", "never"], ordered=True)
    frame = pd.DataFrame({"c": column, "a": np.arange(30.0), "y": [0, 1] * 15})
    frame.to_parquet(tmp_path / "data.parquet")
    own = built(store, str(tmp_path / "data.parquet")).own([2, 0]).to_pandas()["c"]
    assert own.tolist() == ["high", "mid"] and own.cat.ordered
    assert own.cat.categories.tolist() == ["low", "mid", "high", "never"]


@pytest.mark.parametrize("lacks", ["members", "nonmembers", "pool"])
def test_a_side_that_lacks_a_column_is_named(store, tmp_path, lacks):
    paths = {}
    for i, name in enumerate(("members", "nonmembers", "pool")):
        table = numbers(a=np.arange(N) + 0.5 + 100 * i)
        paths[name] = written(tmp_path / name, {k: v for k, v in table.items() if name != lacks or k != "b"})
    with pytest.raises(DataError, match=rf"^data\.{lacks}=.*, file '0\.parquet' has no column 'b', and data\."):
        build(SidesData(**paths, label="y"), store)


def test_the_advice_on_a_column_that_is_missing_works(store, tmp_path):
    path = written(tmp_path / "parts", numbers(), {"a": np.arange(3.0) + 90, "y": [0, 1, 2]})
    text = refusal(store, path, label="b")
    assert "has no column 'b'" in text and "only those under data.ignore may be missing" in text
    assert built(store, path, ignore=("b",)).feature_names == ["a"]


# Keys


@pytest.mark.parametrize("above", ["team=a", "team=1/x=%20"])
def test_folders_above_the_given_path_are_no_columns(store, tmp_path, above):
    table = numbers()
    file = written(tmp_path / above / "inner", table)
    for path in (file, f"{file}/0.parquet"):
        assert built(store, path).feature_names == ["a", "b"]
    written(tmp_path / above / "outer" / "k=3", table)
    assert built(store, str(tmp_path / above / "outer")).feature_names == ["a", "b", "k"]
    assert built(store, str(tmp_path / above / "outer" / "k=3")).feature_names == ["a", "b"]


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        (["1", "2", "-3"], [-3, 1, 2]),
        (["01", "1", "2"], ["01", "1", "2"]),
        (["1", "+1", "2"], ["+1", "1", "2"]),
        (["1", "1.0", "x"], ["1", "1.0", "x"]),
        (["a%20b", "a%2Fb", "c#?"], ["a b", "a/b", "c#?"]),
        (["0", "-0"], ["-0", "0"]),
        (["9" * 30, "1"], ["1", "9" * 30]),
    ],
)
def test_keys_keep_their_text_unless_a_number_is_the_same(store, tmp_path, keys, values):
    for i, key in enumerate(keys):
        written(tmp_path / "parts" / f"y={key}", {"a": np.arange(4.0) + 4 * i})
    assert built(store, str(tmp_path / "parts")).classes == sorted(values)


def test_a_key_without_a_value_is_missing(store, tmp_path):
    written(tmp_path / "parts" / "k=1", numbers())
    written(tmp_path / "parts" / "k=__HIVE_DEFAULT_PARTITION__", numbers(a=np.arange(N) + 99.5))
    assert f"column 'k' has missing values (null or NaN), the first in row {N}" in refusal(
        store, str(tmp_path / "parts"), slices=("k",), duplicates="drop"
    )
    records = built(store, str(tmp_path / "parts"))
    assert records.metadata.missing == {"k": N} and records.own([0, N])["k"].to_pylist() == [1, None]


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.float64(), *TEXTS], ids=str)
def test_a_key_that_is_in_the_files_too(store, tmp_path, kind):
    for key in (0, 1):
        y = pa.array([str(key)] * 5)
        y = y.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else y.cast(kind)
        written(tmp_path / "both" / f"y={key}", {"a": np.arange(5.0) + 5 * key, "y": y})
    assert [str(c) for c in built(store, str(tmp_path / "both")).classes] == ["0", "1"]


def test_a_key_that_contradicts_its_file(store, tmp_path):
    written(tmp_path / "both" / "y=0", {"a": np.arange(5.0), "y": [0, 0, 1, 0, 0]})
    text = refusal(store, str(tmp_path / "both"))
    assert "file 'y=0/0.parquet' holds other values of 'y' than its folder's name" in text
    written(tmp_path / "text" / "y=x", {"a": np.arange(5.0), "y": [0, 0, 1, 0, 0]})
    assert "its folder's name has 'x' for the column 'y', which is of type int64" in refusal(
        store, str(tmp_path / "text")
    )


@pytest.mark.parametrize("name", ["a b", "a#x", "a%20x", "50%", "a?x"])
def test_any_name_of_a_file_or_folder(store, tmp_path, name):
    folder = written(tmp_path / name, numbers())
    Path(folder, "0.parquet").rename(Path(folder, f"{name}.parquet"))
    for path in (folder, f"{folder}/{name}.parquet"):
        assert built(store, path).n_records == N
    assert open_source(folder).files[0].below == f"{name}.parquet"


# The index of a data frame


@pytest.mark.parametrize("rewrite", [False, True], ids=["by pandas", "without pandas' description"])
def test_an_index_without_a_name_is_no_feature(store, tmp_path, rewrite):
    frame = pd.DataFrame(numbers())
    frame[frame.a != 3.5].to_parquet(tmp_path / "data.parquet")
    if rewrite:
        table = pq.read_table(tmp_path / "data.parquet")
        pq.write_table(table.replace_schema_metadata(None), tmp_path / "data.parquet")
    records = built(store, str(tmp_path / "data.parquet"))
    assert records.feature_names == ["a", "b"]
    assert records.artefact.meta["warnings"] == ["column __index_level_0__ is the index of a data frame and no feature"]


def test_a_named_index_is_no_feature_unless_it_is_listed(store, tmp_path):
    path = str(tmp_path / "data.parquet")
    pd.DataFrame(numbers(person=np.arange(N) ** 2)).set_index("person").to_parquet(path)
    records = built(store, path)
    assert records.feature_names == ["a", "b"]
    assert records.artefact.meta["warnings"] == ["column person is the index of a data frame and no feature"]
    for settings in ({"features": ("person", "a")}, {"id": "person"}, {"slices": ("person",)}):
        assert built(store, path, **settings).artefact.meta["warnings"] == []
    assert built(store, path, features=("person", "a")).feature_names == ["person", "a"]


def test_a_range_that_pandas_describes_is_no_column(store, tmp_path):
    pd.DataFrame(numbers()).to_parquet(tmp_path / "data.parquet")
    assert built(store, str(tmp_path / "data.parquet")).artefact.meta["warnings"] == []


def test_only_one_part_may_have_an_index(tmp_path):
    frame = pd.DataFrame(numbers())
    frame.to_parquet(tmp_path / "m.parquet", index=True)
    frame.assign(a=frame.a + 99)[frame.a > 1].to_parquet(tmp_path / "n.parquet")
    store = Store(tmp_path / "root")
    sides = SidesData(members=str(tmp_path / "m.parquet"), nonmembers=str(tmp_path / "n.parquet"), label="y")
    records = Records.open(store, build(sides, store).path)
    assert records.feature_names == ["a", "b"] and "__index_level_0__ is the index" in str(records.artefact.meta)
