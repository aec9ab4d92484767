"""Each pointwise attack against a loop over records; a higher score means a member."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from umbrameter.attacks import Loss, Shokri, Signals, Vectors
from umbrameter.attacks.shokri import LogConfidences, SortedConfidences
from umbrameter.estimators import Estimator
from umbrameter.statistics.metrics import measure

LOGISTIC = Estimator(kind="logistic_regression")
ATTACKS = [
    Loss(),
    *(Shokri(model=LOGISTIC, features=features) for features in ("raw", "log", "sorted", "top3")),
    Shokri(model=LOGISTIC, features="sorted", label_known=False),
]


def vectors(n: int, seed: int, gap: float = 1.0, n_classes: int = 3) -> Vectors:
    """Draw answers of a model that is surer of IN records, by `gap` in the logit of the label."""
    rng = np.random.default_rng(seed)
    labels, is_in = rng.integers(0, n_classes, n), np.arange(n) % 2 == 0
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), labels] += 1 + gap * is_in
    exp = np.exp(logits)
    return Vectors((exp / exp.sum(axis=1, keepdims=True)).astype(np.float32), labels, is_in)


SHADOW, TARGET = vectors(1200, 1), vectors(300, 2)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: f"{a.label}-{getattr(a, 'features', '')}")
def test_higher_is_a_member_and_order_does_not_matter(attack: Loss | Shokri) -> None:
    scores = attack.score(Signals(TARGET, SHADOW))
    assert measure(scores, TARGET.is_in, None)["auc"].low > 0.6
    order = np.random.default_rng(0).permutation(len(scores))
    moved = Vectors(TARGET.predictions[order], TARGET.labels[order])
    np.testing.assert_allclose(attack.score(Signals(moved, SHADOW)), scores[order], atol=1e-6)  # BLAS rounds by place


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: f"{a.label}-{getattr(a, 'features', '')}")
def test_the_threshold_comes_from_shadow_data_alone(attack: Loss | Shokri) -> None:
    other = vectors(50, 9)
    assert attack.threshold(Signals(TARGET, SHADOW)) == attack.threshold(Signals(other, SHADOW))


def test_loss_is_log_confidence_one_record_at_a_time() -> None:
    expected = [math.log(TARGET.predictions[i][label]) for i, label in enumerate(TARGET.labels)]
    assert np.allclose(Loss().score(Signals(TARGET)), expected)


def test_loss_threshold_is_the_best_of_all_on_shadow_vectors() -> None:
    scores = Loss().score(Signals(SHADOW))
    best = max(((scores >= t) == SHADOW.is_in).mean() for t in scores)
    threshold = Loss().threshold(Signals(TARGET, SHADOW))
    assert ((scores >= threshold) == SHADOW.is_in).mean() == best
    assert Loss().threshold(Signals(TARGET)) is None


def test_zero_confidence_gives_a_finite_score() -> None:
    scores = Loss().score(Signals(Vectors(np.array([[0.0, 1.0], [1e-9, 1.0]], np.float32), np.array([0, 0]))))
    assert np.isfinite(scores).all() and scores[0] < scores[1]


def test_shokri_fits_one_classifier_per_class() -> None:
    scores = Shokri(model=LOGISTIC).score(Signals(TARGET, SHADOW))
    for label in range(3):
        of_class = [i for i in range(len(SHADOW.labels)) if SHADOW.labels[i] == label]
        model = LOGISTIC.build(0, binary=False).fit(SHADOW.predictions[of_class], SHADOW.is_in[of_class])
        for i in range(len(TARGET.labels)):
            if TARGET.labels[i] == label:
                assert scores[i] == pytest.approx(model.predict_proba(TARGET.predictions[i : i + 1])[0, 1], abs=1e-5)


def test_records_of_an_unknown_class_score_a_half() -> None:
    attack = Shokri(model=LOGISTIC)
    keep = (SHADOW.labels != 1) & ((SHADOW.labels != 2) | SHADOW.is_in)
    scores = attack.score(Signals(TARGET, SHADOW.where(keep)))
    assert set(scores[TARGET.labels != 0]) == {0.5} and len(set(scores[TARGET.labels == 0])) > 50
    assert not (scores[TARGET.labels != 0] >= attack.threshold(Signals(TARGET))).any()


def test_models_that_are_given_are_used() -> None:
    fitted = LogisticRegression().fit(SHADOW.predictions, SHADOW.is_in)
    scores = Shokri(model=LOGISTIC).score(Signals(TARGET, models={0: fitted}))
    assert set(scores[TARGET.labels != 0]) == {0.5}
    rows = TARGET.labels == 0
    assert np.array_equal(scores[rows], fitted.predict_proba(TARGET.predictions[rows])[:, 1])


def test_an_attacker_without_the_label_takes_the_one_that_the_model_answers() -> None:
    attack = Shokri(model=LOGISTIC, features="sorted", label_known=False)
    called = [Vectors(v.predictions, v.predictions.argmax(axis=1), v.is_in) for v in (TARGET, SHADOW)]
    knowing = Shokri(model=LOGISTIC, features="sorted")
    assert np.array_equal(attack.score(Signals(TARGET, SHADOW)), knowing.score(Signals(*called)))
    other = Vectors(TARGET.predictions, (TARGET.labels + 1) % 3)
    assert np.array_equal(attack.score(Signals(other, SHADOW)), attack.score(Signals(TARGET, SHADOW)))
    assert attack.label == "shokri(logistic_regression, sorted, label unknown)"
    assert "does not know the record's true label" in attack.assumption


def test_top_three_and_log_confidences_by_loops() -> None:
    found = SortedConfidences(label=1, most=3).transform(TARGET.predictions)
    for row, vector in zip(found, TARGET.predictions, strict=True):
        expected = [math.log(vector[1]), *(math.log(p) for p in sorted(vector, reverse=True)[:3])]
        assert np.allclose(row, expected, atol=1e-5)
    assert np.allclose(LogConfidences().transform(TARGET.predictions), np.log(TARGET.predictions), atol=1e-5)
    assert np.isfinite(LogConfidences().transform(np.eye(2))).all()


def test_sorted_confidences_by_loops() -> None:
    found = SortedConfidences(label=2).transform(TARGET.predictions)
    for row, vector in zip(found, TARGET.predictions.tolist(), strict=True):
        assert np.allclose(row, [math.log(vector[2]), *(math.log(p) for p in sorted(vector, reverse=True))], atol=1e-5)
    assert found.dtype == np.float32 and np.isfinite(SortedConfidences(0).transform(np.eye(2))).all()
