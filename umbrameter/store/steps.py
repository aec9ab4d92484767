"""A step: what to make, and the one function that makes it, here or on a worker.

A step is a small frozen value (paths, specs, seeds) that travels to a worker; what it makes is an artefact.
"""

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from threadpoolctl import threadpool_limits

from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.metadata import Cost


class Step(Protocol):
    """Something to make: its recipe says what, `make` fills the artefact's draft.

    A class may also have a static method `together(store, steps)`, which yields the steps again, some of them with
    costly parts made side by side.
    """

    @property
    def recipe(self) -> Recipe:
        """What decides the artefact's content."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""

    def make(self, store: Store, draft: Draft) -> None:
        """Write the artefact's files into the draft."""


def perform(root: str, steps: Sequence[Step]) -> list[str]:
    """Make what is not there yet and return the artefacts' paths, on one thread.

    Parameters
    ----------
    root
        The store's root.
    steps
        What to make, in order, all of one kind. What is finished is in the store at once, so that a kill costs one
        step at most; steps that are made side by side (on a GPU) count as one.
    """
    store = Store(root)
    with threadpool_limits(1):
        missing = [step for step in steps if store.find(step.recipe) is None]
        together = getattr(missing[0], "together", None) if missing else None
        for step in missing if together is None else together(store, missing):
            ensure(store, step)
    return [step.recipe.path for step in steps]


def ensure(store: Store, step: Step) -> str:
    """Return the path of the step's artefact, made now unless it is there."""
    artefact = store.find(step.recipe)
    if artefact is not None:
        return artefact.path
    wall, cpu = time.perf_counter(), time.process_time()
    with store.write(step.recipe) as draft:
        step.make(store, draft)
        took = time.perf_counter() - wall, time.process_time() - cpu
        Cost(seconds=took[0], cpu_seconds=took[1], peak_rss_mb=peak_rss_mb()).write(draft)
    return step.recipe.path


def peak_rss_mb() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says begins, in a process started by a larger one, with that one's memory
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def key_of(path: str) -> str:
    """Return the key of the artefact at a path."""
    return path.rpartition("/")[2]


def kind_of(path: str) -> str:
    """Return the kind of the artefact at a path."""
    return path.split("/")[-2]


def paths_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the paths of the artefacts that some steps make."""
    return tuple(step.recipe.path for step in steps)
