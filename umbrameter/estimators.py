"""Classifiers named in a spec: by a short kind, or by a dotted path from an allowed prefix.

A spec is data: it must not be able to import anything. Only classes below the allowed prefixes are looked up, and only
those that are scikit-learn classifiers are called.
"""

import importlib
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from umbrameter.typing import Classifier

PREFIXES_VARIABLE = "UMBRAMETER_ALLOWED_PREFIXES"
"""Environment variable of the operator: more allowed prefixes for dotted paths, separated by commas."""

SCALED = frozenset({"mlp", "logistic_regression", "k_neighbors"})
"""Kinds that learn badly from numeric columns on very different scales: these get a StandardScaler inside."""


def mlp(
    hidden: tuple[int, ...] = (128,),
    activation: str = "tanh",
    epochs: int = 100,
    batch_size: int | Literal["auto"] = "auto",
    learning_rate: float = 0.001,
    l2: float = 0.0,
) -> BaseEstimator:
    """Return a fully connected network, trained by Adam for exactly `epochs` passes over the data.

    Parameters
    ----------
    hidden
        Units of each hidden layer.
    activation
        `tanh`, `relu` or `logistic`.
    epochs
        Passes over the training data; training never stops earlier.
    batch_size
        Records a step of Adam; `auto` is 200, or all records where there are fewer.
    learning_rate
        Adam's step size.
    l2
        Weight of the squared weights in the loss (scikit-learn's `alpha`).

    References
    ----------
    The target of Shokri et al. (2017), section VI-C, has one hidden layer of 128 tanh units.
    """
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        hidden_layer_sizes=tuple(hidden),
        activation=activation,
        max_iter=epochs,
        batch_size=batch_size,
        learning_rate_init=learning_rate,
        alpha=l2,
        tol=0.0,
        n_iter_no_change=epochs + 1,
    )


KINDS: Mapping[str, str] = {
    "mlp": "umbrameter.estimators.mlp",
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "extra_trees": "sklearn.ensemble.ExtraTreesClassifier",
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "decision_tree": "sklearn.tree.DecisionTreeClassifier",
    "logistic_regression": "sklearn.linear_model.LogisticRegression",
    "k_neighbors": "sklearn.neighbors.KNeighborsClassifier",
    "gaussian_nb": "sklearn.naive_bayes.GaussianNB",
}


def allowed_prefixes() -> tuple[str, ...]:
    """Return the prefixes a dotted path may begin with: `sklearn.`, `umbrameter.` and the operator's."""
    more = os.environ.get(PREFIXES_VARIABLE, "")
    return ("sklearn.", "umbrameter.", *(p.strip() for p in more.split(",") if p.strip()))


class Estimator(BaseModel):
    """A classifier: what it is and its parameters.

    Examples
    --------
    >>> Estimator(kind="random_forest", params={"n_estimators": 5}).build(seed=0)
    RandomForestClassifier(n_estimators=5, random_state=...)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(
        description=f"One of {', '.join(KINDS)}; or the dotted path of a scikit-learn classifier below an allowed "
        f"prefix (`sklearn.`, `umbrameter.`, and those of the operator's {PREFIXES_VARIABLE})."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="The classifier's parameters, by name.")

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
            raise ValueError(f"{self.kind} has no parameter {', '.join(unknown)}; it has {', '.join(names)}")
        try:
            _factory(self.kind)(**self.params)
        except TypeError as error:
            raise ValueError(f"{self.kind} does not take these parameters: {error}") from None
        return self

    def build(self, seed: int, categorical: tuple[int, ...] = (), binary: bool = True) -> Classifier:
        """Return the unfitted classifier.

        Parameters
        ----------
        seed
            Set as every `random_state` in it.
        categorical
            Columns of codes: one-hot encoded inside the classifier, fitted on its training data alone.
        binary
            Whether all other columns hold only 0 and 1, so that scaling has nothing to do.
        """
        estimator = _factory(self.kind)(**self.params)
        scaler = StandardScaler() if self.kind in SCALED and not binary else "passthrough"
        if categorical:
            encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=self.kind != "hist_gradient_boosting")
            columns = make_column_transformer((encoder, list(categorical)), remainder=scaler)
            estimator = make_pipeline(columns, estimator)
        elif scaler != "passthrough":
            estimator = make_pipeline(scaler, estimator)
        built: Classifier = seeded(estimator, seed)
        return built

    def describe(self) -> str:
        """Return the classifier in a few words, such as `random_forest(min_samples_leaf=20)`."""
        return f"{self.kind}({', '.join(f'{k}={v}' for k, v in self.params.items())})"


def seeded(estimator: Any, seed: int) -> Any:
    """Set every `random_state` of an estimator, nested ones too, and return it."""
    names = [n for n in estimator.get_params() if n == "random_state" or n.endswith("__random_state")]
    return estimator.set_params(**dict.fromkeys(names, seed))


def _factory(kind: str) -> Callable[..., Any]:
    path = KINDS.get(kind, kind)
    if kind not in KINDS and not ("." in kind and kind.startswith(allowed_prefixes())):
        raise ValueError(
            f"unknown kind {kind!r}; expected one of {', '.join(KINDS)}, or a dotted path that begins with "
            f"{' or '.join(allowed_prefixes())} (the operator adds prefixes with {PREFIXES_VARIABLE})"
        )
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ValueError(f"there is no {path!r}; check the module and the name") from None
    if found is not mlp and not (
        inspect.isclass(found) and issubclass(found, BaseEstimator) and is_classifier(found())
    ):
        raise ValueError(f"{path!r} is not a scikit-learn classifier; name a class with fit and predict_proba")
    return found
