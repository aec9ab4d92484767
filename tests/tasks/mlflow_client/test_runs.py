"""A real audit in a real MLflow: every figure with its bounds, models that load, nothing about single records."""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import psutil
import pytest
from mlflow.entities import Run

from flows.audit import audit
from tasks.cluster import Compute
from tasks.mlflow_client.runs import get_ready, log_run
from tasks.mlflow_client.tracking_store import default_uri, ui_command
from tasks.server import temporary_server
from umbrameter.errors import StoreError, TrackingError
from umbrameter.report import Report
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.scores import read_scores
from umbrameter.steps.target_answers import read_answers
from umbrameter.store.artefacts import Store

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default")]

SMALL = Path(__file__).parents[2] / "flows" / "small.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, Report]]:
    root = tmp_path_factory.mktemp("audits")
    with temporary_server() as when_it_answers, when_it_answers():
        folder = audit(AuditSpec.load(SMALL), root=str(root), compute=Compute(workers=0))
    yield root, folder, Report.model_validate_json((root / folder / "report.json").read_bytes())


@pytest.fixture(scope="module")
def runs(finished: tuple[Path, str, Report]) -> dict[str, Run]:
    """Return the runs by name; the parent's is `parent`."""
    client = client_of(finished[0])
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    return {str(r.info.run_name) if "mlflow.parentRunId" in r.data.tags else "parent": r for r in found}


