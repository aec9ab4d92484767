"""Who is member, non-member and pool: from the seed alone."""

import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.errors import DataError, PlanError
from umbrameter.records.build import build
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.steps.split import PARTS, Split
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import ensure

N = 200


@pytest.fixture
def records(tmp_path: Path) -> Records:
    rare = np.arange(N) % 50 == 0
    table = pa.table({"a": np.arange(N) + 0.5, "y": np.where(rare, 2, np.arange(N) % 2)})
    pq.write_table(table, tmp_path / "data.parquet")
    store = Store(tmp_path / "root")
    return Records.open(store, build(ParquetData(path=str(tmp_path / "data.parquet"), label="y"), store).path)


def parts(records: Records, n_members: int, n_nonmembers: int, seed: int) -> list[list[int]]:
    store = records.artefact.store
    split = store.open(ensure(store, Split(records.artefact.path, n_members, n_nonmembers, seed)))
    return [rows_of(split, part).tolist() for part in PARTS]


def test_every_record_is_in_one_part(records: Records) -> None:
    dealt = parts(records, 80, 60, 1)
    assert [len(rows) for rows in dealt] == [80, 60, 60, 0]
    assert sorted(row for rows in dealt for row in rows) == list(range(N))


def test_the_seed_decides_the_split(records: Records) -> None:
    first = parts(records, 80, 60, 1)
    assert parts(records, 80, 60, 2) != first
    order = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(zlib.crc32(b"split"),)))
    assert sorted(order.permutation(N)[:80].tolist()) == first[0]


def test_more_than_there_is(records: Records) -> None:
    with pytest.raises(
        PlanError, match=r"150 members \+ 51 non-members = 201 records, but there are 200; lower split\."
    ):
        parts(records, 150, 51, 0)
    with pytest.raises(
        DataError, match=r"class 2 has 4 records, too few .* no \w+ among them; raise split\.(non)?members"
    ):
        parts(records, 2, 2, 0)
