"""Run the controls of an audit: checks that its data and scores can be trusted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from umbrameter.evaluation import controls
from umbrameter.evaluation.controls import NEIGHBOURS, SAMPLE, Control, of_scores, some_of_each
from umbrameter.evaluation.likeness import Likeness, ShadowAnswers, compare, of_shadows, overlap, unchecked
from umbrameter.mitigations import PostHoc, as_settings
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.steps.scores import ScoresMetadata, read_scores
from umbrameter.steps.shadow_models import read_compared, read_trained
from umbrameter.steps.target_answers import Answers, read_answers
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.steps import key_of
from umbrameter.typing import Bools, Floats, Ints


@dataclass(frozen=True)
class CheckControls:
    """Check an audit of the unmitigated target.

    Parameters
    ----------
    scores
        Paths of the `scores` artefacts, one per attack.
    answers
        Path of the `target_predictions` artefact.
    records, split
        Paths of the `records` and `split` artefacts.
    seed
        The audit's seed.
    shadows
        Paths of the `shadow_predictions` artefacts of the shadow models that the target is compared with.
    mitigations
        The mitigations of the answer that the target as it is released has.
    learn_from_target
        Whether the target labelled the shadow models' records: they then know of its members what it knows.
    """

    scores: tuple[str, ...]
    answers: str
    records: str
    split: str
    seed: int
    shadows: tuple[str, ...] = ()
    mitigations: tuple[PostHoc, ...] = ()
    learn_from_target: bool = False

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the outcomes."""
        facts = {"scores": [key_of(s) for s in self.scores], "answers": key_of(self.answers), "seed": self.seed}
        shadows = {"shadows": [key_of(s) for s in self.shadows], "mitigations": as_settings(self.mitigations)}
        return Recipe("controls", facts | shadows | {"learn_from_target": self.learn_from_target})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return (self.answers, self.records, self.split, *self.scores, *self.shadows)

    def make(self, store: Store, draft: Draft) -> None:
        """Write `controls.json`, and `likeness.json` where there are shadow models."""
        answers = read_answers(store.open(self.answers))
        target, is_member, rows = answers.vectors, answers.is_member, answers.rows
        records, score_artefacts = Records.open(store, self.records), [store.open(path) for path in self.scores]
        outcomes = {
            **of_scores([read_scores(artefact).scores for artefact in score_artefacts], is_member, self.seed),
            "row_order": controls.row_order(all(ScoresMetadata.read(a).follows_rows for a in score_artefacts)),
            "orientation": controls.orientation(target.confidence(), is_member),
            "answers_fit_labels": controls.answers_fit_labels(target),
            "blind_baseline": _blind(records, rows, is_member, self.seed),
            "copies": controls.copies(records.fingerprints()[rows], is_member),
            **_near(records, rows, is_member, rows_of(store.open(self.split), "pool"), self.seed),
        }
        if self.shadows:
            shadows = _shadow_answers([store.open(path) for path in self.shadows], rows, self.mitigations)
            released = read_answers(store.open(self.answers), self.mitigations) if self.mitigations else answers
            likeness = _likeness(released, shadows)
            learnt = "the target labelled the shadow models' records, so they may know its members"
            is_taught = self.learn_from_target
            outcomes |= unchecked(learnt) if is_taught else of_shadows(likeness, shadows, is_member, self.seed)
            draft.data("likeness.json", likeness.model_dump_json().encode())
        else:
            outcomes |= unchecked("the audit has no shadow models")
        content = {name: control.model_dump(mode="json") for name, control in outcomes.items()}
        draft.data("controls.json", json.dumps(content, ensure_ascii=False, allow_nan=False).encode())


def read_controls(artefact: Artefact) -> dict[str, Control]:
    """Return the controls' outcomes by name."""
    content: dict[str, Any] = json.loads(artefact.data("controls.json"))
    return {name: Control.model_validate(entry) for name, entry in content.items()}


