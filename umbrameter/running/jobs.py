"""Jobs: the functions that a driver runs, with a title for people and what a driver needs to know of them.

Belongs here: what a job is, and how it runs without an orchestrator. Does not belong here: what jobs do.
"""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from inspect import getdoc
from typing import Any, Generic, Protocol, TypeVar

Returned = TypeVar("Returned")
Returned_co = TypeVar("Returned_co", covariant=True)


@dataclass(frozen=True)
class Job(Generic[Returned]):
    """A function that a driver runs.

    Parameters
    ----------
    function
        The function; its name and its docstring are what people read.
    title
        The title of a run; a field in braces is filled in from the arguments.
    makes_chunk
        Whether it makes a chunk of steps: several run at once, a failed one may be tried again, and it returns
        whether all of the chunk was in the store.
    """

    function: Callable[..., Returned]
    title: str
    makes_chunk: bool = False

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__.removeprefix("_")

    @property
    def description(self) -> str:
        """What the function does, in a line."""
        return str(getdoc(self.function)).partition("\n")[0]


def job(title: str) -> Callable[[Callable[..., Returned]], Job[Returned]]:
    """Make a function a job with a title."""
    return lambda function: Job(function, title)


def chunk_job(function: Callable[..., bool]) -> Job[bool]:
    """Make a function of session, chunk and connection a job that makes chunks of a stage."""
    return Job(function, "{chunk.title}", makes_chunk=True)


class Submitted(Protocol[Returned_co]):
    """A job that was submitted."""

    def result(self) -> Returned_co:
        """Wait for its end and return its result, or raise its error."""


class Graph(Protocol):
    """Runs jobs, and knows which of them made which artefact."""

    def submit(self, job: Job[Returned], reads: Iterable[str], *arguments: Any) -> Submitted[Returned]:
        """Run a job after those that made what it reads."""

    def note(self, submitted: Submitted[Any], paths: Iterable[str]) -> None:
        """Record that a job makes the artefacts at these paths: later jobs that read them wait for it."""


class LocalGraph:
    """Runs chunks in the thread that waits for them and in others, and any other job at once.

    What a stage reads was made by an earlier stage, which is waited for, so no job has to wait for another.

    Parameters
    ----------
    n_threads
        How many chunks run at once besides the one that the waiting thread runs.
    """

    def __init__(self, n_threads: int = 0) -> None:
        self._n_threads = n_threads
        self._pool = ThreadPoolExecutor(max(1, n_threads), thread_name_prefix="chunk")
        self._waiting: deque[Callable[[], None]] = deque()

    def submit(self, job: Job[Returned], reads: Iterable[str], *arguments: Any) -> Submitted[Returned]:
        """Run a job; a chunk begins when one of those submitted is waited for."""
        run = _Run(self, partial(job.function, *arguments))
        if job.makes_chunk:
            self._waiting.append(run)
        else:
            run()
        return run

    def note(self, submitted: Submitted[Any], paths: Iterable[str]) -> None:
        """Do nothing, since nothing waits."""

    def help(self) -> bool:
        """Run the next waiting chunk here, and the others beside it; return whether there was one."""
        mine = self._next()  # before the other threads look: a single chunk needs no other process
        if mine is None:
            return False
        for _ in range(min(self._n_threads, len(self._waiting))):
            self._pool.submit(self._run_all)
        mine()
        return True

    def _run_all(self) -> None:
        while (run := self._next()) is not None:
            run()

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._waiting.popleft()
        except IndexError:  # asking first whether there is one would be too early
            return None

    def close(self) -> None:
        """Give up chunks that have not begun, and wait for the others."""
        self._waiting.clear()
        self._pool.shutdown()


class _Run(Generic[Returned]):
    """A job that a local graph runs, and its result."""

    def __init__(self, graph: LocalGraph, function: Callable[[], Returned]) -> None:
        self._graph, self._function = graph, function
        self._done = Future[Returned]()

    def __call__(self) -> None:
        try:
            self._done.set_result(self._function())
        except Exception as error:
            self._done.set_exception(error)

    def result(self) -> Returned:
        """Help until it is done, and return its result, or raise its error."""
        while not self._done.done() and self._graph.help():
            pass
        return self._done.result()
