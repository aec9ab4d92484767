"""A target with stored answers only, which are looked up row by row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from umbrameter.errors import DataError
from umbrameter.mitigations import Rounding
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.records.build import build
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.feasibility import AuditInputs
from umbrameter.steps.layout import lay_out
from umbrameter.steps.split import PARTS, Split
from umbrameter.steps.target import TargetIdentity
from umbrameter.steps.target_answers import StoredQuery
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import ensure, perform
from umbrameter.targets import StoredTarget
from umbrameter.targets.connection import ConnectionContext

N, N_KNOWN, N_MEMBERS = 200, 80, 50
RNG = np.random.default_rng(3)
IDS = RNG.permutation(1000)[:N]
LABELS = np.arange(N) % 3
ROWS = RNG.permutation(N)[:N_KNOWN]  # which record each stored answer is of
IS_MEMBER = np.arange(N_KNOWN) % 8 < 5
ANSWERS = RNG.dirichlet(np.ones(3), N_KNOWN).astype(np.float32)
CLASSES = ["amber", "blue", "coral"]
SPEC = """
name: stored
shadows: {estimator: {kind: logistic_regression}}
attacks: [{kind: loss}, {kind: gap}, {kind: label_only}, {kind: quantile}]
"""


@pytest.fixture
def data(tmp_path: Path) -> ParquetData:
    names = np.array(["amber", "blue", "coral"])[LABELS]
    features = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
    table = pa.table({"person": IDS, "a": features[:, 0], "b": features[:, 1], "y": names})
    pq.write_table(table, tmp_path / "data.parquet")
    return ParquetData(path=str(tmp_path / "data.parquet"), label="y", id="person")


def stored(folder: Path, **columns: Any) -> str:
    """Write stored answers, some columns otherwise (None leaves one out), and return their path."""
    found = {
        "record_id": IDS[ROWS],
        "prediction": pa.FixedSizeListArray.from_arrays(ANSWERS.ravel(), ANSWERS.shape[1]),
        "label": LABELS[ROWS],
        "is_member": IS_MEMBER,
    } | columns
    path = folder / "answers.parquet"
    pq.write_table(pa.table({name: column for name, column in found.items() if column is not None}), path)
    return str(path)


def prepared(data: ParquetData, asked: StoredTarget, folder: Path, **split: Any) -> tuple[Records, Artefact]:
    store = Store(folder / "root")
    records = build(data, store, asked.membership)
    step = Split(records.path, split.get("members"), split.get("nonmembers"), 0)
    return Records.open(store, records.path), store.open(ensure(store, step))


def looked_up(
    data: ParquetData, path: str, folder: Path, asked: StoredTarget | None = None, **split: Any
) -> tuple[Records, Artefact, pa.Table]:
    """Return records, split and the answers that an audit works with."""
    asked = asked or StoredTarget(path=path)
    records, dealt = prepared(data, asked, folder, **split)
    target, store = TargetIdentity({"kind": "predictions"}, ""), records.artefact.store
    ensure(store, target)
    connection = asked.connect(ConnectionContext(store, records, np.empty((0, 2))))
    query = StoredQuery(target.recipe.path, records.artefact.path, dealt.path, connection=connection)
    ensure(store, query)
    return records, dealt, store.open(query.recipe.path).table("predictions.parquet")


def test_answers_are_those_stored_in_the_order_of_the_records(data: ParquetData, tmp_path: Path) -> None:
    _, dealt, found = looked_up(data, stored(tmp_path), tmp_path)
    members, others = (np.sort(ROWS[who]) for who in (IS_MEMBER, ~IS_MEMBER))
    assert [rows_of(dealt, part).tolist() for part in PARTS] == [
        members.tolist(),
        others.tolist(),
        np.setdiff1d(np.arange(N), ROWS).tolist(),
        [],
    ]
    rows = [*members, *others]
    assert found["record_id"].to_pylist() == rows
    assert found["is_member"].to_pylist() == [True] * N_MEMBERS + [False] * (N_KNOWN - N_MEMBERS)
    assert found["label"].to_pylist() == LABELS[rows].tolist()
    answer_of = dict(zip(ROWS.tolist(), ANSWERS.tolist(), strict=True))
    assert found["prediction"].to_pylist() == [answer_of[row] for row in rows]


def test_columns_p_and_parts_of_a_folder(data: ParquetData, tmp_path: Path) -> None:
    whole = looked_up(data, stored(tmp_path), tmp_path)[2]
    (tmp_path / "parts").mkdir()
    for i, rows in enumerate(np.array_split(np.arange(N_KNOWN), 12)):
        columns = {f"p_{j}": ANSWERS[rows, j] for j in range(3)}
        table = pa.table(
            {"record_id": IDS[ROWS][rows], **columns, "label": LABELS[ROWS][rows], "is_member": IS_MEMBER[rows]}
        )
        pq.write_table(table, tmp_path / "parts" / f"{i}.parquet")
    assert looked_up(data, str(tmp_path / "parts"), tmp_path)[2].equals(whole)


def test_ids_may_be_text_and_other_columns_anything(data: ParquetData, tmp_path: Path) -> None:
    expected = looked_up(data, stored(tmp_path), tmp_path)[2]
    table = pq.read_table(data.path)
    pq.write_table(table.set_column(0, "person", table["person"].cast(pa.string())), data.path)
    names = [str(value) for value in IDS[ROWS]]
    path = stored(tmp_path, record_id=names, model_id=["production"] * N_KNOWN)
    assert looked_up(data, path, tmp_path)[2].equals(expected)
    assert StoredPredictions(path).record_ids().tolist() == names  # type: ignore[union-attr]


def test_fewer_members_than_are_stored(data: ParquetData, tmp_path: Path) -> None:
    _, dealt, found = looked_up(data, stored(tmp_path), tmp_path, members=20, nonmembers=10)
    assert sum(found["is_member"].to_pylist()) == 20 and found.num_rows == 30
    answer_of = dict(zip(ROWS.tolist(), ANSWERS.tolist(), strict=True))
    assert found["prediction"].to_pylist() == [answer_of[row] for row in found["record_id"].to_pylist()]
    assert dealt.meta["n_unused"] == N_KNOWN - 30


def test_records_that_were_left_out_move_no_answer(data: ParquetData, tmp_path: Path) -> None:
    table = pq.read_table(data.path)
    twin = table.slice(int(ROWS[0]), 1).set_column(0, "person", pa.array([1000]))
    pq.write_table(pa.concat_tables([twin, table]), data.path)  # equal to a record of the audit, but in the pool
    found = looked_up(data.model_copy(update={"duplicates": "drop"}), stored(tmp_path), tmp_path)[2]
    answer_of = dict(zip((ROWS).tolist(), ANSWERS.tolist(), strict=True))
    assert found["prediction"].to_pylist() == [answer_of[row] for row in found["record_id"].to_pylist()]


def test_a_label_that_is_not_the_record_s(data: ParquetData, tmp_path: Path) -> None:
    labels = LABELS[ROWS].copy()
    labels[[7, 30]] = (labels[[7, 30]] + 1) % 3
    rows = r"row (7|30) has label \d, and the record of its record_id is of class \d \(2 such rows\)"
    with pytest.raises(DataError, match=rf"target\.path='.*answers\.parquet': {rows}; classes are numbered in sorted"):
        looked_up(data, stored(tmp_path, label=labels), tmp_path)


def test_fewer_classes(data: ParquetData, tmp_path: Path) -> None:
    answers = np.full((N_KNOWN, 2), 0.5, np.float32)
    path = stored(tmp_path, prediction=pa.FixedSizeListArray.from_arrays(answers.ravel(), 2))
    with pytest.raises(DataError, match=r"answers of 2 classes, and the data have 3: columns 2 to 2 are missing; give"):
        looked_up(data, path, tmp_path)


def test_more_classes(data: ParquetData, tmp_path: Path) -> None:
    answers = np.random.default_rng(1).dirichlet(np.ones(5), N_KNOWN).astype(np.float32)
    path = stored(tmp_path, prediction=pa.FixedSizeListArray.from_arrays(answers.ravel(), 5))
    records, _, found = looked_up(data, path, tmp_path)
    answer_of = dict(zip(ROWS.tolist(), answers.tolist(), strict=True))
    assert found["prediction"].to_pylist() == [answer_of[row] for row in found["record_id"].to_pylist()]
    connection = StoredTarget(path=path).connect(ConnectionContext(records.artefact.store, records, np.empty((0, 2))))
    assert connection.facts["other_classes"] == ["p_3", "p_4"]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"record_id": None}, r"target\.path='.*' has no column record_id; it has prediction, label, is_member"),
        ({"is_member": None}, "has no column is_member"),
        ({"label": None}, "has no column label"),
        ({"prediction": None}, "has no column prediction"),
        ({"record_id": [5000, *IDS[ROWS][1:]]}, "has 1 ids that no record has, such as 5000; correct the table"),
        ({"record_id": [IDS[ROWS][1], *IDS[ROWS][1:]]}, "has ids twice in its column 'record_id'"),
        ({"prediction": [[0.5, 0.4, np.nan], *ANSWERS[1:].tolist()]}, "in row 0 .* finite"),
        ({"prediction": [*ANSWERS[1:].tolist(), [0.5, 0.4, 0.3]]}, r"in row 79 \(1 such rows\); expected .* sum to 1"),
    ],
)
def test_stored_answers_that_cannot_be_used(
    data: ParquetData, tmp_path: Path, columns: dict[str, Any], text: str
) -> None:
    with pytest.raises(DataError, match=text):
        looked_up(data, stored(tmp_path, **columns), tmp_path)


def test_rounded_answers_are_read_where_it_is_said(tmp_path: Path) -> None:
    rounded = [[0.3, 0.3, 0.3]] * N_KNOWN
    path = stored(tmp_path, prediction=rounded)
    assert StoredTarget(path=path, answers=(Rounding(decimals=1),)).read(CLASSES).predictions.shape == (N_KNOWN, 3)
    with pytest.raises(DataError, match="expected confidences that sum to 1"):
        StoredTarget(path=path).read(CLASSES)


def test_no_file_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"target\.path='.*none\.parquet' does not exist"):
        StoredTarget(path=str(tmp_path / "none.parquet")).read(CLASSES)


# The audit


def test_an_audit_of_stored_answers(data: ParquetData, tmp_path: Path) -> None:
    path = stored(tmp_path)
    settings = [f"data={data.model_dump_json(exclude_none=True)}", f"target={{kind: predictions, path: {path}}}"]
    spec = AuditSpec.from_yaml(SPEC, [*settings, "attacks=[{kind: loss}, {kind: gap}]"])
    records, dealt = prepared(data, StoredTarget(path=path), tmp_path)
    store = records.artefact.store
    connection = StoredTarget(path=path).connect(ConnectionContext(store, records, np.empty((0, 2))))
    target = TargetIdentity(connection.facts, connection.description)
    (found,) = lay_out(AuditInputs(spec, records, dealt, target))
    ensure(store, target)
    ensure(store, StoredQuery(*_paths(found), connection=connection))
    for measurement in found.measurements:
        perform(store.root, [measurement.scoring])
        perform(store.root, [measurement.evaluation])
    metrics = {
        measurement.attack.kind: json.loads(store.open(measurement.evaluation.recipe.path).data("evaluation.json"))[
            "metrics"
        ]
        for measurement in found.measurements
    }
    scores = ANSWERS[np.arange(N_KNOWN), LABELS[ROWS]]  # the surer of the label, the likelier a member
    pairs = scores[IS_MEMBER][:, None] > scores[~IS_MEMBER]
    assert metrics["loss"]["auc"]["value"] == pytest.approx(pairs.mean(), abs=1e-9)
    hit = ANSWERS.argmax(axis=1) == LABELS[ROWS]
    assert metrics["gap"]["recall"]["value"] == pytest.approx(hit[IS_MEMBER].mean())


def test_what_needs_other_answers_is_not_measured(data: ParquetData, tmp_path: Path) -> None:
    path = stored(tmp_path)
    settings = [f"data={data.model_dump_json(exclude_none=True)}", f"target={{kind: predictions, path: {path}}}"]
    spec = AuditSpec.from_yaml(SPEC, [*settings, "shadows.size=10"])
    records, dealt = prepared(data, StoredTarget(path=path), tmp_path)
    found = lay_out(AuditInputs(spec, records, dealt, TargetIdentity({}, "")))[0]
    assert [measurement.attack.kind for measurement in found.measurements] == ["loss", "gap"]
    assert {u.attack.kind for u in found.unmeasurable} == {"label_only", "quantile"}
    assert all("only stored answers of this target are available" in u.reason for u in found.unmeasurable)
    assert not found.noisy and not found.population
    assert isinstance(found.query, StoredQuery) and found.query.n_queries(records.artefact.store) == 0


def _paths(variant: TrainedVariant) -> tuple[str, str, str]:
    query = variant.query
    assert isinstance(query, StoredQuery)
    return query.target, query.records, query.split


# Files as people have them


@pytest.mark.parametrize("form", ["columns", "CSV", "percent", "logits", "named", "text"])
def test_answers_in_another_dress_are_the_same(data: ParquetData, tmp_path: Path, form: str) -> None:
    expected = looked_up(data, stored(tmp_path), tmp_path)[2]
    names, path = np.array(["amber", "blue", "coral"]), tmp_path / "other.parquet"
    table: dict[str, Any] = {"record_id": IDS[ROWS], "label": LABELS[ROWS], "is_member": IS_MEMBER}
    table |= {f"p_{i}": ANSWERS[:, i].astype(np.float64) for i in range(3)}
    settings: dict[str, Any] = {}
    if form in ("columns", "CSV"):
        renamed = {"record_id": "who", "label": "truth", "is_member": "in_training"}
        table = {renamed.get(name, name.replace("p_", "q_")): values for name, values in table.items()}
        settings["columns"] = renamed | {"prediction": "q_*"}
    elif form in ("percent", "logits"):
        scaled = {"percent": lambda p: 100 * p, "logits": lambda p: np.log(p) + 3}[form]
        table |= {f"p_{i}": scaled(table[f"p_{i}"]) for i in range(3)}
        settings["scale"] = form
    elif form == "named":  # in another order than the data's
        columns = {f"p_{names[i]}": table.pop(f"p_{i}") for i in (2, 0, 1)}
        table |= columns | {"label": names[LABELS[ROWS]]}
    else:
        table |= {"label": names[LABELS[ROWS]]}
    if form == "CSV":
        path = tmp_path / "other.csv"
        pd.DataFrame(table).to_csv(path, sep=";", index=False)
    else:
        pq.write_table(pa.table(table), path)
    target = StoredTarget(path=str(path), **settings)
    found = looked_up(data, str(path), tmp_path, target)[2]
    assert found.drop_columns("prediction").equals(expected.drop_columns("prediction"))
    vectors = [np.array(t["prediction"].to_pylist()) for t in (found, expected)]
    assert np.allclose(*vectors, atol=1e-6)


def test_settings_are_called_as_the_spec_calls_them(data: ParquetData, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column truth \(target.columns: \{label: truth\}\)"):
        StoredTarget(path=stored(tmp_path), columns={"label": "truth"}).read(CLASSES)
    percent = pa.FixedSizeListArray.from_arrays(100 * ANSWERS.ravel(), 3)
    with pytest.raises(DataError, match=r"percent, not probabilities; set target\.scale: percent"):
        StoredTarget(path=stored(tmp_path, prediction=percent)).read(CLASSES)
    with pytest.raises(DataError, match=r"probabilities, not percent; leave target\.scale: percent out"):
        StoredTarget(path=stored(tmp_path), scale="percent").read(CLASSES)
    with pytest.raises(ValidationError, match="say scale: percent"):
        StoredTarget(path="x", answers="percent")
    with pytest.raises(DataError, match=r"has no column in_training; it has record_id, prediction"):
        target = StoredTarget(path=stored(tmp_path), columns={"is_member": "in_training"})
        looked_up(data, target.path, tmp_path, target)


def test_answers_that_name_other_classes_are_refused_or_behind_the_data_s(data: ParquetData, tmp_path: Path) -> None:
    columns = {f"p_{name}": ANSWERS[:, i] for i, name in enumerate(["coral", "dust", "amber"])}
    path = stored(tmp_path, prediction=None, label=np.array(["amber", "coral"])[LABELS[ROWS] % 2], **columns)
    with pytest.raises(DataError, match="does not know the class blue, which records have"):
        StoredTarget(path=path).read(CLASSES)
    answers = StoredTarget(path=path).read(["amber", "coral"])
    assert answers.other_classes == ["dust"] and np.allclose(answers.predictions, ANSWERS[:, [2, 0, 1]])
