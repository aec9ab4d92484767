"""Local workers: this process, and others that import nothing but the library.

Belongs here: where chunks run. Does not belong here: what a chunk is (`umbrameter.running`).
"""

import gc
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from joblib import cpu_count

from umbrameter.errors import ComputeError
from umbrameter.store.steps import Step, paths_of, perform

if TYPE_CHECKING:  # imported where it is used: work that is all in the store needs no processes
    from loky.process_executor import ProcessPoolExecutor


KEEPS_GROWING = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"}
"""Environment of the processes: loky would restart one that grows by 300 MB, as by torch, or records that it keeps."""


class LocalWorkers:
    """Workers on this machine: the thread that makes this object, and processes, started at the first chunk for them.

    Parameters
    ----------
    n
        How many; one per core if None.
    """

    models_a_task: int | None = None
    trains_side_by_side = False

    def __init__(self, n: int | None = None):
        # joblib's is loky's, which heeds a container's quota and what this process may use.
        self._n = max(1, cpu_count() if n is None else n)
        self._executor: ProcessPoolExecutor | None = None
        self._lock, self._owner = threading.Lock(), threading.get_ident()
        self.made_here: set[str] = set()

    def n_workers(self) -> int:
        """Return how many chunks run at once."""
        return self._n

    def start(self) -> None:
        """Start the processes, each of which imports what every audit needs."""
        if self._n > 1:
            executor = self._started()
            for waiting in [executor.submit(_ready) for _ in range(self._n - 1)]:
                waiting.result()

    def perform(self, root: str, steps: Sequence[Step]) -> list[str]:
        """Run steps as one chunk, wait for it, and return the artefacts' paths.

        The thread that made this object runs them itself: a process fewer has to start, and Ctrl-C interrupts it.

        Raises
        ------
        ComputeError
            When a process dies.
        UmbrameterError
            Whatever a step itself raises.
        """
        if self._n == 1 or threading.get_ident() == self._owner:
            self.made_here.update(paths_of(steps))
            return perform(root, steps)
        from loky.process_executor import BrokenProcessPool

        try:
            paths: list[str] = self._started().submit(perform, root, tuple(steps)).result()
            return paths
        except BrokenProcessPool:
            raise ComputeError(
                "a worker process died, most likely for lack of memory; use fewer workers (workers=1, or --workers 1) "
                "and run again: finished models are kept"
            ) from None

    def close(self) -> None:
        """Stop the processes."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)

    def _started(self) -> "ProcessPoolExecutor":
        from loky.process_executor import ProcessPoolExecutor

        with self._lock:
            if self._executor is None:
                # loky and not multiprocessing: it runs neither a script's lines nor a notebook's a second time.
                self._executor = ProcessPoolExecutor(self._n - 1, env=KEEPS_GROWING)
        return self._executor


def _ready() -> None:
    """Import what every audit needs, without looking for garbage among modules, which stay."""
    gc.disable()
    import umbrameter.steps.scores
    import umbrameter.steps.shadow_models  # noqa: F401

    gc.freeze()
    gc.enable()
