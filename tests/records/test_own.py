"""Records as their source has them: the file's own values, types and order, whatever the matrix rounds."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records.tables import built
from umbrameter.records.build import build
from umbrameter.records.own import as_numbers, own_table
from umbrameter.records.reader import Records
from umbrameter.records.sources import SidesData
from umbrameter.store.arrow import vector_column
from umbrameter.store.artefacts import Store

N = 40
RNG = np.random.default_rng(7)
PICK = RNG.integers(0, 4, N)

KINDS: dict[str, pa.Array] = {
    "tenths": pa.array(np.round(RNG.random(N), 1)),
    "double": pa.array(RNG.normal(size=N)),
    "whole doubles": pa.array(RNG.integers(0, 9, N) * 1.0),
    "float": pa.array(RNG.normal(size=N).astype(np.float32)),
    "half": pa.array(RNG.normal(size=N).astype(np.float16)),
    "accounts": pa.array(10**9 + np.arange(N)),
    "nanoseconds": pa.array(2**60 + np.arange(N)),
    "at 2**53": pa.array(2**53 + PICK),
    "unsigned": pa.array((2**64 - 1 - PICK.astype(np.uint64)).astype(np.uint64)),
    "small": pa.array(PICK.astype(np.int8)),
    "negative": pa.array(-PICK.astype(np.int16)),
    "flag": pa.array(PICK > 1),
    "text": pa.array(np.array(["v", "u", "ü", ""])[PICK]),
    "long text": pa.array(np.array(["v", "u", "w", "x"])[PICK]).cast(pa.large_string()),
    "levels": pa.DictionaryArray.from_arrays(
        PICK.astype(np.int8), ["low", "mid", "high", "top", "never"], ordered=True
    ),
    "price": pa.array([Decimal(int(p)) / 10 for p in PICK], pa.decimal128(9, 2)),
    "fine": pa.array([Decimal(1) + Decimal(int(p)).scaleb(-30) for p in PICK], pa.decimal128(38, 30)),
    "small decimals": pa.array([Decimal(int(p)) / 10 for p in PICK], pa.decimal64(9, 2)),
}
ROUNDED = {"tenths", "double", "accounts", "nanoseconds", "at 2**53", "unsigned", "price", "fine", "small decimals"}


def recorded(folder: Path, table: dict[str, Any], **options: Any) -> Records:
    path = folder / "data.parquet"
    y = np.arange(len(next(iter(table.values())))) % 2
    pq.write_table(pa.table(table | {"y": pa.array(y)}), path)
    return built(Store(folder / "root"), str(path), duplicates="keep", **options)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", KINDS)
def test_every_type_comes_back_to_the_last_bit(tmp_path: Path, name: str, precision: str) -> None:
    records = recorded(tmp_path, {name: KINDS[name]}, precision=precision)
    rows = np.array([5, 0, 39, 5])
    own = records.own(rows).to_pandas()
    by_hand = pd.read_parquet(tmp_path / "data.parquet")[[name]].iloc[rows].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, by_hand)
    assert own.dtypes.equals(by_hand.dtypes)
    if precision == "float32":
        assert ("own.parquet" in records.artefact.files) == (name in ROUNDED)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.data())
def test_any_columns_in_any_order_over_row_groups(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from([*KINDS]), unique=True, min_size=1))
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("umbrameter.records.build.ROW_GROUP", 7)
        patch.setattr("umbrameter.records.encoding.BATCH", 11 * len(names))
        records = recorded(folder, {name: KINDS[name] for name in names})
    rows = np.array(data.draw(st.lists(st.integers(0, N - 1))), dtype=np.int64)
    by_hand = pd.read_parquet(folder / "data.parquet")[names].iloc[rows].reset_index(drop=True)
    assert records.feature_names == names
    pd.testing.assert_frame_equal(records.own(rows).to_pandas(), by_hand)
    table, y = records.as_source.take(rows)
    assert table.equals(records.own(rows)) and y.tolist() == (rows % 2).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_vectors_keep_their_type(tmp_path: Path, dtype: Any) -> None:
    X = (RNG.random((N, 5)) * 200).astype(dtype)
    records = recorded(tmp_path, {"x": vector_column(X)})
    own = records.own([3, 1, 3]).column(0)
    assert own.type.value_type == pa.from_numpy_dtype(dtype)
    assert np.array_equal(np.array(own.to_pylist(), dtype), X[[3, 1, 3]])
    assert ("own.parquet" in records.artefact.files) == (dtype == np.float64)


def test_records_that_were_left_out_shift_no_value(tmp_path: Path) -> None:
    table = {"a": [0.1, 0.1, 0.2, 0.3, 0.2], "y": [0, 0, 1, 0, 1]}
    pq.write_table(pa.table(table), tmp_path / "data.parquet")
    records = built(Store(tmp_path / "root"), str(tmp_path / "data.parquet"), duplicates="drop")
    assert records.own(range(3))["a"].to_pylist() == [0.1, 0.2, 0.3]


# Made records


def test_made_records_take_the_source_s_types_where_these_hold_them() -> None:
    schema = pa.schema([("n", pa.int64()), ("b", pa.bool_()), ("u", pa.uint8()), ("f", pa.float64())])
    exact = own_table(np.array([[-3, 1, 255, 0.5], [4, 0, 0, 1]], np.float32), schema, {})
    assert exact.schema.types == schema.types
    stretched = own_table(np.array([[-3.5, 2, 256, 0.5], [2.0**63, 0, 0, 1]]), schema, {})
    assert stretched.schema.types == [pa.float64()] * 4 and stretched["n"].to_pylist() == [-3.5, 2.0**63]


def test_numbers_and_the_source_s_columns_are_inverse(tmp_path: Path) -> None:
    records = recorded(tmp_path, {n: c for n, c in KINDS.items() if n not in {"nanoseconds", "fine", "unsigned"}})
    rows = np.arange(N)
    numbers = records.numbers(rows)
    assert np.array_equal(
        as_numbers(own_table(numbers, records.schema, records.metadata.categories), records.metadata.categories),
        numbers,
    )
    assert np.array_equal(numbers.astype(np.float32), records.take(rows)[0])


# Repeats are judged on the source's values


@pytest.mark.parametrize("name", KINDS)
def test_fingerprints_are_equal_where_values_and_labels_are(tmp_path: Path, name: str) -> None:
    records = recorded(tmp_path, {name: KINDS[name], "z": pa.array(PICK % 2 * 0.1)})
    rows = [*zip(KINDS[name].to_pylist(), (PICK % 2).tolist(), (np.arange(N) % 2).tolist(), strict=True)]
    prints = records.fingerprints()
    for i in range(N):
        assert (prints == prints[i]).tolist() == [row == rows[i] for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_digits_that_the_matrix_rounds_make_other_records(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = 0.1 + rng.integers(0, 3, N) * 1e-12, 2**60 + rng.integers(0, 3, N)
    pq.write_table(pa.table({"a": a, "b": b, "y": np.arange(N) % 2}), tmp_path / "data.parquet")
    records = built(Store(tmp_path / "root"), str(tmp_path / "data.parquet"), duplicates="drop")
    rows = [*dict.fromkeys(zip(a.tolist(), b.tolist(), (np.arange(N) % 2).tolist(), strict=True))]
    own = records.own(range(records.n_records))
    assert [*zip(own["a"].to_pylist(), own["b"].to_pylist(), records.labels().tolist(), strict=True)] == rows


def test_account_numbers_are_no_repeats(tmp_path: Path) -> None:
    """1,200 distinct account numbers were called 1,160 repeats, and `drop` left 40."""
    account, y = 1_000_000_000 + np.arange(1200), np.random.default_rng(0).integers(0, 2, 1200)
    for name, part in {"m": slice(0, 400), "n": slice(400, 800), "p": slice(800, None)}.items():
        pq.write_table(pa.table({"account": account[part], "y": y[part]}), tmp_path / f"{name}.parquet")
    store, paths = Store(tmp_path / "root"), [str(tmp_path / f"{name}.parquet") for name in "mnp"]
    sides = SidesData(members=paths[0], nonmembers=paths[1], pool=paths[2], label="y")
    records = Records.open(store, build(sides, store).path)
    assert records.n_records == 1200
    assert records.artefact.meta["warnings"] == ["column account is beyond 2**24, where float32 rounds integers"]
