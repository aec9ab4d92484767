"""A running audit: its spec, store and workers, and the count of what was made and what was reused.

Belongs here: looking into the store before any work, progress, and the counts for the report's ledger.
Does not belong here: the order of the steps (`audit`) or what they are (`umbrameter.steps`).
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

from umbrameter.report.assemble import RunCost, StageCost
from umbrameter.running.driver import Driver
from umbrameter.running.progress import Stage
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.target_answers import QueryStep
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import Step, paths_of, peak_rss_mb, perform
from umbrameter.targets.connection import Connection

log = logging.getLogger("umbrameter.audit")

WORKERS = "the workers"
"""Name of the background thread that starts the workers before they are needed."""

AnyStep = TypeVar("AnyStep", bound=Step)

TASK_SECONDS = 5.0
"""About the longest time of one chunk of shadow training: long beside the overhead, short beside the whole stage."""

SHARE = 2
"""A chunk is 1 / SHARE of a worker's share of the missing steps: the last ones are small, so that all end together."""


class Chunk:
    """Steps that one task makes, with a title; a plain class, since Prefect would search a dataclass for futures.

    Parameters
    ----------
    title
        The name of the task run.
    steps
        The steps, in order.
    """

    def __init__(self, title: str, steps: Sequence[Step]):
        self.title = title
        self.steps = steps


