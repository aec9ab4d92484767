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
def server(prefect_server: Callable[[], AbstractContextManager[object]], copied_database: None) -> Iterator[str]:
    """Have Prefect talk to the server; return its address, for commands that need not start one of their own."""
    with prefect_server():
        yield PREFECT_API_URL.value()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create MLflow's database once, since its migrations take longer than a small audit."""
    root = tmp_path_factory.mktemp("mlflow")
    tracking_store.make_default(str(root))
    return root / "mlflow.db"


@pytest.fixture(scope="module")
def copied_database(empty_database: Path) -> Iterator[None]:
    """Give new roots a copy of the empty database; commands, in processes of their own, make theirs."""

    def copied(root: str) -> None:
        if not Path(root, "mlflow.db").exists():
            shutil.copy(empty_database, root)

    with pytest.MonkeyPatch.context() as patch:
        for module in (tracking_store, runs):
            patch.setattr(module, "make_default", copied)
        yield
