"""One AUC, however a target is reached: that of asking the model by hand about what pandas reads from the files.

Hypothesis draws the form of a table, of a model and of its answers; the values follow from a seed. The AUC by hand is
counted pair by pair. It is taken of float32, in which answers are kept, and has to come out to the last pair.
"""

import json
import tempfile
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tasks.external_targets.connectors import connect
from umbrameter.attacks import Loss, Signals, Vectors
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.records.build import AnyData, build
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.spec.score import ScoreSpec
from umbrameter.statistics.metrics import measure
from umbrameter.steps.split import Split
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import ensure
from umbrameter.stored_predictions.audit import score_stored
from umbrameter.targets import EndpointTarget, GivenTarget, RegistryTarget, StoredTarget
from umbrameter.targets.base import Target
from umbrameter.targets.connection import ConnectionContext, draw_canaries
from umbrameter.targets.endpoint import JsonRequest, MlflowRequest
from umbrameter.targets.querying import ask

pytestmark = [pytest.mark.slow, pytest.mark.pipeline, pytest.mark.filterwarnings("default")]

TEXTS = {"string": pa.string(), "large_string": pa.large_string(), "dictionary": pa.dictionary(pa.int32(), pa.string())}
KINDS = ("float64", "float32", "int64", "large int64", "int8", "bool", *TEXTS)
KEYS = (("north", "south"), ("1", "2"), ("01", "2"))
"""Names of folders: text, whole numbers, and text that a guess would make whole numbers."""

LABELS: dict[str, tuple[Any, ...]] = {
    "from 0": (0, 1, 2, 3, 4),
    "signs": (-1, 1),
    "gaps": (3, 7, 20, 41, 1000),
    "gaps and 0": (-5, 0, 6, 8, 9),
    "text": ("ash", "Beech", "elm", "oak tree", "yew"),
    "bool": (False, True),
    "whole floats": (1.0, 2.0, 4.0, 5.0, 9.0),
}
OTHERS: dict[str, tuple[Any, ...]] = {
    "from 0": (-1, 7),
    "signs": (0, 2),
    "gaps": (0, 5, 2000),
    "gaps and 0": (-9, 3, 10),
    "text": ("Alder", "fir", "zelkova"),
    "bool": (),
    "whole floats": (0.0, 3.0, 10.0),
}
"""Classes that a model may know and no record has: before, among and behind the others."""


@dataclass(frozen=True)
class Case:
    """What Hypothesis draws."""

    seed: int
    columns: tuple[str, ...]
    labels: str
    n_classes: int
    is_skewed: bool
    n_sides: tuple[int, int]
    layout: str
    keys: tuple[str, str]
    has_ids: bool
    on_arrays: bool
    other: Any
    order: str
    as_text: bool
    answer: str
    request: str
    stored: str

    @cached_property
    def names(self) -> list[str]:
        """The features' names, in the files' order."""
        return [f"{i} {kind}" for i, kind in enumerate(self.columns)] + ["key"] * (self.layout == "hive")

    @cached_property
    def classes(self) -> list[Any]:
        return sorted(LABELS[self.labels][: self.n_classes])

    @property
    def is_single(self) -> bool:
        return self.answer in ("(n,)", "(n, 1)")


@st.composite
def cases(draw: Any) -> Case:
    labels = draw(st.sampled_from([*LABELS]))
    n_classes = draw(st.integers(2, len(LABELS[labels])))
    columns = tuple(draw(st.permutations(draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=6)))))
    other = draw(st.sampled_from([None, *OTHERS[labels]]))
    layout, keys = draw(st.sampled_from(["file", "files", "hive"])), draw(st.sampled_from(KEYS))
    has_text = {*columns} & {*TEXTS} or (layout == "hive" and keys != ("1", "2"))
    is_binary = n_classes == 2 and other is None
    return Case(
        seed=draw(st.integers(0, 2**32 - 1)),
        columns=columns,
        labels=labels,
        n_classes=n_classes,
        is_skewed=draw(st.booleans()),
        n_sides=draw(st.sampled_from([(40, 40), (60, 12), (20, 60), (33, 50)])),
        layout=layout,
        keys=keys,
        has_ids=draw(st.booleans()),
        on_arrays=not has_text and draw(st.booleans()),
        other=other,
        order=draw(st.sampled_from(["sorted", "reversed"])),
        as_text=draw(st.booleans()),
        answer=draw(st.sampled_from(["vectors", "(n,)", "(n, 1)"] if is_binary else ["vectors"])),
        request=draw(st.sampled_from(["mlflow", "row", "mapping", "labelled"])),
        stored=draw(st.sampled_from(["list", "large list", "fixed list", "columns", "folders"])),
    )


