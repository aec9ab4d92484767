"""A classifier's recipe: its kind and parameters, or a model file without what it has learned."""

import base64
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from sklearn.base import clone, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from umbrameter.dotted_paths import PREFIXES_VARIABLE
from umbrameter.errors import brief
from umbrameter.estimators.kinds import KINDS, LIBRARIES, PARTS, PIPELINE, class_of, full_path
from umbrameter.estimators.libraries import fitted_modules, is_skorch, parts, settled, versions
from umbrameter.estimators.values import (
    NotPlainError,
    canonical,
    is_composed,
    made_estimator,
    packages,
    plain_estimator,
)
from umbrameter.estimators.writing import described, with_steps, within
from umbrameter.persistence import content_digest, dump_model, load_model, read_model, schema_of
from umbrameter.typing import Classifier

SPARSE = frozenset({"random_forest", "extra_trees", "decision_tree", "logistic_regression", "k_neighbors"})
"""Kinds that accept sparse matrices, which one-hot encoded categories make; the others get dense ones."""

SCALED = frozenset({"mlp", "logistic_regression", "k_neighbors"})
"""Kinds that learn badly from numeric columns on very different scales: they get a StandardScaler inside."""

FILE, STORED = "file", "skops"
"""The kinds of a recipe that is a model file, by its path, or as its content."""

NOWHERE = (b'"__module__": "__main__"', b'"<lambda>"', b"<locals>")
"""What a skops file says of classes and functions that cannot be imported elsewhere."""

Form = Literal["matrix", "array", "frame"]
"""How records are given to a model."""


