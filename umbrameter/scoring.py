"""Fit the attack models of some classes; score the audited records by an attack."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.attack_data import read_classes
from umbrameter.attacks import AnyAttack, Shokri
from umbrameter.mitigations import PostHoc
from umbrameter.persistence import dump_model
from umbrameter.seeds import generator
from umbrameter.sources import Sources, model_name, read_answers
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.schemas import SCORES
from umbrameter.store.steps import key_of

SAMPLE = 500
"""Records whose scores are looked at again in another order, at most."""


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


@dataclass(frozen=True)
class Scoring:
    """Score the audited records.

    Parameters
    ----------
    attack, mitigations
        Which attack on answers that pass through what, in order.
    known
        What shadow models' answers pass through: the same for an attacker who knows of it, nothing for one who does
        not.
    answers
        Path of the `target_predictions` artefact.
    sources
        What else the attack looks at.
    records
        Path of the `records` artefact.
    seed
        The audit's seed.
    """

    attack: AnyAttack
    mitigations: tuple[PostHoc, ...]
    known: tuple[PostHoc, ...]
    answers: str
    sources: Sources
    records: str
    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the scores."""
        facts = {
            "attack": self.attack.model_dump(mode="json"),
            "mitigations": _dumped(self.mitigations),
            "known": _dumped(self.known),
            "answers": key_of(self.answers),
            "seed": self.seed,
        }
        return Recipe("scores", facts | self.sources.facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write each audited record's score, and whether the attack calls it a member."""
        table = store.open(self.answers).table("predictions.parquet")
        target, rows = read_answers(table, self.mitigations)[0], np.asarray(table["record_id"])
        signals = self.sources.read(store, target, rows, self.mitigations, self.known, self.records, self.seed)
        attack = self.attack.chosen(signals)
        if attack is not self.attack:
            draft.meta["chosen"] = attack.label
        signals = attack.prepared(signals)
        scores, threshold = attack.score(signals), attack.threshold(signals)
        is_called = pa.nulls(len(scores), pa.bool_()) if threshold is None else pa.array(scores >= threshold)
        order = generator(self.seed, "row-order").permutation(len(scores))
        some = order if attack.temperatures else order[:SAMPLE]  # those that compare look at all records together
        draft.meta["follows_rows"] = attack.keeps_scores(signals, scores, some)
        columns = [table["record_id"], table["label"], table["is_member"], pa.array(scores), is_called]
        draft.table("scores.parquet", pa.table(columns, schema=SCORES))


def model_files(artefacts: list[Artefact]) -> dict[int, bytes]:
    """Return the attack models' files by class."""
    return {label: artefact.data(model_name(label)) for artefact in artefacts for label in artefact.meta["labels"]}


def _dumped(mitigations: Sequence[PostHoc]) -> list[dict[str, Any]]:
    return [mitigation.model_dump(mode="json") for mitigation in mitigations]
