"""Run the controls of an audit on its artefacts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from umbrameter import controls
from umbrameter.asking import BATCH
from umbrameter.controls import SAMPLE, Control, some_of_each
from umbrameter.records import Records
from umbrameter.seeds import generator
from umbrameter.sources import read_answers
from umbrameter.store import Artefact, Draft, Recipe, Store
from umbrameter.typing import Array, Bools, Floats, Ints
from umbrameter.work import key_of


@dataclass(frozen=True)
class Controlling:
    """Check an audit of the target as it is.

    Parameters
    ----------
    scores
        Paths of the `scores` artefacts, one an attack.
    answers
        Path of the `target_predictions` artefact.
    records
        Path of the `records` artefact.
    seed
        The audit's seed.
    """

    scores: tuple[str, ...]
    answers: str
    records: str
    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the outcomes."""
        facts = {"scores": [key_of(s) for s in self.scores], "answers": key_of(self.answers), "seed": self.seed}
        return Recipe("controls", facts)

    def make(self, store: Store, draft: Draft) -> None:
        """Write `controls.json`."""
        answers = store.open(self.answers).table("predictions.parquet")
        target, is_member = read_answers(answers)
        records, rows = Records.open(store, self.records), np.asarray(answers["record_id"])
        scored = [store.open(path) for path in self.scores]
        found = {
            **of_scores([np.asarray(s.table("scores.parquet")["score"]) for s in scored], is_member, self.seed),
            "row_order": controls.row_order(all(s.meta["follows_rows"] for s in scored)),
            "orientation": controls.orientation(target.confidence(), is_member),
            "answers_fit_labels": controls.answers_fit_labels(
                target.predictions.argmax(axis=1), target.labels, target.predictions.shape[1]
            ),
            "blind_baseline": _blind(records, rows, is_member, self.seed),
            "copies": controls.copies(_keys(records, rows), is_member),
        }
        content = {name: control.model_dump(mode="json") for name, control in found.items()}
        draft.data("controls.json", json.dumps(content, ensure_ascii=False, allow_nan=False).encode())


def of_scores(scores: Sequence[Floats], is_member: Bools, seed: int) -> dict[str, Control]:
    """Return the controls that need scores alone, each the worst over the attacks.

    Parameters
    ----------
    scores
        Each attack's, shape (n_records,).
    is_member
        Shape (n_records,).
    seed
        The audit's seed.
    """
    rng = generator(seed, "controls")
    return {
        "permuted_labels": _worst([controls.permuted_labels(s, is_member, rng) for s in scores]),
        "planted_leak": _worst([controls.planted_leak(s, is_member, rng) for s in scores]),
        "swapped_sides": _worst([controls.swapped_sides(s, is_member) for s in scores]),
    }


def read_controls(artefact: Artefact) -> dict[str, Control]:
    """Return the controls' outcomes by name."""
    content: dict[str, Any] = json.loads(artefact.data("controls.json"))
    return {name: Control.model_validate(entry) for name, entry in content.items()}


def _worst(found: Sequence[Control]) -> Control:
    return min(found, key=lambda control: ("fail", "not_measured", "pass").index(control.status))


def _blind(records: Records, rows: Ints, is_member: Bools, seed: int) -> Control:
    rng = generator(seed, "blind-baseline")
    chosen = some_of_each(is_member, rng, SAMPLE)
    X, y = records.take(rows[chosen])
    return controls.blind_baseline(np.column_stack([X, y]), is_member[chosen], rng)


def _keys(records: Records, rows: Ints) -> Array:
    """Return a digest of each record and its label, shape (n_records,)."""
    n = max(1, BATCH // records.n_features)
    digests = [
        blake2b(row.tobytes() + int(label).to_bytes(8, "little"), digest_size=16).digest()
        for start in range(0, len(rows), n)
        for row, label in zip(*records.take(rows[start : start + n]), strict=True)
    ]
    return np.array(digests, dtype="V16")
