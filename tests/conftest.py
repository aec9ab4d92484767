"""Shared by all tests: one BLAS thread, a Prefect home of their own, and the folder of the full data sets."""

import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from absl import logging as absl_logging

# absl, which JAX loads, closes its handler's stream when Prefect sets up logging; that must not be pytest's.
absl_logging.get_absl_handler().python_handler.setStream(io.StringIO())

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prefect-home-")
for _variable in ("PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_SERVER_METRICS_ENABLED"):
    os.environ[_variable] = "false"
os.environ |= {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
os.environ.pop("PREFECT_API_URL", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with long tests first, so that no worker is left alone with one at the end."""
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("pipeline")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of the full data sets; without one the test is skipped, and fails where CI=true."""
    named = os.environ.get("UMBRAMETER_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "datasets"
    if not folder.is_dir():
        text = f"no data sets at {folder}: set UMBRAMETER_DATA to the folder that holds location30.parquet and others"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(text)
    return folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process; return exit code, standard output and standard error."""
    from umbrameter.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["umbrameter", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run