class Estimator(BaseModel):
    """A classifier, by its kind and its parameters.

    Examples
    --------
    >>> Estimator(kind="random_forest", params={"n_estimators": 5}).build(seed=0)
    RandomForestClassifier(n_estimators=5, random_state=...)
    >>> steps = ["scaler", {"kind": "logistic_regression", "params": {"C": 0.5}}]
    >>> print(Estimator(steps=steps, params={"logistic_regression__tol": 0.01}).describe())
    Pipeline(scaler, logistic_regression(C=0.5), logistic_regression__tol=0.01)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [{"kind": "random_forest"}]})

    kind: str = Field(
        PIPELINE,
        description=f"One of {', '.join(KINDS)}; or the dotted path of a classifier with the scikit-learn interface "
        f"below an allowed prefix (`sklearn.`, `umbrameter.`, {', '.join(f'`{p}`' for p in LIBRARIES)}, and those of "
        f"the operator's {PREFIXES_VARIABLE}); or `file`, a model in skops format. Parts may also be "
        f"{', '.join(PARTS)}. A pipeline if there are `steps`.",
        examples=["random_forest"],
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="The classifier's parameters, by name; those of parts by deep names, such as `clf__max_depth`. A "
        "value may be an estimator `{kind, params}`, or a list of such parts: `[name, estimator, columns]`.",
        examples=[{"min_samples_leaf": 5}],
    )
    steps: tuple[Any, ...] | None = Field(
        None,
        description="The steps of a pipeline: each a kind, `{kind, params}`, or `[name, {kind, params}]`.",
        examples=[["scaler", "logistic_regression"]],
    )
    takes: Form | None = Field(
        None,
        description="How records are given to it: `matrix`, one type of number, text as codes that are one-hot "
        "encoded for it; `frame`, a data frame with the file's own columns, types and missing values; `array`, the "
        "same without names where all are numbers. A frame if it is made of parts, else a matrix.",
        examples=["frame"],
    )
    columns: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="The columns that it reads, in order, if it takes a frame; all if unset.",
        examples=[["age", "income"]],
    )
    path: str | None = Field(
        None, min_length=1, description="The skops file, a local path, for kind `file`.", examples=["recipe.skops"]
    )
    trusted: bool = Field(False, description="Whether types in the file that skops does not know may be made.")
    content: str | None = Field(
        None, description="The skops file itself in base64, for kind `skops`.", examples=["UEsDBBQA..."]
    )

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        settings: dict[str, Any] = handler(self)
        kept = ("kind", "params") if self.kind not in (FILE, STORED) else ("kind",)
        return {name: value for name, value in settings.items() if name in kept or value}

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if not isinstance(value, Mapping | Estimator) and hasattr(value, "get_params"):
            return recipe_of(value).model_dump()
        if isinstance(value, Mapping) and value.get("steps") is not None:
            return with_steps(value)
        return value

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in (FILE, STORED):
            class_of(kind)
        return kind

    @field_validator("params", mode="before")
    @classmethod
    def _plain(cls, params: Any) -> Any:
        try:
            return canonical(within(params)) if isinstance(params, Mapping) else params
        except NotPlainError as error:
            raise ValueError(f"holds {error}, which a spec cannot; name it by its dotted path") from None

    @model_validator(mode="after")
    def _takes(self) -> "Estimator":
        wanted = {FILE: "path", STORED: "content"}.get(self.kind)
        given = [name for name in ("path", "content") if getattr(self, name) is not None]
        if given != [wanted] * bool(wanted):
            raise ValueError(
                f"kind={self.kind!r}: path belongs to kind file and content to kind skops, and to no other; give one"
            )
        if self.columns is not None and self.takes != "frame":
            raise ValueError("columns are named in a frame: give takes: frame beside them, or leave columns out")
        if wanted is not None and self.params:
            raise ValueError(f"kind={self.kind!r} has its parameters in the file; leave params out")
        if wanted is None:
            classifier = made_estimator({"kind": self.kind, "params": self.params})
            if not _is_classifier(classifier):
                raise ValueError(
                    f"{full_path(self.kind)!r} is not a scikit-learn classifier; name a class with fit and "
                    "predict_proba"
                )
            _check_parameters(classifier)
        return self

    @property
    def form(self) -> Form:
        """How records are given to it; see `takes`."""
        if self.takes is not None:
            return self.takes
        return "frame" if self.kind in (FILE, STORED) or is_composed(self.params) else "matrix"

    @property
    def facts(self) -> dict[str, Any]:
        """What determines a model of it, besides records and seed, as plain data."""
        resolved = self.resolved()
        form = {} if resolved.form == "matrix" else {"takes": resolved.form}
        columns = {} if resolved.columns is None else {"columns": list(resolved.columns)}
        if resolved.content is not None:
            return {"kind": STORED, "digest": content_digest(base64.b64decode(resolved.content)), **form, **columns}
        return {"kind": resolved.kind, "params": resolved.params, **form, **columns}

    def resolved(self) -> "Estimator":
        """Return the recipe that a file holds; any other recipe as it is.

        Raises
        ------
        ValueError
            When the file cannot be read; see `umbrameter.persistence.read_model`.
        """
        if self.kind != FILE:
            return self
        where = f"estimator.path={self.path!r}"
        model = read_model(read_bytes(str(self.path), where), where, self.trusted)
        recipe = recipe_of(model)
        changes = {name: getattr(self, name) for name in ("takes", "columns") if getattr(self, name) is not None}
        return recipe.model_copy(update=changes)

    def make(self) -> Any:
        """Return the unfitted classifier without anything that the audit decides."""
        recipe = self.resolved()
        if recipe.content is None:
            return made_estimator({"kind": recipe.kind, "params": recipe.params})
        return read_model(base64.b64decode(recipe.content), "the recipe", recipe.trusted)

    def build(self, seed: int | None, categorical: tuple[int, ...] = (), binary: bool = True) -> Classifier:
        """Return the unfitted classifier.

        Parameters
        ----------
        seed
            Value of every `random_state` in it; None for random numbers that nobody can draw again.
        categorical
            Numbers of the columns that hold category codes; they are one-hot encoded inside the classifier, by an
            encoder that is fitted on its training data alone. Not used by one that takes records as they are.
        binary
            Whether all other columns hold only 0 and 1, and therefore need no scaling.
        """
        estimator = self.make()
        if self.form == "matrix":
            estimator = self._encoding(estimator, categorical, binary)
        built: Classifier = settled(estimator, seed)
        return built

    def _encoding(self, estimator: Any, categorical: tuple[int, ...], binary: bool) -> Any:
        scaler = StandardScaler() if self.kind in SCALED and not binary else "passthrough"
        if categorical:
            encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=self.kind in SPARSE, dtype=np.float32)
            columns = make_column_transformer((encoder, list(categorical)), remainder=scaler)
            return make_pipeline(columns, estimator)
        return estimator if scaler == "passthrough" else make_pipeline(scaler, estimator)

    @property
    def takes_missing(self) -> bool:
        """Whether records with missing values may reach it: its class says so, or its parts see to it."""
        return self.form == "frame" or bool(get_tags(self.make()).input_tags.allow_nan)

    @property
    def answers_probabilities(self) -> bool:
        """Whether its models answer probabilities, as far as it can say so before it is fitted."""
        estimator = self.make()
        if "final_estimator" in estimator.get_params(deep=False) and estimator.final_estimator is None:
            estimator.set_params(final_estimator=LogisticRegression())  # what scikit-learn fits in its place
        return hasattr(estimator, "predict_proba")

    def check_storable(self) -> None:
        """Check that a model of it can be kept as a skops file that loads without running code from it.

        Raises
        ------
        ValueError
            When it cannot, which would otherwise show only after training.
        """
        recipe = self.resolved()
        if full_path(recipe.kind).startswith(("sklearn.", "umbrameter.")):
            return
        try:
            load_model(dump_model(recipe.make()))
        except Exception as error:  # skops and a user's class may raise anything
            raise ValueError(
                f"{self.describe()} cannot be kept in the store ({brief(error)}): the operator allows its package with "
                f"{PREFIXES_VARIABLE}; or train it yourself, and audit it with target.kind object"
            ) from None

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the libraries that determine a fitted model, and therefore enter its key."""
        recipe = self.resolved()
        if recipe.content is None:
            return versions(packages({"kind": recipe.kind, "params": recipe.params}))
        return versions({type(part).__module__.partition(".")[0] for part in parts(recipe.make())})

    def describe(self) -> str:
        """Return the classifier in a few words, such as `random_forest(min_samples_leaf=20)`."""
        if self.kind == FILE:
            return f"file({self.path})"
        if self.content is not None:
            return type(self.make()).__name__
        return described({"kind": self.kind, "params": self.params}, top=True)


