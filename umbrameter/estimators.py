"""Classifiers named in a spec: by a short kind, or by a dotted path from an allowed prefix.

A spec is data: it must not be able to import anything. Only classes below the allowed prefixes are looked up, and only
those that are scikit-learn classifiers are called.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from umbrameter.dotted_paths import PREFIXES_VARIABLE, allowed_prefixes, is_allowed, kind_alone, look_up
from umbrameter.errors import one_of
from umbrameter.typing import Classifier

NETWORKS = "umbrameter.networks"
"""The package whose classifiers need the optional dependencies of `umbrameter[networks]`."""

SPARSE = frozenset({"random_forest", "extra_trees", "decision_tree", "logistic_regression", "k_neighbors"})
"""Kinds that accept sparse matrices, which one-hot encoded categories make; the others get dense ones."""

SCALED = frozenset({"mlp", "logistic_regression", "k_neighbors"})
"""Kinds that learn badly from numeric columns on very different scales: they get a StandardScaler inside."""

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


class Estimator(BaseModel):
    """A classifier, by its kind and its parameters.

    Examples
    --------
    >>> Estimator(kind="random_forest", params={"n_estimators": 5}).build(seed=0)
    RandomForestClassifier(n_estimators=5, random_state=...)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(
        description=f"One of {', '.join(KINDS)}; or the dotted path of a scikit-learn classifier below an allowed "
        f"prefix (`sklearn.`, `umbrameter.`, and those of the operator's {PREFIXES_VARIABLE}).",
        examples=["random_forest"],
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description="The classifier's parameters, by name.", examples=[{"min_samples_leaf": 5}]
    )

    _named = model_validator(mode="before")(kind_alone)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        _factory(kind)
        return kind

    @model_validator(mode="after")
    def _takes(self) -> "Estimator":
        names = sorted(set(inspect.signature(_factory(self.kind)).parameters) - {"random_state", "n_jobs", "verbose"})
        unknown = sorted(set(self.params) - set(names))
        if unknown:
            raise ValueError(
                f"{self.kind} has no parameter {', '.join(unknown)}; {one_of(unknown[0], names, 'it has')}"
            )
        try:
            classifier = _factory(self.kind)(**self.params)
        except TypeError as error:
            raise ValueError(f"{self.kind} does not take these parameters: {error}") from None
        _check_parameters(classifier)
        return self

    def build(self, seed: int | None, categorical: tuple[int, ...] = (), binary: bool = True) -> Classifier:
        """Return the unfitted classifier.

        Parameters
        ----------
        seed
            Value of every `random_state` in it; None for random numbers that nobody can draw again.
        categorical
            Numbers of the columns that hold category codes; they are one-hot encoded inside the classifier, by an
            encoder that is fitted on its training data alone.
        binary
            Whether all other columns hold only 0 and 1, and therefore need no scaling.
        """
        estimator = _factory(self.kind)(**self.params)
        scaler = StandardScaler() if self.kind in SCALED and not binary else "passthrough"
        if categorical:
            encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=self.kind in SPARSE, dtype=np.float32)
            columns = make_column_transformer((encoder, list(categorical)), remainder=scaler)
            estimator = make_pipeline(columns, estimator)
        elif scaler != "passthrough":
            estimator = make_pipeline(scaler, estimator)
        built: Classifier = seeded(estimator, seed)
        return built

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the libraries that determine a fitted model, and therefore enter its key."""
        names = ["numpy", "scikit-learn"]
        if KINDS.get(self.kind, self.kind).startswith(NETWORKS):
            names += ["jax", "numba"]
        return {name: _version(name) for name in names}

    def describe(self) -> str:
        """Return the classifier in a few words, such as `random_forest(min_samples_leaf=20)`."""
        return f"{self.kind}({', '.join(f'{k}={v}' for k, v in self.params.items())})"


@lru_cache(maxsize=16)
def _version(library: str) -> str:
    """Return a library's version; each look-up would read its metadata from disk, for every planned model."""
    return version(library)


def _check_parameters(classifier: Any) -> None:
    """Raise `ValueError` if parameters are out of range, as far as the classifier can say so before it is fitted."""
    if hasattr(classifier, "check_parameters"):
        classifier.check_parameters()
        return
    try:
        classifier.fit(None, None)  # scikit-learn checks parameters before data; there is no public call for it
    except Exception as error:  # any other error is about the missing data
        if type(error).__name__ == "InvalidParameterError":  # scikit-learn has no public name for it
            raise ValueError(str(error)) from None


def seeded(estimator: Any, seed: int | None) -> Any:
    """Set every `random_state` of an estimator, including nested ones, and return it."""
    names = [n for n in estimator.get_params() if n == "random_state" or n.endswith("__random_state")]
    return estimator.set_params(**dict.fromkeys(names, seed))


def _factory(kind: str) -> Callable[..., Any]:
    path = KINDS.get(kind, kind)
    if kind not in KINDS and not is_allowed(kind):
        raise ValueError(
            f"unknown kind {kind!r}; {one_of(kind, KINDS, 'expected one of')}, or a dotted path that begins with "
            f"{' or '.join(allowed_prefixes())} (the operator adds prefixes with {PREFIXES_VARIABLE})"
        )
    if path.startswith(f"{NETWORKS}.") and not all(map(find_spec, ("jax", "numba", "optax"))):
        raise ValueError(f"{kind} needs the networks, which are not installed: pip install 'umbrameter[networks]'")
    factory = look_up(path)
    if not (inspect.isclass(factory) and issubclass(factory, BaseEstimator) and is_classifier(factory())):
        raise ValueError(f"{path!r} is not a scikit-learn classifier; name a class with fit and predict_proba")
    return factory
