"""A target trained elsewhere is asked about the file's own values, in the file's order of columns, whatever it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from tests.targets.people import context, dealt
from umbrameter.records.build import build
from umbrameter.records.noise import Noise
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.steps.target_answers import NoisyQuery, TargetQuery, read_answers
from umbrameter.store.arrow import vector_column
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import ensure
from umbrameter.targets.adapter import Adapted
from umbrameter.targets.columns import Columns
from umbrameter.targets.connection import Connection, draw_canaries
from umbrameter.targets.endpoint import JsonRequest
from umbrameter.targets.endpoint_format import body_of, encoded
from umbrameter.targets.python_object import GivenTarget
from umbrameter.targets.querying import ask, robustness_to_noise

N = 120
RNG = np.random.default_rng(3)
COLUMNS: dict[str, Any] = {
    "town": np.array(["Graz", "Linz", "Wien", "Bern"])[RNG.integers(0, 4, N)],
    "dose": np.round(RNG.integers(1, 4000, N) / 10, 1),
    "member": RNG.random(N) < 0.5,
    "account": 10**9 + np.arange(N),
    "stamp": 2**60 + np.arange(N),
    "weight": RNG.normal(70, 9, N).astype(np.float32),
    "grade": pd.Categorical(np.array(["low", "high"])[RNG.integers(0, 2, N)], ["low", "high", "top"], ordered=True),
}
LABELS = np.array(["a", "b", "c"])[np.arange(N) % 3]


def recorded(folder: Path, names: list[str], **options: Any) -> Records:
    pd.DataFrame({name: COLUMNS[name] for name in names} | {"y": LABELS}).to_parquet(
        folder / "data.parquet", index=False
    )
    data = ParquetData(path=str(folder / "data.parquet"), label="y", duplicates="keep", **options)
    store = Store(folder / "root")
    return Records.open(store, build(data, store).path)


class Recording:
    """Answers alike, and keeps what it was given."""

    classes_ = np.array(["a", "b", "c"])

    def __init__(self, names: list[str] | None = None):
        self.given: list[Any] = []
        if names is not None:
            self.feature_names_in_ = np.array(names)

    def predict_proba(self, X: Any) -> Any:
        self.given.append(X)
        return np.full((len(X), 3), 1 / 3)


def asked(records: Records, model: Any, rows: np.ndarray) -> Any:
    """Return what a model is given for some rows, asked as an audit asks it."""
    adapted = Adapted(model, Columns.of(records), records.classes)
    ask(adapted, records.as_source, rows)
    return model.given[-1]


ORDERS = [[*COLUMNS], [*COLUMNS][::-1], ["account", "town", "dose"], ["dose", "member"]]


@pytest.mark.parametrize("names", ORDERS, ids=",".join)
def test_a_frame_is_what_pandas_reads_from_the_file(tmp_path: Path, names: list[str]) -> None:
    records, rows = recorded(tmp_path, names), np.array([7, 0, 119, 7])
    by_hand = pd.read_parquet(tmp_path / "data.parquet")[names].iloc[rows].reset_index(drop=True)
    pd.testing.assert_frame_equal(asked(records, Recording(names), rows), by_hand)


@pytest.mark.parametrize(
    ("names", "dtype"),
    [
        (["dose", "account"], np.float64),
        (["account", "stamp"], np.int64),
        (["weight"], np.float32),
        (["member"], np.bool_),
        (["member", "weight", "dose"], np.float64),
        (["weight", "account"], np.float64),
    ],
)
def test_an_array_has_the_type_that_holds_all_columns(tmp_path: Path, names: list[str], dtype: Any) -> None:
    given = asked(recorded(tmp_path, names), Recording(), np.arange(9))
    assert given.dtype == dtype
    assert np.array_equal(given, np.column_stack([COLUMNS[name][:9] for name in names]))


def test_features_that_are_listed_come_in_that_order(tmp_path: Path) -> None:
    records = recorded(tmp_path, [*COLUMNS], features=("dose", "town", "account"))
    assert [*asked(records, Recording(), np.arange(3)).columns] == ["dose", "town", "account"]
    assert encoded(records.own([0]), Columns.of(records)) == [
        [COLUMNS["dose"][0], COLUMNS["town"][0], 10**9],
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_vectors_are_arrays_of_the_file_s_type(tmp_path: Path, dtype: Any) -> None:
    X = (RNG.random((N, 4)) * 200).astype(dtype)
    pq.write_table(pa.table({"x": vector_column(X), "y": LABELS}), tmp_path / "data.parquet")
    store = Store(tmp_path / "root")
    records = Records.open(store, build(ParquetData(path=str(tmp_path / "data.parquet"), label="y"), store).path)
    given = asked(records, Recording(), np.array([4, 2]))
    assert given.dtype == dtype and np.array_equal(given, X[[4, 2]])
    assert encoded(records.own([1]), Columns.of(records)) == [X[1].tolist()]
    named = asked(records, Recording([f"x[{i}]" for i in range(4)]), np.array([4, 2]))
    assert np.array_equal(named.to_numpy(), X[[4, 2]])


@pytest.mark.parametrize("names", ORDERS, ids=",".join)
def test_json_has_the_file_s_values_in_the_file_s_order(tmp_path: Path, names: list[str]) -> None:
    records = recorded(tmp_path, names)
    columns, rows = Columns.of(records), [0, 5]
    by_hand = [[pd.Series(COLUMNS[name]).tolist()[row] for name in names] for row in rows]
    sent = encoded(records.own(rows), columns)
    assert sent == by_hand and [[*map(type, row)] for row in sent] == [[*map(type, row)] for row in by_hand]
    request = JsonRequest(body={"in": "$records"}, probabilities="out")
    assert json.loads(json.dumps(body_of(request, sent, columns))) == {"in": by_hand}


def test_whole_doubles_stay_doubles(tmp_path: Path) -> None:
    """They were sent as integers, which a server with a schema refuses."""
    pq.write_table(pa.table({"a": np.arange(N) * 1.0, "b": np.arange(N) % 2, "y": LABELS}), tmp_path / "data.parquet")
    store = Store(tmp_path / "root")
    records = Records.open(store, build(ParquetData(path=str(tmp_path / "data.parquet"), label="y"), store).path)
    assert json.dumps(encoded(records.own([3]), Columns.of(records))) == "[[3.0, 1]]"


# Canaries and changed copies


def test_canaries_are_of_the_file_s_own_values(tmp_path: Path) -> None:
    records = recorded(tmp_path, [*COLUMNS])
    canaries = draw_canaries(records, dealt(records), 20)
    for name in COLUMNS:
        assert {*canaries[name].to_pylist()} <= {*pd.Series(COLUMNS[name]).tolist()}


@pytest.mark.parametrize("names", ORDERS, ids=",".join)
def test_changed_copies_have_the_file_s_types_and_values_it_has(tmp_path: Path, names: list[str]) -> None:
    records, model = recorded(tmp_path, names), Recording(names)
    adapted, rows = Adapted(model, Columns.of(records), records.classes), np.arange(60)
    robustness_to_noise(adapted, records.as_source, rows, Noise(copies=3, rate=0.3), 0)
    *copies, unchanged = model.given
    pd.testing.assert_frame_equal(unchanged, pd.read_parquet(tmp_path / "data.parquet")[names].iloc[rows])
    for copy in copies:
        assert [*copy.columns] == names and copy.dtypes.equals(unchanged.dtypes)
        for name in {*names} & {"town", "grade", "member"}:
            share = (copy[name].astype(str) != unchanged[name].astype(str)).mean()
            assert 0 < share < 0.6 and {*copy[name]} <= {*pd.Series(COLUMNS[name])}
        for name in {*names} & {"dose", "account", "weight"}:
            moved = (copy[name].astype(float) - unchanged[name].astype(float)).std()
            assert 0.1 < moved / unchanged[name].astype(float).std() < 0.6


def test_account_numbers_move_by_their_own_spread(tmp_path: Path) -> None:
    """In float32 they are 64 apart, so that noise of a few units vanished or moved them by 64."""
    records, model = recorded(tmp_path, ["account"]), Recording(["account"])
    adapted = Adapted(model, Columns.of(records), records.classes)
    robustness_to_noise(adapted, records.as_source, np.arange(N), Noise(copies=5, scale=0.1), 0)
    moves = np.concatenate([copy["account"] - COLUMNS["account"] for copy in model.given[:-1]])
    assert moves.dtype == np.int64 and 2 < moves.std() < 5 and len({*moves.tolist()}) > 10


# The steps of an audit


def test_steps_ask_as_a_user_would(tmp_path: Path) -> None:
    names = ["town", "dose", "account"]
    records = recorded(tmp_path, names)
    frame = pd.read_parquet(tmp_path / "data.parquet")
    encoder = ColumnTransformer([("codes", OneHotEncoder(), ["town", "dose", "account"])])  # refuses unknown values
    model = make_pipeline(encoder, DecisionTreeClassifier(random_state=0)).fit(frame[names], frame.y)
    connection = GivenTarget().connect(context(records, model))
    split, path = dealt(records), records.artefact.path
    store = records.artefact.store
    target = f"store/targets/{'0' * 64}"
    answers = read_answers(store.open(ensure(store, TargetQuery(target, path, split.path, connection=connection))))
    assert np.allclose(answers.vectors.predictions, model.predict_proba(frame[names].iloc[answers.rows]))


@pytest.mark.parametrize("reads", [True, False])
def test_a_model_of_another_package_is_given_the_matrix_unless_it_reads_the_source(tmp_path: Path, reads: bool) -> None:
    class Foreign(Recording):
        classes_ = np.array([0, 1, 2])
        reads_source = reads

    records, model = recorded(tmp_path, ["town", "dose"]), Foreign()
    connection, split = Connection({}, "elsewhere", model), dealt(records)
    store, target = records.artefact.store, f"store/targets/{'0' * 64}"
    ensure(store, TargetQuery(target, records.artefact.path, split.path, connection=connection))
    ensure(store, NoisyQuery(target, records.artefact.path, split.path, Noise(copies=1), 0, connection=connection))
    assert isinstance(model.given[0], pa.Table if reads else np.ndarray)
    assert isinstance(model.given[-1], pa.Table if reads else np.ndarray)
    assert isinstance(model.given[1], np.ndarray)  # a changed copy, which no source has


# What was measured wrongly


def auc(model: Any, records: Records, n: int) -> float:
    """Return the AUC of the confidence on the first n records against the next, asked as an audit asks."""
    predictions, labels = ask(model, records.as_source, np.arange(2 * n))
    return float(roc_auc_score(np.arange(2 * n) < n, predictions[np.arange(2 * n), labels]))


def leaking(folder: Path, first: str) -> tuple[Records, pd.DataFrame, Any]:
    """Return records, the same by pandas, and a model that knows its 1,000 members by the tenths of a dose."""
    rng, n = np.random.default_rng(5), 4000
    tenths = np.array([a + b / 10 for a in range(400) for b in (1, 2, 3, 4, 6, 7, 8, 9)])  # none is exact in binary
    frame = pd.DataFrame({"dose": rng.choice(np.round(tenths, 1), n), "score": rng.integers(0, 40, n).astype(float)})
    frame["y"] = ((frame.score > 20) ^ (rng.random(n) < 0.25)).astype(int)
    frame = frame.drop_duplicates(["dose", "score"]).reset_index(drop=True)
    frame["town"] = rng.choice(["Graz", "Linz", "Wien"], len(frame))
    frame = frame[[first, *(name for name in ("dose", "score", "town") if name != first), "y"]]
    frame.to_parquet(folder / "data.parquet")
    store = Store(folder / "root")
    records = Records.open(store, build(ParquetData(path=str(folder / "data.parquet"), label="y"), store).path)
    encoder = ColumnTransformer(
        [("codes", OneHotEncoder(handle_unknown="ignore"), ["dose", "town"])], remainder="passthrough"
    )
    members = frame[:1000]
    return (
        records,
        frame,
        make_pipeline(encoder, LogisticRegression(C=30, max_iter=5000)).fit(members.drop(columns="y"), members.y),
    )


@pytest.mark.parametrize("first", ["dose", "town"])
def test_a_leak_in_digits_that_float32_loses_is_measured(tmp_path: Path, first: str) -> None:
    """A target with an AUC of .82 was reported at .51, and passed."""
    records, frame, model = leaking(tmp_path, first)
    answers = model.predict_proba(frame[:2000].drop(columns="y"))[np.arange(2000), frame.y[:2000]]
    by_hand = roc_auc_score(np.arange(2000) < 1000, answers)
    assert 0.78 < by_hand < 0.9
    assert auc(Adapted(model, Columns.of(records), [0, 1]), records, 1000) == pytest.approx(by_hand, abs=1e-4)

    class Server:
        """Reads JSON rows as lists, in the order of the file that its owner has."""

        classes_, reads_source = np.array([0, 1]), True

        def predict_proba(self, X: Any) -> Any:
            rows = json.loads(json.dumps(encoded(X, Columns.of(records))))
            return model.predict_proba(pd.DataFrame(rows, columns=[*frame.columns.drop("y")]))

    assert auc(Server(), records, 1000) == pytest.approx(by_hand, abs=1e-4)
