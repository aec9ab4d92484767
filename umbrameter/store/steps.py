"""Steps, each of which makes one artefact, and the function that performs them, here or on a worker.

A step is a small frozen value (paths, specs, seeds) that can be sent to a worker.
"""

import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from threadpoolctl import ThreadpoolController

from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.metadata import Cost


class Step(Protocol):
    """A step that makes one artefact: `recipe` identifies the artefact, `make` writes it.

    A class may also have a static method `together(store, steps)`, which yields the steps again after it has done
    their costly parts side by side.
    """

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the artefact's content."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""

    def make(self, store: Store, draft: Draft) -> None:
        """Write the artefact's files into the draft."""


def perform(root: str, steps: Sequence[Step]) -> list[str]:
    """Perform the steps whose artefacts are missing, on one thread, and return the paths of all artefacts.

    Parameters
    ----------
    root
        The store's root.
    steps
        The steps in order, all of one kind. Each artefact is in the store as soon as it is finished, so that a kill
        costs at most one step; steps performed side by side (on a GPU) count as one.
    """
    store = Store(root)
    # Steps run in parallel already; BLAS threads of their own would compete.
    with _thread_pools(len(sys.modules)).limit(limits=1):
        missing = [step for step in steps if store.find(step.recipe) is None]
        together = getattr(missing[0], "together", None) if missing else None
        for step in missing if together is None else together(store, missing):
            ensure(store, step)
    return [step.recipe.path for step in steps]


@lru_cache(maxsize=1)
def _thread_pools(n_modules: int) -> ThreadpoolController:
    """Return the loaded libraries that have threads; looked for anew, which takes long, once modules were imported."""
    return ThreadpoolController()


def ensure(store: Store, step: Step) -> str:
    """Return the path of the step's artefact; perform the step if it is missing.

    If somebody else finishes the same artefact meanwhile, theirs stays.
    """
    artefact = store.find(step.recipe)
    if artefact is not None:
        return artefact.path
    wall, cpu = time.perf_counter(), time.thread_time()  # other threads load modules meanwhile
    with suppress(_BeatenError), store.write(step.recipe) as draft:
        step.make(store, draft)
        took = time.perf_counter() - wall, time.thread_time() - cpu
        Cost(seconds=took[0], cpu_seconds=took[1], peak_rss_mb=peak_rss_mb()).write(draft)
        if store.find(step.recipe) is not None:
            # A target with secret noise is another one each time it is trained, and the first may have been asked.
            raise _BeatenError
    return step.recipe.path


class _BeatenError(Exception):
    """Another writer has finished the artefact first."""


def peak_rss_mb() -> float:
    """Return the peak resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would include the memory of a larger process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    # ru_maxrss is in bytes on macOS, in KiB elsewhere.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def key_of(path: str) -> str:
    """Return the key of the artefact at a path."""
    return path.rpartition("/")[2]


def kind_of(path: str) -> str:
    """Return the kind of the artefact at a path."""
    return path.split("/")[-2]


def paths_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the paths of the artefacts that the steps make."""
    return tuple(step.recipe.path for step in steps)
