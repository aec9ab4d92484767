"""The quantile attack: what moves its scores and thresholds, and what it says when an input is missing."""

import numpy as np
import pytest
from scipy.special import expit

from umbrameter.attacks import Quantile, Signals, Vectors


def of_population(seed: int, n: int = 300) -> Signals:
    rng = np.random.default_rng(seed)
    X, asked = rng.normal(size=(n, 2)), rng.normal(size=(40, 2))
    labels = np.zeros(n, int)
    p = expit(X[:, 0] + rng.normal(0, 0.5, n))
    q = expit(asked[:, 0])
    target = Vectors(np.column_stack([q, 1 - q]), np.zeros(40, int))
    return Signals(
        target,
        seed=seed,
        features=asked,
        population=Vectors(np.column_stack([p, 1 - p]), labels),
        population_features=X,
    )


def test_quantile_scores_rise_with_the_logit_and_depend_on_their_own_record_alone() -> None:
    signals = of_population(0)
    scores = Quantile().score(signals)
    p = signals.target.predictions.copy()
    p[7] = [0.999, 0.001]
    surer = Quantile().score(Signals(**{**vars(signals), "target": Vectors(p, signals.target.labels)}))
    assert surer[7] > scores[7] and np.array_equal(np.delete(surer, 7), np.delete(scores, 7))


def test_the_more_non_members_may_be_called_the_lower_the_threshold_of_quantile() -> None:
    found = [Quantile(fpr=fpr).threshold(of_population(1)) for fpr in (0.02, 0.1, 0.5)]
    assert found == sorted(found, reverse=True) and len(set(found)) == 3


@pytest.mark.parametrize("lacking", ["population", "population_features", "features"])
def test_what_quantile_lacks_is_said(lacking: str) -> None:
    signals = Signals(**{**vars(of_population(0)), lacking: None})
    with pytest.raises(ValueError, match=r"quantile needs signals\.population"):
        Quantile().score(signals)
    assert Quantile().on_shadows(signals) is None
