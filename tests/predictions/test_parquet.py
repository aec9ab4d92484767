"""Stored predictions as Parquet: what forms they may have, that batches change nothing, and what is wrong where."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.errors import DataError
from umbrameter.predictions import parquet
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.store.arrow import vector_column
from umbrameter.typing import Floats

N, N_CLASSES = 25, 12
RNG = np.random.default_rng(0)
ANSWERS = RNG.dirichlet(np.ones(N_CLASSES), N).astype(np.float32)
COLUMNS: dict[str, Any] = {"label": RNG.integers(0, N_CLASSES, N), "is_member": np.arange(N) % 2 == 0}


def stored(folder: Path, *, rounded: bool = False, **columns: Any) -> StoredPredictions:
    """Write a table of the columns, and open it; those that are None are left out."""
    whole = {**COLUMNS, "prediction": vector_column(ANSWERS), **columns}
    table = pa.table({name: values for name, values in whole.items() if values is not None})
    pq.write_table(table, folder / "x.parquet", row_group_size=7)
    return StoredPredictions(folder / "x.parquet", "TARGET", rounded)


def read(predictions: StoredPredictions) -> Floats:
    return np.concatenate([batch.vectors.predictions for batch in predictions.batches()])


# Forms


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32(), N_CLASSES), pa.list_(pa.float64()), pa.large_list(pa.float32())], ids=str
)
def test_lists_of_any_kind_hold_answers(tmp_path: Path, kind: pa.DataType) -> None:
    found = stored(tmp_path, prediction=pa.array(ANSWERS.tolist(), type=kind))
    assert found.n_classes == N_CLASSES and read(found).dtype == np.float32
    assert np.array_equal(read(found), ANSWERS)


def test_columns_are_in_the_order_of_their_numbers_wherever_they_stand(tmp_path: Path) -> None:
    columns = {f"p_{i}": ANSWERS[:, i].astype(np.float64) for i in RNG.permutation(N_CLASSES)}
    found = stored(tmp_path, prediction=None, **columns)
    assert found.n_classes == N_CLASSES and np.array_equal(read(found), ANSWERS)


def test_a_folder_of_files_is_read_in_order_as_one(tmp_path: Path) -> None:
    whole = pa.table({**COLUMNS, "prediction": vector_column(ANSWERS)})
    for i, part in enumerate((whole.slice(0, 10), whole.slice(10, 0), whole.slice(10))):
        pq.write_table(part, tmp_path / f"part-{i}.parquet")
    found = StoredPredictions(tmp_path)
    assert found.n_records == N and np.array_equal(read(found), ANSWERS)
    assert np.concatenate([b.record_ids for b in found.batches()]).tolist() == [*range(N)]


@pytest.mark.parametrize("order", [1, -1])
def test_files_of_different_columns_are_named(tmp_path: Path, order: int) -> None:
    whole = pa.table({**COLUMNS, "prediction": vector_column(ANSWERS)})
    tables = [whole.append_column("ward", pa.array(["a"] * N)), whole.select(whole.column_names[::-1])][::order]
    for i, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"{i}.parquet")
    with pytest.raises(
        DataError, match=r"different columns: ward is not in both .*1\.parquet and the first file; write"
    ):
        StoredPredictions(tmp_path)


@pytest.mark.parametrize("size", [1, 7, 10, 1000])
def test_how_many_rows_are_read_at_once_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(parquet, "BATCH", size * N_CLASSES)
    found = stored(tmp_path, model_id=np.arange(N) % 3, sex=["a", "b", "c", "d", "e"] * 5)
    batches = [*found.batches()]
    assert max(len(batch.is_member) for batch in batches) <= size
    for name, expected in (("labels", COLUMNS["label"]), ("predictions", ANSWERS)):
        assert np.array_equal(np.concatenate([getattr(b.vectors, name) for b in batches]), expected)
    assert np.concatenate([b.record_ids for b in batches]).tolist() == [*range(N)]
    assert np.concatenate([b.model_ids for b in batches]).tolist() == (np.arange(N) % 3).tolist()
    assert np.concatenate([b.slices["sex"] for b in batches]).tolist() == ["a", "b", "c", "d", "e"] * 5


def test_answers_alone_need_no_other_column_to_be_right(tmp_path: Path) -> None:
    found = stored(tmp_path, is_member=["maybe"] * N, record_id=[None] * N)
    assert np.array_equal(np.concatenate([v.predictions for v in found.answers()]), ANSWERS)
    with pytest.raises(DataError, match=r"TARGET=.* is_member .*string with the values maybe, which"):
        next(found.batches())


def test_without_ids_a_record_s_number_is_its_row(tmp_path: Path) -> None:
    found = stored(tmp_path)
    assert not found.has_ids and found.record_ids() is None and next(found.batches()).model_ids is None
    ids = RNG.permutation(1000)[:N]
    named = stored(tmp_path, record_id=ids.astype(np.int32))
    assert named.has_ids and np.array_equal(named.record_ids(), ids)


CITIES = ["x", "y", None, "x", "z"] * 5
DAYS = ["1970-01-01", "1970-01-02", None, "1971-01-01", "1970-01-01"] * 5


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array(CITIES, pa.string()), CITIES),
        (pa.array(CITIES, pa.large_string()), CITIES),
        (pa.array(CITIES, pa.string_view()), CITIES),
        (pa.array(CITIES).dictionary_encode(), CITIES),
        (pa.array(CITIES, pa.large_string()).dictionary_encode(), CITIES),
        (pa.array([1.0, None, np.nan, 3, -2] * 5), ["1", None, None, "3", "-2"] * 5),
        (pa.array([1.0, None, np.nan, 3, -2] * 5).cast(pa.float16()), ["1", None, None, "3", "-2"] * 5),
        (pa.array([Decimal("1.00"), None, Decimal("-3.00"), *[None] * 22]), ["1", None, "-3", *[None] * 22]),
        (pa.array([5, None, 7, 5, 0] * 5, pa.uint8()), ["5", None, "7", "5", "0"] * 5),
        (pa.array([0, 1, None, 365, 0] * 5, pa.int32()).cast(pa.date32()), DAYS),
        (pa.array([0, 86_400, None, 31_536_000, 0] * 5, pa.timestamp("s")), [d and f"{d} 00:00:00.000" for d in DAYS]),
        (pa.array([True, False, None, True, True] * 5), ["true", "false", None, "true", "true"] * 5),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
@pytest.mark.parametrize("size", [2, 1000])
def test_values_of_any_plain_type_make_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: pa.Array, texts: list[str | None], size: int
) -> None:
    monkeypatch.setattr(parquet, "BATCH", size * N_CLASSES)
    found = stored(tmp_path, group=values)
    assert found.slices == ["group"] and found.no_slices == {}
    slices = np.concatenate([batch.slices["group"] for batch in found.batches()])
    assert slices.tolist() == ["missing" if text is None else text for text in texts]


def test_columns_that_make_no_slices_are_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH", 5 * N_CLASSES)
    columns: dict[str, Any] = {
        "late": [1.0] * 24 + [0.5],
        "price": pa.array([Decimal("1.25")] * N),
        "tags": [["a"]] * N,
        "raw": [b"a"] * N,
        "none": pa.nulls(N),
        "__index_level_0__": np.arange(N) % 2,
    }
    found = stored(tmp_path, **columns)
    assert found.slices == [] and next(found.batches()).slices == {}
    assert found.no_slices == {
        "late": "holds fractions",
        "price": "holds fractions",
        "tags": "of type list<element: string>",
        "raw": "of type binary",
        "none": "of type null",
        "__index_level_0__": "an index of pandas",
    }


def test_a_predicted_class_beside_columns_of_answers_is_none_and_no_slice(tmp_path: Path) -> None:
    columns = {f"p_{i}": ANSWERS[:, i] for i in range(N_CLASSES)}
    found = stored(tmp_path, prediction=ANSWERS.argmax(axis=1), **columns)
    assert np.array_equal(read(found), ANSWERS) and found.no_slices == {"prediction": "p_0 ... are the answers"}
    with pytest.raises(DataError, match=r"the answers twice, in prediction and in p_0, .*; drop one of the two"):
        stored(tmp_path, **columns)


@pytest.mark.parametrize(
    "kind", [pa.float16(), pa.float32(), pa.float64(), pa.list_(pa.float64(), 1), pa.list_(pa.float32())]
)
def test_one_number_is_the_second_of_two_classes(tmp_path: Path, kind: pa.DataType) -> None:
    p = np.linspace(0, 1, N).astype(np.float16)
    values = [[x] for x in p.tolist()] if pa.types.is_nested(kind) else p
    found = stored(tmp_path, prediction=pa.array(values, kind), label=np.arange(N) % 2)
    assert found.n_classes == 2 and np.allclose(read(found), np.column_stack([1 - p, p]), atol=1e-3)
    bits = [[x % 2] for x in range(N)] if pa.types.is_nested(kind) else (np.arange(N) % 2).astype(np.float16)
    with pytest.raises(DataError, match="one number per record and all 0 or 1: labels; expected lists"):
        stored(tmp_path, prediction=pa.array(bits, kind), label=np.arange(N) % 2)


@pytest.mark.parametrize("kind", [pa.float64(), pa.list_(pa.float64(), 1)])
def test_one_number_near_1_leaves_the_first_class_its_digits(tmp_path: Path, kind: pa.DataType) -> None:
    """In float32 all were 1, so that the first class got 0 of each record: an AUC of .75 was reported as .5."""
    first = 10.0 ** -np.linspace(8, 15, N)
    values = [[p] for p in 1 - first] if pa.types.is_nested(kind) else 1 - first
    found = stored(tmp_path, prediction=pa.array(values, kind), label=np.arange(N) % 2)
    assert np.array_equal(read(found)[:, 0], (1 - (1 - first)).astype(np.float32))
    assert len(np.unique(read(found)[:, 0])) == N


@pytest.mark.parametrize("kind", [pa.float16(), pa.float64(), pa.decimal128(9, 8)])
def test_answers_of_any_precision(tmp_path: Path, kind: pa.DataType) -> None:
    even = np.round(np.full((N, N_CLASSES), 1 / N_CLASSES), 4)
    columns = {f"p_{i}": pa.array(even[:, i]).cast(kind) for i in range(N_CLASSES)}
    assert np.allclose(read(stored(tmp_path, prediction=None, **columns)), even, atol=1e-4)


IS_MEMBER = COLUMNS["is_member"].tolist()


@pytest.mark.parametrize(
    "values",
    [
        [int(x) for x in IS_MEMBER],
        [float(x) for x in IS_MEMBER],
        [str(x) for x in IS_MEMBER],
        pa.array([str(x).lower() for x in IS_MEMBER], pa.string_view()),
        pa.array([str(int(x)) for x in IS_MEMBER]).dictionary_encode(),
        pa.array(IS_MEMBER),
    ],
    ids=["integers", "floats", "text", "string_view", "dictionary", "booleans"],
)
def test_membership_however_it_is_written(tmp_path: Path, values: Any) -> None:
    found = np.concatenate([batch.is_member for batch in stored(tmp_path, is_member=values).batches()])
    assert found.dtype == np.bool_ and found.tolist() == IS_MEMBER


THREE = np.arange(N) % 3


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (THREE.astype(float), [0, 1, 2]),
        (THREE + 1, [1, 2, 3]),
        (THREE * 10 - 5, [-5, 5, 15]),
        (np.array([0.5, 10.5, 1.0])[THREE], [0.5, 1.0, 10.5]),
        (np.float32([0.1, 0.2, 0.3])[THREE], [0.1, 0.2, 0.3]),
        (pa.array(THREE).cast(pa.decimal128(19, 0)), [0, 1, 2]),
        (pa.array(THREE).dictionary_encode(), [0, 1, 2]),
        (pa.array(np.array(["a", "b", "c"])[THREE], pa.large_string()), ["a", "b", "c"]),
        (pa.array(np.array(["0", "1", "2"])[THREE]).dictionary_encode(), ["0", "1", "2"]),
    ],
    ids=["floats", "from 1", "gaps", "fractions", "float32", "decimals", "dictionary", "text", "digits"],
)
def test_labels_that_name_the_confidences_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: Any, classes: list[Any]
) -> None:
    monkeypatch.setattr(parquet, "BATCH", 2 * 3)  # so that no batch has all classes
    found = stored(tmp_path, prediction=vector_column(ANSWERS[:, :3]), label=labels, rounded=True)
    assert found.classes == classes
    codes = np.argsort(np.argsort([0.5, 10.5, 1.0]))[THREE] if 10.5 in classes else THREE
    assert np.concatenate([v.labels for v in found.answers()]).tolist() == codes.tolist()


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.array(["a", "b"])[THREE % 2], r"the labels a, b as text and 3 confidences .* integers 0 \.\. 2"),
        (np.array(["2", "10", "1"])[THREE], "the labels 1, 10, 2 as text"),  # sorted as text, or as numbers?
        (THREE * 2, r"has 4 in row 2 .* labels 0 \.\. 2, by the order of the confidences"),
        (np.where(THREE == 1, -1, THREE), r"has -1 in row 1 "),
        (np.where(THREE == 1, np.inf, THREE), "has inf in row 1 .* expected labels of classes"),
        (THREE + 0.5 * (np.arange(N) < 3), r"the labels 0.0, 0.5, 1.0, 1.5, 2.0, 2.5 and 3 confidences .* integers 0"),
        (np.array([0.0, np.nan, 2.0])[THREE], "has 8 rows without label from row 0 on"),
        (pa.array(["a", "b", None, "c"] * 6 + ["a"]), "has 6 rows without label from row 0 on"),
    ],
)
def test_labels_that_may_mean_several_things(tmp_path: Path, labels: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        [*stored(tmp_path, prediction=vector_column(ANSWERS[:, :3]), label=labels, rounded=True).answers()]


def test_a_folder_s_parts_are_columns_below_the_path_alone(tmp_path: Path) -> None:
    base = tmp_path / "team=red" / "answers"
    frame = pd.DataFrame({f"p_{i}": ANSWERS[:, i] for i in range(N_CLASSES)})
    wards = np.array(["01", "1", "ward 7"])[THREE]
    frame = frame.assign(label=COLUMNS["label"], is_member=IS_MEMBER, ward=wards, row=np.arange(N))
    frame.to_parquet(base, partition_cols=["is_member", "label", "ward"])
    found = StoredPredictions(base)
    assert found.slices == ["row", "ward"]
    batches = [*found.batches()]
    rows = np.concatenate([batch.slices["row"] for batch in batches]).astype(int)
    assert np.array_equal(read(found), ANSWERS[rows]) and sorted(rows.tolist()) == [*range(N)]
    for name, expected in (("is_member", np.array(IS_MEMBER)), ("labels", COLUMNS["label"]), ("ward", wards)):
        values = [
            b.is_member if name == "is_member" else b.vectors.labels if name == "labels" else b.slices["ward"]
            for b in batches
        ]
        assert np.array_equal(np.concatenate(values), expected[rows])


def test_slices_are_the_columns_of_few_kinds_that_have_no_role(tmp_path: Path) -> None:
    found = stored(
        tmp_path,
        record_id=np.arange(N),
        city=pa.array(["x", None] * 12 + ["y"]),
        adult=np.arange(N) % 2 == 0,
        age=np.arange(N) // 5,
        group=pa.array(["k"] * N).dictionary_encode(),
        height=np.linspace(1, 2, N),
        p_not=["words"] * N,
    )
    assert found.slices == ["city", "adult", "age", "group", "p_not"]
    slices = next(found.batches()).slices
    assert slices["city"][:3].tolist() == ["x", "missing", "x"] and set(slices["adult"]) == {"true", "false"}


def test_mitigated_answers_are_others_of_the_same_records(tmp_path: Path) -> None:
    found = stored(tmp_path, record_id=np.arange(N))
    turned = found.through(lambda p: p[:, ::-1])
    assert np.array_equal(read(turned), ANSWERS[:, ::-1])
    distances = np.concatenate([batch.distances for batch in turned.batches()])
    assert np.allclose(distances, np.abs(ANSWERS[:, ::-1].astype(np.float64) - ANSWERS).sum(axis=1))
    assert np.array_equal(np.concatenate([batch.record_ids for batch in turned.batches()]), np.arange(N))
    assert np.array_equal(read(found), ANSWERS) and (next(found.batches()).distances == 0).all()


# What is wrong, and where


def changed(row: int, values: Any) -> pa.Array:
    answers = ANSWERS.copy()
    answers[row] = values
    return vector_column(answers)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"prediction": changed(20, np.inf)}, r"row 20 .*finite"),
        ({"prediction": changed(11, 0.0)}, r"row 11 .*sum to 1"),
        ({"prediction": changed(8, [1.1, -0.1] + [0.0] * 10)}, r"row 8 .*\[0, 1\]"),
        ({"prediction": pa.array([*ANSWERS[:9].tolist(), None, *ANSWERS[10:].tolist()])}, r"has 0 in row 9 "),
        ({"label": np.where(np.arange(N) == 6, -1, COLUMNS["label"])}, r"has -1 in row 6 .*0 \.\. 11"),
        ({"label": pa.array([1] * 24 + [None])}, r"1 rows without label"),
        (
            {"record_id": np.linspace(0, 1, N)},
            r"record_id of type double .* not whole; expected whole",
        ),
        ({"model_id": [[1]] * N}, r"model_id of type list.* expected whole numbers, text or UUIDs"),
        ({"model_id": ["a"] * (N - 1) + [None]}, r"1 rows without model_id"),
        ({"is_member": pa.array([True] * 24 + [None])}, r"is_member .*null"),
    ],
)
def test_the_first_bad_row_is_named(tmp_path: Path, columns: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=rf"TARGET='.*x\.parquet' .*{text}"):
        [*stored(tmp_path, **columns).batches()]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"label": None}, "no column label; it has is_member, prediction"),
        ({"label": None, "is_member": None}, "no column label, is_member"),
        ({"prediction": None}, r"no column prediction \(or p_0"),
        ({"prediction": None, "p_1": np.ones(N)}, r"columns p_1 and labels 1, 2, .*; expected p_0 to p_1"),
        ({"prediction": np.ones(N)}, "prediction of type double"),
    ],
)
def test_what_a_file_lacks_is_said_before_a_row_is_read(tmp_path: Path, columns: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=rf"TARGET='.*x\.parquet' .*{text}"):
        stored(tmp_path, **columns)


def test_ids_that_occur_more_than_once_are_named_with_their_number(tmp_path: Path) -> None:
    found = stored(tmp_path, record_id=np.minimum(np.arange(N), 21))
    with pytest.raises(DataError, match=r"record_id 21 4 times"):
        found.record_ids()


def test_rounded_answers_need_not_sum_to_one_and_are_probabilities_all_the_same(tmp_path: Path) -> None:
    found = stored(tmp_path, rounded=True, prediction=vector_column(np.round(ANSWERS, 1)))
    assert np.array_equal(read(found), np.round(ANSWERS, 1))
    with pytest.raises(DataError, match=r"row 3 .*\[0, 1\]"):
        read(stored(tmp_path, rounded=True, prediction=changed(3, 1.5)))
