"""Score the audited records by an attack."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from umbrameter.attacks import AnyAttack
from umbrameter.mitigations import PostHoc, as_settings
from umbrameter.seeds import generator
from umbrameter.steps.inputs import Reading, Sources, read_signals, source_facts
from umbrameter.steps.target_answers import read_answers
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.store.schemas import SCORES
from umbrameter.store.steps import key_of
from umbrameter.typing import Bools, Floats, Ints

SAMPLE = 500
"""Most records to score again in another order, for attacks that look at one record at a time."""


class ScoresMetadata(Metadata):
    """Facts about an attack's scores.

    Parameters
    ----------
    follows_rows
        Whether records keep their scores when they come in another order.
    chosen
        Label of the attack that scored, if it was chosen among several; None otherwise.
    """

    follows_rows: bool
    chosen: str | None = None


@dataclass(frozen=True)
class Scores:
    """An attack's scores of the audited records, shape (n_records,) each.

    Parameters
    ----------
    scores
        Higher for more likely a member.
    is_member, labels, rows
        Membership, label and row number of each record.
    is_predicted_member
        Whether the attack's own decision calls the record a member; None without a threshold.
    """

    scores: Floats
    is_member: Bools
    labels: Ints
    rows: Ints
    is_predicted_member: Bools | None


@dataclass(frozen=True)
class Scoring:
    """Score the audited records.

    Parameters
    ----------
    attack, mitigations
        The attack, and the mitigations that the target's answers pass through, in order.
    through
        The mitigations that the attacker's own models' answers pass through: the same ones for an adaptive attacker,
        fewer for a static one.
    answers
        Path of the `target_predictions` artefact.
    sources
        The attack's other inputs, with the artefacts that they are read from.
    records
        Path of the `records` artefact.
    seed
        The audit's seed.
    """

    attack: AnyAttack
    mitigations: tuple[PostHoc, ...]
    through: tuple[PostHoc, ...]
    answers: str
    sources: Sources
    records: str
    seed: int

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the scores."""
        facts = {
            "attack": self.attack.model_dump(mode="json"),
            "mitigations": as_settings(self.mitigations),
            "through": as_settings(self.through),
            "answers": key_of(self.answers),
            "inputs": source_facts(self.sources),
            "seed": self.seed,
        }
        return Recipe("scores", facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return (self.answers, self.records, *(path for _, paths in self.sources for path in paths))

    def make(self, store: Store, draft: Draft) -> None:
        """Write each audited record's score, and whether the attack calls it a member."""
        target = read_answers(store.open(self.answers), self.mitigations)
        reading = Reading(store, target, self.mitigations, self.through, self.records, self.seed)
        signals = read_signals(self.sources, reading)
        attack = self.attack.chosen(signals)
        signals = attack.prepared(signals)
        scores, threshold = attack.score(signals), attack.threshold(signals)
        # Null and not false: without a threshold the attack decides nothing.
        is_predicted_member = pa.nulls(len(scores), pa.bool_()) if threshold is None else pa.array(scores >= threshold)
        # Score again in another order, for the control `row_order`.
        order = generator(self.seed, "row-order").permutation(len(scores))
        order = order if attack.compares_records else order[:SAMPLE]
        ScoresMetadata(
            follows_rows=attack.keeps_scores(signals, scores, order),
            chosen=None if attack is self.attack else attack.label,
        ).write(draft)
        columns = [target.rows, target.vectors.labels, target.is_member, scores, is_predicted_member]
        draft.table("scores.parquet", pa.table(columns, schema=SCORES))


def read_scores(artefact: Artefact) -> Scores:
    """Return an attack's scores."""
    table = artefact.table("scores.parquet")
    scores, is_member, labels, rows = (np.asarray(table[name]) for name in ("score", "is_member", "label", "record_id"))
    column = table["is_predicted_member"]
    return Scores(scores, is_member, labels, rows, None if column.null_count else np.asarray(column))
