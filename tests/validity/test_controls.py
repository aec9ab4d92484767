"""Attacks as a whole: no alarm without a leak, and a planted leak is found, in the right class."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from umbrameter.attacks import Loss, Shokri, Signals, Vectors
from umbrameter.estimators import Estimator
from umbrameter.evaluation.controls import orientation, permuted_labels
from umbrameter.evaluation.verdict import decide
from umbrameter.spec.limits import Limit
from umbrameter.statistics.metrics import measure, measure_by_class

ATTACKS = [Loss(), Shokri(model=Estimator(kind="logistic_regression"))]
N = 200


def records(n, seed):
    X, y = make_classification(2 * n, 8, n_informative=4, flip_y=0.2, random_state=seed, shuffle=True)
    return X, y


def answers(model, n, seed, is_fitted_on_members=True):
    """Train on half the records (or on none of them); return the vectors of all, members first."""
    X, y = records(n, seed)
    members = np.arange(2 * n) < n
    if is_fitted_on_members:
        model.fit(X[members], y[members])
    return Vectors(model.predict_proba(X).astype(np.float32), y, members)


def tree():
    return DecisionTreeClassifier(min_samples_leaf=2, random_state=0)


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.kind)
def test_null_audits_alarm_as_often_as_they_may(attack):
    """A model that has seen neither side: 95 % intervals miss .5 in 5 % of audits, one side 2.5 %."""
    shadow = answers(tree(), 2000, 1)
    low = high = 0
    n_audits = 400
    for seed in range(n_audits):
        model = LogisticRegression().fit(*records(50, 10_000))
        target = answers(model, N, seed, is_fitted_on_members=False)
        found = measure(attack.score(Signals(target, shadow, seed)), target.is_in, None)["auc"]
        low, high = low + (found.low > 0.5), high + (found.high < 0.5)
    # Beyond 4 standard errors of a binomial of 2.5 %, or of 5 % for both sides
    assert max(low, high) <= 0.025 * n_audits + 4 * np.sqrt(0.025 * 0.975 * n_audits)
    assert low + high >= 0.05 * n_audits - 4 * np.sqrt(0.05 * 0.95 * n_audits)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.kind)
def test_a_model_that_memorises_is_found(attack):
    target, shadow = answers(tree(), N, 3), answers(tree(), N, 4)
    signals = Signals(target, shadow)
    scores = attack.score(signals)
    found = measure(scores, target.is_in, scores >= attack.threshold(signals))
    assert found["auc"].low > 0.6 and found["accuracy"].low > 0.55 and found["advantage"].low > 0.1


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.kind)
def test_swapped_members_turn_the_auc_around(attack):
    target, shadow = answers(tree(), N, 3), answers(tree(), N, 4)
    scores = attack.score(Signals(target, shadow))
    one, other = (measure(scores, mask, None)["auc"] for mask in (target.is_in, ~target.is_in))
    assert one.value == pytest.approx(1 - other.value, abs=1e-12)
    assert one.low == pytest.approx(1 - other.high, abs=1e-9)


def test_a_leak_in_one_class_is_found_there_and_nowhere_else():
    rng = np.random.default_rng(5)
    labels, is_member = rng.integers(0, 4, 4000), rng.random(4000) < 0.5
    predictions = rng.dirichlet(np.ones(4), 4000).astype(np.float32)
    leaking = (labels == 2) & is_member
    predictions[leaking] = 0.1 * predictions[leaking] + 0.9 * np.eye(4, dtype=np.float32)[2]
    scores = Loss().score(Signals(Vectors(predictions, labels)))
    by_class = measure_by_class(scores, is_member, None, labels, ["a", "b", "c", "d"])
    assert by_class[2].auc.low > 0.9
    assert [c.label for c in by_class if c.auc.low > 0.5 + 0.05] == ["c"]


# What a limit on the baseline would alarm at, over 1,000 audits of scores that say nothing

BASELINES = {
    "auc": 0.5,
    "accuracy": 0.5,
    "precision": 0.5,
    "advantage": 0.0,
    "tpr_at_fpr_0.1": 0.1,
    "tpr_at_fpr_0.01": 0.01,
    "tpr_at_fpr_0.001": 0.001,
    "epsilon_lower_bound": 0.0,
    "precision_at_prior_0.1": 0.1,
    "precision_at_prior_0.01": 0.01,
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("grid", [None, 1.0])
def test_null_audits_fail_a_limit_at_the_baseline_in_one_of_twenty_at_most(n, grid):
    rng = np.random.default_rng([n, grid is None])
    fails = dict.fromkeys(BASELINES, 0)
    for _ in range(1000):
        scores = rng.normal(size=2 * n) if grid is None else np.round(rng.normal(size=2 * n) / grid)
        metrics = measure(scores, np.arange(2 * n) < n, scores >= 0.5)
        for name, baseline in BASELINES.items():
            limit = Limit(metric=name, limit=baseline, source="what guessing gives")
            fails[name] += decide([limit], [("null", metrics)]).status == "fail"
    assert max(fails.values()) <= 50, fails


@pytest.mark.slow
def test_a_leak_of_five_per_cent_of_the_members_fails_a_limit_at_low_fpr():
    found = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=4000)
        scores[:100] = 10  # of 2,000 members
        metrics = measure(scores, np.arange(4000) < 2000, None)
        limits = [Limit(metric=m, limit=BASELINES[m], source="s") for m in ("tpr_at_fpr_0.01", "epsilon_lower_bound")]
        found += decide(limits, [("planted", metrics)]).status == "fail"
    assert found == 200


# Sound audits with ties, unequal sides and next to no differing scores


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(30, 30), (30, 300), (300, 30)])
@pytest.mark.parametrize("called", ["smooth", "tenths", "half", "rare", "single"])
def test_sound_audits_are_not_voided_by_ties(sides, called):
    """Membership permuted: 19 of 20 failed at 300 / 30 with ties. Orientation: up to 40 % with 0/1 confidences."""
    is_member, voided, turned, n_audits = np.arange(sum(sides)) < sides[0], 0, 0, 400
    for seed in range(n_audits):
        rng = np.random.default_rng([seed, *sides])
        uniform = rng.random(sum(sides))
        scores = {
            "smooth": uniform,
            "tenths": np.floor(10 * uniform),
            "half": uniform > 0.5,
            "rare": uniform > 0.98,
            "single": uniform >= np.sort(uniform)[-1 - seed % 3],
        }[called].astype(float)
        turned += orientation(scores, is_member).status == "fail"
        voided += seed < 8 and permuted_labels(scores, is_member, rng).status == "fail"
    assert voided == 0
    assert turned <= 0.01 * n_audits + 3 * np.sqrt(0.01 * n_audits)
