"""Records beside others that were drawn, the parts of a split, and what a reader knows of records."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records.tables import N, built, numbers
from umbrameter.errors import StoreError
from umbrameter.records.metadata import RecordsMetadata, SourceMetadata
from umbrameter.records.parts import audited_rows, pool_rows, rows_of
from umbrameter.records.reader import Domain, Records, WithDrawn, with_drawn
from umbrameter.steps.split import Split
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import ensure


@pytest.fixture
def two(store, parquet) -> tuple[Records, Records]:
    """Return real records, and drawn ones of the same columns and classes."""
    drawn = numbers(21, a=np.arange(21) + 1000.5)
    return built(store, parquet(numbers(), "real.parquet")), built(store, parquet(drawn, "drawn.parquet"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Records, Records]:
    """Return the same two sets of records for every example of a property."""
    folder = tmp_path_factory.mktemp("records")
    for name, table in {"real": numbers(), "drawn": numbers(21, a=np.arange(21) + 1000.5)}.items():
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    real, drawn = (built(Store(folder / "root"), str(folder / f"{name}.parquet")) for name in ("real", "drawn"))
    return real, drawn


# Real records and drawn ones


def test_drawn_records_are_numbered_after_the_real_ones(two: tuple[Records, Records]) -> None:
    both = WithDrawn(*two)
    X, y = both.take([0, N - 1, N, N + 20])
    assert X[:, 0].tolist() == [0.5, N - 0.5, 1000.5, 1020.5] and y.tolist() == [0, (N - 1) % 3, 0, 20 % 3]
    assert both.metadata == two[0].metadata


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.integers(0, N + 20), max_size=30))
def test_any_rows_are_those_of_both_one_after_the_other(pair: tuple[Records, Records], rows: list[int]) -> None:
    real, drawn = pair
    whole = [
        np.concatenate(parts) for parts in zip(*(r.take(np.arange(r.n_records)) for r in (real, drawn)), strict=True)
    ]
    X, y = WithDrawn(real, drawn).take(rows)
    assert np.array_equal(X, whole[0][rows]) and np.array_equal(y, whole[1][rows])
    assert (X.dtype, y.dtype) == (np.float32, np.int64)


def test_without_drawn_records_the_real_ones_are_read_alone(store: Store, two: tuple[Records, Records]) -> None:
    real, drawn = (records.artefact.path for records in two)
    assert with_drawn(store, real, None) is Records.open(store, real)
    assert with_drawn(store, real, drawn) == WithDrawn(Records.open(store, real), Records.open(store, drawn))


@pytest.mark.parametrize("rows", [[N + 21], [-N - 22]])
def test_a_row_that_nobody_has_is_an_error_and_not_another_record(
    two: tuple[Records, Records], rows: list[int]
) -> None:
    with pytest.raises(IndexError):
        WithDrawn(*two).take(rows)


# Parts of a split


def split(store: Store, records: Records, **sizes: int) -> Artefact:
    step = Split(records.artefact.path, sizes.get("members", 10), sizes.get("nonmembers", 8), 0)
    return store.open(ensure(store, step))


def test_every_record_is_in_one_part(store: Store, two: tuple[Records, Records]) -> None:
    dealt = split(store, two[0])
    parts = {part: rows_of(dealt, part) for part in ("member", "nonmember", "pool")}
    assert {part: len(rows) for part, rows in parts.items()} == {"member": 10, "nonmember": 8, "pool": N - 18}
    assert sorted(np.concatenate([*parts.values()]).tolist()) == list(range(N))
    assert all((np.diff(rows) > 0).all() for rows in parts.values())


def test_audited_rows_are_members_and_then_the_others(store: Store, two: tuple[Records, Records]) -> None:
    dealt = split(store, two[0])
    rows = audited_rows(dealt)
    assert rows.tolist() == [*rows_of(dealt, "member").tolist(), *rows_of(dealt, "nonmember").tolist()]


def test_a_part_that_there_is_not_has_no_rows(store: Store, two: tuple[Records, Records]) -> None:
    assert len(rows_of(split(store, two[0]), "ghost")) == 0


def test_shadow_models_draw_from_the_pool_or_from_what_was_drawn(store: Store, two: tuple[Records, Records]) -> None:
    dealt, (_, drawn) = split(store, two[0]), two
    assert np.array_equal(pool_rows(store, dealt, None), rows_of(dealt, "pool"))
    assert pool_rows(store, dealt, drawn.artefact.path).tolist() == list(range(N, N + 21))


def test_a_split_that_lost_its_file_is_an_error_and_not_an_empty_part(
    store: Store, two: tuple[Records, Records]
) -> None:
    dealt = split(store, two[0])
    Path(store.root, dealt.file("split.parquet")).unlink()
    with pytest.raises(StoreError, match=dealt.path):
        store.open(dealt.path)


def test_records_that_lost_bytes_are_an_error_and_not_other_records(store: Store, two: tuple[Records, Records]) -> None:
    file = Path(store.root, two[0].artefact.file("records.parquet"))
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(StoreError, match=two[0].artefact.path):
        store.open(two[0].artefact.path)


# What is known of records


@pytest.mark.parametrize("model", [RecordsMetadata, SourceMetadata])
def test_what_the_manifest_says_comes_back(store, parquet, model: type[RecordsMetadata]) -> None:
    table = numbers(c=np.array(["u", "v", "w"])[np.arange(N) % 3])
    records = built(store, parquet(table), precision="float64")
    known = model.read(records.artefact)
    assert model.model_validate_json(known.model_dump_json()) == known
    assert (known.n_records, known.n_features, known.label_counts) == (N, 3, (10, 10, 10))
    assert (known.feature_names, known.categorical, dict(known.categories)) == (
        ("a", "b", "c"),
        (2,),
        {"c": ("u", "v", "w")},
    )
    assert known.low == (0.5, 0, 0) and known.high == (N - 0.5, 1, 2) and known.integral == (False, True, True)


def test_a_reader_says_what_the_manifest_says(store, parquet) -> None:
    records = built(
        store, parquet(numbers(s=np.array(["x", "y"])[np.arange(N) % 2])), slices=("s",), precision="float64"
    )
    assert (records.n_records, records.n_features) == (N, 2)
    assert (records.feature_names, records.classes, records.categorical) == (["a", "b"], [0, 1, 2], ())
    assert (records.precision, records.slices) == ("float64", ("s",))
    assert records.slice_values("s").tolist() == ["x", "y"] * (N // 2)
    assert records.known_parts() is None and records.places() is None


def test_records_are_opened_once_and_the_last_two_stay_open(store, parquet) -> None:
    paths = [built(store, parquet(numbers(a=np.arange(N) + i + 0.5), f"{i}.parquet")).artefact.path for i in range(3)]
    first = Records.open(store, paths[0])
    assert Records.open(store, paths[0]) is first
    for path in paths[1:]:
        Records.open(store, path)
    assert Records.open(store, paths[0]) is not first
    assert Records.open(store, paths[0]).artefact.key == first.artefact.key


# Domains


@pytest.mark.parametrize(
    ("column", "low", "high", "is_whole", "is_bit", "span"),
    [
        (np.arange(N) % 2, 0, 1, True, True, 2),
        (np.zeros(N), 0, 1, True, True, 2),  # always the same bit, but a bit could be either
        (np.ones(N), 0, 1, True, True, 2),
        (np.arange(N) % 5, 0, 4, True, False, 5),
        (np.arange(N) % 2 - 1, -1, 0, True, False, 2),
        (np.arange(N) / 2, 0, (N - 1) / 2, False, False, (N - 1) / 2),
        (np.full(N, 0.5), 0.5, 0.5, False, False, 0),
        (np.array(["u", "v"])[np.arange(N) % 2], 0, 1, True, False, 2),  # codes of a category, and no bit
        (np.array(["u", "v", "w"])[np.arange(N) % 3], 0, 2, True, False, 3),
    ],
)
def test_what_values_a_feature_can_have(
    store, parquet, column: Any, low: float, high: float, is_whole: bool, is_bit: bool, span: float
) -> None:
    found = built(store, parquet({"z": column, "y": np.arange(N) % 3}), duplicates="keep").domain
    values = (found.low, found.high, found.is_whole, found.is_bit, found.span)
    assert [value.item() for value in values] == [low, high, is_whole, is_bit, span]


def test_a_domain_s_span_counts_whole_numbers_and_measures_others() -> None:
    low, high = np.array([0.0, 3, -1]), np.array([1.0, 3, 0.5])
    is_whole = np.array([True, True, False])
    assert Domain(low, high, is_whole, np.zeros(3, bool)).span.tolist() == [2, 1, 1.5]


# The order of rows decides nothing but the order


@settings(deadline=None, derandomize=True, max_examples=12)
@given(st.permutations(range(12)))
def test_records_in_another_order_are_the_same_records(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    columns = {
        "a": np.arange(12) * 1.5,
        "c": np.array(["u", "v", "w", "x"])[np.arange(12) % 4],
        "y": np.array(["no", "yes"])[np.arange(12) % 2],
    }
    folder = tmp_path_factory.mktemp("order")
    store = Store(folder / "root")
    both = []
    for i, rows in enumerate((np.arange(12), np.array(order))):
        pq.write_table(pa.table({name: column[rows] for name, column in columns.items()}), folder / f"{i}.parquet")
        both.append(built(store, str(folder / f"{i}.parquet")))
    one, other = both
    X, y = one.take(order)
    assert np.array_equal(X, other.take(np.arange(12))[0]) and np.array_equal(y, other.labels())
    for name in ("classes", "categories", "low", "high", "label_counts", "binary", "integral"):
        assert getattr(one.metadata, name) == getattr(other.metadata, name), name


@pytest.mark.parametrize("names", [["a", "b", "c"], ["C", "a", "b"], [5, 1, 9], [True, False]])
def test_classes_under_other_names_are_the_same_classes(store, parquet, names: list[Any]) -> None:
    """What a class is called decides its number by its place among the sorted names, and nothing else."""
    n = len(names)
    records = built(store, parquet({"a": np.arange(N) + 0.5, "y": [names[i % n] for i in range(N)]}))
    places = {name: sorted(names).index(name) for name in names}
    assert records.labels().tolist() == [places[names[i % n]] for i in range(N)]
    assert records.classes == sorted(names)
