"""Values and types at the edge of what a Parquet file can hold."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.errors import DataError
from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.store.artefacts import Store

N = 30


def built(tmp_path: Path, **columns) -> Records:
    table = {"a": np.arange(N) + 0.5, "y": np.arange(N) % 2} | columns
    pq.write_table(pa.table(table), tmp_path / "data.parquet")
    store = Store(tmp_path / "root")
    return Records.open(store, build(ParquetData(path=str(tmp_path / "data.parquet"), label="y"), store).path)


def test_minus_zero_is_zero(tmp_path):
    records = built(tmp_path, y=np.array([-0.0, 0.0, 1.0] * 10))
    assert records.classes == [0, 1] and records.labels().tolist() == [0, 0, 1] * 10


def test_labels_beyond_int64(tmp_path):
    records = built(tmp_path, y=pa.array([2**63 + 1, 5] * 15, pa.uint64()))
    assert records.classes == [5, 2**63 + 1] and records.labels().tolist() == [1, 0] * 15


def test_string_views(tmp_path):
    records = built(
        tmp_path, c=pa.array(["v", "u"] * 15, pa.string_view()), y=pa.array(["m", "n"] * 15, pa.string_view())
    )
    assert records.take([0])[0].tolist() == [[0.5, 1]] and records.classes == ["m", "n"]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"y": [[1], [2]] * 15}, "data.label='y' holds list"),
        ({"y": [None] * 4 + [1.0] * 13 + [2.0] * 13}, "first in row 0, 4 in all"),
        ({"a": np.full(N, 1e300)}, "too large for float32, in row 0"),
        ({"y": np.array([1e300, 1.0] * 15)}, "data.label='y' holds 1e.300"),
    ],
)
def test_refusals(tmp_path, columns, text):
    with pytest.raises(DataError, match=text):
        built(tmp_path, **columns)


@pytest.mark.parametrize("path", ["foo://x/y", "a\0b"])
def test_impossible_paths(tmp_path, path):
    with pytest.raises(DataError, match="cannot be reached"):
        build(ParquetData(path=path, label="y"), Store(tmp_path))
