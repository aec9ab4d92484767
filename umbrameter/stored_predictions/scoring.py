"""Score stored predictions in one pass over their rows, batch by batch, and keep only what the audit needs.

Belongs here: from rows to scores. Does not belong here: reading and checking rows (`predictions.parquet`), or the
report (`audit`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit

from umbrameter.attacks import (
    AnyAttack,
    Attack,
    AttackModels,
    ReferenceLogits,
    References,
    ShadowVectors,
    Signals,
    Vectors,
)
from umbrameter.attacks.inputs import of_kind
from umbrameter.errors import DataError
from umbrameter.evaluation.likeness import MOST_MODELS, ShadowAnswers, overlap
from umbrameter.evaluation.utility import AnswerQuality
from umbrameter.predictions.checks import places_among
from umbrameter.predictions.parquet import Batch, StoredPredictions
from umbrameter.seeds import generator
from umbrameter.steps.scores import SAMPLE
from umbrameter.typing import Array, Bools, Floats, Ints

MOST_SHADOW_VECTORS = 200_000
"""Shadow vectors that thresholds and attack models are fitted on, at most; sampled at random."""

MOST_SAMPLED = 20_000
"""The target's vectors that are kept, at most; sampled at random."""

MOST_SLICES = 50
"""Largest number of distinct values with which a further column is taken as a slice."""

UNKNOWN_OVERLAP = 0.5
"""Assumed overlap of shadow models' training sets of which no audited record is part: as of halves of one pool."""

SUPPLIED = (ShadowVectors, AttackModels, ReferenceLogits)
"""Inputs that stored predictions can supply; attack models are fitted by the attack itself."""


@dataclass(frozen=True)
class Audited:
    """Everything that is kept of the audited records; of their prediction vectors, a sample.

    Parameters
    ----------
    labels, is_member, record_ids
        Shape (n_records,); for ids see `predictions.checks.ids`.
    quality
        How good the answers are.
    confidence
        Confidence in the label, shape (n_records,).
    distances
        L1 distance of the answers from the stored ones, shape (n_records,).
    logits
        Scaled logits by temperature, shape (n_records,) each.
    slices, no_slices
        Each record's value, by column, for columns with few distinct values; and why other columns make no slices.
    scores
        Scores by attack, shape (n_records,) each.
    is_predicted_member
        Decisions by attack, shape (n_records,) each; None for an attack without a threshold.
    chosen
        For each combined attack, the name of the attack that it chose.
    follows
        Whether records keep their scores in another order.
    sample
        The vectors of a random sample of the records.
    """

    labels: Ints
    is_member: Bools
    record_ids: Array
    quality: AnswerQuality
    confidence: Floats
    distances: Floats
    logits: dict[float, Floats]
    slices: dict[str, list[str]]
    no_slices: dict[str, str]
    scores: dict[str, Floats]
    is_predicted_member: dict[str, Bools | None]
    chosen: dict[str, str]
    follows: bool
    sample: Vectors


@dataclass(frozen=True)
class Shadows:
    """Everything that is kept of the shadow models' answers."""

    vectors: Vectors
    references: dict[float, References] | str
    """Logits of the audited records by temperature, or why there are none."""
    n_models: int
    answers: ShadowAnswers | None = None
    """Their answers on the audited records, to see how alike they and the target are; None as for `references`."""


def read_shadows(
    predictions: StoredPredictions, shadow: StoredPredictions, temperatures: Sequence[float], seed: int
) -> Shadows:
    """Read shadow models' answers once: keep a sample of the vectors, and each model's logits of the audited records.

    Parameters
    ----------
    predictions, shadow
        The target's answers, and the shadow models'.
    temperatures
        Temperatures of the logits.
    seed
        Seed of the sample.

    Raises
    ------
    DataError
        When a row is bad, or a record_id occurs twice in the target's answers.
    """
    audited = predictions.record_ids()
    rng, share = generator(seed, "shadow-sample"), min(1.0, MOST_SHADOW_VECTORS / shadow.n_records)
    sampled: list[Vectors] = []
    parts: list[tuple[Ints, Ints, Floats, Bools, Ints]] = []
    models: dict[Any, int] = {}
    trained: dict[int, Floats] = {}
    for batch in shadow.batches():
        # each row by itself, so that one pass is enough; the sample has about the size asked for
        is_sampled = rng.random(len(batch.is_member)) < share
        sample = batch.vectors.where(is_sampled)
        sampled.append(replace(sample, is_in=batch.is_member[is_sampled]))
        model = None if batch.model_ids is None else _numbered(batch.model_ids, models)
        if audited is not None and model is not None:
            places = places_among(audited, batch.record_ids)
            rows = places >= 0
            answers = batch.vectors.where(rows)
            logits = np.column_stack([answers.logit(t).astype(np.float32) for t in temperatures])
            predicted = answers.predictions.argmax(axis=1)
            parts.append((model[rows], places[rows], logits, batch.is_member[rows], predicted))
            _add_trained(trained, model[batch.is_member], batch.vectors.where(batch.is_member))
    vectors = replace(_joined(sampled), is_in=np.concatenate([v.is_in for v in sampled if v.is_in is not None]))
    lacking = [
        *(["record_id in the target's predictions"] if audited is None else []),
        *(f"{name} in the shadow predictions" for name in ("record_id", "model_id") if name not in shadow.columns),
    ]
    rule = "record_id in both files and model_id in the shadow predictions tell which answers are of one record"
    if not parts or audited is None or lacking:
        return Shadows(vectors, f"there is no {', and no '.join(lacking)}; {rule}", len(models))
    numbers, record, logits, is_in, predicted = (np.concatenate(column) for column in zip(*parts, strict=True))
    # In the order of their names, whichever of them the file begins with.
    rank = np.argsort([models[name] for name in sorted(models)])
    ranks, model = np.unique(rank[numbers], return_inverse=True)
    place = _places(len(audited), model, record)
    if isinstance(place, str):
        return Shadows(vectors, place, len(models))
    references = {t: References(x[place], is_in[place]) for t, x in zip(temperatures, logits.T, strict=True)}
    by_rank = {int(rank[number]): figures for number, figures in trained.items()}
    totals = [by_rank[name] for name in ranks.tolist() if name in by_rank]
    return Shadows(vectors, references, len(models), _compared(references[1.0], predicted[place], totals))


