"""The cache of data sets: files are written once, whole or not at all, in row groups of limited size."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import catalogue
from data.cache import rewritten
from data.catalogue import write_generated
from umbrameter.errors import DataError

BITS = np.random.default_rng(0).integers(0, 2, (3, 446))
CSV = "".join(f'"{label}",{",".join(map(str, row))}\n' for label, row in zip([1, 3, 2], BITS, strict=True)).encode()
DIGEST = f"sha256:{hashlib.sha256(CSV).hexdigest()}"


def test_generated_records_are_made_once_by_their_parameters(tmp_path, monkeypatch):
    path = write_generated("purchase", 2500, 20, 4, root=str(tmp_path))
    assert path == write_generated("purchase", 2500, 20, 4, 0.15, 0.21, 0, str(tmp_path))
    assert path.parent == tmp_path / "datasets" and path.name.startswith("purchase-like-")
    others = [
        write_generated("texas", 2500, 20, 4, root=str(tmp_path)),
        write_generated("purchase", 2501, 20, 4, root=str(tmp_path)),
        write_generated("purchase", 2500, 20, 4, seed=1, root=str(tmp_path)),
        write_generated("purchase", 2500, 20, 4, density=0.2, root=str(tmp_path)),
    ]
    assert len({path, *others}) == 5 and sorted(path.parent.iterdir()) == sorted({path, *others})
    assert pq.read_table(path).equals(pq.read_table(others[1]).slice(0, 2500))


def test_row_groups_have_a_limited_size_at_any_width(tmp_path):
    y = pa.array(np.zeros(30_000, np.int16))
    batches = [pa.record_batch({"y": y})] * 5
    sizes = pq.read_metadata(rewritten(iter(batches), tmp_path / "narrow.parquet"))
    assert [sizes.row_group(i).num_rows for i in range(sizes.num_row_groups)] == [60_000, 60_000, 30_000]
    wide = [next(catalogue.batches(catalogue.parameters("texas", 1000, 8_000)))] * 3
    sizes = pq.read_metadata(rewritten(iter(wide), tmp_path / "wide.parquet"))
    assert [sizes.row_group(i).num_rows for i in range(sizes.num_row_groups)] == [2000, 1000]


def test_an_empty_data_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="no records to write to a"):
        rewritten(iter([]), tmp_path / "a.parquet")
