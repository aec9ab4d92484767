"""What the audit decides for every estimator, whichever library it is from: seed, one thread, no output, no cache."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from umbrameter.estimators.kinds import is_helper

QUIET: Mapping[str, Mapping[str, Any]] = {
    # Histograms by column, since LightGBM would otherwise time two ways on each run and sum in another order.
    "lightgbm": {"n_jobs": 1, "verbosity": -1, "deterministic": True, "force_col_wise": True},
    "xgboost": {"n_jobs": 1, "verbosity": 0},
    "catboost": {"thread_count": 1, "verbose": False, "allow_writing_files": False},
    "skorch": {"verbose": 0},
}
"""Settings, by package, with which equal data and seeds give equal models, and nothing is printed or written."""

DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "catboost": ("catboost",),
    "imblearn": ("imbalanced-learn",),
    "lightgbm": ("lightgbm",),
    "skorch": ("skorch", "torch"),
    "umbrameter": ("jax", "numba"),
    "xgboost": ("xgboost",),
}
"""What has to be installed, by package, for models that are equal to the last bit; numpy and scikit-learn always."""


def settled(estimator: Any, seed: int | None) -> Any:
    """Set what the audit decides in an estimator and in all of its parts, and return it.

    Parameters
    ----------
    estimator
        An unfitted estimator.
    seed
        Value of every `random_state`; None for random numbers that nobody can draw again.
    """
    for part in parts(estimator):
        package = type(part).__module__.partition(".")[0]
        params = part.get_params(deep=False)
        if hasattr(part, "fit"):  # skorch's callbacks are parts, too
            part.set_params(**QUIET.get(package, {}))
        if package not in QUIET:
            reset = {"n_jobs": None, "memory": None} if package in ("sklearn", "imblearn") else {"n_jobs": 1}
            part.set_params(**{name: value for name, value in reset.items() if params.get(name) is not None})
        for name, value in params.items():
            if is_helper(type(value)) and getattr(value, "shuffle", True) and hasattr(value, "random_state"):
                divided = copy.copy(value)
                divided.random_state = seed if value.random_state is None else value.random_state
                part.set_params(**{name: divided})
        if package == "catboost":  # its get_params lists what was set alone
            part.set_params(random_seed=seed)
    return seeded(estimator, seed)


def is_skorch(estimator: Any) -> bool:
    """Return whether an estimator's class is one of skorch, or inherits one."""
    return any(base.__module__.startswith("skorch.") for base in type(estimator).__mro__)


@contextmanager
def global_seed(estimator: Any, seed: int | None) -> Iterator[None]:
    """Seed torch until the block ends, if an estimator or a part of it is of skorch, which has no `random_state`.

    Parameters
    ----------
    estimator
        What is trained in the block.
    seed
        The seed; None for random numbers that nobody can draw again.
    """
    if not any(map(is_skorch, parts(estimator))):
        yield
        return
    import torch

    with torch.random.fork_rng():
        if seed is None:
            torch.seed()
        else:
            torch.manual_seed(seed)
        yield


def fitted_modules(estimator: Any) -> list[str]:
    """Return the parameters that are modules of torch with weights, which skorch trains in place and clones keep."""
    return [
        name
        for name, value in estimator.get_params(deep=False).items()
        if not isinstance(value, type) and callable(getattr(value, "state_dict", None)) and value.state_dict()
    ]


def seeded(estimator: Any, seed: int | None) -> Any:
    """Set every `random_state` of an estimator, including nested ones, and return it."""
    names = [n for n in estimator.get_params() if n == "random_state" or n.endswith("__random_state")]
    return estimator.set_params(**dict.fromkeys(names, seed))


def with_coded_weights(estimator: Any, classes: Sequence[Any]) -> Any:
    """Return an estimator whose class weights are for codes 0, 1, ..., where they are for the data's own classes.

    Parameters
    ----------
    estimator
        An unfitted estimator, which is changed.
    classes
        The data's classes, in the order of their codes.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> with_coded_weights(LogisticRegression(class_weight={"no": 1, "yes": 5}), ("no", "yes"))
    LogisticRegression(class_weight={0: 1, 1: 5})
    """
    codes = {label: code for code, label in enumerate(classes)}
    for part in parts(estimator):
        weights = part.get_params(deep=False).get("class_weight")
        if isinstance(weights, dict) and {*weights} <= {*codes}:
            part.set_params(class_weight={codes[label]: weight for label, weight in weights.items()})
    return estimator


def parts(estimator: Any) -> list[Any]:
    """Return an estimator and all estimators within it."""
    within = estimator.get_params(deep=True).values()
    return [estimator, *(value for value in within if hasattr(value, "set_params") and not isinstance(value, type))]


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of the libraries that determine what estimators of some packages learn.

    Parameters
    ----------
    packages
        The packages' names, as they are imported.
    """
    names = [name for package in sorted(packages) for name in DISTRIBUTIONS.get(package, ())]
    return {name: _version(name) for name in dict.fromkeys(["numpy", "scikit-learn", *names])}


@lru_cache(maxsize=32)
def _version(library: str) -> str:
    """Return a library's version; each look-up would read its metadata from disk, for every planned model."""
    return version(library)
