"""Typed metadata of artefacts, kept in their manifests: one frozen model per kind, so that no key is spelt twice."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from umbrameter.store.artefacts import Artefact, Draft


class Metadata(BaseModel):
    """Facts about an artefact's content; each kind of artefact has a subclass, beside its step."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls, artefact: Artefact) -> Self:
        """Return the metadata in a finished artefact's manifest."""
        return cls.model_validate(artefact.meta)

    def write(self, draft: Draft) -> None:
        """Add the metadata to the manifest of an artefact that is being written."""
        draft.meta |= self.model_dump(mode="json")


class Cost(Metadata):
    """The cost of making an artefact.

    Parameters
    ----------
    seconds, cpu_seconds
        Wall-clock time and processor time.
    peak_rss_mb
        The peak resident memory so far of the process that made it, in MiB; 0 if it was not measured.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss_mb: float = 0.0
