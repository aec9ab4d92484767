"""The same audit at several values of one setting, and what they come to side by side."""

from prefect import flow

from flows.audit import audit
from tasks import sweeps
from tasks.cluster import Compute
from umbrameter.spec.sweep import Sweep


@flow(
    name="sweep",
    flow_run_name=sweeps.run_name,
    description="Audit at each value of the setting that varies, and compare.",
)
def sweep(
    spec: Sweep | str, root: str = "runs", compute: Compute | None = None, tracking_uri: str | None = None
) -> str:
    """Run a sweep and return its run folder, relative to the root.

    Parameters
    ----------
    spec
        What to audit, or the path of its YAML file: one setting is a list.
    root, compute, tracking_uri
        As of `audit`.
    """
    found = sweeps.read_sweep(spec)
    runs = [audit(point.spec, root, compute, tracking_uri, tracked=False) for point in found.points]
    folder = sweeps.report(found, root, runs)
    sweeps.track(root, folder, tracking_uri)
    return folder
