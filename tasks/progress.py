"""The progress of an audit as artefacts of Prefect's run page."""

import logging
import re
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext

from umbrameter.running.progress import Show

log = logging.getLogger("umbrameter.audit")


def display(name: str, total: int) -> Show | None:
    """Begin to show a stage; None outside flows, and if Prefect refuses it: a display must never fail the work.

    Parameters
    ----------
    name
        The stage's name.
    total
        Number of its steps.
    """
    if not total or FlowRunContext.get() is None:
        return None
    # Prefect allows nothing else in a key.
    key = "progress-" + re.sub(r"[^a-z0-9]+", "-", name.lower())
    try:
        artefact = create_progress_artifact(progress=0.0, key=key, description=f"{name}: 0 of {total} done")
    except Exception:
        log.debug(f"Prefect shows no progress of the stage {name}", exc_info=True)
        return None
    assert isinstance(artefact, UUID)
    return Progress(artefact).show


class Progress:
    """A progress artefact.

    Parameters
    ----------
    artefact
        Its id.
    """

    def __init__(self, artefact: UUID):
        self._artefact: UUID | None = artefact

    def show(self, share: float, line: str) -> None:
        """Update it, unless Prefect has refused that before, so that no later step waits again."""
        if self._artefact is None:
            return
        try:
            update_progress_artifact(self._artefact, progress=share, description=line)
        except Exception:
            log.debug("Prefect no longer shows this stage's progress", exc_info=True)
            self._artefact = None
