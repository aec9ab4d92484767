"""Finished audits that several files look at, and workers that start fast."""

import pytest

from tasks import cluster
from tests.running.everything import everything

__all__ = ["everything"]


@pytest.fixture
def light_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have local workers import no models before they are asked: most of their start, and no step here needs them."""
    ignore_interrupts, _ = cluster.PROCESSES["distributed.worker.preload"]
    monkeypatch.setitem(cluster.PROCESSES, "distributed.worker.preload", [ignore_interrupts])