def read_likeness(artefact: Artefact) -> Likeness | None:
    """Return how alike shadow models and target are, or None if there are no shadow models."""
    name = "likeness.json"
    return Likeness.model_validate_json(artefact.data(name)) if name in artefact.files else None


def _likeness(target: Answers, shadows: ShadowAnswers) -> Likeness:
    vectors = target.vectors
    predicted = vectors.predictions.argmax(axis=1)
    return compare(vectors.logit(), predicted, vectors.labels, target.is_member, shadows)


def _shadow_answers(artefacts: Sequence[Artefact], rows: Ints, mitigations: Sequence[PostHoc]) -> ShadowAnswers:
    """Read shadow models' answers, one model in memory at a time."""
    models = [_of_model(artefact, rows, mitigations) for artefact in artefacts]
    logits, predicted, is_in, accuracy, confidence, ids = zip(*models, strict=True)
    return ShadowAnswers(
        logits=np.array(logits),
        predicted=np.array(predicted),
        is_in=np.array(is_in),
        trained={"accuracy": np.array(accuracy), "confidence": np.array(confidence)},
        n_in=min(map(len, ids)),
        overlap=overlap(np.unique(np.concatenate(ids), return_counts=True)[1], len(ids)),
    )


def _of_model(
    artefact: Artefact, rows: Ints, mitigations: Sequence[PostHoc]
) -> tuple[Floats, Ints, Bools, float, float, Ints]:
    """Return a model's logits, classes and marks on audited records; accuracy, confidence and ids of its IN records."""
    answers, (ids, trained) = read_compared(artefact, rows, mitigations), read_trained(artefact, mitigations)
    accuracy = float((trained.predictions.argmax(axis=1) == trained.labels).mean())
    confidence = float(expit(trained.logit()).mean())
    logits, predicted = answers.logit().astype(np.float32), answers.predictions.argmax(axis=1)
    return logits, predicted, np.asarray(answers.is_in), accuracy, confidence, ids


def _blind(records: Records, rows: Ints, is_member: Bools, seed: int) -> Control:
    rng = generator(seed, "blind-baseline")
    chosen = some_of_each(is_member, rng, SAMPLE)
    X, y = records.take(rows[chosen])
    # With the label, since the sides may differ in their classes alone.
    return controls.blind_baseline(np.column_stack([X, y]), is_member[chosen], rng)


def _near(records: Records, rows: Ints, is_member: Bools, pool: Ints, seed: int) -> dict[str, Control]:
    """Return the controls for near copies of members: among the non-members, and in the pool if there is one."""
    rng = generator(seed, "near-copies")
    parts = {"members": rows[is_member], "non-members": rows[~is_member], "records of the pool": pool}
    samples = {name: records.numbers(rng.permutation(part)[:NEIGHBOURS]) for name, part in parts.items() if len(part)}
    scaled = {name: _scaled(records, X) for name, X in samples.items()}
    names = {"near_copies": "non-members", "near_copies_in_pool": "records of the pool"}
    members = scaled["members"]
    return {k: controls.near_copies(scaled[v], members, v, rng) for k, v in names.items() if v in scaled}


def _scaled(records: Records, X: Floats) -> Floats:
    """Return records with every feature scaled to 0 .. 1; two different categories are at distance 1."""
    low, high = np.array(records.metadata.low), np.array(records.metadata.high)
    is_category = np.isin(np.arange(records.n_features), records.categorical)
    # A constant feature has no range to divide by.
    width = np.where(high > low, high - low, 1)
    numbers = np.nan_to_num(((X - low) / width)[:, ~is_category], nan=-1.0)  # as far from 0 as 1 is
    # One-hot columns of sqrt(1/2): two categories differ in two of them, hence by a distance of 1.
    flags = [(X[:, [i]] == np.arange(high[i] + 1)) * np.sqrt(0.5) for i in records.categorical]
    return np.column_stack([numbers, *flags]).astype(np.float32)