class Session:
    """The state that the tasks of one run share.

    Parameters
    ----------
    spec
        The audit's spec.
    root
        Where artefacts and run folders are stored.
    driver
        What carries it out.
    """

    def __init__(self, spec: AuditSpec, root: str, driver: Driver):
        self.spec = spec
        self.store = Store(root)
        self.driver, self.workers, self.graph = driver, driver.workers, driver.graph
        self.made: set[str] = set()
        self.reused: set[str] = set()
        self.made_here: set[str] = set()
        self._found: set[str] = set()
        self._stages: dict[str, Stage] = {}
        self._stage: Stage | None = None
        self._lock, self._querying = threading.Lock(), threading.Lock()
        self._begun: list[threading.Thread] = []
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def begin(self, what: str, action: Callable[[], object]) -> None:
        """Start in the background what will be needed later; if it fails now, it is tried again then."""

        def run() -> None:
            try:
                action()
            except Exception:
                log.debug(f"{what} could not be begun early", exc_info=True)

        context = contextvars.copy_context()  # Prefect's, so that what is logged belongs to the run
        thread = threading.Thread(target=context.run, args=(run,), name=what, daemon=True)
        thread.start()
        self._begun.append(thread)

    def begin_tracking(self) -> None:
        """Begin in the background what logging the results elsewhere will need, if they will be."""
        begin = self.driver.begin_tracking
        if begin is not None:
            self.begin("tracking", lambda: begin(self.store.root))

    def wait(self, *names: str) -> None:
        """Wait for all that was started in the background, or for the named parts of it."""
        for thread in self._begun:
            if thread.name in names or not names:
                thread.join()

    def make(self, steps: Sequence[Step], connection: Connection | None = None) -> bool:
        """Make the steps that are not in the store, as one chunk; return whether all of them were.

        Parameters
        ----------
        steps
            The chunk's steps.
        connection
            The connection to a target trained elsewhere: steps that query it run in this process, others on the
            workers.
        """
        missing = self.missing(steps)
        queries = [] if connection is None else [step for step in missing if isinstance(step, QueryStep)]
        others = [step for step in missing if step not in queries]
        if queries and connection is not None:
            with self._querying:  # one by one: the target's own setting says how many requests run at once
                _query(self.store.root, queries, connection)
            self.made_here.update(paths_of(queries))
        if others:
            self.workers.perform(self.store.root, others)
        self.count({step.recipe.path for step in steps}, {step.recipe.path for step in missing})
        return not missing

    def count(self, paths: set[str], made: set[str]) -> None:
        """Count finished artefacts as made or reused by this run, and log the stage's progress."""
        with self._lock:
            self.made |= made
            self.reused |= paths - self.made  # what an earlier stage of this run made is not reused
            stage = self._stage
        if stage is not None:
            stage.step(paths, made)

    def chunks(self, steps: Sequence[AnyStep], seconds: float | None = None) -> list[tuple[AnyStep, ...]]:
        """Divide steps into chunks: one of those already in the store, then ever smaller ones for all workers.

        Parameters
        ----------
        steps
            The steps of one stage.
        seconds
            Training time of one shadow model; None for other steps. On GPUs, each worker trains its share side by side.
        """
        missing = self.missing(steps)
        paths = {step.recipe.path for step in missing}
        stored = tuple(step for step in steps if step.recipe.path not in paths)
        largest, n_workers, fixed = len(missing), self.workers.n_workers() if missing else 1, None
        if seconds is not None:
            share = -(-largest // n_workers) if self.workers.trains_side_by_side else None
            fixed = self.workers.models_a_task or share
            # The time of a small model may be measured as 0.
            largest = fixed or max(1, round(TASK_SECONDS / max(seconds, 1e-9)))
        chunks: list[tuple[AnyStep, ...]] = []
        while missing:
            size = largest if fixed else max(1, min(largest, len(missing) // (SHARE * n_workers)))
            chunks.append(tuple(missing[:size]))
            missing = missing[size:]
        return ([stored] if stored else []) + chunks

    def missing(self, steps: Sequence[AnyStep]) -> list[AnyStep]:
        """Return the steps whose artefacts are not in the store."""
        return [step for step in steps if not self.is_stored(step)]

    def is_stored(self, step: Step) -> bool:
        """Return whether a step's artefact is in the store; one that is there is looked up once."""
        path = step.recipe.path
        if path not in self._found and self.store.find(step.recipe) is not None:
            self._found.add(path)
        return path in self._found

    @contextmanager
    def stage(self, name: str, n_steps: int) -> Iterator[None]:
        """Time a stage, count its steps and show its progress until the block ends."""
        if name not in self._stages:
            self._stages[name] = Stage(name, n_steps, self.driver.display(name, n_steps))
        self._stage = self._stages[name]
        try:
            yield
        finally:
            self._stage.end()
            self._stage = None

    def cost(self, n_sent: int | None = None) -> RunCost:
        """Return the cost of the run so far.

        Parameters
        ----------
        n_sent
            Records sent to an endpoint in this run, by the endpoint's ledger.
        """
        return RunCost(
            started=self._started.isoformat(timespec="seconds"),
            seconds=time.perf_counter() - self._clock,
            stages={name: StageCost(stage.seconds(), frozenset(stage.made)) for name, stage in self._stages.items()},
            made=frozenset(self.made),
            reused=frozenset(self.reused),
            cpu_seconds=time.process_time(),
            made_here=frozenset(self.made_here | self.workers.made_here),
            peak_rss_mb=peak_rss_mb(),
            n_sent=n_sent,
        )

    def run_folder(self) -> str:
        """Create a folder for this run alone, and return its path relative to the root."""
        return free_folder(self.store, self.spec.name, self._started)


def _query(root: str, steps: Sequence[QueryStep], connection: Connection) -> None:
    """Make steps that query a target trained elsewhere, in this process."""
    # Steps get the connection only here: it cannot travel to workers.
    with connection.querying(steps[0].purpose):
        perform(root, [replace(step, connection=connection) for step in steps])


def free_folder(store: Store, name: str, started: datetime) -> str:
    """Create a folder for one run alone, and return its path relative to the root.

    Parameters
    ----------
    store
        Where to create it.
    name
        The audit's or the sweep's name.
    started
        When the run started; runs of one name that start in the same second get numbers.
    """
    # `claim` creates the folder at once, so that under a local root no other run can take it.
    base = f"runs/{name}-{started:%Y%m%dT%H%M%S}"
    names = (base, *(f"{base}-{n}" for n in range(2, 1000)))
    return next(name for name in names if store.claim(name))
