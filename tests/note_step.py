"""Small steps that workers can import."""

import os
import resource
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from umbrameter.errors import DataError
from umbrameter.store.artefacts import Draft, Recipe, Store


@dataclass(frozen=True)
class Note:
    """Write down which process made it, on how many threads, and what it does with Ctrl-C; then do as told."""

    name: str
    folder: str = ""
    fate: str = ""

    @property
    def recipe(self) -> Recipe:
        return Recipe("scores", {"name": self.name})

    def make(self, store: Store, draft: Draft) -> None:
        deaths = len(list(Path(self.folder).glob("died-*"))) if self.folder else 0
        if self.fate == "refuse":
            raise DataError("data.label='x' is not a column; expected a, b")
        if self.fate == "die" or deaths < {"die once": 1, "die twice": 2}.get(self.fate, 0):
            Path(self.folder, f"died-{deaths}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fate == "wait" and not Path(self.folder, "go").exists():
            Path(self.folder, f"began-{self.name}").touch()
            time.sleep(600)
        if self.fate == "hog":
            hoard = [np.ones(2**20) for _ in range(2000)]
            time.sleep(len(hoard))
        if self.fate == "full":  # the system refuses to write on, as on a full disk
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
            try:
                draft.data("large.bin", bytes(2**22))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        from threadpoolctl import threadpool_info

        draft.meta |= {
            "pid": os.getpid(),
            "threads": max((pool["num_threads"] for pool in threadpool_info()), default=1),
            "ignores_sigint": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
            "malloc_trim": os.environ.get("MALLOC_TRIM_THRESHOLD_"),
        }


@dataclass(frozen=True)
class Word:
    """Write what it reads and its own name; or fail, with an error of one kind."""

    name: str
    inputs: tuple[str, ...] = ()
    error: type[Exception] | None = field(default=None, compare=False)

    @property
    def recipe(self) -> Recipe:
        return Recipe("words", {"name": self.name, "inputs": [*self.inputs]})

    def make(self, store: Store, draft: Draft) -> None:
        if self.error is not None:
            raise self.error("target.url='x' is wrong; correct it")
        words = [store.open(path).data("word.txt") for path in self.inputs]
        draft.data("word.txt", b" ".join([*words, self.name.encode()]))