def _numbered(ids: Array, numbers: dict[Any, int]) -> Ints:
    """Return ids as numbers, shape (n_records,); new ones are added to the numbers."""
    coded = pa.array(ids).dictionary_encode()
    known = [numbers.setdefault(name, len(numbers)) for name in coded.dictionary.to_pylist()]
    return np.asarray(np.array(known, dtype=np.int64)[np.asarray(coded.indices)])


def _add_trained(totals: dict[int, Floats], models: Ints, answers: Vectors) -> None:
    """Add number, correct answers and confidence of IN records to the totals of each model."""
    is_correct = answers.predictions.argmax(axis=1) == answers.labels
    figures = np.column_stack([np.ones(len(models)), is_correct, expit(answers.logit())])
    for name in np.unique(models).tolist():
        totals[name] = totals.get(name, np.zeros(3)) + figures[models == name].sum(axis=0)


def _compared(references: References, predicted: Ints, totals: Sequence[Floats]) -> ShadowAnswers:
    """Return the first models' answers; `totals` are those of the models that have IN records."""
    logits, is_in = references.logits[:MOST_MODELS], references.is_in[:MOST_MODELS]
    counts, is_known = is_in.sum(axis=0), len(totals) == len(predicted)
    n, right, confidence = np.array(totals[:MOST_MODELS]).T if is_known else (np.ones(1),) * 3
    return ShadowAnswers(
        logits=logits,
        predicted=predicted[:MOST_MODELS],
        is_in=is_in,
        trained={"accuracy": right / n, "confidence": confidence / n} if is_known else {},
        n_in=int(n.min()),
        overlap=overlap(counts[counts > 0], len(logits)) if counts.any() else UNKNOWN_OVERLAP,
    )


def _places(n_audited: int, model: Ints, record: Ints) -> Ints | str:
    """Return each row's place by model and audited record, or why they are incomplete."""
    n_models = int(model.max(initial=-1)) + 1
    counts = np.zeros((n_models, n_audited), dtype=np.int32)
    np.add.at(counts, (model, record), 1)  # counts duplicates, which counts[model, record] += 1 would not
    if n_models == 0 or (counts != 1).any():
        return "each shadow model must answer about each audited record exactly once (by model_id and record_id)"
    place = np.empty(counts.shape, dtype=np.int64)
    place[model, record] = np.arange(len(record))
    return place


def _joined(parts: Sequence[Vectors]) -> Vectors:
    return Vectors(np.concatenate([v.predictions for v in parts]), np.concatenate([v.labels for v in parts]))


def missing(attack: Attack, known: Shadows | None) -> str | None:
    """Return why an attack cannot be measured, or None."""
    lacking = sorted(entry.label for entry in attack.inputs if not isinstance(entry, SUPPLIED))
    if lacking:
        return f"the attack needs {', '.join(lacking)}, which stored predictions do not contain"
    logits = of_kind(attack.inputs, ReferenceLogits)
    if attack.compares_records and not logits:
        return "the attack compares whole answers with each other, but stored ones are read in batches"
    if not attack.needs_shadows:
        return None
    if known is None:
        return "the attack needs shadow models' predictions (--shadow)"
    if known.vectors.is_in is None or not known.vectors.is_in.any() or known.vectors.is_in.all():
        return "the shadow predictions need both records with is_member true (IN) and false (OUT)"
    if not logits:
        return None
    if isinstance(known.references, str):
        return known.references
    is_in = next(iter(known.references.values())).is_in
    counts = {"OUT": (~is_in).sum(axis=0), "IN": is_in.sum(axis=0)}
    for side in ("IN", "OUT"):
        n = int((counts[side] == 0).sum())
        if n and any(side in entry.sides for entry in logits):
            return f"{n} audited records are {side} of no shadow model; the attack needs one for each"
    return None


