"""The classes that a recipe may name: by a short kind, or by a dotted path from an allowed prefix.

Belongs here: which classes and functions are looked up, and under which name. Does not belong here: what is made of
them (`values`, `recipe`).
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit

from umbrameter.dotted_paths import PREFIXES_VARIABLE, allowed_prefixes, look_up, operator_prefixes

NETWORKS = "umbrameter.networks"
"""The package whose classifiers need the optional dependencies of `umbrameter[networks]`."""

KINDS: Mapping[str, str] = {
    "mlp": "umbrameter.networks.MLPClassifier",
    "cnn": "umbrameter.networks.CNNClassifier",
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "extra_trees": "sklearn.ensemble.ExtraTreesClassifier",
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "decision_tree": "sklearn.tree.DecisionTreeClassifier",
    "logistic_regression": "sklearn.linear_model.LogisticRegression",
    "k_neighbors": "sklearn.neighbors.KNeighborsClassifier",
    "gaussian_nb": "sklearn.naive_bayes.GaussianNB",
}
"""Short names of classifiers."""

PIPELINE = "sklearn.pipeline.Pipeline"

PARTS: Mapping[str, str] = {
    "pipeline": PIPELINE,
    "columns": "sklearn.compose.ColumnTransformer",
    "selector": "sklearn.compose.make_column_selector",
    "imputer": "sklearn.impute.SimpleImputer",
    "scaler": "sklearn.preprocessing.StandardScaler",
    "one_hot": "sklearn.preprocessing.OneHotEncoder",
    "ordinal": "sklearn.preprocessing.OrdinalEncoder",
    "calibrated": "sklearn.calibration.CalibratedClassifierCV",
    "voting": "sklearn.ensemble.VotingClassifier",
    "stacking": "sklearn.ensemble.StackingClassifier",
    "grid_search": "sklearn.model_selection.GridSearchCV",
}
"""Short names of what classifiers are put together from."""

LIBRARIES = ("catboost.", "imblearn.", "lightgbm.", "skorch.", "xgboost.")
"""Other packages with the scikit-learn interface, whose classes a recipe may name wherever they are installed."""

FUNCTIONS = ("sklearn.feature_selection.", "sklearn.metrics.")
"""Where functions that a recipe may name are; those of numpy that work element by element may be named too."""

TYPES = {"bool": bool, "float": float, "int": int, "object": object, "str": str}
"""Python's own types that a parameter, such as an encoder's `dtype`, may be."""


def prefixes() -> tuple[str, ...]:
    """Return the prefixes below which estimators may be named."""
    return (*allowed_prefixes(), *LIBRARIES)


def full_path(kind: str) -> str:
    """Return the dotted path that a kind stands for."""
    return KINDS.get(kind) or PARTS.get(kind) or kind


def class_of(kind: str) -> Any:
    """Return the class that a kind names.

    Raises
    ------
    ValueError
        When the kind is unknown, its package is not installed, or it is no class with the scikit-learn interface.
    """
    path = full_path(kind)
    if not ("." in path and path.startswith(prefixes())):
        raise ValueError(
            f"unknown kind {kind!r}; expected one of {', '.join(KINDS)}, or a dotted path that begins with "
            f"{' or '.join(prefixes())} (the operator adds prefixes with {PREFIXES_VARIABLE})"
        )
    if path.startswith(f"{NETWORKS}.") and not all(map(find_spec, ("jax", "numba", "optax"))):
        raise ValueError(f"{kind} needs the networks, which are not installed: pip install 'umbrameter[networks]'")
    package = path.partition(".")[0]
    if find_spec(package) is None:
        raise ValueError(f"{kind} needs {package}, which is not installed: pip install {package}")
    named = look_up(path)
    if not (inspect.isclass(named) and (issubclass(named, BaseEstimator) or has_interface(named) or is_helper(named))):
        raise ValueError(f"{path!r} is not a scikit-learn classifier, nor a part of one; name a class with get_params")
    return named


def has_interface(named: type) -> bool:
    """Return whether a class has scikit-learn's interface of parameters, whichever class it inherits."""
    return all(callable(getattr(named, method, None)) for method in ("get_params", "set_params"))


def is_helper(named: type) -> bool:
    """Return whether a class is a part that is no estimator: one that selects columns, or divides records."""
    from sklearn.compose import make_column_selector  # loads every linear model

    return issubclass(named, make_column_selector | BaseCrossValidator | BaseShuffleSplit)


def function_of(path: str) -> Any:
    """Return the function that a recipe names.

    Raises
    ------
    ValueError
        When there is none, or it may not be named: it could do anything with the records.
    """
    if path.startswith((*FUNCTIONS, *operator_prefixes())):
        named = look_up(path)
        if inspect.isfunction(named):
            return named
    elif path.startswith("numpy.") and isinstance(named := look_up(path), np.ufunc):
        return named
    raise ValueError(
        f"function {path!r} may not be named; expected one below {' or '.join(FUNCTIONS)}, one of numpy that works "
        f"element by element, or one below a prefix that the operator allows with {PREFIXES_VARIABLE}"
    )


def path_of(named: Any) -> str:
    """Return the dotted path by which a class or a function is imported, without private modules where possible.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> path_of(RandomForestClassifier), path_of(np.log1p)
    ('sklearn.ensemble.RandomForestClassifier', 'numpy.log1p')
    """
    name = named.__name__
    module = "numpy" if isinstance(named, np.ufunc) else named.__module__
    parts = module.split(".")
    publics = [".".join(parts[:end]) for end in range(1, len(parts)) if not any(p.startswith("_") for p in parts[:end])]
    # The nearest public module that has it; the package itself may export something else of the same name.
    for public in reversed(publics):
        if getattr(import_module(public), name, None) is named:
            return f"{public}.{name}"
    return f"{module}.{named.__qualname__}"
