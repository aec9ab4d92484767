"""What an artefact's manifest says of its content: a frozen model for each kind, so that no key is written twice."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from umbrameter.store.artefacts import Artefact, Draft


class Metadata(BaseModel):
    """Facts about an artefact's content; each kind of step has a class of its own beside it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, artefact: Artefact) -> Self:
        """Return what a finished artefact's manifest says."""
        return cls.model_validate(artefact.meta)

    def write(self, draft: Draft) -> None:
        """Add the facts to the manifest of an artefact that is being written."""
        draft.meta |= self.model_dump(mode="json")


class Cost(Metadata):
    """What making an artefact took.

    Parameters
    ----------
    seconds, cpu_seconds
        By the clock, and of the processor.
    peak_rss_mb
        The largest resident memory of the process that made it so far, in MiB; 0 where it was not measured.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss_mb: float = 0.0
