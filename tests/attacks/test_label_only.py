"""The label-only attack: noise by type of feature, robustness of labels, thresholds from shadow models."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from umbrameter.attacks import LabelOnly, Signals, Vectors
from umbrameter.records.noise import Noise, changed, robustness
from umbrameter.statistics import intervals


def rng(seed=0):
    return np.random.default_rng(seed)


def test_each_type_of_feature_has_its_own_noise():
    n = 4000
    bits, numbers, categories = rng().integers(0, 2, (n, 3)), rng(1).normal(5, 2, (n, 2)), rng(2).integers(0, 4, (n, 1))
    X = np.hstack([bits, numbers, categories]).astype(np.float32)
    found = changed(X, Noise(rate=0.2, scale=0.5), (5,), rng(3))
    assert found.dtype == X.dtype and not np.shares_memory(found, X)
    assert set(np.unique(found[:, :3])) == {0, 1}
    assert np.allclose((found[:, :3] != X[:, :3]).mean(axis=0), 0.2, atol=0.03)
    assert np.allclose((found - X)[:, 3:5].std(axis=0), 0.5 * X[:, 3:5].std(axis=0), rtol=0.05)
    assert set(np.unique(found[:, 5])) == {0, 1, 2, 3}
    assert (found[:, 5] != X[:, 5]).mean() == pytest.approx(0.2 * 0.75, abs=0.03)  # a quarter draws what it had


def test_robustness_one_copy_at_a_time():
    X, y = rng().normal(size=(50, 3)).astype(np.float32), rng(1).integers(0, 3, 50)
    model = DecisionTreeClassifier(random_state=0).fit(X[:25], y[:25])
    noise = Noise(copies=7)
    found = robustness(model, X, y, noise, (), 5)
    from umbrameter.seeds import generator

    copies = [changed(X, noise, (), generator(5, "noise", i)) for i in range(7)]
    for i in range(50):
        right = model.predict(X[i : i + 1])[0] == y[i]
        held = np.mean([model.predict(copy[i : i + 1])[0] == y[i] for copy in copies])
        assert found[i] == pytest.approx(held if right else 0.0)


def test_labels_of_an_unseen_class_are_never_robust():
    X = rng().normal(size=(20, 2)).astype(np.float32)
    model = DecisionTreeClassifier().fit(X, np.arange(20) % 2 * 2)  # knows 0 and 2
    assert (robustness(model, X, np.ones(20, int), Noise(copies=2), (), 0) == 0).all()


def records(seed, n=300):
    X = rng(seed).integers(0, 2, (2 * n, 30)).astype(np.float32)
    y = (X[:, :5].sum(axis=1) + rng(seed + 1).normal(0, 1.2, 2 * n) > 2.5).astype(int)
    return X, y, np.arange(2 * n) < n


def test_members_are_more_robust_and_shadow_models_set_the_threshold():
    attack = LabelOnly(noise=Noise(copies=30, rate=0.05))
    held = {}
    for seed in (10, 20):
        X, y, is_in = records(seed)
        model = RandomForestClassifier(random_state=0).fit(X[is_in], y[is_in])
        held[seed] = robustness(model, X, y, attack.noise, (), 0)
    vectors = Vectors(np.full((600, 2), 0.5), np.zeros(600, int))
    signals = Signals(
        vectors, robustness={attack.noise: held[10]}, shadow_robustness={attack.noise: (held[20], records(20)[2])}
    )
    scores, is_member = attack.score(signals), records(10)[2]
    assert intervals.auc(scores[is_member], scores[~is_member]).low > 0.6
    called = scores >= attack.threshold(signals)
    assert called[is_member].mean() - called[~is_member].mean() > 0.2
    assert attack.n_queries == 31 and "31 times" in attack.assumption
    moved = signals.where(np.arange(600)[::-1])
    assert np.array_equal(attack.score(moved), scores[::-1])


def test_without_answers_it_says_what_is_missing():
    with pytest.raises(ValueError, match=r"label_only needs signals\.robustness"):
        LabelOnly().score(Signals(Vectors(np.full((2, 2), 0.5), np.zeros(2, int))))


def test_label_only_reads_the_noise_it_was_told_of_and_no_other() -> None:
    mild, strong = Noise(copies=3), Noise(copies=3, rate=0.4)
    held = np.array([1.0, 0.5])
    target = Vectors(np.full((2, 2), 0.5), np.zeros(2, int))
    shadows = {mild: (np.array([1.0, 0.0]), np.array([True, False]))}
    signals = Signals(target, robustness={mild: held, strong: held / 2}, shadow_robustness=shadows)
    assert LabelOnly(noise=mild).score(signals).tolist() == [1.0, 0.5]
    assert LabelOnly(noise=strong).score(signals).tolist() == [0.5, 0.25]
    assert LabelOnly(noise=mild).threshold(signals) == 1.0 and LabelOnly(noise=strong).threshold(signals) is None
    assert "ask the model 4 times" in LabelOnly(noise=mild).assumption
