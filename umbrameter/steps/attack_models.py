"""Fit attack models, one per class, and read them back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from umbrameter.bundles.lazy_models import LazyModels
from umbrameter.mitigations import PostHoc, as_settings
from umbrameter.persistence import dump_model, load_model
from umbrameter.predictions.vectors import Vectors
from umbrameter.steps.attack_data import read_classes
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.store.steps import key_of
from umbrameter.typing import Classifier

SMALL_MODEL = 128 * 2**10
"""Largest file, in bytes, of an attack model that is kept in memory: networks fit, forests do not."""

MOST_KEPT = 256
"""Most small models that one process keeps: at most 32 MiB of files."""


class AttackModelsMetadata(Metadata):
    """The classes that have an attack model, and the number of vectors that these were fitted on.

    Parameters
    ----------
    labels
        The classes with both IN and OUT vectors.
    n_vectors
        The number of vectors of all classes together.
    """

    labels: tuple[int, ...]
    n_vectors: int


class PerClassAttack(Protocol):
    """The interface that an attack with the input `AttackModels` provides to the step that fits them."""

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the libraries that a fitted attack model depends on."""

    def fit(self, shadows: Mapping[int, Vectors], seed: int) -> dict[int, Classifier]:
        """Return fitted attack models by class; a class without IN or without OUT vectors gets none."""

    def at_once(self, n_bytes: int) -> int:
        """Return how many classes to fit in one step, if each has `n_bytes` of vectors."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the attack's settings."""


@dataclass(frozen=True)
class AttackFit:
    """Fit the attack models of a chunk of classes on shadow vectors that are mitigated like the target's answers.

    Parameters
    ----------
    attack
        The attack.
    mitigations
        The mitigations that the answers pass through, in order; the attacker knows them.
    data
        Path of the `attack_data` artefact that holds the classes.
    labels
        The classes.
    seed
        The audit's seed.
    """

    attack: PerClassAttack
    mitigations: tuple[PostHoc, ...]
    data: str
    labels: tuple[int, ...]
    seed: int

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the attack models."""
        facts = {
            "attack": self.attack.model_dump(mode="json"),
            "mitigations": as_settings(self.mitigations),
            "data": key_of(self.data),
            "labels": list(self.labels),
            "seed": self.seed,
            "versions": self.attack.versions,
        }
        return Recipe("attack_models", facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return (self.data,)

    def make(self, store: Store, draft: Draft) -> None:
        """Write a skops file for each class that has both IN and OUT vectors."""
        shadows = read_classes(store.open(self.data), self.labels, self.mitigations)
        models = self.attack.fit(shadows, self.seed)
        for label, model in models.items():
            draft.data(_file(label), dump_model(model))
        n_vectors = sum(len(vectors.labels) for vectors in shadows.values())
        AttackModelsMetadata(labels=tuple(sorted(models)), n_vectors=n_vectors).write(draft)


def fitted_labels(artefact: Artefact) -> tuple[int, ...]:
    """Return the classes that have an attack model in an artefact."""
    return AttackModelsMetadata.read(artefact).labels


def model_files(artefacts: Sequence[Artefact]) -> dict[int, bytes]:
    """Return the attack models' skops files by class."""
    return {label: artefact.data(_file(label)) for artefact in artefacts for label in fitted_labels(artefact)}


def read_models(artefacts: Sequence[Artefact]) -> LazyModels:
    """Return the attack models by class, each loaded on first use."""
    by_label = {label: artefact for artefact in artefacts for label in fitted_labels(artefact)}
    return LazyModels([*by_label], lambda label: _loaded(by_label[label].data(_file(label))))


def _loaded(content: bytes) -> Classifier:
    """Return a model; a small one is kept, since successive mitigations use it."""
    model: Classifier = _small(content) if len(content) <= SMALL_MODEL else load_model(content)
    return model


@lru_cache(maxsize=MOST_KEPT)
def _small(content: bytes) -> Any:
    return load_model(content)


def _file(label: int) -> str:
    return f"label={label}.skops"
