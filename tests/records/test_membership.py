"""Which records are members of a target trained elsewhere: tables of ids, sides, splits, and invalid specs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.errors import DataError, PlanError, SpecError
from umbrameter.records.build import build
from umbrameter.records.membership import Membership
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.split import PARTS, Split
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import ensure

N = 40


def written(folder: Path, name: str, **columns: Any) -> str:
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table(columns), path)
    return str(path)


def people(folder: Path, ids: Any = None, a: Any = None) -> ParquetData:
    ids = pa.array(range(100, 100 + N)) if ids is None else ids
    a = np.arange(N) + 0.5 if a is None else a
    return ParquetData(path=written(folder, "data", person=ids, a=a, y=np.arange(N) % 2), label="y", id="person")


def known(folder: Path, data: ParquetData, **columns: Any) -> Records:
    """Return records with a table of who is member."""
    table = Membership(written(folder, "who", **columns), "person", "data.membership")
    store = Store(folder / "root")
    return Records.open(store, build(data, store, table).path)


def parts(records: Records) -> list[int]:
    found = records.known_parts()
    assert found is not None
    return list(found.tolist())


# A table of ids

SOME, IS_MEMBER = [139, 100, 105, 120], [True, False, True, False]
EXPECTED = [{39: 0, 0: 1, 5: 0, 20: 1}.get(row, 2) for row in range(N)]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (pa.int64(), pa.int64()),
        (pa.int32(), pa.int64()),
        (pa.string(), pa.string()),
        (pa.string(), pa.large_string()),
        (pa.large_string(), pa.string()),
        (pa.string(), pa.dictionary(pa.int32(), pa.string())),
        (pa.dictionary(pa.int32(), pa.string()), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.string(), pa.string_view()),
        (pa.string(), pa.int64()),
        (pa.int64(), pa.string()),
    ],
    ids=str,
)
def test_ids_of_any_type(tmp_path: Path, theirs: pa.DataType, ours: pa.DataType) -> None:
    def ids(values: Sequence[int], kind: pa.DataType) -> pa.Array:
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        found = pa.array(values).cast(pa.string()).cast(value) if value != pa.int64() else pa.array(values)
        return found.dictionary_encode() if pa.types.is_dictionary(kind) else found

    data = people(tmp_path, ids(range(100, 140), ours))
    records = known(tmp_path, data, person=ids(SOME, theirs), is_member=IS_MEMBER)
    assert parts(records) == EXPECTED
    places = records.places()
    assert places is not None and [int(places[row]) for row in (39, 0, 5, 20, 1)] == [0, 1, 2, 3, -1]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"person": [*SOME, 7], "is_member": [*IS_MEMBER, True]}, "has 1 ids that no record has, such as 7; correct"),
        ({"person": [*SOME, 100], "is_member": [*IS_MEMBER, True]}, "has ids twice in its column 'person'; give each"),
        ({"person": [*SOME, None], "is_member": [*IS_MEMBER, True]}, "has rows without person; fill them"),
        ({"person": SOME, "is_member": [*IS_MEMBER[:3], None]}, "has rows without is_member; fill them"),
        (
            {"person": SOME, "is_member": [1, 0, 2, 0]},
            "has is_member of type int64 with the values 2; expected true and",
        ),
        (
            {"person": SOME, "is_member": ["yes", "no", "val", "no"]},
            "has is_member of type string with the values val; exp",
        ),
        ({"person": SOME, "member": IS_MEMBER}, "has no column is_member; it has person, member"),
        ({"id": SOME, "is_member": IS_MEMBER}, "has no column person; it has id, is_member"),
        (
            {"person": ["a", "b", "c", "d"], "is_member": IS_MEMBER},
            "has ids of type string, and the records have int64",
        ),
        ({"person": pa.array([], pa.int64()), "is_member": pa.array([], pa.bool_())}, "has no rows"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, columns: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=rf"data\.membership='.*who\.parquet' {text}"):
        known(tmp_path, people(tmp_path), **columns)


def test_no_table_there(tmp_path: Path) -> None:
    table = Membership(str(tmp_path / "none.parquet"), "person", "data.membership")
    with pytest.raises(DataError, match=r"data\.membership='.*none\.parquet' does not exist"):
        build(people(tmp_path), Store(tmp_path / "root"), table)


@pytest.mark.parametrize(
    "written",
    [{True: 1, False: 0}, {True: 1.0, False: 0.0}, {True: "train", False: "test"}, {True: "Yes", False: "no"}],
)
def test_sides_however_they_are_written(tmp_path: Path, written: dict[bool, Any]) -> None:
    records = known(tmp_path, people(tmp_path), person=SOME, is_member=[written[who] for who in IS_MEMBER])
    assert parts(records) == EXPECTED


def test_another_table_makes_other_records(tmp_path: Path) -> None:
    first = known(tmp_path, people(tmp_path), person=SOME, is_member=IS_MEMBER)
    second = known(tmp_path, people(tmp_path), person=SOME, is_member=[not who for who in IS_MEMBER])
    assert first.artefact.key != second.artefact.key
    assert parts(second) == [{0: 1, 1: 0, 2: 2}[part] for part in parts(first)]


def test_of_equal_records_the_member_stays_wherever_it_is(tmp_path: Path) -> None:
    values = np.arange(N) + 0.5
    values[[4, 8, 12]] = values[[34, 38, 10]]
    data = people(tmp_path, a=values).model_copy(update={"duplicates": "drop"})
    ids = np.array([4, 34, 8, 38, 10]) + 100  # 12 is of the pool, like 10 but for that
    records = known(tmp_path, data, person=ids, is_member=[False, True, True, False, False])
    X = records.take(np.arange(records.n_records))[0][:, 0]
    found = dict(zip(X.tolist(), parts(records), strict=True))
    assert (records.n_records, found[34.5], found[38.5], found[10.5]) == (N - 3, 0, 0, 1)
    places = records.places()
    assert places is not None and sorted(places[places >= 0].tolist()) == [1, 2, 4]
    assert records.artefact.meta["warnings"] == [
        "3 of 40 records repeat another in features and label; these were left out",
        "2 non-members repeat members",
        "1 records of the pool repeat non-members",
    ]


# Sides


def side(folder: Path, name: str, values: Sequence[float], **columns: Any) -> str:
    return written(
        folder, name, **({"a": np.array(values, dtype=float), "y": np.array(values).astype(int) % 2} | columns)
    )


def sides(folder: Path, *values: Sequence[float], **options: Any) -> Records:
    paths = {name: side(folder, name, v) for name, v in zip(("members", "nonmembers", "pool"), values, strict=False)}
    store = Store(folder / "root")
    return Records.open(store, build(SidesData(label="y", **paths, **options), store).path)


def test_each_side_is_a_part(tmp_path: Path) -> None:
    records = sides(tmp_path, [0, 1, 2], [3, 4], [5, 6, 7, 8])
    assert parts(records) == [0] * 3 + [1] * 2 + [2] * 4 and records.places() is None
    assert records.take(np.arange(9))[0][:, 0].tolist() == list(range(9))
    assert records.artefact.meta["warnings"] == []
    assert parts(sides(tmp_path, [0, 1, 2], [3, 4])) == [0] * 3 + [1] * 2


def test_copies_on_a_later_side_are_left_out_and_counted(tmp_path: Path) -> None:
    records = sides(tmp_path, [0, 1, 2, 2], [2, 3, 4, 1], [4, 4, 0, 9, 8])
    assert records.take(np.arange(records.n_records))[0][:, 0].tolist() == [0, 1, 2, 3, 4, 9, 8]
    assert parts(records) == [0, 0, 0, 1, 1, 2, 2]
    assert records.artefact.meta["warnings"] == [
        "6 of 13 records repeat another in features and label; these were left out",
        "2 non-members repeat members",
        "1 records of the pool repeat members",
        "2 records of the pool repeat non-members",
    ]


def test_copies_may_be_kept_or_refused(tmp_path: Path) -> None:
    records = sides(tmp_path, [0, 1], [1, 2], duplicates="keep")
    assert parts(records) == [0, 0, 1, 1]
    assert records.artefact.meta["warnings"][1] == "1 non-members repeat members"
    with pytest.raises(DataError, match=r"1 of 4 records repeat another .* first row 2 \(equal to row 1\)"):
        sides(tmp_path, [0, 1], [1, 2], duplicates="error")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"b": np.zeros(2)}, r"data\.members='.*members\.parquet' has no column 'b', and data\.nonmembers=.* has one"),
        (
            {"a": pa.array([1, 2])},
            r"data\.nonmembers='.*others\.parquet' holds the column 'a' as int64, and data\.members=.* as double",
        ),
        (
            {"y": pa.array(["0", "1"])},
            r"data\.nonmembers=.* holds the column 'y' as string, and data\.members=.* int64",
        ),
    ],
)
def test_sides_of_different_columns(tmp_path: Path, columns: dict[str, Any], text: str) -> None:
    members = side(tmp_path, "members", [0, 1])
    data = SidesData(members=members, nonmembers=side(tmp_path, "others", [2, 3], **columns), label="y")
    with pytest.raises(DataError, match=text):
        build(data, Store(tmp_path / "root"))


def test_sides_that_differ_only_in_nullability(tmp_path: Path) -> None:
    members, others = side(tmp_path, "members", [0, 1]), side(tmp_path, "others", [2, 3])
    table = pq.read_table(others)
    pq.write_table(table.cast(pa.schema([field.with_nullable(False) for field in table.schema])), others)
    store = Store(tmp_path / "root")
    for first, second in ((members, others), (others, members)):
        records = Records.open(store, build(SidesData(members=first, nonmembers=second, label="y"), store).path)
        assert parts(records) == [0, 0, 1, 1]


def test_a_side_that_is_missing_or_empty(tmp_path: Path) -> None:
    members = side(tmp_path, "members", [0, 1])
    for name, text in (("none", "does not exist"), ("empty", "has no rows")):
        side(tmp_path, "empty", [])
        data = SidesData(members=members, nonmembers=str(tmp_path / f"{name}.parquet"), label="y")
        with pytest.raises(DataError, match=rf"data\.nonmembers='.*{name}\.parquet' {text}"):
            build(data, Store(tmp_path / "root"))


# The split


def split(
    records: Records, members: int | None = None, nonmembers: int | None = None, seed: int = 0
) -> list[list[int]]:
    store = records.artefact.store
    dealt = store.open(ensure(store, Split(records.artefact.path, members, nonmembers, seed)))
    return [rows_of(dealt, part).tolist() for part in PARTS]


@pytest.fixture
def three_sides(tmp_path: Path) -> Records:
    return sides(tmp_path, range(10), range(10, 18), range(18, 24))


def test_all_that_are_known(three_sides: Records) -> None:
    assert split(three_sides) == [[*range(10)], [*range(10, 18)], [*range(18, 24)], []]
    assert split(three_sides, 10, 8) == split(three_sides, seed=1) == split(three_sides)


def test_fewer_are_drawn_and_the_rest_is_no_pool(three_sides: Records) -> None:
    members, others, pool, unused = split(three_sides, 4, 3)
    assert len(members) == 4 and set(members) < set(range(10))
    assert len(others) == 3 and set(others) < set(range(10, 18))
    assert pool == [*range(18, 24)]
    assert sorted(members + others + unused) == [*range(18)]
    assert split(three_sides, 4, 3, seed=1)[0] != members
    assert [len(rows) for rows in split(three_sides, 4)] == [4, 8, 6, 6]
    assert [len(rows) for rows in split(three_sides, None, 3)] == [10, 3, 6, 5]


def test_more_than_are_known(three_sides: Records) -> None:
    with pytest.raises(PlanError, match=r"the data have 10 known members; lower split\.members \(11\)"):
        split(three_sides, 11)
    with pytest.raises(PlanError, match=r"the data have 8 known nonmembers; lower split\.nonmembers \(9\)"):
        split(three_sides, 10, 9)


@pytest.mark.parametrize("who", [True, False])
def test_a_table_of_members_alone_or_of_others_alone(tmp_path: Path, who: bool) -> None:
    records = known(tmp_path, people(tmp_path), person=SOME, is_member=[who] * 4)
    name = "nonmembers" if who else "members"
    with pytest.raises(PlanError, match=f"the data have 0 known {name}; give data with {name}"):
        split(records)


def test_a_class_without_members_is_allowed_when_membership_is_known(tmp_path: Path) -> None:
    assert split(sides(tmp_path, [0, 2, 4], [1, 3, 5]))[:2] == [[0, 1, 2], [3, 4, 5]]


# Specs that do not go together

PARQUET = "{kind: parquet, path: data.parquet, label: y%s}"
SIDES = "{kind: sides, members: a.parquet, nonmembers: b.parquet, label: y}"
TRAIN = "{kind: train, estimator: {kind: random_forest}}"
ENDPOINT = "{kind: endpoint, url: 'http://localhost'}"
STORED = "{kind: predictions, path: answers.parquet}"


def spec(data: str, target: str, *settings: str) -> AuditSpec:
    base = "name: demo\nattacks: [{kind: loss}]\nshadows: {estimator: {kind: logistic_regression}}"
    return AuditSpec.from_yaml(base, [f"data={data}", f"target={target}", *settings])


@pytest.mark.parametrize(
    ("data", "target", "settings", "text"),
    [
        (PARQUET % "", TRAIN, [], r"split is missing: say how many members and non-members, such as split: {members: "),
        (PARQUET % "", STORED, [], r"target\.kind=predictions: stored answers name records by data\.id and say which"),
        (PARQUET % ", id: i, membership: m", STORED, [], r"target\.kind=predictions: .* id and without membership"),
        (SIDES, STORED, [], r"target\.kind=predictions: .* give data of kind parquet with id and without membership"),
        (
            PARQUET % ", id: i",
            ENDPOINT,
            ["split={members: 9}"],
            r"target\.kind=endpoint: say which records are in its",
        ),
        (
            "{kind: catalogue, name: adult}",
            "{kind: object}",
            ["split={members: 9}"],
            r"target\.kind=object: say which records are in its training set: .* of kind sides .* id and membership",
        ),
        (
            PARQUET % "",
            "{kind: registry, model: 'models:/a@b'}",
            ["split={members: 9}"],
            r"target\.kind=registry: say which records",
        ),
        (
            PARQUET % ", membership: m",
            ENDPOINT,
            [],
            r"data\.membership names records by id; set data\.id to the column",
        ),
        (
            SIDES,
            ENDPOINT,
            ["mitigations=[{kind: params, params: {max_depth: 3}}]"],
            r"mitigations: params\(max_depth=3\) acts in the training, and a target of kind endpoint was trained",
        ),
        (
            SIDES,
            ENDPOINT,
            ["shadows={}", "attacks=[{kind: shokri}]"],
            r"shadows\.estimator is missing: the target, of kind endpoint, is not trained here",
        ),
        (
            PARQUET % ", id: i",
            STORED,
            ["attacks=[{kind: shokri}]", "shadows.data={kind: model_based}"],
            r"shadows\.data\.kind=model_based queries the target, of which only stored answers are available",
        ),
        (SIDES, "{kind: registry, model: churn}", [], r"target\.model='churn': String should match pattern"),
        (
            SIDES,
            "{kind: elsewhere}",
            [],
            r"target\.kind='elsewhere': unknown kind; expected one of train, registry",
        ),
        (SIDES, "{kind: object, labels: [a]}", [], r"target\.labels.* at least 2 items"),
    ],
)
def test_incompatible_settings_are_refused(data: str, target: str, settings: list[str], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        spec(data, target, *settings)


@pytest.mark.parametrize(
    ("data", "target", "settings"),
    [
        (SIDES, ENDPOINT, []),
        (PARQUET % ", id: i, membership: m", ENDPOINT, []),
        (PARQUET % ", id: i", STORED, []),
        (SIDES, TRAIN, []),
        (SIDES, ENDPOINT, ["shadows={}"]),  # a loss threshold trains no shadow model
        (SIDES, ENDPOINT, ["mitigations=[{kind: rounding, decimals: 1}]"]),
        (PARQUET % ", id: i", STORED, ["shadows.data={kind: noisy, rate: 0.1}", "attacks=[{kind: shokri}]"]),
    ],
)
def test_compatible_settings_are_accepted(data: str, target: str, settings: list[str]) -> None:
    assert spec(data, target, *settings).is_known