# The files, and what pandas reads from them


def values(kind: str, n: int, rng: np.random.Generator) -> Any:
    """Return a column that tells records apart only by digits, or beyond the integers, that float32 loses."""
    match kind:
        case "float64":
            return np.round(rng.integers(1, 4000, n) / 10 + 2.0**20, 1)
        case "float32":
            return rng.normal(70, 9, n).astype(np.float32)
        case "int64":
            return rng.integers(0, 50, n)
        case "large int64":
            return 2 ** int(rng.integers(25, 61)) + rng.integers(0, 3 * n, n)
        case "int8":
            return rng.integers(-128, 128, n).astype(np.int8)
        case "bool":
            return rng.random(n) < 0.5
    return rng.choice(["Graz", "Linz", "Wien", "Bern", ""], n)


def table_of(case: Case) -> pa.Table:
    """Return all records: members first, with an id each; every class is among the members."""
    rng, n = np.random.default_rng(case.seed), sum(case.n_sides)
    shares = np.where(np.arange(case.n_classes), 0.1, 1.0) if case.is_skewed else np.ones(case.n_classes)
    codes = rng.choice(case.n_classes, n, p=shares / shares.sum())
    codes[: case.n_classes] = np.arange(case.n_classes)
    columns = {
        name: pa.array(values(kind, n, rng), None if kind not in TEXTS else pa.string())
        for name, kind in zip(case.names, case.columns, strict=False)
    }
    if case.layout == "hive":
        columns["key"] = pa.array(np.array(case.keys)[np.arange(n) % 2])
    ids = pa.array(10**12 + rng.permutation(n))
    return pa.table({"id": ids, **columns, "label": pa.array([case.classes[code] for code in codes])})


def write(part: pa.Table, path: Path, case: Case) -> str:
    """Write a table as the case has it; each file has dictionaries of its own, and the second another order."""
    if case.layout == "file":
        path = path.with_suffix(".parquet")
        pq.write_table(typed(part, case), path)
    elif case.layout == "files":
        path.mkdir()
        middle = part.num_rows // 3
        pq.write_table(typed(part.slice(0, middle), case), path / "a.parquet")
        pq.write_table(typed(part.slice(middle), case).select(part.schema.names[::-1]), path / "b.parquet")
    else:
        for key in case.keys:
            (path / f"key={key}").mkdir(parents=True)
            rows = part.filter(pa.compute.equal(part["key"], key)).drop_columns(["key"])
            pq.write_table(typed(rows, case), path / f"key={key}" / "part.parquet")
    return str(path)


def typed(table: pa.Table, case: Case) -> pa.Table:
    """Return text as the case's kinds of text."""
    for i, name in enumerate(table.schema.names):
        kind = name.partition(" ")[2]
        if kind == "dictionary":
            table = table.set_column(i, name, table[name].combine_chunks().dictionary_encode())
        elif kind in TEXTS:
            table = table.set_column(i, name, table[name].cast(TEXTS[kind]))
    return table


def by_pandas(path: str, case: Case) -> pd.DataFrame:
    """Return what pandas reads, file by file; a folder's key is a whole number only if that changes no key."""
    if case.layout == "file":
        return pd.read_parquet(path)
    parts = []
    for file in sorted(Path(path).rglob("*.parquet")):
        part = pd.read_parquet(file, partitioning=None)
        if case.layout == "hive":
            text = file.parent.name.partition("=")[2]
            part["key"] = int(text) if case.keys == ("1", "2") else text
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


# The model, asked by hand


