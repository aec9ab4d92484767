"""The same audit at several values of one setting, and a comparison of the results."""

from prefect import flow

from flows.audit import audit
from tasks import sweeps
from tasks.cluster import Compute
from umbrameter.spec.sweep import Sweep


@flow(
    name="sweep",
    flow_run_name=sweeps.run_name,
    description="Run an audit at each value of the varying setting, and compare the results.",
)
def sweep(
    spec: Sweep | str, root: str = "runs", compute: Compute | None = None, tracking_uri: str | None = None
) -> str:
    """Run a sweep and return its run folder, relative to the root.

    Parameters
    ----------
    spec
        What to audit, with a list for one setting, or the path of its YAML file.
    root, compute, tracking_uri
        See `audit`.
    """
    loaded = sweeps.read_sweep(spec)
    # The points are logged with the sweep at the end, as its child runs.
    runs = [audit(point.spec, root, compute, tracking_uri, tracked=False) for point in loaded.points]
    folder = sweeps.report(loaded, root, runs)
    sweeps.track(root, folder, tracking_uri)
    return folder
