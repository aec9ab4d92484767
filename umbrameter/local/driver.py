"""The local driver: runs a spec's audit on this machine, without Prefect, Dask or MLflow."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from umbrameter import checkout
from umbrameter.local.workers import LocalWorkers
from umbrameter.records.sources import CatalogueData, GeneratedData, ParquetData, SidesData
from umbrameter.running.audit import run_audit
from umbrameter.running.driver import Driver
from umbrameter.running.jobs import LocalGraph
from umbrameter.running.session import Session
from umbrameter.spec.audit import AuditSpec
from umbrameter.targets.base import Target
from umbrameter.targets.connection import Connection, ConnectionContext


def audit_here(
    spec: AuditSpec,
    root: str,
    workers: int | None = None,
    model: Any = None,
    tracking_uri: str | None = None,
    draws_figures: bool = True,
) -> str:
    """Run an audit on this machine and return its run folder, relative to the root.

    Parameters
    ----------
    spec
        What to audit.
    root
        Where artefacts and run folders are stored.
    workers
        Worker processes, this one among them: one per core if None, one if there are no shadow models to train.
    model
        The fitted classifier, for a target of kind `object`.
    tracking_uri
        MLflow's address, for a target that is registered there and does not name one.
    draws_figures
        Whether to write the page and its figures, too.
    """
    with session(spec, root, workers, draws_figures) as run:
        return run_audit(run, model, tracking_uri)


@contextmanager
def session(spec: AuditSpec, root: str, n_workers: int | None = None, draws_figures: bool = True) -> Iterator[Session]:
    """Open a session on this machine; its processes are stopped at the end of the block, however it ends.

    Parameters
    ----------
    spec, root, draws_figures
        See `audit_here`.
    n_workers
        Its `workers`.
    """
    n = 1 if n_workers == 0 or (n_workers is None and not spec.n_shadows) else n_workers
    workers = LocalWorkers(n)
    # The processes are stopped first, since the threads wait for them.
    with closing(LocalGraph(workers.n_workers() - 1)) as graph, closing(workers):
        opened = Session(spec, root, Driver(workers, graph, _connect, _locate, draws_figures=draws_figures))
        yield opened
        opened.wait()


def _connect(target: Target, context: ConnectionContext) -> Connection:
    """Connect to a target; one that needs a client library, with the client of a checkout."""
    if type(target).connect is not Target.connect:
        return target.connect(context)
    connection: Connection = checkout.load("tasks.external_targets.connectors").connect(target, context)
    return connection


def _locate(data: CatalogueData | GeneratedData, root: str) -> ParquetData | SidesData:
    """Find or generate a named data set with the catalogue of a checkout."""
    source: ParquetData | SidesData = checkout.load("data.catalogue").source_of(data, root)
    return source
