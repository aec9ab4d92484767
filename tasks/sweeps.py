"""Compare the audits of a sweep: its report and its run in MLflow."""

from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.preparation import run_name
from tasks.session import free_folder
from tasks.stages import tracking
from umbrameter.errors import SpecError
from umbrameter.report import sweep_html
from umbrameter.report.figures import png
from umbrameter.report.model import read_report
from umbrameter.report.sweep_model import compared, render
from umbrameter.spec.sweep import Sweep, load
from umbrameter.store.artefacts import Store

__all__ = ["read_sweep", "report", "run_name", "track"]

FIGURE = "figures/class_precision.png"


def read_sweep(spec: Sweep | str) -> Sweep:
    """Return a sweep as it is, or read it from a YAML file.

    Raises
    ------
    SpecError
        When no setting is a list.
    """
    found = load(spec) if isinstance(spec, str) else spec
    if not isinstance(found, Sweep):
        raise SpecError(f"SPEC={spec!r} is an audit, not a sweep: no setting is a list; run the flow audit with it")
    return found


@task(cache_policy=NO_CACHE, task_run_name="compare the points")
def report(sweep: Sweep, root: str, runs: list[str]) -> str:
    """Write the sweep's folder: table, figure, page; return its path under the root."""
    store = Store(root)
    found = compared(sweep, runs, [read_report(store.read(f"{run}/report.json")) for run in runs])
    folder = free_folder(store, f"{sweep.name}-sweep", datetime.fromisoformat(found.started))
    figure = png(sweep_html.class_precision(found))
    page, content = render(found, figure), found.model_dump_json(indent=1)
    store.put(folder, {FIGURE: figure, "sweep.html": page.encode(), "sweep.json": content.encode()})
    return folder


@task(cache_policy=NO_CACHE, task_run_name="log to MLflow")
def track(root: str, folder: str, tracking_uri: str | None) -> str:
    """Log the finished sweep to MLflow, a run below it for each point."""
    return str(tracking().log_sweep(root, folder, tracking_uri))
