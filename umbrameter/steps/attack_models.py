"""Fit the attack models of some classes; read them back."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from umbrameter.attacks import Shokri
from umbrameter.mitigations import PostHoc
from umbrameter.mitigations.base import _dumped
from umbrameter.persistence import dump_model, load_model
from umbrameter.serving.attack_models import StoredModels
from umbrameter.steps.attack_data import read_classes
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of
from umbrameter.typing import Classifier

SMALL_MODEL = 128 * 2**10
"""Bytes of an attack model's file, up to which it is kept in memory: networks are, forests are not."""


@dataclass(frozen=True)
class AttackFit:
    """Fit the attack models of some classes on shadow vectors that are mitigated like the target's answers.

    Parameters
    ----------
    attack
        The attack.
    mitigations
        What the answers pass through, in order; the attacker knows it.
    data
        Path of the `attack_data` artefact that holds the classes.
    labels
        The classes.
    seed
        The audit's seed.
    """

    attack: Shokri
    mitigations: tuple[PostHoc, ...]
    data: str
    labels: tuple[int, ...]
    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the attack models."""
        facts = {
            "attack": self.attack.model_dump(mode="json"),
            "mitigations": _dumped(self.mitigations),
            "data": key_of(self.data),
            "labels": list(self.labels),
        }
        return Recipe("attack_models", facts | {"seed": self.seed, "versions": self.attack.model.versions})

    def make(self, store: Store, draft: Draft) -> None:
        """Write a skops file for each class that has both IN and OUT vectors."""
        shadows = read_classes(store.open(self.data), self.labels, self.mitigations)
        models = self.attack.fit(shadows, self.seed)
        draft.meta |= {"labels": sorted(models), "n_vectors": sum(len(v.labels) for v in shadows.values())}
        for label, model in models.items():
            draft.data(model_name(label), dump_model(model))


def model_files(artefacts: list[Artefact]) -> dict[int, bytes]:
    """Return the attack models' files by class."""
    return {label: artefact.data(model_name(label)) for artefact in artefacts for label in artefact.meta["labels"]}


def read_models(artefacts: list[Artefact]) -> StoredModels:
    """Return the attack models of the classes that have one, each to be loaded when it is wanted."""
    of = {label: artefact for artefact in artefacts for label in artefact.meta["labels"]}
    return StoredModels([*of], lambda label: _loaded(of[label].data(model_name(label))))


def _loaded(content: bytes) -> Classifier:
    """Return a model; a small one is kept, since it is asked again and again, by one mitigation after another."""
    model: Classifier = _small(content) if len(content) <= SMALL_MODEL else load_model(content)
    return model


@lru_cache(maxsize=256)
def _small(content: bytes) -> Any:
    return load_model(content)


def model_name(label: int) -> str:
    """Return the name of the file of one class's attack model."""
    return f"label={label}.skops"