def client_of(root: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(default_uri(str(root)))


def artefacts(client: mlflow.MlflowClient, run: str, path: str | None = None) -> list[str]:
    found = client.list_artifacts(run, path)
    return [p for f in found for p in (artefacts(client, run, f.path) if f.is_dir else [f.path])]


def test_one_parent_and_a_child_for_each_attack_and_mitigation(runs: dict[str, Run], finished: Any) -> None:
    params = "mitigation:params(min_samples_leaf=20)"
    assert set(runs) == {
        "parent",
        "attack:shokri(logistic_regression)",
        "attack:loss",
        "attack:confidence",
        "attack:gap",
        "mitigation:rounding(1)",
        params,
    }
    parent = runs["parent"]
    assert {r.data.tags.get("mlflow.parentRunId") for n, r in runs.items() if n != "parent"} == {parent.info.run_id}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert parent.data.tags["verdict"] == "no_limits"
    assert parent.data.tags["spec_digest"] == finished[2].audit.spec_digest
    assert str(parent.info.run_name).startswith("AUC 0.")


def test_every_figure_is_there_with_its_bounds(runs: dict[str, Run], finished: Any) -> None:
    for result in finished[2].results:
        if result.mitigation is not None:
            continue
        run = runs[f"attack:{result.attack}"]
        measured = {name: m for name, m in result.metrics.items() if not hasattr(m, "not_measured")}
        assert {"auc", "accuracy", "precision", "recall", "advantage"} <= set(measured)
        for name, metric in measured.items():
            ends = {"": "value", "_low": "low"} | ({"_high": "high"} if metric.high is not None else {})
            assert all(run.data.metrics[f"{name}{end}"] == getattr(metric, of) for end, of in ends.items())
        for name in set(result.metrics) - set(measured):
            assert name not in run.data.metrics and name in run.data.tags["not_measured"]
        assert run.data.metrics["test_accuracy"] == result.utility["test_accuracy"].value


def test_not_measured_is_told_with_its_reason(runs: dict[str, Run]) -> None:
    assert "tpr_at_fpr_0.001: " in runs["attack:loss"].data.tags["not_measured"]  # 300 non-members


def test_classes_are_a_series_and_a_figure(runs: dict[str, Run], finished: Any) -> None:
    client = client_of(finished[0])
    report = finished[2]
    for result in (r for r in report.results if r.mitigation is None):
        run = runs[f"attack:{result.attack}"].info.run_id
        history = client.get_metric_history(run, "class_precision")
        assert {m.step: m.value for m in history} == {i: c.precision.value for i, c in enumerate(result.by_class)}
        assert {"figures/roc.png", "figures/class_precision.png"} <= set(artefacts(client, run))


def test_a_mitigation_s_run_has_its_strongest_attack_and_the_auc_of_each(runs: dict[str, Run], finished: Any) -> None:
    of = {r.attack: r.metrics["auc"].value for r in finished[2].results if r.mitigation == "rounding(1)"}
    logged = runs["mitigation:rounding(1)"].data
    assert logged.metrics["auc"] == max(of.values()) == of[logged.tags["strongest_attack"]]
    assert logged.metrics["auc_loss"] == of["loss"]


def test_parameters_and_inputs_say_what_was_audited(runs: dict[str, Run]) -> None:
    parent = runs["parent"]
    wanted = {"name": "small", "data.name": "adult", "target.estimator.kind": "random_forest", "shadows.count": "2"}
    assert {name: parent.data.params[name] for name in wanted} == wanted
    inputs = {i.tags[0].value: i.dataset.name for i in parent.inputs.dataset_inputs}
    assert inputs["members"] == "adult members (300)" and set(inputs) == {"members", "non-members", "pool"}


def test_attack_models_load_and_score_as_stored(runs: dict[str, Run], finished: Any) -> None:
    root, folder, _ = finished
    client = client_of(root)
    run = client.get_run(runs["attack:shokri(logistic_regression)"].info.run_id)
    (model,) = run.outputs.model_outputs
    store = Store(root)
    paths = read_run_artefacts(store, folder)
    measured = paths.without_mitigation()["shokri(logistic_regression)"]
    scores = read_scores(store.open(measured.scores))
    answers = read_answers(store.open(paths.target_predictions[0])).vectors
    X = np.column_stack([answers.predictions, answers.labels])
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(default_uri(str(root)))
    try:
        uri = f"models:/{model.model_id}"
        pyfunc = mlflow.pyfunc.load_model(uri)
    finally:
        mlflow.set_tracking_uri(before)
    assert pyfunc.metadata.signature is not None
    assert np.allclose(np.asarray(pyfunc.predict(X.astype(np.float64)))[:, 1], scores.scores, atol=1e-6)


def test_a_second_run_of_the_same_models_links_them(runs: dict[str, Run], finished: Any, tmp_path: Path) -> None:
    root, folder, _ = finished
    client = client_of(root)
    experiment = runs["parent"].info.experiment_id
    before = client.search_logged_models([experiment])
    later = f"{folder}-later"
    shutil.copytree(root / folder, root / later)
    parent = log_run(str(root), later)
    try:
        children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
        again = {run.info.run_name: run.outputs.model_outputs for run in children}
        for name, run in runs.items():
            of_first = client.get_run(run.info.run_id).outputs.model_outputs
            assert name == "parent" or [m.model_id for m in again[name]] == [m.model_id for m in of_first]
        assert any(again.values())
        assert {m.model_id for m in client.search_logged_models([experiment])} == {m.model_id for m in before}
    finally:
        for run in (*children, client.get_run(parent)):
            client.delete_run(run.info.run_id)


def test_no_record_leaves_the_store(runs: dict[str, Run], finished: Any) -> None:
    client = client_of(finished[0])
    names = {run.info.run_id: artefacts(client, run.info.run_id) for run in runs.values()}
    assert {Path(name).suffix for found in names.values() for name in found} == {".html", ".json", ".yaml", ".png"}
    assert {"report.html", "report.json", "spec.yaml"} <= set(names[runs["parent"].info.run_id])
    text = (finished[0] / finished[1] / "report.json").read_text()
    assert "record_id" not in text and len(text) < 200_000


def test_logging_again_changes_nothing(runs: dict[str, Run], finished: Any) -> None:
    root, folder, _ = finished
    assert log_run(str(root), folder) == runs["parent"].info.run_id
    assert len(client_of(root).search_runs([runs["parent"].info.experiment_id])) == len(runs)


def test_what_an_interrupted_attempt_left_is_replaced(finished: Any, tmp_path: Path) -> None:
    root, folder, _ = finished
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    client = mlflow.MlflowClient(uri)
    first = log_run(str(root), folder, uri)
    client.update_run(first, status="RUNNING")
    second = log_run(str(root), folder, uri)
    assert second != first and client.get_run(first).info.lifecycle_stage == "deleted"
    assert len(client.search_runs([client.get_run(second).info.experiment_id])) == 7


def test_a_kill_while_the_store_is_made_leaves_no_half_of_one(tmp_path: Path) -> None:
    imports = "from tasks.mlflow_client.runs import get_ready"
    code = f"{imports}; print('loaded', flush=True); get_ready({str(tmp_path)!r}, None)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "loaded\n"
        while not (tmp_path / "mlflow.new.db").exists():
            time.sleep(0.005)
        time.sleep(0.05)  # the tables are being made
        process.kill()
    assert not (tmp_path / "mlflow.db").exists()
    get_ready(str(tmp_path), None)
    assert client_of(tmp_path).search_experiments() and not (tmp_path / "mlflow.new.db").exists()


def test_an_address_that_does_not_answer_is_named_without_its_password(finished: Any) -> None:
    root, folder, _ = finished
    with pytest.raises(
        TrackingError, match=rf"run umbrameter track {root}/{folder} --tracking-uri http://\*\*\*@"
    ) as no:
        log_run(str(root), folder, "http://someone:secret@127.0.0.1:9")
    assert "secret" not in str(no.value) and len(str(no.value).splitlines()) == 1


def test_what_cannot_be_logged(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"report\.json is missing; give the folder of a finished run"):
        log_run(str(tmp_path), "runs/none")
    with pytest.raises(TrackingError, match="MLflow needs an address of its own: --tracking-uri"):
        default_uri("s3://bucket/audits")


def test_the_ui_serves_the_store_and_stops(finished: Any) -> None:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = ui_command(str(finished[0]), None, port)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=small"
        answer, end = None, time.monotonic() + 90
        while answer is None and time.monotonic() < end:
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    answer = json.load(response)
            except OSError:
                time.sleep(0.5)
        assert answer is not None and answer["experiment"]["name"] == "small"
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            member.terminate()
        assert psutil.wait_procs(family, timeout=30)[1] == []
        process.wait()
