"""Shared by whole audits: one Prefect server, and one empty MLflow database that new roots get a copy of."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from tasks.mlflow_client import runs, tracking_store
from tasks.server import temporary_server


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[Callable[[], AbstractContextManager[object]]]:
    with temporary_server() as when_it_answers:
        yield when_it_answers


@pytest.fixture(scope="module")
def server(prefect_server: Callable[[], AbstractContextManager[object]]) -> Iterator[str]:
    """Have Prefect talk to the server; return its address, for commands that need not start one of their own."""
    with prefect_server():
        yield PREFECT_API_URL.value()


@pytest.fixture(scope="session", autouse=True)
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Create MLflow's database once, since its migrations take longer than an audit; commands make their own."""
    empty, create = tmp_path_factory.mktemp("mlflow"), tracking_store.make_default

    def copied(root: str) -> None:
        if not (empty / "mlflow.db").exists():
            create(str(empty))
        if not Path(root, "mlflow.db").exists():
            shutil.copy(empty / "mlflow.db", root)

    with pytest.MonkeyPatch.context() as patch:
        for module in (tracking_store, runs):
            patch.setattr(module, "make_default", copied)
        yield
