"""An audit in this process: real steps, store and graph of task runs, without Prefect's server, Dask or MLflow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import Task
from prefect.utilities.annotations import quote
from tasks.run_graph import RunGraph
from tasks.session import Chunk, Session

from tasks import preparation, reporting, stages
from tasks.cluster import Cluster, Compute
from tasks.external_targets.handover import ModelHandle
from umbrameter.report import Report
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.steps import Step, paths_of, perform

N_WORKERS = 2
NOWHERE = "http://127.0.0.1:9"
"""An address of MLflow, so that no store of its own is made; nothing is ever sent to it."""


class Here(Cluster):
    """Steps are made where they are asked for."""

    def __init__(self) -> None:
        super().__init__(Compute(workers=0))

    def start(self) -> None:
        """Start nothing."""

    def perform(self, root: str, steps: Sequence[Step]) -> list[str]:
        return perform(root, steps)

    def n_workers(self) -> int:
        return N_WORKERS


@dataclass(frozen=True, eq=False)
class TaskRun:
    """A task that has run, and what the graph of task runs was told of it."""

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

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.runs: list[TaskRun] = []

    def submit(self, task: Any, reads: Iterable[str], *arguments: Any, **more: Any) -> Any:
        read = tuple(reads)
        return super().submit(_Inline(task, read, self), read, *arguments, **more)  # type: ignore[arg-type]

    def of(self, *names: str) -> list[TaskRun]:
        """Return the runs of some tasks, in order."""
        return [run for run in self.runs if run.name in names]


@dataclass(frozen=True)
class _Inline:
    task: Task[..., Any]
    reads: tuple[str, ...]
    graph: InlineGraph

    def submit(self, *arguments: Any, return_state: bool, wait_for: Sequence[TaskRun]) -> TaskRun:
        missing = tuple(path for path in self.reads if not _is_there(self.graph.session, path))
        given = tuple(a.unwrap() if isinstance(a, quote) else a for a in arguments)
        value = self.task.fn(*given)
        waited_for = tuple(run.task_run_id for run in wait_for)
        run = TaskRun(self.task.name, self.reads, waited_for, missing, given, value)
        self.graph.runs.append(run)
        return run


def _is_there(session: Session, path: str) -> bool:
    is_artefact = path.startswith("store/")
    return Path(session.store.root, path, "manifest.json" if is_artefact else "report.json").is_file()


def opened(spec: AuditSpec, root: Path) -> tuple[Session, InlineGraph]:
    """Return a session whose tasks run where they are submitted, and what is known of them."""
    session = Session(spec, str(root), Here())
    session.graph = graph = InlineGraph(session)
    return session, graph


@dataclass(frozen=True)
class Finished:
    """An audit that has ended."""

    session: Session
    graph: InlineGraph
    variants: tuple[TrainedVariant, ...]
    folder: str
    table: Mapping[str, Any]
    """What was given to Prefect as the table of results."""

    @property
    def root(self) -> str:
        return self.session.store.root

    @property
    def report(self) -> Report:
        return Report.model_validate_json(self.session.store.read(f"{self.folder}/report.json"))


def audited(spec: AuditSpec, root: Path, model: Any = None) -> Finished:
    """Run an audit as `flows.audit` does, in the same order."""
    session, graph = opened(spec, root)
    handle = None if model is None else ModelHandle(model)
    records = preparation.prepare_records(session)
    splits = preparation.split_records(session, records)
    preparation.announce_limits(session, splits)
    with preparation.connect_target(session, records, splits, handle, NOWHERE) as connection:
        variants = preparation.plan_audit(session, records, splits, connection)
        preparation.announce_queries(session, variants, connection)
        stages.train_targets(session, variants, NOWHERE)
        stages.query_targets(session, variants, connection)
        unusable = stages.draw_shadow_records(session, variants, connection)
        variants = preparation.plan_audit(session, records, splits, connection, unusable) if unusable else variants
        preparation.verify_unchanged(session, variants, connection)
        stages.fit_shadow_models(session, variants)
        stages.merge_attack_data(session, variants)
        stages.guard_answers(session, variants)
        stages.gather_references(session, variants)
        stages.fit_attack_models(session, variants)
        stages.score_records(session, variants)
        stages.evaluate_attacks(session, variants)
        stages.check_controls(session, variants)
        with _tables() as table:
            folder = reporting.write_report(session, variants, connection)
    session.wait()
    return Finished(session, graph, variants, folder, table)


@contextmanager
def _tables() -> Iterator[dict[str, Any]]:
    """Keep what would go to Prefect's server as a table."""
    given: dict[str, Any] = {}
    before, reporting.create_table_artifact = reporting.create_table_artifact, given.update
    try:
        yield given
    finally:
        reporting.create_table_artifact = before


def all_steps(variants: Sequence[TrainedVariant]) -> dict[str, Step]:
    """Return every step of an audit by its path."""
    steps: list[Step] = []
    for v in variants:
        measured = [step for m in v.measurements for step in (m.scoring, m.evaluation)]
        steps += [v.target, v.query, *v.population, *v.noisy, *v.searches, *v.trained, *v.shadows, *v.merges]
        steps += [*v.references, *v.input_steps.values(), *measured, *(entry.utility for entry in v.entries)]
        steps += [*v.controls, *v.guarantees, *filter(None, [v.drawn, v.guard])]
    return {step.recipe.path: step for step in steps}


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
