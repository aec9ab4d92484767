"""Which task run made which artefact, so that Prefect's run page shows what depends on what."""

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from prefect import Task
from prefect.futures import PrefectFuture

Returned = TypeVar("Returned")


class RunGraph:
    """The task runs of one flow run, and the artefacts that each has made."""

    def __init__(self) -> None:
        self._makers: dict[str, PrefectFuture[Any]] = {}
        self._ancestors: dict[UUID, frozenset[UUID]] = {}

    def submit(
        self, task: Task[..., Returned], reads: Iterable[str], *arguments: Any, **more: Any
    ) -> PrefectFuture[Returned]:
        """Submit a task run that waits for the runs that make its inputs.

        Parameters
        ----------
        task
            The task.
        reads
            Paths of the artefacts that it reads; those that no task run of this flow run makes are ignored.
        arguments, more
            Positional and keyword arguments of the task.
        """
        parents = self._parents(reads)
        future = task.submit(*arguments, return_state=False, wait_for=parents, **more)
        # Parents were submitted before, so their ancestors are known.
        ids = [parent.task_run_id for parent in parents]
        self._ancestors[future.task_run_id] = frozenset(ids).union(*(self._ancestors[run] for run in ids))
        return future

    def note(self, future: PrefectFuture[Any], paths: Iterable[str]) -> None:
        """Record that a task run makes the artefacts at these paths: later tasks that read them wait for it."""
        self._makers.update(dict.fromkeys(paths, future))

    def _parents(self, paths: Iterable[str]) -> list[PrefectFuture[Any]]:
        """Return the task runs that make these artefacts, without those that another of them waits for.

        For example, every task reads the records: with an edge from `prepare_records` to each, no other would be seen.
        """
        makers = dict.fromkeys(self._makers[path] for path in paths if path in self._makers)
        implied = frozenset[UUID]().union(*(self._ancestors[maker.task_run_id] for maker in makers))
        return [maker for maker in makers if maker.task_run_id not in implied]
