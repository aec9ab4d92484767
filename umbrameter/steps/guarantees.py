"""Hold attacks against a claim of privacy."""

from dataclasses import dataclass

import numpy as np

from umbrameter.evaluation.guarantees import Guarantee, held_against
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of


@dataclass(frozen=True)
class Guaranteed:
    """Hold attacks against a claim.

    Parameters
    ----------
    label
        The mitigation's.
    target
        Path of the `targets` artefact, whose training made the claim.
    scores
        Names of attacks and paths of their `scores` artefacts.
    """

    label: str
    target: str
    scores: tuple[tuple[str, str], ...]

    @property
    def recipe(self) -> Recipe:
        """What decides the outcome."""
        scores = [[name, key_of(path)] for name, path in self.scores]
        return Recipe("guarantees", {"label": self.label, "target": key_of(self.target), "scores": scores})

    def make(self, store: Store, draft: Draft) -> None:
        """Write `guarantee.json`."""
        claim = store.open(self.target).meta["guarantee"]
        tables = [(name, store.open(path).table("scores.parquet")) for name, path in self.scores]
        scored = [(name, np.asarray(t["score"]), np.asarray(t["is_member"])) for name, t in tables]
        draft.data("guarantee.json", held_against(self.label, claim, scored).model_dump_json().encode())


def read_guarantee(artefact: Artefact) -> Guarantee:
    """Return the outcome."""
    return Guarantee.model_validate_json(artefact.data("guarantee.json"))