def score_rows(
    predictions: StoredPredictions,
    known: Shadows | None,
    attacks: Sequence[AnyAttack],
    temperatures: Sequence[float],
    seed: int,
) -> Audited:
    """Read the target's answers once; score them batch by batch, or at the end where records are compared.

    Parameters
    ----------
    predictions
        The target's answers.
    known
        Shadow models' answers, or None.
    attacks
        Attacks for which `missing` returns None.
    temperatures
        Temperatures of the logits: those of all attacks, and 1.
    seed
        The audit's seed.

    Raises
    ------
    DataError
        When a row is bad, or there are no members or no non-members.
    """
    signals = _signals(predictions, known, seed)
    chosen = {attack.label: attack.chosen(signals) for attack in attacks}
    by_batch = {name: attack for name, attack in chosen.items() if not attack.compares_records}
    prepared = {name: attack.prepared(signals) for name, attack in by_batch.items()}
    columns: dict[str, list[Array]] = {}
    follows = True
    rng, share, sampled = generator(seed, "target-sample"), min(1.0, MOST_SAMPLED / predictions.n_records), []
    for batch in predictions.batches():
        sampled.append(batch.vectors.where(rng.random(len(batch.is_member)) < share))
        batch_signals = {name: replace(prepared[name], target=batch.vectors) for name in by_batch}
        batch_scores = {name: attack.score(batch_signals[name]) for name, attack in by_batch.items()}
        if not columns:  # the first batch is enough: an attack that mixes rows up does so in every batch
            order = np.arange(min(len(batch.is_member), SAMPLE))[::-1]
            follows = all(a.keeps_scores(batch_signals[n], batch_scores[n], order) for n, a in by_batch.items())
        facts = _facts(batch, temperatures) | {f"score {name}": values for name, values in batch_scores.items()}
        for name, values in facts.items():
            columns.setdefault(name, []).append(values)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    _check_sides(predictions, whole["is_member"])
    logits = {t: whole[f"logit {t}"] for t in temperatures}
    at_end = replace(signals, target_logits=logits)  # for attacks that compare records, and so need all logits
    scores, decisions = {}, {}
    for name, attack in chosen.items():
        scores[name] = whole[f"score {name}"] if name in by_batch else attack.score(at_end)
        threshold = attack.threshold(prepared.get(name, signals))
        decisions[name] = None if threshold is None else scores[name] >= threshold
    slices = {n: v for n in predictions.slices if len(np.unique(v := whole[f"slice {n}"])) <= MOST_SLICES}
    too_many = {name: f"more than {MOST_SLICES} values" for name in predictions.slices if name not in slices}
    return Audited(
        labels=whole["label"],
        is_member=whole["is_member"],
        record_ids=whole["record_id"],
        quality=AnswerQuality(*(whole[f"quality {field.name}"] for field in fields(AnswerQuality))),
        confidence=whole["confidence"],
        distances=whole["distances"],
        logits=logits,
        slices={name: list(map(str, values)) for name, values in slices.items()},
        no_slices=predictions.no_slices | too_many,
        scores=scores,
        is_predicted_member=decisions,
        chosen={name: attack.label for name, attack in chosen.items() if attack.label != name},
        follows=follows,
        sample=_joined(sampled),
    )


def _signals(predictions: StoredPredictions, known: Shadows | None, seed: int) -> Signals:
    """Return all signals but the target's answers."""
    no_answers = Vectors(np.empty((0, predictions.n_classes), np.float32), np.empty(0, np.int64))
    if known is None:
        return Signals(no_answers, seed=seed)
    references = {} if isinstance(known.references, str) else known.references
    return Signals(no_answers, known.vectors, seed, references=references)


def _facts(batch: Batch, temperatures: Sequence[float]) -> dict[str, Array]:
    """Return the columns that are kept of every batch, whatever the attacks."""
    return {
        "label": batch.vectors.labels,
        "is_member": batch.is_member,
        "record_id": batch.record_ids,
        "confidence": batch.vectors.confidence(),
        "distances": batch.distances,
        **{f"quality {name}": values for name, values in vars(AnswerQuality.of(batch.vectors)).items()},
        **{f"logit {t}": batch.vectors.logit(t) for t in temperatures},
        **{f"slice {name}": values for name, values in batch.slices.items()},
    }


def _check_sides(predictions: StoredPredictions, is_member: Bools) -> None:
    if is_member.all() or not is_member.any():
        side = "members" if is_member.all() else "non-members"
        raise DataError(
            f"{predictions.name}={predictions.path!r} has only {side} (is_member is {bool(is_member[0])} in all "
            f"{len(is_member):,} rows); an audit needs members and non-members"
        )
