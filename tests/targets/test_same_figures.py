"""One AUC, however a target is reached: that of asking the model by hand about what pandas reads from the files.

Hypothesis draws the form of a table, of a model and of its answers; the values follow from a seed. The AUC by hand is
counted pair by pair. It is taken of float32, in which answers are kept, and has to come out to the last pair. Of 500
cases, 390 go to an object, an endpoint and stored answers, and 110 to a registry, which each model is logged in first.
"""

import json
import tempfile
import threading
import warnings
from collections.abc import Iterator
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

from tasks.external_targets.connectors import connect
from tests.targets.drawn import FORMS, Asked, Case, Prepared, cases, prepared
from umbrameter.attacks import Loss, Signals, Vectors
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.records.parts import rows_of
from umbrameter.spec.score import ScoreSpec
from umbrameter.statistics.metrics import measure
from umbrameter.stored_predictions.audit import score_stored
from umbrameter.targets import EndpointTarget, GivenTarget, RegistryTarget, StoredTarget
from umbrameter.targets.base import Target
from umbrameter.targets.connection import ConnectionContext, draw_canaries
from umbrameter.targets.endpoint import JsonRequest, MlflowRequest
from umbrameter.targets.querying import ask

pytestmark = [pytest.mark.slow, pytest.mark.pipeline, pytest.mark.filterwarnings("default")]


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
    is_usual = not case.is_reversed and case.other is None and made.asked.places == sorted(made.asked.places)
    request = (
        MlflowRequest()
        if case.request in ("mlflow", "labelled")
        else JsonRequest(body={"rows": "$records"}, record=case.request, probabilities="out.*.p")
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
    target = RegistryTarget(
        model=f"models:/target/{info.registered_model_version}", trusted="sklearn" not in info.flavors
    )
    return audited(made, target, uri=uri)


# The same figure

few = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("form", FORMS)
def test_object_endpoint_and_stored_answers(service: Service, form: str) -> None:
    @settings(few, max_examples=78)
    @given(cases(form))
    def check(case: Case) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made = prepared(case, Path(folder))
            figures = {"object": as_object(made), "endpoint": as_endpoint(made, service), "score": as_scored(made)}
            if case.has_ids:
                figures["predictions"] = audited(made, StoredTarget(path=made.answers))
            assert figures == pytest.approx(dict.fromkeys(figures, made.auc), abs=1e-9)

    check()


@pytest.mark.parametrize("form", FORMS)
def test_a_registered_model(registry: str, form: str) -> None:
    @settings(few, max_examples=22)
    @given(cases(form), st.booleans())
    def check(case: Case, is_function: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made = prepared(case, Path(folder))
            assert as_registered(made, registry, is_function) == pytest.approx(made.auc, abs=1e-9)

    check()
