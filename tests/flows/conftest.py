"""Shared by whole audits: a Prefect server, an empty MLflow database that new roots get a copy of, and no figures."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from tasks.mlflow_client import runs, tracking_store
from tasks.server import temporary_server
from umbrameter.report import run_figures


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


@pytest.fixture(scope="module", autouse=True)
def without_figures() -> Iterator[None]:
    """Draw no figures, half of a small audit's time; commands in processes of their own draw them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_figures, "drawn_figures", lambda *_: {})
        yield


@pytest.fixture
def at_hand(server: str, empty_database: Path) -> Callable[[Path], dict[str, str]]:
    """Put the empty database into a command's root; return the environment in which it uses the server, too."""

    def environment(root: Path) -> dict[str, str]:
        root.mkdir(parents=True, exist_ok=True)
        if not (root / "mlflow.db").exists():
            shutil.copy(empty_database, root)
        return os.environ | {"PREFECT_API_URL": server}

    return environment
