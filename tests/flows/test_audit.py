"""Whole audits without mocks: the same numbers everywhere, nothing done twice, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.audit import audit
from tasks.cluster import Compute
from tasks.mlflow_client.runs import log_run
from umbrameter.errors import PlanError, StoreError, TrackingError
from umbrameter.report import Report
from umbrameter.spec.audit import AuditSpec

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("server")]

SMALL = Path(__file__).parent / "small.yaml"
COMMAND = [sys.executable, "-c", "from umbrameter.cli import main; main()"]


def run(root: Path, *settings: str, workers: int = 0, **options: Any) -> Report:
    folder = audit(AuditSpec.load(SMALL, settings), root=str(root), compute=Compute(workers=workers), **options)
    return Report.model_validate_json((root / folder / "report.json").read_bytes())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    root = tmp_path_factory.mktemp("first")
    return root, run(root)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_the_same_bytes_for_any_number_of_workers(
    first: tuple[Path, Report], tmp_path: Path, workers: int
) -> None:
    assert run(tmp_path, workers=workers).results_json() == first[1].results_json()


def test_second_run_trains_nothing_and_says_so(first: tuple[Path, Report], caplog: pytest.LogCaptureFixture) -> None:
    root, report = first
    with caplog.at_level("INFO", logger="umbrameter"):
        again = run(root)
    assert (again.shadows.n_trained, again.shadows.n_reused, again.ledger.fits, again.ledger.queries) == (0, 2, 0, 0)
    assert again.results_json() == report.results_json()
    assert again.ledger.reused_fits == 6
    assert "fit shadow models: 4 of 4 done (0 made, 4 reused)" in caplog.text


def test_more_shadow_models_train_only_what_is_missing(first: tuple[Path, Report]) -> None:
    more = run(first[0], "shadows.count=5")
    assert (more.shadows.n_models, more.shadows.n_trained, more.shadows.n_reused) == (5, 3, 2)
    assert more.results_json() != first[1].results_json()


@pytest.mark.parametrize("setting", ["seed=1", "target.estimator.params.n_estimators=11", "split.members=301"])
def test_what_changed_is_trained_anew(first: tuple[Path, Report], setting: str) -> None:
    changed = run(first[0], setting)
    assert (changed.shadows.n_trained, changed.shadows.n_reused) == (2, 0)


def test_only_a_loss_threshold_trains_no_shadow_model(tmp_path: Path) -> None:
    report = run(tmp_path, "attacks=[{kind: loss}]", "mitigations=[]")
    assert (report.shadows.n_models, report.ledger.fits) == (0, 1)
    assert report.results[0].metrics["accuracy"].model_dump().keys() == {"not_measured"}


def test_impossible_plan_says_what_to_lower(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"members \+ 30000 non-members = 60000 records, but there are 42468; lower"):
        run(tmp_path, "split.members=30000", "split.nonmembers=30000")
    with pytest.raises(PlanError, match=r"shadows\.size=42000 is more than the pool can give: 41868 records"):
        run(tmp_path, "shadows.size=42000")


def test_audit_is_complete_when_tracking_fails_and_is_logged_later(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"the audit is complete in .*, run umbrameter track") as no:
        run(tmp_path, tracking_uri="http://someone:secret@127.0.0.1:9")
    assert "secret" not in str(no.value)
    assert no.value.run is not None
    assert (tmp_path / no.value.run / "report.json").is_file()
    assert log_run(str(tmp_path), no.value.run) == log_run(str(tmp_path), no.value.run)


def test_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="give a folder you may write to with --root"):
        run(tmp_path / "file" / "root")


# The command line in a process of its own, killed and stopped

SLOWER = ("shadows.count=8", "target.estimator.params.n_estimators=150", "split.members=1000")
"""Settings under which each stage takes long enough to be killed in it."""


class Command:
    """`umbrameter audit`, with its standard error read line by line."""

    def __init__(self, root: Path, *more: str, settings: tuple[str, ...] = SLOWER, server: str | None = None):
        arguments = [*COMMAND, "audit", str(SMALL), "--root", str(root), "--json", "--workers", "2", *more]
        for setting in settings:
            arguments += ["--set", setting]
        self.process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ({} if server is None else {"PREFECT_API_URL": server}),
            start_new_session=True,
        )
        self.lines: list[str] = []

    def wait_for(self, text: str) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"{text!r} never came: {''.join(self.lines)}")

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def finish(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=180)
        return self.process.returncode, out, "".join(self.lines) + err


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(tmp_path_factory.mktemp("whole"), *SLOWER)


def test_killed_three_times_it_continues_with_the_same_results(tmp_path: Path, whole: Report, server: str) -> None:
    finished = 0
    for moment, shared in (("query target: 2 of 2", server), ("fit shadow models: ", None), ("merge: 2 of 2", server)):
        command = Command(tmp_path, server=shared)
        command.wait_for(moment)
        family = command.family()
        command.process.send_signal(signal.SIGKILL)
        command.finish()
        assert gone(family, 30), f"left behind after kill -9: {family}"
        now = len(list((tmp_path / "store" / "shadow_predictions").glob("*/manifest.json")))
        assert now >= finished
        finished = now
    code, out, err = Command(tmp_path, server=server).finish()
    assert code == 0, err
    report = Report.model_validate_json(out)
    assert report.results_json() == whole.results_json()
    assert finished == 16 and "fit shadow models: 16 of 16 done (0 made, 16 reused)" in err


def test_ctrl_c_stops_within_seconds_leaves_nothing_and_the_next_run_continues(tmp_path: Path, whole: Report) -> None:
    command = Command(tmp_path)
    command.wait_for("fit shadow models: ")
    family = command.family()
    start = time.monotonic()
    os.killpg(command.process.pid, signal.SIGINT)
    code, out, err = command.finish()
    assert (code, out) == (130, ""), err
    assert time.monotonic() - start < 60  # a hang, not a duration: it takes five to fifteen seconds
    assert gone(family, 5)
    assert "Traceback" not in err and "the same command continues from there" in err
    code, out, err = Command(tmp_path).finish()
    assert code == 0, err
    report = Report.model_validate_json(out)
    assert report.shadows.n_reused + report.ledger.reused > 0
    assert report.results_json() == whole.results_json()


def test_command_prints_the_report_and_nothing_else_on_standard_output(tmp_path: Path) -> None:
    command = Command(tmp_path, "--tracking-uri", "http://127.0.0.1:9", settings=())
    code, out, err = command.finish()
    assert code == 1
    assert json.loads(out)["audit"]["name"] == "small"
    assert err.splitlines()[-1].startswith("umbrameter: tracking_uri='http://127.0.0.1:9': MLflow did not take")
    assert "Traceback" not in err
