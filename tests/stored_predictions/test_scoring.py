"""From rows to scores: what attacks lack, how shadow models' rows become matrices, and that order is no matter."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax

from umbrameter.attacks import (
    Attack,
    Combined,
    Confidence,
    Gap,
    LabelOnly,
    Lira,
    Loss,
    Quantile,
    References,
    Rmia,
    Shokri,
    Signals,
    Vectors,
)
from umbrameter.errors import DataError
from umbrameter.estimators import Estimator
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.store.arrow import vector_column
from umbrameter.stored_predictions import scoring
from umbrameter.stored_predictions.scoring import MOST_SLICES, Shadows, missing, read_shadows, score_rows
from umbrameter.typing import Floats

N, N_CLASSES, N_MODELS = 60, 3, 8
RNG = np.random.default_rng(0)
LABELS, MEMBER, IDS = RNG.integers(0, N_CLASSES, N), np.arange(N) % 2 == 0, RNG.permutation(1000)[:N]
IS_IN = np.array([RNG.permutation(N_MODELS) < N_MODELS // 2 for _ in range(N)]).T
T = (1.0, 2.0)


def answers(seed: int, is_in: Any) -> Floats:
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(N, N_CLASSES))
    raw[np.arange(N), LABELS] += 1 + 2 * is_in
    return softmax(raw, axis=1).astype(np.float32)


TARGET = answers(1, MEMBER)
SHADOWS = np.array([answers(10 + model, IS_IN[model]) for model in range(N_MODELS)])


def target_table(**more: Any) -> pa.Table:
    columns = {"label": LABELS, "is_member": MEMBER, "record_id": IDS, "prediction": vector_column(TARGET)}
    return pa.table({**columns, **more})


def shadow_table() -> pa.Table:
    """Return all shadow models' rows, model 0 first; models are named by numbers far apart."""
    columns = {
        "label": np.tile(LABELS, N_MODELS),
        "is_member": IS_IN.ravel(),
        "record_id": np.tile(IDS, N_MODELS),
        "model_id": np.repeat(100 * np.arange(N_MODELS), N),
        "prediction": vector_column(SHADOWS.reshape(-1, N_CLASSES)),
    }
    return pa.table(columns)


def renamed(table: pa.Table, ids: Any) -> pa.Table:
    return table.set_column(table.column_names.index("record_id"), "record_id", pa.array(ids))


def stored(folder: Path, name: str, table: pa.Table) -> StoredPredictions:
    pq.write_table(table, folder / f"{name}.parquet", row_group_size=50)
    return StoredPredictions(folder / f"{name}.parquet")


def known(folder: Path, table: pa.Table, target: pa.Table | None = None) -> Shadows:
    audited = stored(folder, "target", target_table() if target is None else target)
    return read_shadows(audited, stored(folder, "shadow", table), T, seed=0)


# Shadow models' rows


@pytest.mark.parametrize("order", [np.arange(N * N_MODELS), np.random.default_rng(1).permutation(N * N_MODELS)])
def test_each_model_s_logits_are_placed_under_the_audited_record(tmp_path: Path, order: Any) -> None:
    found = known(tmp_path, shadow_table().take(order))
    assert found.n_models == N_MODELS and isinstance(found.references, dict) and set(found.references) == set(T)
    for t in T:
        matrix = found.references[t]
        for model in range(N_MODELS):
            logits = Vectors(SHADOWS[model], LABELS).logit(t).astype(np.float32)
            assert np.array_equal(matrix.logits[model], logits) and np.array_equal(matrix.is_in[model], IS_IN[model])


def test_other_records_are_no_references_and_serve_thresholds_all_the_same(tmp_path: Path) -> None:
    more = (
        shadow_table().slice(0, 30).drop_columns(["record_id"]).append_column("record_id", pa.array([*range(-30, 0)]))
    )
    found = known(tmp_path, pa.concat_tables([shadow_table(), more.select(shadow_table().column_names)]))
    assert isinstance(found.references, dict) and found.references[1.0].logits.shape == (N_MODELS, N)
    assert len(found.vectors.labels) == N * N_MODELS + 30
    lone = found.vectors.predictions[-30:]
    assert np.array_equal(lone, SHADOWS[0][:30])


@pytest.mark.parametrize(
    "table",
    [
        shadow_table().slice(1),  # one model lacks a record
        pa.concat_tables([shadow_table(), shadow_table().slice(5, 1)]),  # one has it twice
        renamed(shadow_table(), np.tile(IDS, N_MODELS) + 5000),  # none has any
    ],
    ids=["lacking", "twice", "none"],
)
def test_incomplete_matrices_are_none_and_say_why(tmp_path: Path, table: pa.Table) -> None:
    found = known(tmp_path, table)
    assert isinstance(found.references, str) and "exactly once" in found.references
    assert found.vectors.is_in is not None and len(found.vectors.labels) == len(table)


def test_more_shadow_vectors_than_are_needed_are_sampled_by_the_seed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "MOST_SHADOW_VECTORS", 120)
    files = stored(tmp_path, "target", target_table()), stored(tmp_path, "shadow", shadow_table())
    first, same, other = (read_shadows(*files, T, seed).vectors for seed in (0, 0, 1))
    assert np.array_equal(first.predictions, same.predictions) and len(first.labels) != len(other.labels)
    assert abs(len(first.labels) - 120) < 4 * np.sqrt(120 * 0.75)
    rows = {tuple(p) for p in SHADOWS.reshape(-1, N_CLASSES).tolist()}
    assert {tuple(p) for p in first.predictions.tolist()} <= rows


# What an attack lacks


