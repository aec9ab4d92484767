"""Compare the audits of a sweep: the sweep's report, and its run in MLflow."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.audits import run_name
from tasks.reporting import tracking
from umbrameter.errors import SpecError
from umbrameter.running.sweep import write_sweep
from umbrameter.spec.sweep import Sweep, load

__all__ = ["read_sweep", "report", "run_name", "track"]


def read_sweep(spec: Sweep | str) -> Sweep:
    """Return a sweep unchanged, or read it from a YAML file.

    Raises
    ------
    SpecError
        When no setting is a list.
    """
    loaded = load(spec) if isinstance(spec, str) else spec
    if not isinstance(loaded, Sweep):
        raise SpecError(f"SPEC={spec!r} is an audit, not a sweep: no setting is a list; run the flow audit with it")
    return loaded


@task(cache_policy=NO_CACHE, task_run_name="compare the points")
def report(sweep: Sweep, root: str, runs: list[str]) -> str:
    """Write the sweep's folder, and return its path relative to the root; see `umbrameter.running.sweep`."""
    return write_sweep(sweep, root, runs)


@task(cache_policy=NO_CACHE, task_run_name="log to MLflow")
def track(root: str, folder: str, tracking_uri: str | None) -> str:
    """Log a finished sweep to MLflow, with a child run per point, and return the id of its run there.

    Parameters
    ----------
    root
        Where artefacts and run folders are stored.
    folder
        The sweep's folder, relative to the root.
    tracking_uri
        MLflow's address; a SQLite file under the root if unset.
    """
    return str(tracking().log_sweep(root, folder, tracking_uri))
