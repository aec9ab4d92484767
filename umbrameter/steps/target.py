"""The target: trained here, or met elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from umbrameter.mitigations.dp_sgd import guarantee
from umbrameter.persistence import dump_model
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import integer
from umbrameter.steps.training import Training
from umbrameter.store.artefacts import Draft, Recipe, Store


@dataclass(frozen=True)
class TargetIdentity:
    """A target that was trained elsewhere: who it is.

    Parameters
    ----------
    facts
        What tells it from every other.
    description
        What it is, in a line.
    """

    facts: Mapping[str, Any]
    description: str

    @property
    def recipe(self) -> Recipe:
        """What decides the target's answers."""
        return Recipe("targets", {"met": dict(self.facts)})

    def make(self, store: Store, draft: Draft) -> None:
        """Write that it was met."""
        draft.meta |= {"guarantee": None, "description": self.description}


@dataclass(frozen=True)
class TargetFit:
    """Train the target on the members."""

    training: Training

    @property
    def recipe(self) -> Recipe:
        """What decides the target."""
        return Recipe("targets", self.training.facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write the fitted target as a skops file, and what its training guarantees, if anything."""
        records = Records.open(store, self.training.records)
        members = rows_of(store.open(self.training.split), "member")
        model = self.training.fit(records, members, integer(self.training.seed, "target"))
        draft.data("model.skops", dump_model(model))
        draft.meta["guarantee"] = guarantee(model)
