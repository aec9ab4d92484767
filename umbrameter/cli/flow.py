"""`umbrameter audit` by the pipeline: Prefect orders, Dask works, MLflow keeps the results."""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import typer

from umbrameter import checkout
from umbrameter.cli.runs import show
from umbrameter.cli.start import announced, fast_imports
from umbrameter.cli.stopping import heed_ctrl_c
from umbrameter.errors import SpecError, TrackingError


def audit_by_flow(
    spec: str,
    root: str,
    settings: Iterable[str],
    fail_on: Iterable[str],
    cluster: dict[str, Any],
    tracking_uri: str | None,
    as_json: bool,
    debug: bool,
) -> int:
    """Run an audit or a sweep as a flow, print it, and return the exit code that it means.

    Parameters
    ----------
    spec, root, settings, fail_on, tracking_uri, as_json, debug
        The command's arguments.
    cluster
        Those of `tasks.cluster.Compute`.
    """
    try:
        typer.echo(f"umbrameter audit: {spec}", err=True)
        with fast_imports():
            from umbrameter.report.progress_bars import progress_on_stderr
        with progress_on_stderr(debug) as say, ExitStack() as servers:
            with fast_imports():
                when_it_answers = servers.enter_context(checkout.load("tasks.server").temporary_server())
                compute = _compute(cluster)
                checked = announced(spec, settings, fail_on, say)
                name = "audit" if hasattr(checked, "target") else "sweep"
                flow = getattr(checkout.load(f"flows.{name}"), name)
                checkout.load("tasks.mlflow_client.runs")  # while the server starts, since it would be waited for
            heed_ctrl_c()
            say("Waiting for Prefect")
            with when_it_answers():
                run = flow(checked, root=root, compute=compute, tracking_uri=tracking_uri)
    except TrackingError as error:
        if error.run is not None:
            show(root, error.run, tracking_uri, as_json)
        raise
    return show(root, run, tracking_uri, as_json)


def _compute(settings: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return checkout.load("tasks.cluster").Compute(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"--{str(part).replace('_', '-')}={first['input']!r}: " for part in first["loc"])
        raise SpecError(where + str(first["msg"]).removeprefix("Value error, ")) from None


def amounts(settings: Iterable[str]) -> dict[str, float]:
    """Return `NAME=N` settings as numbers by name."""
    amounts = {}
    for setting in settings:
        name, _, number = setting.partition("=")
        try:
            amounts[name] = float(number)
        except ValueError:
            raise SpecError(f"--resource {setting!r} must be NAME=N, such as GPU=1") from None
    return amounts