class Asked:
    """A model, asked by hand about a data frame; it answers as the case has it."""

    def __init__(self, case: Case, members: pd.DataFrame):
        self.case = case
        others = members.head(6).assign(label=case.other)[: 6 * (case.other is not None)]
        frame = pd.concat([members, others], ignore_index=True) if len(others) else members
        X, y = self.given(frame), frame["label"].tolist()
        self.model = self._fitted(X, np.array([str(label) for label in y] if case.as_text else y))
        self.dtypes = members[case.names].dtypes

    def given(self, frame: pd.DataFrame) -> Any:
        """Return a frame's features in the form that the model was trained on."""
        names = self.case.names
        return np.column_stack([frame[name] for name in names]) if self.case.on_arrays else frame[names]

    def _fitted(self, X: Any, y: Any) -> Any:
        places = [*range(len(self.case.names))] if self.case.on_arrays else self.case.names
        numbers = [
            place
            for place, name in zip(places, self.case.names, strict=True)
            if self.case.on_arrays or pd.api.types.is_numeric_dtype(X[name])
        ]
        encoder = ColumnTransformer(
            [("exact", OneHotEncoder(handle_unknown="ignore"), places), ("near", StandardScaler(), numbers)]
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it need not converge
            model = make_pipeline(encoder, LogisticRegression(C=3, max_iter=30)).fit(X, y)
        if self.case.order == "reversed":
            last = model[-1]
            last.classes_ = last.classes_[::-1]
            sign = -1 if len(last.classes_) == 2 else 1
            last.coef_, last.intercept_ = sign * last.coef_[::-1], sign * last.intercept_[::-1]
        return model

    @property
    def classes(self) -> list[Any]:
        """The model's classes in its order, as plain values."""
        return self.model.classes_.tolist()

    @cached_property
    def places(self) -> list[int]:
        """The column of the model's answers for each class of the data."""
        return [self.classes.index(str(label) if self.case.as_text else label) for label in self.case.classes]

    def vectors(self, frame: pd.DataFrame) -> np.ndarray:
        return self.model.predict_proba(self.given(frame))

    def codes(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the place of each record's class among the data's."""
        return np.array([self.case.classes.index(label) for label in frame["label"]])

    def confidence(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the confidence in the label, in float32."""
        places = np.array(self.places)[self.codes(frame)]
        return self.vectors(frame)[np.arange(len(frame)), places].astype(np.float32)


def by_hand(members: np.ndarray, nonmembers: np.ndarray) -> float:
    """Return the AUC, pair by pair."""
    above, equal = members[:, None] > nonmembers, members[:, None] == nonmembers
    return float((above + equal / 2).mean())


@dataclass(frozen=True)
class Prepared:
    """One case: its files, its model, and the AUC by hand."""

    case: Case
    folder: Path
    sides: tuple[pd.DataFrame, pd.DataFrame]
    data: AnyData
    asked: Asked

    @cached_property
    def auc(self) -> float:
        return by_hand(*map(self.asked.confidence, self.sides))

    @cached_property
    def answers(self) -> str:
        """The path of stored answers for an audit: classes in the data's order, then the model's other ones."""
        order = [*self.asked.places, *(i for i in range(len(self.asked.classes)) if i not in self.asked.places)]
        tables = [
            pa.table(
                {
                    "record_id": side["id"],
                    "label": self.asked.codes(side),
                    "is_member": np.full(len(side), is_member),
                    "prediction": self.asked.vectors(side)[:, order].tolist(),
                }
            )
            for side, is_member in zip(self.sides, (True, False), strict=True)
        ]
        path = self.folder / "answers.parquet"
        pq.write_table(pa.concat_tables(tables), path)
        return str(path)

    @cached_property
    def records(self) -> tuple[Records, Artefact]:
        """The records and their split, as an audit has them."""
        store = Store(self.folder / "root")
        membership = StoredTarget(path=self.answers).membership if self.case.has_ids else None
        path = build(self.data, store, membership).path
        return Records.open(store, path), store.open(ensure(store, Split(path, None, None, 0)))


def prepared(case: Case, folder: Path) -> Prepared:
    table, n = table_of(case), case.n_sides[0]
    told: dict[str, Any] = {"label": "label", "id": "id", "duplicates": "keep"}
    if case.has_ids:
        path = write(table, folder / "all", case)
        frame, ids = by_pandas(path, case), table["id"].to_pylist()
        is_member = frame["id"].isin(ids[:n])
        sides, data = (frame[is_member], frame[~is_member]), ParquetData(path=path, **told)
    else:
        paths = [write(part, folder / name, case) for name, part in (("in", table[:n]), ("out", table[n:]))]
        sides = (by_pandas(paths[0], case), by_pandas(paths[1], case))
        data = SidesData(members=paths[0], nonmembers=paths[1], **told)
    return Prepared(case, folder, sides, data, Asked(case, sides[0]))


def audited(made: Prepared, target: Target, model: Any = None, uri: str | None = None) -> float:
    """Return the AUC of the loss attack on a target, connected and asked as an audit does."""
    records, split = made.records
    sides = [rows_of(split, part) for part in ("member", "nonmember")]
    context = ConnectionContext(records.artefact.store, records, draw_canaries(records, split, 16), model, uri)
    connection, rows = connect(target, context), np.concatenate(sides)
    try:
        if target.can_be_queried:
            predictions, labels = ask(connection.model, records.as_source, rows)
        else:
            labels, places = records.labels()[rows], records.places()
            assert places is not None
            predictions = connection.model.at(places[rows], labels)
    finally:
        connection.close()
    assert [*map(len, sides)] == [*made.case.n_sides]
    scores = Loss().score(Signals(Vectors(predictions, labels)))
    return measure(scores, np.repeat([True, False], made.case.n_sides), None)["auc"].value  # type: ignore[union-attr]


# A Python object


class Single:
    """Answers the probability of the second class alone, from `predict`, as networks with one output do."""

    def __init__(self, asked: Asked):
        self.asked, self.classes_ = asked, asked.model.classes_
        if hasattr(asked.model, "feature_names_in_"):
            self.feature_names_in_ = asked.model.feature_names_in_

    def predict(self, X: Any) -> Any:
        second = self.asked.model.predict_proba(X)[:, 1]
        return second if self.asked.case.answer == "(n,)" else second[:, None]


def as_object(made: Prepared) -> float:
    return audited(made, GivenTarget(), Single(made.asked) if made.case.is_single else made.asked.model)


# An endpoint


class Service:
    """A real HTTP server of many models, each at a path of its own, which reads the types it was trained on."""

    def __init__(self) -> None:
        self.models: dict[str, Asked] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = json.dumps(answered(service.models[self.path], content)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.numbers = count()

    def add(self, asked: Asked) -> str:
        """Serve a model, and return its address."""
        path = f"/{next(self.numbers)}"
        self.models[path] = asked
        return f"http://127.0.0.1:{self.http.server_address[1]}{path}"


def answered(asked: Asked, content: Any) -> Any:
    """Return a service's answer to a request."""
    names = asked.case.names
    if "dataframe_split" in content:
        frame = pd.DataFrame(content["dataframe_split"]["data"], columns=content["dataframe_split"]["columns"])
    else:
        frame = pd.DataFrame(content["rows"], columns=None if isinstance(content["rows"][0], dict) else names)
    vectors = asked.vectors(frame.astype(asked.dtypes)).tolist()
    if asked.case.is_single:
        answers: list[Any] = [row[1] if asked.case.answer == "(n,)" else row[1:] for row in vectors]
    elif asked.case.request == "labelled":
        answers = [dict(zip(asked.classes, row, strict=True)) for row in vectors]
    else:
        answers = vectors
    return {"predictions": answers} if "dataframe_split" in content else {"out": [{"p": answer} for answer in answers]}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    threading.Thread(target=service.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield service
    service.http.shutdown()
    service.http.server_close()


def as_endpoint(made: Prepared, service: Service) -> float:
    case, classes = made.case, made.asked.classes
    known = tuple(int(label) if isinstance(label, float) else label for label in classes)
    is_usual = case.order == "sorted" and case.other is None and made.asked.places == sorted(made.asked.places)
    request = MlflowRequest() if case.request in ("mlflow", "labelled") else JsonRequest(
        body={"rows": "$records"}, record=case.request, probabilities="out.*.p"
    )
    target = EndpointTarget(
        url=service.add(made.asked), request=request, labels=None if is_usual else known, batch_size=64
    )
    return audited(made, target)


# Stored answers


def as_scored(made: Prepared) -> float:
    """Return the AUC of `umbrameter score`: labels as in the data where they are clear, else numbers by column."""
    case, asked = made.case, made.asked
    codes = {*range(case.n_classes)} == {*case.classes}
    are_clear = case.other is None and (case.labels == "text" or codes or 0 not in case.classes)
    order = asked.places if are_clear else [*range(len(asked.classes))]
    parts = []
    for side, is_member in zip(made.sides, (True, False), strict=True):
        labels = side["label"] if are_clear else np.array(asked.places)[asked.codes(side)]
        vectors = asked.vectors(side)[:, order]
        part = {"label": labels, "is_member": np.full(len(side), is_member)} | stored_answers(case, vectors)
        parts.append(pa.table(part))
    if case.stored != "folders":
        pq.write_table(pa.concat_tables(parts), made.folder / "scored")
    else:
        for part, name in zip(parts, ("true", "false"), strict=True):
            (made.folder / "scored" / f"is_member={name}").mkdir(parents=True)
            pq.write_table(
                part.drop_columns(["is_member"]), made.folder / "scored" / f"is_member={name}" / "part.parquet"
            )
    spec = ScoreSpec(attacks=({"kind": "loss"},))  # type: ignore[arg-type]
    report, _ = score_stored(StoredPredictions(made.folder / "scored"), None, spec)
    return report.results[0].metrics["auc"].value  # type: ignore[union-attr]


def stored_answers(case: Case, vectors: np.ndarray) -> dict[str, Any]:
    if case.answer == "(n,)":
        return {"prediction": vectors[:, 1]}
    answers = vectors[:, 1:] if case.answer == "(n, 1)" else vectors
    width = answers.shape[1]
    if case.stored == "columns" and width > 1:
        return {f"p_{i}": column for i, column in enumerate(answers.T)}
    kinds = {
        "fixed list": pa.list_(pa.float32(), width),
        "large list": pa.large_list(pa.float64()),
    }
    return {"prediction": pa.array(answers.tolist(), kinds.get(case.stored, pa.list_(pa.float64())))}


# A registry


class Loaded(PythonModel):
    """A registered Python function that answers as the case has it."""

    def __init__(self, model: Any, answer: str):
        self.inner, self.answer = model, answer

    def predict(self, context, model_input, params=None):
        answers = self.inner.predict_proba(model_input)
        return {"vectors": answers, "(n,)": answers[:, 1], "(n, 1)": answers[:, 1:]}[self.answer]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, before = tmp_path_factory.mktemp("registry"), mlflow.get_tracking_uri()
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    place = str(folder / "artifacts")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("models", artifact_location=place))
    yield uri
    mlflow.set_tracking_uri(before)


def as_registered(made: Prepared, uri: str, is_function: bool) -> float:
    asked, case = made.asked, made.case
    X = asked.given(made.sides[0])
    options = {"name": "model", "registered_model_name": "target", "signature": infer_signature(X)}
    mlflow.set_tracking_uri(uri)
    with mlflow.start_run(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if is_function or case.is_single:
            loaded, metadata = Loaded(asked.model, case.answer), {"classes": asked.classes}
            info = mlflow.pyfunc.log_model(
                python_model=loaded, metadata=metadata, pip_requirements=["mlflow"], **options
            )
        else:
            info = mlflow.sklearn.log_model(asked.model, pip_requirements=["scikit-learn"], **options)
    target = RegistryTarget(model=f"models:/target/{info.registered_model_version}", trusted="sklearn" not in info.flavors)
    return audited(made, target, uri=uri)


# The same figure

few = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@settings(few, max_examples=440)
@given(case=cases())
def test_object_endpoint_and_stored_answers(service: Service, case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = prepared(case, Path(folder))
        figures = {"object": as_object(made), "endpoint": as_endpoint(made, service), "score": as_scored(made)}
        if case.has_ids:
            figures["predictions"] = audited(made, StoredTarget(path=made.answers))
        assert figures == pytest.approx(dict.fromkeys(figures, made.auc), abs=1e-9)


@settings(few, max_examples=60)
@given(case=cases(), is_function=st.booleans())
def test_a_registered_model(registry: str, case: Case, is_function: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = prepared(case, Path(folder))
        assert as_registered(made, registry, is_function) == pytest.approx(made.auc, abs=1e-9)
