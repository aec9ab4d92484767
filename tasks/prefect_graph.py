"""An audit's jobs as Prefect's task runs, with edges to those that made what they read.

Belongs here: names, states, retries and edges, which Prefect's run page shows. Does not belong here: what the jobs do
(`umbrameter.running`).
"""

from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any, TypeVar
from uuid import UUID

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.utilities.annotations import quote

from umbrameter.errors import ComputeError, UmbrameterError
from umbrameter.running.jobs import Job
from umbrameter.running.session import Chunk, Session
from umbrameter.targets.connection import Connection

Returned = TypeVar("Returned")


@cache
def as_task(job: Job[Any]) -> Task[..., Any]:
    """Return a job as a task; one that makes chunks is tried again where that may help, and its state tells of reuse.

    Parameters
    ----------
    job
        The job.
    """
    # Reuse is the store's alone, so Prefect's own cache is off.
    options: dict[str, Any] = {"name": job.name, "task_run_name": job.title, "cache_policy": NO_CACHE}
    if not job.makes_chunk:
        return task(**options)(job.function)
    return task(**options, retries=2, retry_delay_seconds=2, retry_condition_fn=_worth_retrying)(_with_state(job))


def _with_state(job: Job[bool]) -> Callable[[Session, Chunk, Connection | None], State[None]]:
    """Return a job's function with a state as its result, named `Cached` when all of the chunk was in the store."""

    @wraps(job.function)
    def make(session: Session, chunk: Chunk, connection: Connection | None) -> State[None]:
        reused, n = job.function(session, chunk, connection), len(chunk.steps)
        if reused:
            return Completed(name="Cached", message=f"{n} in the store already")
        return Completed(message=f"{n} made")

    return make


def _worth_retrying(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Return whether a retry may succeed: a cluster's failure may pass, a wrong spec or wrong data will not."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ComputeError) or not isinstance(error, UmbrameterError)


class RunGraph:
    """The task runs of one flow run, and the artefacts that each has made.

    Parameters
    ----------
    to_task
        Makes a job a task.
    """

    def __init__(self, to_task: Callable[[Job[Any]], Task[..., Any]] = as_task) -> None:
        self._to_task = to_task
        self._makers: dict[str, PrefectFuture[Any]] = {}
        self._ancestors: dict[UUID, frozenset[UUID]] = {}

    def submit(self, job: Job[Returned], reads: Iterable[str], *arguments: Any) -> PrefectFuture[Returned]:
        """Submit a task run that waits for the runs that make its inputs.

        Parameters
        ----------
        job
            What to run.
        reads
            Paths of the artefacts that it reads; those that no task run of this flow run makes are ignored.
        arguments
            The job's arguments.
        """
        parents = self._parents(reads)
        # quote: Prefect would search every step of every variant for futures.
        quoted = [a if isinstance(a, Session | Chunk) else quote(a) for a in arguments]
        future = self._to_task(job).submit(*quoted, return_state=False, wait_for=parents)
        # Parents were submitted before, so their ancestors are known.
        ids = [parent.task_run_id for parent in parents]
        self._ancestors[future.task_run_id] = frozenset(ids).union(*(self._ancestors[run] for run in ids))
        return future

    def note(self, submitted: Any, paths: Iterable[str]) -> None:
        """Record that a task run makes the artefacts at these paths: later tasks that read them wait for it."""
        self._makers.update(dict.fromkeys(paths, submitted))

    def _parents(self, paths: Iterable[str]) -> list[PrefectFuture[Any]]:
        """Return the task runs that make these artefacts, without those that another of them waits for.

        For example, every task reads the records: with an edge from `prepare_records` to each, no other would be seen.
        """
        makers = dict.fromkeys(self._makers[path] for path in paths if path in self._makers)
        implied = frozenset[UUID]().union(*(self._ancestors[maker.task_run_id] for maker in makers))
        return [maker for maker in makers if maker.task_run_id not in implied]
