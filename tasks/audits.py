"""What carries out the audit of a flow run: Prefect orders, Dask works, and clients reach what the library cannot.

Belongs here: opening and closing a session. Does not belong here: the audit itself (`umbrameter.running`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.runtime import flow_run

from data.catalogue import source_of
from tasks.cluster import Cluster, Compute
from tasks.prefect_graph import RunGraph
from tasks.progress import display
from tasks.reporting import tracking
from umbrameter.running.driver import Driver
from umbrameter.running.session import WORKERS, Session
from umbrameter.spec.audit import AuditSpec
from umbrameter.targets.base import Target
from umbrameter.targets.connection import Connection, ConnectionContext


def run_name() -> str:
    """Return a flow run's name: the spec's, or the name of the spec's file."""
    spec = flow_run.parameters["spec"]
    if isinstance(spec, str):
        return spec.rpartition("/")[2].removesuffix(".yaml")
    return str(spec["name"] if isinstance(spec, dict) else spec.name)


@contextmanager
def session(spec: AuditSpec, root: str, compute: Compute, tracking_uri: str | None = None) -> Iterator[Session]:
    """Open a session; its cluster is closed at the end of the block, however it ends.

    Parameters
    ----------
    spec
        The audit's spec.
    root
        Where artefacts and run folders are stored.
    compute
        Where the heavy work runs.
    tracking_uri
        MLflow's address; a SQLite file under the root if unset.
    """
    with Cluster(compute) as cluster:
        driver = Driver(
            workers=cluster,
            graph=RunGraph(),
            connect=connect_any,
            locate=source_of,
            display=display,
            begin_tracking=lambda root: tracking().get_ready(root, tracking_uri),
        )
        opened = Session(spec, root, driver)
        try:
            yield opened
            opened.wait()
        except BaseException:
            opened.wait(WORKERS)  # closed next, so they must have started; nothing else is needed any more
            raise


def read_spec(spec: AuditSpec | str) -> AuditSpec:
    """Return a spec unchanged, or read it from a YAML file."""
    return AuditSpec.load(spec) if isinstance(spec, str) else spec


def connect_any(target: Target, context: ConnectionContext) -> Connection:
    """Connect to a target of any kind; see `tasks.external_targets.connectors.connect`."""
    from tasks.external_targets.connectors import connect  # loads an HTTP client, which other audits do not need

    return connect(target, context)
