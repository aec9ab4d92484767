"""Which records are members, non-members or in the pool depends on the seed alone."""

import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umbrameter.errors import DataError, PlanError
from umbrameter.records.build import build
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.steps.split import PARTS, Split, SplitMetadata
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


# Records whose parts are known


def known(folder: Path, n_members: int | None, n_nonmembers: int | None, seed: int = 0) -> dict[str, list[int]]:
    """Return the parts of 30 known members, 20 known non-members and 10 others."""
    paths, start = {}, 0
    for name, size in (("members", 30), ("nonmembers", 20), ("pool", 10)):
        rows = np.arange(start, start + size)
        paths[name], start = str(folder / f"{name}.parquet"), start + size
        pq.write_table(pa.table({"a": rows + 0.5, "y": rows % 2}), paths[name])
    store = Store(folder / "root")
    path = build(SidesData(label="y", **paths), store).path
    split = store.open(ensure(store, Split(path, n_members, n_nonmembers, seed)))
    by_part = {part: rows_of(split, part).tolist() for part in PARTS}
    sizes = SplitMetadata.read(split)
    assert [*map(len, by_part.values())] == [sizes.n_members, sizes.n_nonmembers, sizes.n_pool, sizes.n_unused]
    assert sizes.n_audited == len(by_part["member"]) + len(by_part["nonmember"])
    return by_part


def test_where_it_is_known_who_is_member_all_are_audited(tmp_path: Path) -> None:
    dealt = known(tmp_path, None, None)
    assert (dealt["member"], dealt["nonmember"]) == ([*range(30)], [*range(30, 50)])
    assert (dealt["pool"], dealt["unused"]) == ([*range(50, 60)], [])


@pytest.mark.parametrize(("n_members", "n_nonmembers"), [(10, None), (None, 5), (10, 5), (30, 20)])
def test_of_those_that_are_known_as_many_are_audited_as_asked_for(
    tmp_path: Path, n_members: int | None, n_nonmembers: int | None
) -> None:
    dealt = known(tmp_path, n_members, n_nonmembers)
    assert set(dealt["member"]) <= {*range(30)} and set(dealt["nonmember"]) <= {*range(30, 50)}
    assert (len(dealt["member"]), len(dealt["nonmember"])) == (n_members or 30, n_nonmembers or 20)
    assert dealt["pool"] == [*range(50, 60)]  # what is known is never used to train shadow models
    assert sorted(row for rows in dealt.values() for row in rows) == [*range(60)]


def test_fewer_known_records_are_some_of_the_more_and_the_seed_s(tmp_path: Path) -> None:
    few, more = known(tmp_path, 10, 5, seed=1), known(tmp_path, 20, 5, seed=1)
    assert set(few["member"]) < set(more["member"]) and few["nonmember"] == more["nonmember"]
    assert known(tmp_path, 10, 5, seed=2)["member"] != few["member"]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ((31, 20), r"the data have 30 known members; lower split\.members \(31\)"),
        ((None, 21), r"the data have 20 known nonmembers; lower split\.nonmembers \(21\)"),
    ],
)
def test_more_than_are_known_says_what_to_lower(tmp_path: Path, asked: tuple[int | None, int], text: str) -> None:
    with pytest.raises(PlanError, match=text):
        known(tmp_path, *asked)


@settings(derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(20, 90), st.integers(20, 90), st.integers(0, 2**32 - 1))
def test_parts_are_disjoint_and_of_the_sizes_asked_for(
    records: Records, n_members: int, n_nonmembers: int, seed: int
) -> None:
    try:
        dealt = parts(records, n_members, n_nonmembers, seed)
    except DataError as error:  # a rare class is not on both sides
        assert "class 2 has 4 records" in str(error)
        return
    assert [len(rows) for rows in dealt] == [n_members, n_nonmembers, N - n_members - n_nonmembers, 0]
    assert sorted(row for rows in dealt for row in rows) == [*range(N)]
    more = parts(records, n_members, n_nonmembers + 1, seed)
    assert more[0] == dealt[0] and set(dealt[1]) < set(more[1])
