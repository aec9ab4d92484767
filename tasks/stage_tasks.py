"""One Prefect task per stage of an audit; each run makes a chunk of the stage's steps, here or on the cluster.

Belongs here: names, descriptions, states and retries. Does not belong here: how a stage's steps are divided into chunks
(`tasks.stages`), nor what a step does (`umbrameter.steps`).
"""

from collections.abc import Callable
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.session import Chunk, Session
from umbrameter.errors import ComputeError, UmbrameterError
from umbrameter.targets.connection import Connection

StageTask = Task[[Session, Chunk, Connection | None], State[None]]
"""A task of the running audit, the chunk to make and, for a target trained elsewhere, the connection to it."""


def _worth_retrying(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Return whether a retry may succeed: a cluster's failure may pass, a wrong spec or wrong data will not."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ComputeError) or not isinstance(error, UmbrameterError)


def _stage_task(function: Callable[[Session, Chunk, Connection | None], State[None]]) -> StageTask:
    # Reuse is the store's alone, so Prefect's own cache is off.
    return task(
        name=function.__name__,
        task_run_name="{chunk.title}",
        cache_policy=NO_CACHE,
        retries=2,
        retry_delay_seconds=2,
        retry_condition_fn=_worth_retrying,
    )(function)


def _make(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Make a chunk; the state is named `Cached` when all of it was in the store."""
    reused, n = session.make(chunk.steps, connection), len(chunk.steps)
    return Completed(name="Cached", message=f"{n} in the store already") if reused else Completed(message=f"{n} made")


# The functions below differ in name and docstring alone, which are what Prefect's run page shows.


@_stage_task
def split_records(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Divide the records into members, non-members and the pool."""
    return _make(session, chunk, connection)


@_stage_task
def train_target(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Train the target on the members, with one training mitigation or none."""
    return _make(session, chunk, connection)


@_stage_task
def query_target(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Query the target about members and non-members."""
    return _make(session, chunk, connection)


@_stage_task
def query_other_records(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Query the target about other records that attacks need: records of the pool, noisy copies."""
    return _make(session, chunk, connection)


@_stage_task
def search_shadow_records(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Search for records of the chunk's classes by querying the target."""
    return _make(session, chunk, connection)


@_stage_task
def draw_shadow_records(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Draw the shadow models' training records, unless they are the pool's."""
    return _make(session, chunk, connection)


@_stage_task
def fit_shadow_models(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Train shadow models, and query each about its IN and OUT records."""
    return _make(session, chunk, connection)


@_stage_task
def merge_attack_data(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Merge the labelled IN/OUT vectors of all shadow models, for the chunk's classes."""
    return _make(session, chunk, connection)


@_stage_task
def fit_guard(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Fit a learned mitigation of the answers on the shadow models' vectors."""
    return _make(session, chunk, connection)


@_stage_task
def guard_answers(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Pass the target's and the shadow models' answers through a learned mitigation."""
    return _make(session, chunk, connection)


@_stage_task
def gather_references(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Gather the shadow models' logits of the audited records for reference attacks."""
    return _make(session, chunk, connection)


@_stage_task
def make_attack_inputs(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Make the inputs of attacks defined outside umbrameter."""
    return _make(session, chunk, connection)


@_stage_task
def fit_attack_models(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Fit the attack models of the chunk's classes."""
    return _make(session, chunk, connection)


@_stage_task
def score_records(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Score the audited records with attacks on the target under one mitigation."""
    return _make(session, chunk, connection)


@_stage_task
def evaluate_attacks(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Measure attacks on the target under one mitigation, each figure with an interval."""
    return _make(session, chunk, connection)


@_stage_task
def measure_utility(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Measure how good the target's answers are under one mitigation."""
    return _make(session, chunk, connection)


@_stage_task
def check_guarantee(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Check a claim of differential privacy against the attacks."""
    return _make(session, chunk, connection)


@_stage_task
def check_controls(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
    """Run the controls, which check the audit itself."""
    return _make(session, chunk, connection)
