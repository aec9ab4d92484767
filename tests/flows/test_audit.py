"""Whole audits without mocks: the same numbers everywhere, nothing done twice, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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


def test_two_workers_give_the_same_bytes(first: tuple[Path, Report], tmp_path: Path) -> None:
    assert run(tmp_path, workers=2).results_json() == first[1].results_json()


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


def test_what_changed_is_trained_anew(first: tuple[Path, Report]) -> None:
    changed = run(first[0], "target.estimator.params.n_estimators=11")
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
"""Settings under which each stage takes long enough to be ended in it."""
SET_SLOWER = [part for setting in SLOWER for part in ("--set", setting)]


class Command:
    """`umbrameter audit`, with its standard error read line by line."""

    def __init__(self, root: Path, *more: str, env: dict[str, str] | None = None):
        arguments = [*COMMAND, "audit", str(SMALL), "--root", str(root), "--json", "--workers", "2", *more]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(arguments, env=env, start_new_session=True, **pipes)
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


def n_finished(root: Path) -> int:
    return len(list((root / "store" / "shadow_predictions").glob("*/manifest.json")))


def test_killed_stopped_and_killed_it_continues_with_the_same_results(
    tmp_path: Path, at_hand: Callable[[Path], dict[str, str]]
) -> None:
    root = tmp_path / "ended"
    # The first two start a server of their own, which has to end with them.
    command = Command(root, *SET_SLOWER)
    command.wait_for("fit shadow models: ")
    family = command.family()
    command.process.send_signal(signal.SIGKILL)
    command.finish()
    assert gone(family, 30), f"left behind after kill -9: {family}"
    at_first = n_finished(root)
    assert at_first < 16

    command = Command(root, *SET_SLOWER)
    command.wait_for("fit shadow models: ")
    family, start = command.family(), time.monotonic()
    os.killpg(command.process.pid, signal.SIGINT)
    code, out, err = command.finish()
    assert (code, out) == (130, ""), err
    assert time.monotonic() - start < 60  # a hang, not a duration: it takes five to fifteen seconds
    assert gone(family, 5)
    assert "Traceback" not in err and "the same command continues from there" in err
    assert at_first <= n_finished(root)

    command = Command(root, *SET_SLOWER, env=at_hand(root))
    command.wait_for("merge: 2 of 2")
    family = command.family()
    command.process.send_signal(signal.SIGKILL)
    command.finish()
    assert gone(family, 30), f"left behind after kill -9: {family}"
    assert n_finished(root) == 16

    code, out, err = Command(root, *SET_SLOWER, env=at_hand(root)).finish()
    assert code == 0, err
    assert "fit shadow models: 16 of 16 done (0 made, 16 reused)" in err
    assert Report.model_validate_json(out).results_json() == run(tmp_path / "whole", *SLOWER).results_json()


def test_command_prints_the_report_and_nothing_else_on_standard_output(
    tmp_path: Path, at_hand: Callable[[Path], dict[str, str]]
) -> None:
    command = Command(tmp_path, "--tracking-uri", "http://127.0.0.1:9", env=at_hand(tmp_path))
    code, out, err = command.finish()
    assert code == 1
    assert json.loads(out)["audit"]["name"] == "small"
    assert err.splitlines()[-1].startswith("umbrameter: tracking_uri='http://127.0.0.1:9': MLflow did not take")
    assert "Traceback" not in err
