"""The quantile attack: no shadow models, only records that are known to be non-members.

On these, a regression learns how sure the target is of a record that it was not trained on: the mean and the spread of
the scaled logit given the record. score = (logit - mean) / spread, so that the same share of every kind of non-member
exceeds a given threshold.

Bertran, Tang, Kearns, Morgenstern, Roth, Wu (2023), "Scalable Membership Inference Attacks via Quantile Regression",
arXiv 2307.03694, section 3 (their Gaussian variant, with gradient-boosted trees).
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from umbrameter.attacks.base import Attack
from umbrameter.attacks.inputs import Input, Population
from umbrameter.attacks.signals import Signals
from umbrameter.seeds import generator, integer
from umbrameter.typing import Array, Bools, Floats

if TYPE_CHECKING:  # at run time imported where it is used: reading a spec loads this module and must stay fast
    from sklearn.ensemble import HistGradientBoostingRegressor

LEAST_SPREAD = 0.05
"""The smallest spread, as a share of the mean spread: dividing by less would let noise decide the score."""


class Quantile(Attack):
    """Score by how far the target's confidence exceeds what is usual for similar non-members.

    Examples
    --------
    >>> from umbrameter.attacks import Vectors
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 1))
    >>> p = 1 / (1 + np.exp(-X[:, 0] - rng.normal(0, 0.1, 400)))
    >>> others = Vectors(np.column_stack([p, 1 - p]), np.zeros(400, int))
    >>> target = Vectors(np.array([[0.9, 0.1], [0.5, 0.5]]), np.zeros(2, int))
    >>> signals = Signals(target, features=np.zeros((2, 1)), population=others, population_features=X)
    >>> scores = Quantile().score(signals)
    >>> bool(scores[0] > 5 > 1 > scores[1])
    True
    """

    kind: Literal["quantile"] = Field("quantile", description="Quantile regression, no shadow models (Bertran 2023).")
    fpr: float = Field(
        0.1, gt=0, lt=1, description="Share of non-members that the attack may call members.", examples=[0.01]
    )

    @property
    def inputs(self) -> frozenset[Input]:
        """The target's answers on known non-members."""
        return frozenset({Population()})

    @property
    def assumption(self) -> str:
        """What the attacker is assumed to know and to be able to do."""
        return (
            "the attacker sees whole prediction vectors, knows the record and its true label, and can ask the model "
            "about known non-members of the same distribution; it trains no shadow models"
        )

    def score(self, signals: Signals) -> Floats:
        """Return standard scores, shape (n_records,).

        Raises
        ------
        ValueError
            When the signals have no population, or no features.
        """
        X, y = _inputs(signals, audited=False)
        mean, spread = self._fit(X, y, signals.seed)
        asked, logits = _inputs(signals, audited=True)
        return _standard(logits, mean.predict(asked), np.exp(spread.predict(asked)), np.exp(spread.predict(X)).mean())

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        """Return None: the attack uses no shadow models."""
        return None

    def threshold(self, signals: Signals) -> float | None:
        """Return the smallest population score that at most a share `fpr` reaches; inf if ties leave none.

        Each half of the population is scored by the other's fit.
        """
        X, y = _inputs(signals, audited=False)
        is_first = generator(signals.seed, "quantile-halves").permutation(len(y)) % 2 == 0
        scores = np.empty(len(y))
        for half in (is_first, ~is_first):
            mean, spread = self._fit(X[half], y[half], signals.seed)
            widths = np.exp(spread.predict(X))
            scores[~half] = _standard(y[~half], mean.predict(X[~half]), widths[~half], widths[half].mean())
        return threshold_of_share(scores, self.fpr)

    def _fit(
        self, X: Array, y: Floats, seed: int
    ) -> "tuple[HistGradientBoostingRegressor, HistGradientBoostingRegressor]":
        """Return regressions of the logit's mean and of its spread's log, the latter from out-of-fold residuals."""
        mean = _unfitted(seed).fit(X, y)
        is_first = generator(seed, "quantile-spread").permutation(len(y)) % 2 == 0
        residuals = np.empty(len(y))  # those of records that a regression was fitted on would be too small
        for half in (is_first, ~is_first):
            other = _unfitted(seed).fit(X[half], y[half])
            residuals[~half] = np.abs(y[~half] - other.predict(X[~half]))
        # 1e-3: one residual of almost 0 must not pull the log far down
        return mean, _unfitted(seed).fit(X, np.log(np.maximum(residuals, 1e-3)))


def threshold_of_share(scores: Floats, share: float) -> float:
    """Return the smallest of the scores that at most a share of them reach; inf where ties leave none.

    Examples
    --------
    >>> threshold_of_share(np.array([1.0, 2.0, 3.0, 4.0]), 0.5), threshold_of_share(np.array([1.0, 4.0, 4.0, 4.0]), 0.5)
    (3.0, inf)
    """
    values, counts = np.unique(scores, return_counts=True)
    reached = counts[::-1].cumsum()[::-1]
    return float(np.min(values[reached <= share * len(scores) + 1e-9], initial=np.inf))  # 0.29 * 100 is below 29


def _unfitted(seed: int) -> "HistGradientBoostingRegressor":
    from sklearn.ensemble import HistGradientBoostingRegressor

    settings = {"max_iter": 100, "learning_rate": 0.05, "min_samples_leaf": 20}
    return HistGradientBoostingRegressor(random_state=integer(seed, "quantile"), **settings)


def _inputs(signals: Signals, audited: bool) -> tuple[Array, Floats]:
    """Return the records with their labels as last column, and the target's scaled logits."""
    vectors = signals.target if audited else signals.population
    features = signals.features if audited else signals.population_features
    if vectors is None or features is None:
        raise ValueError("quantile needs signals.population, population_features and features: records and answers")
    return np.column_stack([features, vectors.labels]), vectors.logit()


def _standard(logits: Floats, means: Floats, spreads: Floats, typical: float) -> Floats:
    return (logits - means) / np.maximum(spreads, LEAST_SPREAD * typical)
