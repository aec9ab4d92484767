"""Fewer classes by clustering: labels play no part, and every run gives the same clusters."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score

from data import clusters
from data.clusters import clustered
from data.generated import purchase_like
from umbrameter.errors import DataError
from umbrameter.store.arrow import vectors


@pytest.fixture
def four(tmp_path):
    """Write records of four kinds that are easily told apart."""
    table = pa.Table.from_batches(list(purchase_like(3000, 200, 4, distinctness=0.9)))
    pq.write_table(table, tmp_path / "four.parquet")
    return tmp_path / "four.parquet", table


def labels(batches):
    return np.concatenate([np.asarray(batch["y"]) for batch in batches])


@pytest.mark.parametrize("fitted", [100, 2999, 50_000])
def test_kinds_of_records_are_found(four, monkeypatch, fitted):
    monkeypatch.setattr(clusters, "FITTED", fitted)
    monkeypatch.setattr(clusters, "SOME", 700)
    path, table = four
    batches = list(clustered(path, 4))
    found = labels(batches)
    assert vectors(pa.Table.from_batches(batches)["x"]).tobytes() == vectors(table["x"]).tobytes()
    assert found.dtype == np.int16 and set(found) == {0, 1, 2, 3}
    assert adjusted_rand_score(table["y"], found) > 0.95


def test_labels_play_no_part_and_clusters_are_the_same_again(four, tmp_path):
    path, table = four
    pq.write_table(table.select(["x"]), tmp_path / "bare.parquet")
    assert np.array_equal(labels(clustered(path, 10)), labels(clustered(tmp_path / "bare.parquet", 10)))


def test_no_cluster_of_records_like_purchases_is_of_a_few(tmp_path):
    pq.write_table(pa.Table.from_batches(list(purchase_like(20_000))), tmp_path / "a.parquet")
    assert np.bincount(labels(clustered(tmp_path / "a.parquet", 20)), minlength=20).min() > 200


def test_every_kth_record_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "FITTED", 30)
    monkeypatch.setattr(clusters, "SOME", 7)
    X = np.arange(100, dtype=np.uint8)[:, None]
    pq.write_table(pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(X[:, 0]), 1)}), tmp_path / "a.parquet")
    assert clusters._spread(tmp_path / "a.parquet", 2)[:, 0].tolist() == list(range(0, 100, 4))


def test_fewer_records_than_clusters_are_refused(four):
    with pytest.raises(DataError, match=r"four.parquet holds 3000 records, too few for 3001 clusters"):
        list(clustered(four[0], 3001))
