"""Whole audits of targets that were trained elsewhere: one model behind HTTP, in a registry, as a Python object."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from mlflow.models import infer_signature

from tasks.external_targets.endpoint import WITNESSES
from tests.flows.people import NAMES, N, forest, run, spec, write_people
from umbrameter.errors import TargetError
from umbrameter.report import Report
from umbrameter.targets.connection import N_CANARIES

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("server")]

N_QUERIES = 2 * N * 3
"""Queries of the audit in `people`: each record and two changed copies of it."""

N_SENT = N_QUERIES + 3 * 6 * WITNESSES
"""With the canaries that go along in all but the last, small request of 98 records each."""

COMMAND = [sys.executable, "-c", "from umbrameter.cli import main; main()"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return forest(folder)


@pytest.fixture(scope="module")
def given(folder: Path, model: Any, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The audit of the model as a Python object: what all others have to equal."""
    return run(tmp_path_factory.mktemp("given"), spec(folder, {"kind": "object", "name": "forest"}), model=model)


@pytest.fixture(scope="module")
def registry(folder: Path, model: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("registry")
    uri, before = f"sqlite:///{place / 'mlflow.db'}", mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("people", artifact_location=str(place / "artifacts")))
    some = pq.read_table(folder / "members.parquet").to_pandas()[list(NAMES)][:5]
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(some, model.predict_proba(some)),
            pip_requirements=["scikit-learn"],
            registered_model_name="people",
            skops_trusted_types=["sklearn.tree._tree.Tree"],
            pyfunc_predict_fn="predict_proba",
        )
    mlflow.MlflowClient().set_registered_model_alias("people", "champion", "1")
    mlflow.set_tracking_uri(before)
    return uri


