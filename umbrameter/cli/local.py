"""`umbrameter audit --local`: an audit on this machine, without Prefect, Dask and MLflow."""

from collections.abc import Iterable
from typing import Any

import typer

from umbrameter import checkout
from umbrameter.cli.runs import show
from umbrameter.cli.start import announced, fast_imports
from umbrameter.errors import SpecError


def works_locally(is_asked: bool) -> bool:
    """Return whether an audit runs without the pipeline: if it is asked for, or if there is none."""
    missing = None if checkout.find() else "the installed package has no flows"
    if missing is None and not checkout.has_pipeline():
        missing = "the ring pipeline is not installed"
    if not is_asked and missing:
        typer.echo(f"Working on this machine alone, without Prefect, Dask and MLflow (--local): {missing}.", err=True)
    return is_asked or missing is not None


def refuse_settings(settings: dict[str, Any]) -> None:
    """Refuse the settings of a cluster, and those of MLflow."""
    given = [f"--{n.replace('_', '-')}" for n, value in settings.items() if value and n != "workers"]
    if given:
        raise SpecError(f"{', '.join(given)} cannot be used with --local, which has neither a cluster nor MLflow")


def audit_locally(
    spec: str,
    root: str,
    settings: Iterable[str],
    fail_on: Iterable[str],
    workers: int | None,
    as_json: bool,
    debug: bool,
) -> int:
    """Run an audit or a sweep on this machine, print it, and return the exit code that it means.

    Parameters
    ----------
    spec, root, settings, fail_on, workers, as_json, debug
        The command's arguments.
    """
    typer.echo(f"umbrameter audit: {spec}", err=True)
    with fast_imports():
        from umbrameter.report.progress_bars import progress_on_stderr
    with progress_on_stderr(debug) as say:
        with fast_imports():
            # Imported here, since they take a second, so that the first line is on the screen before.
            from umbrameter.local.driver import audit_here
            from umbrameter.spec.audit import AuditSpec

            checked = announced(spec, settings, fail_on, say)
        if isinstance(checked, AuditSpec):
            run = audit_here(checked, root, workers)
        else:
            from umbrameter.running.sweep import write_sweep  # loads matplotlib

            runs = [audit_here(point.spec, root, workers) for point in checked.points]
            run = write_sweep(checked, root, runs)
    return show(root, run, None, as_json, is_tracked=False)
