"""A real Prefect server with our deployments: the scheduler creates a run, and a worker runs one and logs it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest

ROOT = Path(__file__).resolve().parents[2]
PREFECT = [sys.executable, "-m", "prefect"]

pytestmark = pytest.mark.pipeline


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(what: str, found: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if result := found():
                return result
        except httpx.TransportError:
            pass  # the server is still starting
        time.sleep(0.5)
    raise AssertionError(f"no {what} within {seconds} s")


class Service:
    """A process group of its own, ended with its children."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path):
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command, env=env, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], Path]]:
    folder = tmp_path_factory.mktemp("prefect")
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    env = os.environ | {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    service = Service([*PREFECT, "server", "start", "--port", str(port)], env, folder / "server.log")
    try:
        wait_for("server", lambda: httpx.get(f"{api}/health").status_code == 200, 90)
        yield api, env, folder
    finally:
        service.stop()


def prefect(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([*PREFECT, *arguments], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nightly_audit_is_scheduled_and_a_worker_runs_one(server: tuple[str, dict[str, str], Path]) -> None:
    api, env, folder = server
    prefect(env, "work-pool", "create", "umbrameter", "--type", "process")
    prefect(env, "--no-prompt", "deploy", "--all")

    def scheduled() -> list[dict[str, Any]]:
        runs = httpx.post(f"{api}/flow_runs/filter", json={}).json()
        return [run for run in runs if run["auto_scheduled"]]

    runs = wait_for("auto-scheduled run", scheduled, 90)
    assert {run["state_type"] for run in runs} == {"SCHEDULED"}
    assert all(run["expected_start_time"][11:16] == "02:30" for run in runs)

    root = folder / "audits"
    spec = folder / "small.yaml"
    shutil.copy(ROOT / "tests" / "flows" / "small.yaml", spec)
    parameters = {"spec": str(spec), "root": str(root), "compute": {"workers": 0}}
    worker = Service([*PREFECT, "worker", "start", "-p", "umbrameter", "--type", "process"], env, folder / "worker.log")
    try:
        prefect(env, "deployment", "run", "audit/on-demand", "--params", json.dumps(parameters))

        def finished() -> dict[str, Any] | None:
            runs = httpx.post(f"{api}/flow_runs/filter", json={}).json()
            ended = ("COMPLETED", "FAILED", "CRASHED")
            return next((r for r in runs if not r["auto_scheduled"] and r["state_type"] in ended), None)

        run = wait_for("finished run", finished, 240)
    finally:
        worker.stop()
    assert run["state_type"] == "COMPLETED", (folder / "worker.log").read_text()
    assert run["name"] == "small"

    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    parents = [r for r in client.search_runs([experiment.experiment_id]) if "mlflow.parentRunId" not in r.data.tags]
    assert [r.info.status for r in parents] == ["FINISHED"]

    logs = httpx.post(f"{api}/logs/filter", json={"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200}).json()
    messages = [entry["message"] for entry in logs]
    assert any("fit shadow models: 4 of 4 done" in message for message in messages), messages
    artefacts = httpx.post(f"{api}/artifacts/filter", json={}).json()
    assert [a["key"] for a in artefacts if a["type"] == "table"] == ["audit-small"]
    progress = {a["key"]: (a["data"], a["description"]) for a in artefacts if a["type"] == "progress"}
    share, text = progress["progress-fit-shadow-models"]
    assert share == 100 and text.startswith("fit shadow models: 4 of 4 done (4 made, 0 reused)")
    assert {"progress-prepare", "progress-train-target", "progress-merge", "progress-score"} <= set(progress)
