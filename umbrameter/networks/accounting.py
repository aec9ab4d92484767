"""Privacy accounting: from the noise multiplier to epsilon and back, by dp_accounting.

Belongs here: calls of dp_accounting. Does not belong here: the training (`private`).
"""

from functools import lru_cache
from importlib.metadata import version
from typing import Any

from umbrameter.errors import SpecError

MOST_NOISE = 200.0
"""The largest noise multiplier tried: more noise than that leaves nothing to learn."""

LEAST_NOISE = 0.1
"""The smallest noise multiplier tried."""

TOLERANCE = 1e-4
"""Largest error of the noise multiplier that is returned."""


def accountant() -> str:
    """Return the accountant's name, version and assumptions, for reports."""
    return f"PLD accountant of dp_accounting {version('dp-accounting')}, Poisson sampling, one record more or less"


# Cached, since all private networks of an audit ask the same; a search asks often and takes seconds.
@lru_cache(maxsize=256)
def epsilon_of(noise_multiplier: float, sampling_rate: float, n_steps: int, delta: float) -> float:
    """Return the epsilon of a training at a given delta.

    Parameters
    ----------
    noise_multiplier
        Standard deviation of the noise, in clipping norms.
    sampling_rate
        Probability of each record to be in a step's batch, independently of the others.
    n_steps
        Number of steps of the training.
    delta
        The delta of the guarantee.

    References
    ----------
    Koskela, Jaelkoe, Honkela (2020), arXiv 1906.03049; Doroshenko et al. (2022), arXiv 2207.04380.

    Examples
    --------
    >>> round(epsilon_of(1.0, 0.01, 1000, 1e-5), 1)
    1.8
    """
    spent: float = _accountant().compose(_event(noise_multiplier, sampling_rate, n_steps)).get_epsilon(delta)
    return spent


@lru_cache(maxsize=256)
def noise_multiplier_of(epsilon: float, delta: float, sampling_rate: float, n_steps: int) -> float:
    """Return the smallest noise multiplier, to within 1e-4, whose epsilon is at most the requested one.

    Parameters
    ----------
    epsilon, delta
        The guarantee requested.
    sampling_rate, n_steps
        See `epsilon_of`.

    Raises
    ------
    SpecError
        When so many steps cannot reach so small an epsilon; the message names the smallest that they can reach.

    Examples
    --------
    >>> noise = noise_multiplier_of(4, 1e-5, 0.1, 100)
    >>> epsilon_of(noise, 0.1, 100, 1e-5) <= 4
    True
    """
    import dp_accounting

    least = epsilon_of(MOST_NOISE, sampling_rate, n_steps, delta)
    if epsilon < least:
        raise SpecError(
            f"dp_sgd.epsilon={epsilon:g} cannot be reached in {n_steps:,} steps with sampling_rate {sampling_rate:g} "
            f"at delta {delta:g} and noise of at most {MOST_NOISE:g} clipping norms; the least reachable is "
            f"{least:.4g}: raise epsilon, or lower epochs or sampling_rate"
        )
    low = MOST_NOISE
    # From above, since with little noise the accountant takes minutes.
    while low > LEAST_NOISE and epsilon_of(low, sampling_rate, n_steps, delta) <= epsilon:
        low /= 2
    if low <= LEAST_NOISE:
        return low
    noise_multiplier: float = dp_accounting.calibrate_dp_mechanism(
        _accountant,
        lambda noise: _event(noise, sampling_rate, n_steps),
        epsilon,
        delta,
        dp_accounting.ExplicitBracketInterval(low, 2 * low),
        tol=TOLERANCE,
    )
    return noise_multiplier


def _accountant() -> Any:
    from dp_accounting import pld

    return pld.PLDAccountant()


def _event(noise_multiplier: float, sampling_rate: float, n_steps: int) -> Any:
    """Return the training in dp_accounting's terms: a Gaussian mechanism on a Poisson sample, `n_steps` times."""
    import dp_accounting

    step = dp_accounting.PoissonSampledDpEvent(sampling_rate, dp_accounting.GaussianDpEvent(noise_multiplier))
    return dp_accounting.SelfComposedDpEvent(step, n_steps)
