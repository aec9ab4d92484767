"""The target: trained by the audit, or trained elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from umbrameter.estimators import Estimator, Form
from umbrameter.mitigations import PrivacyClaim
from umbrameter.persistence import dump_model
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import integer
from umbrameter.steps.training import Training
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.targets.connection import Connection

MODEL = "model.skops"
"""The file of a target that the audit trained."""


class TargetMetadata(Metadata):
    """Facts about a target.

    Parameters
    ----------
    description
        A line about the target, for the report.
    is_trained_here
        Whether the artefact holds the fitted model.
    guarantee
        The privacy that its training guarantees; None without differential privacy.
    training_id
        A random name of the training, where its noise is secret: the key does not say which training it was. None for a
        target that each training makes alike.
    form, columns
        How records are given to the fitted model; see `umbrameter.estimators.Estimator`.
    """

    description: str
    is_trained_here: bool
    guarantee: PrivacyClaim | None = None
    training_id: str | None = None
    form: Form = "matrix"
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TargetFit:
    """Train the target on the members.

    A target whose privacy rests on secret noise is another one each time it is trained; its key does not say which.

    Parameters
    ----------
    training
        How it is trained.
    """

    training: Training

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the target."""
        return Recipe("targets", self.training.facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return self.training.records, self.training.split

    def make(self, store: Store, draft: Draft) -> None:
        """Write the fitted target as a skops file, and the privacy that its training guarantees."""
        records = Records.open(store, self.training.records)
        members = rows_of(store.open(self.training.split), "member")
        seed = None if self.training.needs_secret else integer(self.training.seed, "target")
        model = self.training.fit(records, members, seed)
        draft.data(MODEL, dump_model(model))
        claims = [m.guarantee(model) for m in self.training.mitigations if m.claims_privacy]
        # There is seldom more than one claim; the first counts.
        guarantee = next((claim for claim in claims if claim is not None), None)
        if guarantee is not None and seed is not None:
            guarantee = guarantee.model_copy(update={"is_reproducible": True})
        description = self.training.describe()
        training_id = uuid4().hex if seed is None else None
        TargetMetadata(
            description=description,
            is_trained_here=True,
            guarantee=guarantee,
            training_id=training_id,
            form=self.training.form,
            columns=self.training.columns,
        ).write(draft)


def model_file(artefact: Artefact) -> bytes:
    """Return the skops file of a target that the audit trained."""
    return artefact.data(MODEL)


@dataclass(frozen=True)
class TargetIdentity:
    """The identity of a target trained elsewhere.

    Parameters
    ----------
    facts
        JSON-able facts that distinguish it from every other target.
    description
        A line about the target, for the report.
    estimator, why_not
        The recipe that was read off it, for shadow models; or None, and why there is none.
    """

    facts: Mapping[str, Any]
    description: str
    estimator: Estimator | None = None
    why_not: str = ""

    @classmethod
    def of(cls, connection: Connection) -> "TargetIdentity":
        """Return the identity of a target that was reached."""
        try:
            return cls(connection.facts, connection.description, connection.estimator())
        except ValueError as error:
            return cls(connection.facts, connection.description, None, str(error))

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the target's answers."""
        return Recipe("targets", {"external": dict(self.facts)})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads: none."""
        return ()

    def make(self, store: Store, draft: Draft) -> None:
        """Write the description; the facts are in the manifest already."""
        TargetMetadata(description=self.description, is_trained_here=False).write(draft)
