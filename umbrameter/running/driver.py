"""What carries an audit out: workers, and ways to what the library alone cannot reach.

Belongs here: what a driver has to offer. Does not belong here: the drivers (`umbrameter.local`, and `tasks` for flows).
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from umbrameter.records.sources import CatalogueData, GeneratedData, ParquetData, SidesData
from umbrameter.running.jobs import Graph
from umbrameter.running.progress import Display, no_display
from umbrameter.store.steps import Step
from umbrameter.targets.base import Target
from umbrameter.targets.connection import Connection, ConnectionContext


class Workers(Protocol):
    """Where the heavy work runs."""

    @property
    def made_here(self) -> Set[str]:
        """The paths of the artefacts that were made in this process."""

    @property
    def models_a_task(self) -> int | None:
        """How many shadow models make a chunk, if that is set."""

    @property
    def trains_side_by_side(self) -> bool:
        """Whether each worker trains its share of the shadow models at once, as on a GPU."""

    def n_workers(self) -> int:
        """Return how many chunks run at once."""

    def start(self) -> None:
        """Start the workers now; the first chunk would start them otherwise."""

    def perform(self, root: str, steps: Sequence[Step]) -> list[str]:
        """Run steps as one chunk, wait for it, and return the artefacts' paths."""


@dataclass(frozen=True)
class Driver:
    """What carries an audit out.

    Parameters
    ----------
    workers
        Where the heavy work runs.
    graph
        What runs the audit's jobs.
    connect
        Connects to a target trained elsewhere.
    locate
        Finds a named data set under a root, or generates records there.
    display
        Shows a stage's progress elsewhere than in the log.
    begin_tracking
        Called with the root while few workers are busy, if results will be logged elsewhere.
    draws_figures
        Whether the page and its figures are written with the report; drawing them takes a second.
    """

    workers: Workers
    graph: Graph
    connect: Callable[[Target, ConnectionContext], Connection]
    locate: Callable[[CatalogueData | GeneratedData, str], ParquetData | SidesData]
    display: Display = no_display
    begin_tracking: Callable[[str], object] | None = None
    draws_figures: bool = True
