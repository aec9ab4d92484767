"""Which column is what: by its name in the spec, then by its type; and what the data part of a spec says of itself."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from umbrameter.errors import DataError
from umbrameter.records.columns import Columns, columns_of
from umbrameter.records.sources import CatalogueData, GeneratedData, ParquetData, SidesData
from umbrameter.spec.audit import AuditSpec

NUMBERS = [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.decimal128(9, 2)]
TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
TIMES = [pa.timestamp("s"), pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("ns"), pa.duration("us")]
LISTS = [pa.list_(pa.float32()), pa.large_list(pa.int8()), pa.list_(pa.float64(), 4)]
OTHERS = [pa.binary(), pa.struct({"a": pa.int8()}), pa.list_(pa.string(), 3), pa.list_(pa.list_(pa.int8()))]
LABELS = [pa.int64(), pa.uint8(), pa.bool_(), pa.float64(), pa.string(), pa.dictionary(pa.int8(), pa.string())]


def roles(types: dict[str, pa.DataType], **settings: Any) -> Columns:
    """Return the roles of the columns of some types; `y` is the label unless it is said otherwise."""
    given = {"label": "y", "ident": None, "features": None, "ignore": (), "slices": ()} | settings
    return columns_of(pa.schema(types.items()), **given)


def refusal(types: dict[str, pa.DataType], **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        roles(types, **settings)
    return str(caught.value)


# By type


@pytest.mark.parametrize("kind", [*TIMES, pa.null()], ids=str)
def test_times_and_columns_without_values_are_features(kind: pa.DataType) -> None:
    found = roles({"a": kind, "y": pa.int64()})
    assert (found.features, found.categories, found.lists) == (("a",), (), ())


@pytest.mark.parametrize("kind", NUMBERS, ids=str)
def test_numbers_and_booleans_are_numbers(kind: pa.DataType) -> None:
    found = roles({"a": kind, "y": pa.int64()})
    assert (found.features, found.categories) == (("a",), ())


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_text_is_a_category(kind: pa.DataType) -> None:
    found = roles({"a": kind, "y": pa.int64()})
    assert (found.features, found.categories) == (("a",), ("a",))


@pytest.mark.parametrize("width", [1, 784])
def test_a_fixed_size_list_of_numbers_is_the_whole_matrix(width: int) -> None:
    found = roles({"x": pa.list_(pa.float32(), width), "y": pa.int64()})
    assert (found.vector, found.lists, found.features) == ("x", ("x",), ("x",))


@pytest.mark.parametrize("kind", OTHERS, ids=str)
def test_what_cannot_be_a_feature_is_named_with_its_type_unless_it_is_ignored(kind: pa.DataType) -> None:
    types = {"a": pa.int8(), "odd": kind, "y": pa.int64()}
    (text,) = roles(types).faults  # the other columns can be looked at
    assert f"odd ({kind})" in text and "data.ignore" in text
    assert refusal({"odd": kind, "y": pa.int64()}) == text
    assert roles(types, ignore=("odd",)).used == ["y", "a"]


@pytest.mark.parametrize("kind", LABELS, ids=str)
def test_labels_are_integers_booleans_or_text(kind: pa.DataType) -> None:
    assert roles({"a": pa.int8(), "y": kind}).label == "y"


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.binary(), pa.list_(pa.int8(), 2), pa.decimal128(4, 1)], ids=str)
def test_what_is_no_class_is_no_label(kind: pa.DataType) -> None:
    assert f"data.label='y' holds {kind}" in refusal({"a": pa.int8(), "y": kind})


@pytest.mark.parametrize("kind", LISTS, ids=str)
@pytest.mark.parametrize("other", [{"a": pa.int8()}, {"w": pa.list_(pa.int8(), 2)}, {"c": pa.string()}])
def test_lists_are_one_matrix_or_columns_beside_others(kind: pa.DataType, other: dict[str, pa.DataType]) -> None:
    types = {"x": kind, **other, "y": pa.int64()}
    found = roles(types)
    assert found.vector is None and "x" in found.lists and found.features == ("x", *other)
    assert roles(types, features=("x",)).vector == "x"


def test_all_that_the_columns_lack_is_said_at_once() -> None:
    text = refusal(TYPES, label="yy", ident="z", features=("a", "q"))
    assert "data.label='yy' is not a column" in text and "data.id='z'" in text and "data.features='q'" in text
    assert "the data need 3 corrections" in text
    assert "data.label='lable' is not a column (did you mean 'label'?)" in refusal({"label": pa.int8()}, label="lable")


# By name


def test_the_index_of_a_data_frame_is_no_feature_unless_it_is_listed() -> None:
    types = {"a": pa.int8(), "__index_level_0__": pa.int64(), "y": pa.int64()}
    index = ("__index_level_0__",)
    assert roles(types, index=index).features == ("a",)
    assert roles(types, index=index, features=("__index_level_0__", "a")).features == ("__index_level_0__", "a")
    assert roles(types, index=index, ident="__index_level_0__").id == "__index_level_0__"


TYPES = {"id": pa.int64(), "a": pa.int8(), "c": pa.string(), "s": pa.string(), "t": pa.timestamp("s"), "y": pa.int8()}


def test_what_is_named_otherwise_is_no_feature() -> None:
    found = roles(TYPES, ident="id", ignore=("t",), slices=("s",))
    assert (found.features, found.categories, found.slices) == (("a", "c"), ("c",), ("s",))
    assert sorted(found.used) == ["a", "c", "id", "s", "y"]


def test_a_slice_may_be_a_feature_where_it_is_listed_as_one() -> None:
    found = roles(TYPES, features=("a", "s"), slices=("s",))
    assert found.categories == found.slices == ("s",) and found.used.count("s") == 1


def test_features_come_in_the_order_in_which_they_are_listed() -> None:
    types = {"t": pa.string(), "a": pa.int8(), "u": pa.string(), "b": pa.bool_(), "y": pa.int8()}
    assert roles(types, features=("b", "u", "a")).features == ("b", "u", "a")
    assert roles(types).features == ("t", "a", "u", "b")


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"label": "z"}, "data.label='z'"),
        ({"ident": "z"}, "data.id='z'"),
        ({"features": ("a", "z")}, "data.features='z'"),
        ({"ignore": ("z",)}, "data.ignore='z'"),
        ({"slices": ("z",)}, "data.slices='z'"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(settings: dict[str, Any], setting: str) -> None:
    text = refusal(TYPES, **settings)
    assert setting in text and "id, a, c, s, t, y" in text


def test_a_model_that_sees_its_answer_cannot_be_audited() -> None:
    assert "'y'" in refusal(TYPES, features=("a", "y"))


@pytest.mark.parametrize("ignore", [("id", "a", "c", "s", "t")])
def test_without_a_feature_there_is_nothing_to_learn(ignore: tuple[str, ...]) -> None:
    assert "data.features" in refusal(TYPES, ignore=ignore)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.data())
def test_every_column_has_one_role_or_none(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from("abcdefg"), unique=True, min_size=1))
    kinds = {name: data.draw(st.sampled_from([*NUMBERS, *TEXTS])) for name in names} | {"y": pa.int64()}
    ignored, sliced = (data.draw(st.lists(st.sampled_from(names), unique=True)) for _ in range(2))
    left = [name for name in names if name not in {*ignored, *sliced}]
    if not left:
        assert "data.features" in refusal(kinds, ignore=ignored, slices=sliced)
        return
    found = roles(kinds, ignore=ignored, slices=sliced)
    assert [*found.features] == [name for name in kinds if name in left]
    assert [*found.categories] == [name for name in found.features if kinds[name] in TEXTS]
    assert {*found.used} == {"y", *left, *sliced} and len(found.used) == len({*found.used})
    shuffled = {name: kinds[name] for name in data.draw(st.permutations([*kinds]))}
    again = roles(shuffled, ignore=ignored, slices=sliced)
    assert {*again.features} == {*found.features} and {*again.categories} == {*found.categories}


# The data part of a spec


@pytest.mark.parametrize(
    ("data", "name", "paths"),
    [
        (ParquetData(path="s3://bucket/people/", label="y"), "people", {"path": "s3://bucket/people/"}),
        (ParquetData(path="people.parquet", label="y"), "people.parquet", {"path": "people.parquet"}),
        (SidesData(members="a/m", nonmembers="b/n", label="y"), "m", {"members": "a/m", "nonmembers": "b/n"}),
        (
            SidesData(members="m", nonmembers="n", pool="p", label="y"),
            "m",
            {"members": "m", "nonmembers": "n", "pool": "p"},
        ),
    ],
)
def test_records_are_called_by_their_last_name_and_lie_where_it_says(
    data: ParquetData | SidesData, name: str, paths: dict[str, str]
) -> None:
    assert (data.name, data.paths) == (name, paths)


@pytest.mark.parametrize(
    ("data", "is_known"),
    [
        (ParquetData(path="a", label="y"), False),
        (ParquetData(path="a", label="y", id="i", membership="m"), True),
        (SidesData(members="m", nonmembers="n", label="y"), True),
        (CatalogueData(name="adult"), False),
        (GeneratedData(records=10), False),
    ],
)
def test_members_are_known_where_the_data_say_who_they_are(data: Any, is_known: bool) -> None:
    assert data.knows_members == is_known


def test_records_that_are_there_twice_stop_one_kind_of_data_and_not_the_other() -> None:
    assert ParquetData(path="a", label="y").duplicates == "error"
    assert SidesData(members="m", nonmembers="n", label="y").duplicates == "drop"


@pytest.mark.parametrize("kind", ["purchase", "texas"])
def test_made_up_records_are_never_taken_for_the_real_ones(kind: str) -> None:
    assert GeneratedData(like=kind, records=10).name == f"{kind}-like, generated"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "generated", "records": 1},
        {"kind": "generated", "records": 9, "density": 1.0},
        {"kind": "generated", "records": 9, "distinctness": 1.1},
        {"kind": "generated", "records": 9, "classes": 1},
        {"kind": "generated", "records": 9, "like": "adult"},
        {"kind": "parquet", "path": "", "label": "y"},
        {"kind": "parquet", "path": "a", "label": "y", "features": []},
        {"kind": "parquet", "path": "a", "label": "y", "precision": "float16"},
        {"kind": "sides", "members": "a", "label": "y"},
        {"kind": "catalogue"},
    ],
)
def test_data_that_are_none_are_refused(settings: dict[str, Any]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AuditSpec.model_fields["data"].annotation)
    with pytest.raises(ValidationError):
        adapter.validate_python(settings)