def recipe_of(estimator: Any) -> Estimator:
    """Return the recipe of a Python object with the scikit-learn interface, without what it has learned.

    Parameters
    ----------
    estimator
        A classifier, fitted or not.

    Returns
    -------
    Its kind and parameters where all of them are plain data; otherwise the unfitted classifier as a skops file, whose
    types are trusted, since the object is here. A model
    that was fitted on a matrix without names takes an array, any other a frame. `random_state`, `n_jobs`, `verbose` and
    `memory` are left out, since the audit decides them.

    Raises
    ------
    ValueError
        When it is no classifier, needs fitted parts, or cannot be written.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> recipe_of(make_pipeline(StandardScaler(), LogisticRegression(C=2.0, random_state=3))).describe()
    'Pipeline(StandardScaler, LogisticRegression(C=2.0))'
    """
    if not (hasattr(estimator, "get_params") and hasattr(estimator, "fit")) or inspect.isclass(estimator):
        raise ValueError(
            f"a {type(estimator).__name__} has no get_params and fit, so that it cannot be trained again: give the "
            "shadow models an estimator of their own, as similar as is known"
        )
    prefit = sorted(
        name for name, value in estimator.get_params().items() if isinstance(value, str) and value == "prefit"
    )
    if prefit:
        raise ValueError(
            f"{', '.join(prefit)}='prefit' needs fitted parts, and shadow models are trained anew on other records: "
            "set it to a number of folds"
        )
    if modules := [name for part in parts(estimator) for name in fitted_modules(part)]:
        raise ValueError(
            f"{', '.join(modules)} of {type(estimator).__name__} holds weights, with which shadow models would begin; "
            "give its class, importable from a module, with its parameters as module__..."
        )
    names = getattr(estimator, "feature_names_in_", None)
    classes = getattr(estimator, "classes_", None)
    is_fitted_without = names is None and classes is not None and len(classes) > 0
    # skorch takes a frame's columns for arguments of the network.
    is_array = is_fitted_without or is_skorch(estimator)
    reads = {"takes": "array" if is_array else "frame"}
    columns = {} if names is None else {"columns": tuple(map(str, names))}
    try:
        written = plain_estimator(estimator)
        return Estimator(**written, **reads, **columns)
    except NotPlainError:
        return Estimator(kind=STORED, content=_unfitted(estimator), trusted=True, **reads, **columns)


def _unfitted(estimator: Any) -> str:
    try:
        content = dump_model(clone(estimator))
    except Exception as error:  # skops and a user's class may raise anything
        raise ValueError(
            f"{type(estimator).__name__} cannot be written as a recipe ({type(error).__name__}: {error}): use classes "
            f"and functions of scikit-learn, or of a package that the operator allows with {PREFIXES_VARIABLE}"
        ) from None
    if any(mark in schema_of(content) for mark in NOWHERE):
        raise ValueError(
            f"{type(estimator).__name__} has classes or functions of a notebook or script, or a lambda, which workers "
            "cannot import: put them into a module, and import them from there"
        )
    read_model(content, f"the recipe of {type(estimator).__name__}", trusted=True)
    return base64.b64encode(content).decode()


def read_bytes(path: str, where: str) -> bytes:
    """Return a local file's content.

    Parameters
    ----------
    path
        The file.
    where
        The setting and the path, for errors.

    Raises
    ------
    ValueError
        When there is no such file.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{where} cannot be read ({error.strerror}); give the path of a skops file") from None


def _is_classifier(estimator: Any) -> bool:
    try:
        return bool(is_classifier(estimator))
    except (AttributeError, TypeError):  # composed ones ask their parts, which may be missing or no estimators
        return False


def _check_parameters(classifier: Any) -> None:
    """Raise `ValueError` if parameters are out of range, as far as the parts can say so before they are fitted."""
    for part in parts(classifier):
        if hasattr(part, "check_parameters"):
            part.check_parameters()
        elif not type(part).__module__.startswith(LIBRARIES):
            _check_part(part)


def _check_part(part: Any) -> None:
    try:
        part.fit(None, None)  # scikit-learn checks parameters before data; there is no public call for it
    except Exception as error:  # any other error is about the missing data
        if type(error).__name__ == "InvalidParameterError":  # scikit-learn has no public name for it
            raise ValueError(str(error)) from None
