"""The progress of an audit: lines in the log, a bar on a terminal, an artefact in Prefect.

Belongs here: what is shown of a stage while it runs. Does not belong here: what is counted for the report.
"""

import logging
import re
import threading
import time
from collections.abc import Set
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext

log = logging.getLogger("umbrameter.audit")
log.setLevel(logging.INFO)  # Prefect adds its handler to our logger but leaves its level at warnings

ticks = logging.getLogger("umbrameter.progress")
"""Logs a record with the attribute `stage` after every step: for a terminal's bar, never for Prefect's logs."""

ticks.setLevel(logging.INFO)
ticks.propagate = False

LOG_EVERY = 2.0
"""Minimum time between two log lines about one stage, in seconds."""


class Stage:
    """The progress of one stage.

    Parameters
    ----------
    name
        The stage's name.
    total
        Number of its steps, including those already in the store.
    """

    def __init__(self, name: str, total: int):
        self.name = name
        self.total = total
        self.made: set[str] = set()
        self.n_made = self.n_reused = 0
        self._lock = threading.Lock()  # chunks of one stage finish in several threads
        self._start = self._logged = time.perf_counter()
        self._seconds: float | None = None
        self._artefact: UUID | None = None
        if total and FlowRunContext.get() is not None:
            self._artefact = _create(name, total)

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
        # Outside the lock, so that a slow server does not hold up the other threads.
        log.info(line)
        if self._artefact is not None:
            self._artefact = _update(self._artefact, share, line)


def _create(name: str, total: int) -> UUID | None:
    """Return a new progress artefact, or None if Prefect refuses it: a display must never fail the work."""
    # Prefect allows nothing else in a key.
    key = "progress-" + re.sub(r"[^a-z0-9]+", "-", name.lower())
    try:
        return cast(UUID, create_progress_artifact(progress=0.0, key=key, description=f"{name}: 0 of {total} done"))
    except Exception:
        log.debug(f"Prefect shows no progress of the stage {name}", exc_info=True)
        return None


def _update(artefact: UUID, share: float, line: str) -> UUID | None:
    """Update a progress artefact and return it; None once Prefect refuses it, so that no later step waits again."""
    try:
        return cast(UUID, update_progress_artifact(artefact, progress=share, description=line))
    except Exception:
        log.debug("Prefect no longer shows this stage's progress", exc_info=True)
        return None
