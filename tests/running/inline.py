"""An audit in this process: real steps, store and graph of task runs, without Prefect's server, Dask or MLflow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect.utilities.annotations import quote

from data.catalogue import source_of
from tasks.audits import connect_any
from tasks.prefect_graph import RunGraph
from umbrameter.report import Report
from umbrameter.running.audit import run_audit
from umbrameter.running.driver import Driver
from umbrameter.running.jobs import Graph, Job, LocalGraph
from umbrameter.running.session import Chunk, Session
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.steps import Step, paths_of, perform

N_WORKERS = 2
NOWHERE = "http://127.0.0.1:9"
"""An address of MLflow, so that no store of its own is made; nothing is ever sent to it."""


class Here:
    """Workers who make steps where they are asked for."""

    made_here: frozenset[str] = frozenset()
    models_a_task: int | None = None
    trains_side_by_side = False

    def start(self) -> None:
        """Start nothing."""

    def perform(self, root: str, steps: Sequence[Step]) -> list[str]:
        return perform(root, steps)

    def n_workers(self) -> int:
        return N_WORKERS


def driver(workers: Any = None, graph: Graph | None = None, **more: Any) -> Driver:
    """Return a driver that does all of it here, unless told otherwise."""
    return Driver(workers or Here(), graph or LocalGraph(), connect=connect_any, locate=source_of, **more)


@dataclass(frozen=True, eq=False)
class TaskRun:
    """A job that has run, and what the graph of task runs was told of it."""

    name: str
    reads: tuple[str, ...]
    waited_for: tuple[UUID, ...]
    missing: tuple[str, ...]
    """What it reads that was not in the store when it was submitted."""
    arguments: tuple[Any, ...]
    value: Any
    task_run_id: UUID = field(default_factory=uuid4)

    def result(self) -> Any:
        return self.value

    @property
    def chunk(self) -> Chunk | None:
        """What it made, where it is a stage's."""
        return next((argument for argument in self.arguments if isinstance(argument, Chunk)), None)

    @property
    def makes(self) -> tuple[str, ...]:
        """The paths of what it made, where it is a stage's."""
        return () if self.chunk is None else paths_of(self.chunk.steps)


class InlineGraph(RunGraph):
    """The graph of task runs; each runs when it is submitted."""

    def __init__(self) -> None:
        super().__init__(lambda job: _Inline(job, self))  # type: ignore[arg-type,return-value]
        self.session: Session
        self.runs: list[TaskRun] = []
        self.reads: tuple[str, ...] = ()

    def submit(self, job: Any, reads: Iterable[str], *arguments: Any) -> Any:
        self.reads = tuple(reads)
        return super().submit(job, self.reads, *arguments)

    def of(self, *names: str) -> list[TaskRun]:
        """Return the runs of some jobs, in order."""
        return [run for run in self.runs if run.name in names]


@dataclass(frozen=True)
class _Inline:
    job: Job[Any]
    graph: InlineGraph

    def submit(self, *arguments: Any, return_state: bool, wait_for: Sequence[TaskRun]) -> TaskRun:
        reads = self.graph.reads
        missing = tuple(path for path in reads if not _is_there(self.graph.session, path))
        given = tuple(a.unwrap() if isinstance(a, quote) else a for a in arguments)
        value = self.job.function(*given)
        waited_for = tuple(run.task_run_id for run in wait_for)
        run = TaskRun(self.job.name, reads, waited_for, missing, given, value)
        self.graph.runs.append(run)
        return run


def _is_there(session: Session, path: str) -> bool:
    is_artefact = path.startswith("store/")
    return Path(session.store.root, path, "manifest.json" if is_artefact else "report.json").is_file()


def opened(spec: AuditSpec, root: Path) -> tuple[Session, InlineGraph]:
    """Return a session whose jobs run where they are submitted, and what is known of them."""
    graph = InlineGraph()
    graph.session = session = Session(spec, str(root), driver(graph=graph))
    return session, graph


@dataclass(frozen=True)
class Finished:
    """An audit that has ended."""

    session: Session
    graph: InlineGraph
    variants: tuple[TrainedVariant, ...]
    folder: str

    @property
    def root(self) -> str:
        return self.session.store.root

    @property
    def report(self) -> Report:
        return Report.model_validate_json(self.session.store.read(f"{self.folder}/report.json"))


def audited(spec: AuditSpec, root: Path, model: Any = None) -> Finished:
    """Run an audit and return what is known of it."""
    session, graph = opened(spec, root)
    folder = run_audit(session, model, NOWHERE)
    session.wait()
    return Finished(session, graph, graph.of("plan_audit")[-1].value, folder)


def people(path: Path, n: int = 240) -> Path:
    """Write records of three classes with a number, a whole number and a category."""
    rng = np.random.default_rng(5)
    y = np.arange(n) % 3
    columns = {
        "height": rng.normal(170 + 10 * y, 8).astype(np.float32),
        "year": rng.integers(1950, 2000, n),
        "colour": np.array(["blue", "green", "red"])[np.where(rng.random(n) < 0.7, y, rng.integers(0, 3, n))],
        "y": np.array(["low", "middle", "top"])[y],
    }
    pq.write_table(pa.table(columns), path)
    return path
