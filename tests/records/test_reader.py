"""Records are read by row, in any order, and only from the row groups that are needed."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.records.tables import built
from umbrameter.records import reader
from umbrameter.records.reader import Records


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


def test_a_caller_s_changes_to_its_rows_do_not_reach_the_reader(many):
    records = many[0]
    records.take([1, 2])[0][:] = -1
    assert records.take([1, 2])[0].tolist() == [[1, 1], [2, 2]]
