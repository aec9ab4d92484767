"""Small pieces of work, importable on workers."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from umbrameter.errors import DataError
from umbrameter.store import Draft, Recipe, Store


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
        if self.fate == "refuse":
            raise DataError("data.label='x' is not a column; expected a, b")
        if self.fate == "die" or (self.fate == "die once" and not Path(self.folder, "died").exists()):
            Path(self.folder, "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        from threadpoolctl import threadpool_info

        draft.meta |= {
            "pid": os.getpid(),
            "threads": max((pool["num_threads"] for pool in threadpool_info()), default=1),
            "ignores_sigint": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
            "malloc_trim": os.environ.get("MALLOC_TRIM_THRESHOLD_"),
        }