class Counting(BaseHTTPRequestHandler):
    """Passes requests on, counts the rows that were answered, and may stop the one who asks."""

    protocol_version = "HTTP/1.1"
    port = 0
    rows: Counter[str]
    lock = threading.Lock()
    n_answered = 0
    kill_after: int | None = None
    changed: Callable[[Any], Any] = staticmethod(lambda answers: answers)
    victim: subprocess.Popen[bytes] | None = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        cls = type(self)
        with cls.lock:
            if cls.kill_after is not None and cls.victim is not None and cls.n_answered >= cls.kill_after:
                cls.victim.send_signal(signal.SIGKILL)
                return
            cls.n_answered += 1
        to = http.client.HTTPConnection("127.0.0.1", cls.port, timeout=60)
        to.request("POST", self.path, body, {"Content-Type": "application/json"})
        answer = to.getresponse()
        content = json.dumps(cls.changed(json.loads(answer.read()))).encode()
        to.close()
        with cls.lock:
            cls.rows.update(json.dumps(row) for row in json.loads(body)["dataframe_split"]["data"])
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def served(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real `mlflow models serve`."""
    port = free_port()
    options = ["-m", "models:/people/1", "--env-manager", "local", "--port", str(port), "--workers", "1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"MLFLOW_TRACKING_URI": registry, "PATH": path}
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@contextmanager
def counting(port: int, **more: Any) -> Iterator[tuple[str, type[Counting]]]:
    """Give the address of a proxy before a server, and what it counts."""
    handler = type("Handler", (Counting,), {"port": port, "rows": Counter(), "lock": threading.Lock()} | more)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}/invocations", handler
    finally:
        proxy.shutdown()
        proxy.server_close()


def ledger(root: Path, status: str = "200") -> pa.Table:
    (path,) = root.glob("runs/*/ledger.parquet")
    table = pq.read_table(path)
    return table.filter(pa.compute.equal(table["status"], status))


def test_the_registry_gives_the_same_as_the_object(folder: Path, registry: str, given: Report, tmp_path: Path) -> None:
    target = {"kind": "registry", "model": "models:/people@champion", "tracking_uri": registry}
    found = run(tmp_path, spec(folder, target))
    assert found.results_json() == given.results_json()
    assert found.target.description == "models:/people@champion, version 1"


def test_the_endpoint_gives_the_same_and_its_ledger_is_the_servers_count(
    folder: Path, served: int, given: Report, tmp_path: Path
) -> None:
    with counting(served) as (url, counted):
        found = run(tmp_path, spec(folder, {"kind": "endpoint", "url": url, "batch_size": 100}))
        n_rows = sum(counted.rows.values())
    table = ledger(tmp_path)
    assert found.results_json() == given.results_json()
    assert sum(table["n_records"].to_pylist()) == n_rows == N_SENT + 2 * N_CANARIES
    assert {*table["purpose"].to_pylist()} == {"canary", "audited records", "changed copies"}
    assert found.ledger.queries == n_rows


def test_killed_in_the_middle_and_run_again_no_record_is_asked_twice(
    folder: Path, served: int, given: Report, tmp_path: Path, at_hand: Callable[[Path], dict[str, str]]
) -> None:
    with counting(served) as (url, counted):
        target = {"kind": "endpoint", "url": url, "batch_size": 100, "concurrency": 1}
        path, root = tmp_path / "people.yaml", tmp_path / "root"
        path.write_text(yaml.safe_dump(spec(folder, target)))
        command = [*COMMAND, "audit", str(path), "--root", str(root), "--workers", "0"]
        counted.kill_after = 9
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        counted.victim = subprocess.Popen(command, env=at_hand(root), **quiet)
        assert counted.victim.wait(120) == -signal.SIGKILL
        counted.kill_after = None
        before = sum(counted.rows.values())
        found = run(root, spec(folder, target))
    assert 0 < before < N_QUERIES and found.results_json() == given.results_json()
    # Canaries are asked anew in each run, and again at the end of the one that gets there.
    assert sum(counted.rows.values()) == N_SENT + 3 * N_CANARIES
    assert len([row for row, n in counted.rows.items() if n > 1]) == N_CANARIES


@pytest.mark.parametrize(
    ("how", "change"),
    [
        ({"kind": "rounding", "decimals": 1}, lambda row: [round(p, 1) for p in row]),
        ({"kind": "top_k", "k": 1}, lambda row: [p * (p == max(row)) for p in row]),
    ],
)
def test_an_endpoint_that_answers_less(
    folder: Path, served: int, given: Report, how: dict[str, Any], change: Callable[[Any], Any], tmp_path: Path
) -> None:
    changed = staticmethod(lambda content: {"predictions": [change(row) for row in content["predictions"]]})
    attacks = [{"kind": "shokri", "model": {"kind": "logistic_regression"}}, {"kind": "loss"}]
    with counting(served, changed=changed) as (url, _):
        found = run(tmp_path, spec(folder, {"kind": "endpoint", "url": url, "answers": [how]}, attacks=attacks))
    whole = {r.attack: r.metrics["auc"].value for r in given.results}  # type: ignore[union-attr]
    for result in found.results:
        assert result.metrics["auc"].low > 0.5 and abs(result.metrics["auc"].value - whole[result.attack]) < 0.2  # type: ignore[union-attr]


def test_the_budget_is_held_before_anything_is_asked(folder: Path, served: int, tmp_path: Path) -> None:
    with counting(served) as (url, counted):
        target = {"kind": "endpoint", "url": url, "budget": 1000}
        with pytest.raises(TargetError, match=r"target.budget=1,000: the audit needs up to 2,432 more queries"):
            run(tmp_path, spec(folder, target))
        assert sum(counted.rows.values()) == N_CANARIES


def test_stored_predictions(folder: Path, model: Any, given: Report, tmp_path: Path) -> None:
    parts = [pq.read_table(folder / f"{name}.parquet") for name in ("members", "nonmembers", "pool")]
    whole = pa.concat_tables(parts)
    whole = whole.append_column("person", pa.array(np.arange(whole.num_rows) + 1000))
    pq.write_table(whole, tmp_path / "people.parquet")
    some = whole[: 2 * N].to_pandas()
    proba = model.predict_proba(some[list(NAMES)]).astype(np.float32)
    stored = pa.table(
        {
            "record_id": some.person,
            "is_member": np.arange(2 * N) < N,
            "label": (some.label == "yes").astype(int),
            "p_0": proba[:, 0],
            "p_1": proba[:, 1],
        }
    )
    pq.write_table(stored, tmp_path / "answers.parquet")
    content = spec(folder, {"kind": "predictions", "path": str(tmp_path / "answers.parquet")})
    data = {"kind": "parquet", "path": str(tmp_path / "people.parquet"), "label": "label", "id": "person"}
    found = run(tmp_path / "root", content | {"data": data})
    figures = {r.attack: r.metrics["auc"] for r in found.results}
    expected = {r.attack: r.metrics["auc"] for r in given.results}
    assert figures["loss"] == expected["loss"]
    assert "only stored answers" in figures["label_only"].not_measured  # type: ignore[union-attr]
    assert found.ledger.queries == 0


@pytest.mark.parametrize("mitigation", [{"kind": "memguard"}, {"kind": "params", "params": {"C": 0.01}}])
def test_too_few_shadow_data_under_mitigations(folder: Path, mitigation: dict[str, Any], tmp_path: Path) -> None:
    target = {"kind": "train", "estimator": {"kind": "logistic_regression"}}
    shadows = {"count": 2, "data": {"kind": "model_based", "conf_min": 0.999999, "iter_max": 3, "k_max": 2, "k_min": 1}}
    content = spec(folder, target, attacks=[{"kind": "shokri"}], shadows=shadows, mitigations=[mitigation])
    found = run(tmp_path, content)
    aucs = {(r.attack, r.mitigation): r.metrics["auc"] for r in found.results}
    assert "shadow data" in aucs["shokri(mlp)", None].not_measured  # type: ignore[union-attr]
    assert all("shadow data" in m.not_measured for (attack, _), m in aucs.items() if attack.startswith("shokri"))  # type: ignore[union-attr]
