"""Check a privacy guarantee against attacks."""

from dataclasses import dataclass

from umbrameter.evaluation.guarantees import Guarantee, held_against
from umbrameter.steps.scores import read_scores
from umbrameter.steps.target import TargetMetadata
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of


@dataclass(frozen=True)
class CheckGuarantee:
    """Check whether any attack contradicts the privacy that a mitigation claims.

    Parameters
    ----------
    label
        The mitigation's label.
    target
        Path of the `targets` artefact, whose training makes the claim.
    scores
        The attacks' names with the paths of their `scores` artefacts.
    """

    label: str
    target: str
    scores: tuple[tuple[str, str], ...]

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the outcome."""
        scores = [[name, key_of(path)] for name, path in self.scores]
        return Recipe("guarantees", {"label": self.label, "target": key_of(self.target), "scores": scores})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return (self.target, *(path for _, path in self.scores))

    def make(self, store: Store, draft: Draft) -> None:
        """Write `guarantee.json`."""
        claim = TargetMetadata.read(store.open(self.target)).guarantee
        if claim is None:
            raise ValueError(f"{self.target} makes no claim of privacy")
        scored = [(name, read_scores(store.open(path))) for name, path in self.scores]
        guarantee = held_against(self.label, claim, [(name, s.scores, s.is_member) for name, s in scored])
        draft.data("guarantee.json", guarantee.model_dump_json().encode())


def read_guarantee(artefact: Artefact) -> Guarantee:
    """Return the outcome of the check."""
    return Guarantee.model_validate_json(artefact.data("guarantee.json"))
