"""Fit the attack models of some classes; score the audited records by an attack."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.attack_data import read_class, read_some
from umbrameter.attacks import AnyAttack, Shokri, Signals, Vectors
from umbrameter.mitigations import PostHoc
from umbrameter.served import StoredModels
from umbrameter.store import Artefact, Draft, Recipe, Store
from umbrameter.tables import SCORES, vectors
from umbrameter.typing import Bools
from umbrameter.work import dump_model, key_of, load_model


@dataclass(frozen=True)
class AttackFit:
    """Fit the attack models of some classes on shadow vectors that are mitigated like the target's answers.

    Parameters
    ----------
    attack
        The attack.
    mitigation
        What the answers pass through; the attacker knows it.
    data
        Path of the `attack_data` artefact that holds the classes.
    labels
        The classes.
    seed
        The audit's seed.
    """

    attack: Shokri
    mitigation: PostHoc | None
    data: str
    labels: tuple[int, ...]
    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the attack models."""
        facts = _facts(self.attack, self.mitigation) | {"data": key_of(self.data), "labels": list(self.labels)}
        return Recipe("attack_models", facts | {"seed": self.seed, "versions": self.attack.model.versions})

    def make(self, store: Store, draft: Draft) -> None:
        """Write a skops file for each class that has both IN and OUT vectors."""
        data = store.open(self.data)
        shadows = {label: read_class(data, label, self.mitigation) for label in self.labels}
        models = self.attack.fit(shadows, self.seed)
        draft.meta |= {"labels": sorted(models), "n_vectors": sum(len(v.labels) for v in shadows.values())}
        for label, model in models.items():
            draft.data(_name(label), dump_model(model))


@dataclass(frozen=True)
class Scoring:
    """Score the audited records.

    Parameters
    ----------
    attack, mitigation
        Which attack on answers mitigated how.
    answers
        Path of the `target_predictions` artefact.
    models
        Paths of the `attack_models` artefacts; empty for an attack without any.
    data
        Paths of the `attack_data` artefacts; empty in an audit without shadow models.
    seed
        The audit's seed.
    """

    attack: AnyAttack
    mitigation: PostHoc | None
    answers: str
    models: tuple[str, ...]
    data: tuple[str, ...]
    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the scores."""
        facts = _facts(self.attack, self.mitigation) | {"answers": key_of(self.answers), "seed": self.seed}
        return Recipe(
            "scores", facts | {"models": [key_of(m) for m in self.models], "data": [key_of(d) for d in self.data]}
        )

    def make(self, store: Store, draft: Draft) -> None:
        """Write each audited record's score, and whether the attack calls it a member."""
        table = store.open(self.answers).table("predictions.parquet")
        target, _ = read_answers(table, self.mitigation)
        shadow = read_some([store.open(d) for d in self.data], self.mitigation) if self._wants_shadow() else None
        models = read_models([store.open(path) for path in self.models]) if self.models else None
        signals = Signals(target, shadow, self.seed, models)
        scores, threshold = self.attack.score(signals), self.attack.threshold(signals)
        is_called = pa.nulls(len(scores), pa.bool_()) if threshold is None else pa.array(scores >= threshold)
        columns = [table["record_id"], table["label"], table["is_member"], pa.array(scores), is_called]
        draft.table("scores.parquet", pa.table(columns, schema=SCORES))

    def _wants_shadow(self) -> bool:
        return bool(self.data) and not self.models


def read_answers(table: pa.Table, mitigation: PostHoc | None) -> tuple[Vectors, Bools]:
    """Return a target's answers, mitigated, and which records are members."""
    predictions = vectors(table["prediction"])
    if mitigation is not None:
        predictions = mitigation.transform(predictions)
    return Vectors(predictions, np.asarray(table["label"]).astype(np.int64)), np.asarray(table["is_member"])


def read_models(artefacts: list[Artefact]) -> StoredModels:
    """Return the attack models of the classes that have one, each to be loaded when it is wanted."""
    of = {label: artefact for artefact in artefacts for label in artefact.meta["labels"]}
    return StoredModels([*of], lambda label: load_model(of[label].data(_name(label))))


def model_files(artefacts: list[Artefact]) -> dict[int, bytes]:
    """Return the attack models' files by class."""
    return {label: artefact.data(_name(label)) for artefact in artefacts for label in artefact.meta["labels"]}


def _name(label: int) -> str:
    return f"label={label}.skops"


def _facts(attack: AnyAttack, mitigation: PostHoc | None) -> dict[str, Any]:
    return {
        "attack": attack.model_dump(mode="json"),
        "mitigation": None if mitigation is None else mitigation.model_dump(mode="json"),
    }
