"""One audit while it runs: its spec, its store, its cluster, and the tally of what was made and what was there.

Belongs here: the question to the store before any work, progress, and the count that the report's ledger is made of.
Does not belong here: the order of the steps (`flows.audit`) or what they are (`umbrameter.steps`).
"""

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from tasks.cluster import Cluster, Compute
from tasks.progress import Stage
from tasks.run_graph import RunGraph
from umbrameter.report.assemble import RunCost, StageCost
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.target_answers import QueryStep
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import Step, peak_rss_mb, perform
from umbrameter.targets.connection import Connection

log = logging.getLogger("umbrameter.audit")

CLUSTER = "the cluster"
"""What is begun in the background before it is needed."""

AnyStep = TypeVar("AnyStep", bound=Step)

TASK_SECONDS = 5.0
"""How long one chunk of shadow training takes at most, about: long against the overhead, short against the whole."""

SHARE = 2
"""A chunk is one in so many of a worker's share of what is left: the last ones are small, so that all end together."""


class Chunk:
    """Steps that one task makes, with a title for people; opaque, so that Prefect looks for no futures inside.

    Parameters
    ----------
    title
        The name of the task run.
    steps
        What it makes, in order.
    """

    def __init__(self, title: str, steps: Sequence[Step]):
        self.title = title
        self.steps = steps


class Session:
    """What the tasks of one run share.

    Parameters
    ----------
    spec
        What is audited.
    root
        Where artefacts and run folders lie.
    cluster
        Where the heavy work runs.
    """

    def __init__(self, spec: AuditSpec, root: str, cluster: Cluster):
        self.spec = spec
        self.store = Store(root)
        self.cluster = cluster
        self.graph = RunGraph()
        self.made: set[str] = set()
        self.reused: set[str] = set()
        self._stages: dict[str, Stage] = {}
        self._stage: Stage | None = None
        self._lock, self._querying = threading.Lock(), threading.Lock()
        self._begun: list[threading.Thread] = []
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def begin(self, what: str, action: Callable[[], object]) -> None:
        """Begin in the background what will be needed later; should it fail now, it will be tried again then."""

        def run() -> None:
            try:
                action()
            except Exception:
                log.debug(f"{what} could not be begun early", exc_info=True)

        context = contextvars.copy_context()  # Prefect's, so that what is logged belongs to the run
        thread = threading.Thread(target=context.run, args=(run,), name=what, daemon=True)
        thread.start()
        self._begun.append(thread)

    def wait(self, *names: str) -> None:
        """Wait for what was begun, or for some of it."""
        for thread in self._begun:
            if thread.name in names or not names:
                thread.join()

    def make(self, steps: Sequence[Step], connection: Connection | None = None) -> bool:
        """Make what is not in the store, as one chunk of work; return whether all of it was there.

        Parameters
        ----------
        steps
            The chunk.
        connection
            The target, where it was trained elsewhere: steps that ask it are made in this process, others on the
            cluster.
        """
        missing = self._missing(steps)
        queries = [] if connection is None else [step for step in missing if isinstance(step, QueryStep)]
        others = [step for step in missing if step not in queries]
        if queries and connection is not None:
            with self._querying:  # one after the other: how many requests run at once is the target's own setting
                _query(self.store.root, queries, connection)
        if others:
            self.cluster.perform(self.store.root, others)
        self.count({step.recipe.path for step in steps}, {step.recipe.path for step in missing})
        return not missing

    def count(self, paths: set[str], made: set[str]) -> None:
        """Note which of some finished artefacts this run made, and log how far the stage is."""
        with self._lock:
            self.made |= made
            self.reused |= paths - self.made
            stage = self._stage
        if stage is not None:
            stage.step(paths, made)

    def chunks(self, steps: Sequence[AnyStep], seconds: float | None = None) -> list[tuple[AnyStep, ...]]:
        """Deal steps into chunks: what is in the store already in one, the rest in ever smaller ones for all workers.

        Parameters
        ----------
        steps
            Of one stage.
        seconds
            What one shadow model takes; None for other steps. On GPUs each worker trains its share side by side.
        """
        missing = self._missing(steps)
        paths = {step.recipe.path for step in missing}
        there = tuple(step for step in steps if step.recipe.path not in paths)
        most, n_workers, fixed = len(missing), self.cluster.n_workers() if missing else 1, None
        if seconds is not None:
            compute = self.cluster.compute
            together = -(-most // n_workers) if "GPU" in compute.resources else None
            fixed = compute.models_a_task or together
            most = fixed or max(1, round(TASK_SECONDS / max(seconds, 1e-9)))
        chunks: list[tuple[AnyStep, ...]] = []
        while missing:
            size = most if fixed else max(1, min(most, len(missing) // (SHARE * n_workers)))
            chunks.append(tuple(missing[:size]))
            missing = missing[size:]
        return ([there] if there else []) + chunks

    def _missing(self, steps: Sequence[AnyStep]) -> list[AnyStep]:
        return [step for step in steps if self.store.find(step.recipe) is None]

    @contextmanager
    def stage(self, name: str, n_steps: int) -> Iterator[None]:
        """Count what a stage makes and its seconds, and show its progress."""
        self._stage = self._stages.setdefault(name, Stage(name, n_steps))
        try:
            yield
        finally:
            self._stage.end()
            self._stage = None

    def cost(self, n_sent: int | None = None) -> RunCost:
        """Return what the run has taken so far.

        Parameters
        ----------
        n_sent
            Records that it sent to an endpoint, by the endpoint's ledger.
        """
        return RunCost(
            started=self._started.isoformat(timespec="seconds"),
            seconds=time.perf_counter() - self._clock,
            stages={name: StageCost(stage.seconds(), frozenset(stage.made)) for name, stage in self._stages.items()},
            made=frozenset(self.made),
            reused=frozenset(self.reused),
            cpu_seconds=time.process_time(),
            works_here=self.cluster.compute.workers == 0,
            peak_rss_mb=peak_rss_mb(),
            n_sent=n_sent,
        )

    def run_folder(self) -> str:
        """Make the run's folder, which no other run has, and return its path relative to the root."""
        return free_folder(self.store, self.spec.name, self._started)


def _query(root: str, steps: Sequence[QueryStep], connection: Connection) -> None:
    """Make steps that ask a target trained elsewhere, in this process."""
    with connection.querying(steps[0].purpose):
        perform(root, [replace(step, connection=connection) for step in steps])


def free_folder(store: Store, name: str, started: datetime) -> str:
    """Make a run's folder, which no other run has, and return its path relative to the root."""
    base = f"runs/{name}-{started:%Y%m%dT%H%M%S}"
    names = (base, *(f"{base}-{n}" for n in range(2, 1000)))
    return next(name for name in names if store.claim(name))


@contextmanager
def session(spec: AuditSpec, root: str, compute: Compute) -> Iterator[Session]:
    """Open a session; its cluster is closed with it, however it ends."""
    with Cluster(compute) as cluster:
        opened = Session(spec, root, cluster)
        try:
            yield opened
            opened.wait()
        except BaseException:
            opened.wait(CLUSTER)  # which is closed next; what else was begun will not be needed
            raise


def read_spec(spec: AuditSpec | str) -> AuditSpec:
    """Return a spec as it is, or read it from a YAML file."""
    return AuditSpec.load(spec) if isinstance(spec, str) else spec
