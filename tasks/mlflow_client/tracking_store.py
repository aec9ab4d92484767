"""MLflow's tracking store: its address, the default one under a root, its experiments, and its UI.

Belongs here: what must exist before anything is logged. Does not belong here: what is logged (`runs`), nor the models
that are registered (`registry`).
"""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import quote

import mlflow
from filelock import FileLock

from umbrameter.errors import TrackingError
from umbrameter.store.addresses import local_path
from umbrameter.store.artefacts import Store

EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",  # the UI then leads with runs, not with prompts and traces
    "mlflow.note.content": "Membership-inference audits by umbrameter: one run per audit, with a child run per attack "
    "on the unmitigated model and one per mitigation. AUC 0.5 is guessing, 1 is certainty.",
}
"""The tags of our experiments, which MLflow's UI shows."""


def default_uri(root: str) -> str:
    """Return the address of the SQLite store under a local root, whatever characters the root's path has.

    Raises
    ------
    TrackingError
        When the root is a bucket, which cannot hold a SQLite file.
    """
    local = local_path(root)
    if local is None:
        raise TrackingError(f"root={root!r} is no local folder, so MLflow needs an address of its own: --tracking-uri")
    return _sqlite(Path(local).resolve() / "mlflow.db")


def _sqlite(path: Path) -> str:
    """Return the address of a SQLite file, as a URI of SQLite's own if the plain form would end at a character."""
    plain = str(path)
    if not {*plain} & {*"?#%"}:
        return f"sqlite:///{plain}"
    # With the driver's name, since MLflow would make folders for what follows a bare sqlite:///, taken literally.
    return f"sqlite+pysqlite:///file:{quote(plain)}?uri=true"


@contextmanager
def at(address: str) -> Iterator[None]:
    """Point MLflow's process-wide functions at an address until the block ends."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def ui_command(root: str, uri: str | None, port: int) -> list[str]:
    """Return the command that serves the MLflow UI on this machine.

    Parameters
    ----------
    root
        Where the store is.
    uri
        MLflow's address; the SQLite file under the root if unset.
    port
        The port to serve on.

    Raises
    ------
    TrackingError
        When there is no MLflow store under the root yet.
    """
    address = uri or default_uri(root)
    if uri is None and not Path(str(local_path(root)), "mlflow.db").is_file():
        raise TrackingError(f"root={root!r} has no MLflow store yet; run an audit there first, or give --tracking-uri")
    options = ["--backend-store-uri", address, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "server", *options]


def opened(store: Store, name: str, address: str, is_default: bool) -> tuple[mlflow.MlflowClient, str]:
    """Return a client, and the id of the experiment with this name, created if there is none.

    Parameters
    ----------
    store
        Where the run's artefacts are.
    name
        The experiment's name.
    address, is_default
        MLflow's address, and whether it is that of the default store, which is then created as well.
    """
    if is_default:
        make_default(store.root)
    client = mlflow.MlflowClient(tracking_uri=address)
    # Two audits may create the same experiment at once; only the default store has a lock for that.
    with _alone(store.root) if is_default else nullcontext():
        return client, _experiment(client, name, f"{store.root}/mlartifacts" if is_default else None)


def _experiment(client: mlflow.MlflowClient, name: str, artifacts: str | None) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = artifacts and Path(artifacts, name).as_uri()
    return str(client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))


@contextmanager
def quietly() -> Iterator[None]:
    """Keep MLflow's own progress and hints off the terminal."""
    silence()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def silence() -> None:
    """Set the loggers of MLflow, and of the library that migrates its database, to errors."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def make_default(root: str) -> None:
    """Create the default store if there is none, under another name first: a kill must not leave half a database."""
    path, new = Path(root, "mlflow.db"), Path(root, "mlflow.new.db")
    with _alone(root):
        if not path.exists():
            # Left behind by a process that was killed here.
            new.unlink(missing_ok=True)
            mlflow.MlflowClient(tracking_uri=_sqlite(new.resolve()))
            new.replace(path)


def _alone(root: str) -> FileLock:
    """Return a lock on the default store, which two audits may want to create at once."""
    return FileLock(Path(root, "mlflow.lock"))