def shadows(is_in: Any = IS_IN, references: Any = None) -> Shadows:
    vectors = Vectors(SHADOWS[0], LABELS, np.asarray(is_in)[0])
    matrices = {t: References(np.zeros(IS_IN.shape), np.asarray(is_in)) for t in T}
    return Shadows(vectors, matrices if references is None else references, N_MODELS)


LONELY = IS_IN.copy()
LONELY[:, :3], LONELY[:, 3] = False, True


@pytest.mark.parametrize(
    ("attack", "there", "reason"),
    [
        (Loss(), None, None),
        (Gap(), None, None),
        (Confidence(), None, "the attack needs shadow models' predictions"),
        (Confidence(), shadows(), None),
        (Confidence(), shadows(np.ones_like(IS_IN)), "is_member true"),
        (Shokri(), shadows(), None),
        (Quantile(), shadows(), "the attack needs population"),
        (LabelOnly(), shadows(), "the attack needs noisy labels"),
        (Lira(mode="online"), shadows(), None),
        (Lira(mode="online"), shadows(LONELY), "3 audited records are IN of no shadow model"),
        (Lira(mode="offline"), shadows(LONELY), "1 audited records are OUT of no shadow model"),
        (Rmia(), shadows(references="because"), "because"),
        (Combined(attacks=(Rmia(), Loss())), shadows(), None),
        (Combined(attacks=(Loss(), Quantile())), shadows(), "population"),
    ],
)
def test_what_keeps_an_attack_from_being_measured(attack: Attack, there: Shadows | None, reason: str | None) -> None:
    found = missing(attack, there)
    assert found is None if reason is None else reason in str(found)


# Scores

ATTACKS = (
    Gap(),
    Loss(),
    Confidence(),
    Shokri(model=Estimator(kind="logistic_regression")),
    Lira(mode="online"),
    Rmia(),
)


def test_scores_are_those_of_the_whole_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umbrameter.predictions.parquet.BATCH", 7 * N_CLASSES)
    found = known(tmp_path, shadow_table())
    audited = score_rows(stored(tmp_path, "target", target_table()), found, ATTACKS, T, seed=0)
    assert isinstance(found.references, dict)
    signals = Signals(Vectors(TARGET, LABELS), found.vectors, 0, references=found.references)
    for attack in ATTACKS:
        assert np.allclose(audited.scores[attack.label], attack.score(signals), rtol=1e-5, atol=1e-7)
        threshold = attack.threshold(signals)
        called = audited.is_predicted_member[attack.label]
        assert called is not None and np.array_equal(called, audited.scores[attack.label] >= threshold)
    assert audited.follows and audited.chosen == {}
    assert np.array_equal(audited.confidence, TARGET[np.arange(N), LABELS]) and (audited.distances == 0).all()
    assert np.array_equal(audited.quality.predicted, TARGET.argmax(axis=1))
    assert np.array_equal(audited.logits[2.0], Vectors(TARGET, LABELS).logit(2.0))


def test_a_random_sample_of_the_vectors_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = stored(tmp_path, "target", target_table())
    whole = score_rows(target, None, [Loss()], T, 0).sample
    assert np.array_equal(whole.predictions, TARGET) and np.array_equal(whole.labels, LABELS)
    monkeypatch.setattr(scoring, "MOST_SAMPLED", N // 3)
    few, again, other = (score_rows(target, None, [Loss()], T, seed).sample for seed in (0, 0, 1))
    assert np.array_equal(few.predictions, again.predictions) and 5 < len(few.labels) < 40
    assert not np.array_equal(few.labels, other.labels)
    known_labels = {row.tobytes(): label for row, label in zip(TARGET, LABELS, strict=True)}
    assert [known_labels[row.tobytes()] for row in few.predictions] == few.labels.tolist()


def test_rows_in_another_order_have_the_same_scores_by_record(tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(N)
    found = []
    for table in (target_table(), target_table().take(order)):
        there = known(tmp_path, shadow_table(), table)
        found.append(score_rows(stored(tmp_path, "target", table), there, ATTACKS, T, seed=0))
    assert np.array_equal(found[1].record_ids, found[0].record_ids[order])
    for attack in ATTACKS:
        assert np.allclose(found[1].scores[attack.label], found[0].scores[attack.label][order], rtol=1e-5, atol=1e-7)


def test_a_combined_attack_says_what_it_chose_and_scores_as_that(tmp_path: Path) -> None:
    attacks = (Combined(attacks=(Gap(), Lira(mode="online"))), Lira(mode="online"), Gap())
    audited = score_rows(
        stored(tmp_path, "target", target_table()), known(tmp_path, shadow_table()), attacks, T, seed=0
    )
    chosen = audited.chosen[attacks[0].label]
    assert chosen in (attacks[1].label, "gap") and [*audited.chosen] == [attacks[0].label]
    assert np.array_equal(audited.scores[attacks[0].label], audited.scores[chosen])


def test_columns_of_many_values_make_no_slices(tmp_path: Path) -> None:
    columns = {"many": np.arange(N), "few": np.arange(N) % MOST_SLICES, "one": ["x"] * N}
    audited = score_rows(stored(tmp_path, "target", target_table(**columns)), None, (Loss(),), (1.0,), seed=0)
    assert set(audited.slices) == {"few", "one"}
    assert audited.slices["few"] == [str(i % MOST_SLICES) for i in range(N)]
    assert audited.is_predicted_member == {"loss": None}


@pytest.mark.parametrize("side", [True, False])
def test_one_side_alone_cannot_be_audited(tmp_path: Path, side: bool) -> None:
    alone = stored(tmp_path, "target", target_table(is_member=np.full(N, side)))
    with pytest.raises(DataError, match=rf"is_member is {side} in all 60 rows"):
        score_rows(alone, None, (Loss(),), (1.0,), seed=0)
