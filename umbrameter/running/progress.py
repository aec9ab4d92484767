"""The progress of an audit: lines in the log, a bar on a terminal, and whatever else a driver shows.

Belongs here: what is shown of a stage while it runs. Does not belong here: what is counted for the report.
"""

import logging
import threading
import time
from collections.abc import Callable, Set

log = logging.getLogger("umbrameter.audit")
log.setLevel(logging.INFO)  # an orchestrator may add its handler, and leave the level at warnings

ticks = logging.getLogger("umbrameter.progress")
"""Logs a record with the attribute `stage` after every step: for a terminal's bar, never for a log."""

ticks.setLevel(logging.INFO)
ticks.propagate = False

LOG_EVERY = 2.0
"""Minimum time between two log lines about one stage, in seconds."""

Show = Callable[[float, str], object]
"""Shows how far a stage is: a percentage, and a line."""

Display = Callable[[str, int], Show | None]
"""Begins to show a stage of some number of steps; None if it is not shown."""


def no_display(_name: str, _total: int) -> None:
    """Show nothing beside the log."""


class Stage:
    """The progress of one stage.

    Parameters
    ----------
    name
        The stage's name.
    total
        Number of its steps, including those already in the store.
    show
        Shows how far it is, beside the log.
    """

    def __init__(self, name: str, total: int, show: Show | None = None):
        self.name = name
        self.total = total
        self.made: set[str] = set()
        self.n_made = self.n_reused = 0
        self._lock = threading.Lock()  # chunks of one stage finish in several threads
        self._start = self._logged = time.perf_counter()
        self._seconds: float | None = None
        self._show = show

    def seconds(self) -> float:
        """Return how long the stage has taken so far, or took in all once it has ended."""
        return time.perf_counter() - self._start if self._seconds is None else self._seconds

    def end(self) -> None:
        """Stop the clock."""
        self._seconds = self.seconds()

    @property
    def done(self) -> int:
        """Steps that are finished."""
        return self.n_made + self.n_reused

    @property
    def left(self) -> float | None:
        """Seconds left at the pace so far; None before the first step was made."""
        return self.seconds() / self.n_made * (self.total - self.done) if self.n_made else None

    @property
    def line(self) -> str:
        """The progress in one line."""
        counts = f"{self.name}: {self.done} of {self.total} done ({self.n_made} made, {self.n_reused} reused)"
        if self.done >= self.total:
            return f"{counts}, {self.seconds():.1f} s"
        return counts if self.left is None else f"{counts}, about {self.left:.0f} s left"

    def step(self, finished: Set[str], made: Set[str]) -> None:
        """Count finished steps, and log the progress unless the last line was too recent.

        Parameters
        ----------
        finished
            Paths of the finished artefacts.
        made
            The paths among them that were made just now.
        """
        with self._lock:
            self.made |= made
            self.n_made += len(made)
            self.n_reused += len(finished) - len(made)
            ticks.info(self.line, extra={"stage": self})
            if self.done < self.total and time.perf_counter() - self._logged < LOG_EVERY:
                return
            self._logged = time.perf_counter()
            line, share = self.line, 100 * self.done / self.total
        # Outside the lock, so that a slow display does not hold up the other threads.
        log.info(line)
        if self._show is not None:
            self._show(share, line)
