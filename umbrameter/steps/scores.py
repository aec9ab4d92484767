"""Fit the attack models of some classes; score the audited records by an attack."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from umbrameter.attacks import AnyAttack
from umbrameter.mitigations import PostHoc
from umbrameter.mitigations.base import _dumped
from umbrameter.seeds import generator
from umbrameter.steps.signals import Sources, read_answers
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.schemas import SCORES
from umbrameter.store.steps import key_of

SAMPLE = 500
"""Records whose scores are looked at again in another order, at most."""


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
