"""The interfaces of mitigations: each wraps a classifier in a classifier that leaks less."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted

from umbrameter.errors import SpecError, one_of
from umbrameter.predictions.vectors import Vectors
from umbrameter.typing import Array, Floats


class Mitigation(BaseModel, ABC):
    """A change to a model, or to its answers, that makes it leak less."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, *values: Any, **settings: Any):
        """Take settings by name, or in the order in which the class lists them, such as `TopK(3)`."""
        names = [name for name in type(self).model_fields if name != "kind"]
        if len(values) > len(names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names) or 'no settings'}; {values} are too many")
        super().__init__(**dict(zip(names, values, strict=False)), **settings)

    @property
    @abstractmethod
    def label(self) -> str:
        """The mitigation in a few words, such as `rounding(1)`."""

    claims_privacy: ClassVar[bool] = False
    """Whether a model trained under it has a differential-privacy guarantee, which `guarantee` returns."""

    @property
    def parts(self) -> "tuple[Mitigation, ...]":
        """The mitigations it consists of, in order: itself alone, unless it is a composition."""
        return (self,)

    @abstractmethod
    def wrap(self, estimator: Any) -> Any:
        """Return the classifier wrapped in the mitigation: a scikit-learn classifier again."""


class Transforms(Protocol):
    """Anything that changes prediction vectors."""

    def transform(self, predictions: Floats) -> Floats:
        """Return changed prediction vectors, shape (n_records, n_classes)."""


class PostHoc(Mitigation):
    """A mitigation of the answer: it needs no training and can transform stored prediction vectors."""

    hides_confidences: ClassVar[bool] = False
    """Whether an answer keeps nothing but the predicted class."""

    breaks_sums: ClassVar[bool] = False
    """Whether mitigated vectors need not sum to 1."""

    @abstractmethod
    def transform(self, predictions: Floats) -> Floats:
        """Return the mitigated prediction vectors, shape (n_records, n_classes)."""

    def note(self, predictions: Floats) -> str | None:
        """Return a caveat for the report about mitigating these answers, or None."""
        return None

    def wrap(self, estimator: Any) -> "MitigatedClassifier":
        """Return a classifier that answers with mitigated prediction vectors."""
        return MitigatedClassifier(estimator, self)


class FittedPostHoc(Transforms, Protocol):
    """A learned mitigation once it is fitted."""

    @property
    def model(self) -> Any:
        """The learned part: a fitted scikit-learn estimator that a skops file can hold."""

    def wrap(self, estimator: Any) -> "MitigatedClassifier":
        """Return a classifier that answers with mitigated prediction vectors."""


class LearnedPostHoc(Mitigation):
    """A mitigation of the answer that learns from shadow models' answers before it can change any.

    In a composition it comes before other mitigations of the answer, since it needs the model's own confidences.
    """

    @abstractmethod
    def fit(self, shadow: Vectors, seed: int) -> FittedPostHoc:
        """Learn from shadow vectors with known IN and OUT.

        Parameters
        ----------
        shadow
            Shadow models' prediction vectors.
        seed
            Seed of all randomness, that of the mitigated answers included.

        Raises
        ------
        SpecError
            When there are no IN vectors, or no OUT vectors.
        """

    @abstractmethod
    def restore(self, model: Any, seed: int) -> FittedPostHoc:
        """Return the fitted mitigation again, from its learned part (`FittedPostHoc.model`) and the same seed."""

    def wrap(self, estimator: Any) -> Any:
        """Raise, since nothing has been learned yet.

        Raises
        ------
        SpecError
            Always; the message says what to call first.
        """
        raise SpecError(f"{self.label} learns from shadow models' answers first: use fit(shadow, seed).wrap(model)")


class PrivacyClaim(BaseModel):
    """The guarantee of a private training: (epsilon, delta)-differential privacy, and how it was accounted for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epsilon: float = Field(description="Epsilon of the claim, by the accountant; not the requested one.")
    delta: float = Field(description="Delta of the claim.")
    noise_multiplier: float = Field(description="Standard deviation of the noise, in clipping norms.")
    clip_norm: float = Field(description="The largest norm of one record's gradient.")
    sampling_rate: float = Field(description="Probability with which each record is in a step's batch.")
    n_steps: int = Field(description="Number of training steps.")
    accountant: str = Field(description="The accountant that computed epsilon, and its assumptions.")
    # The default withdraws: claims were once written without this field, when all noise followed from the spec's seed.
    is_reproducible: bool = Field(
        True,
        description="Whether the noise follows from a seed that is not secret: then there is no guarantee, and the "
        "claim is withdrawn.",
    )


class InTraining(Mitigation):
    """A mitigation of the training: target and shadow models are retrained."""

    @property
    def needs_secret(self) -> bool:
        """Whether the target's random numbers come from the operating system, stored nowhere, not from the seed.

        A guarantee holds only against those who cannot draw the noise again. Shadow models always have seeds.
        """
        return self.claims_privacy

    def guarantee(self, model: Any) -> PrivacyClaim | None:
        """Return the guarantee of a fitted model's training; None without differential privacy."""
        return None


def answered(predictions: Floats, mitigations: Sequence[Transforms]) -> Floats:
    """Return prediction vectors after they passed through mitigations in order; unchanged without any."""
    for mitigation in mitigations:
        predictions = mitigation.transform(predictions)
    return predictions


def wrapped(estimator: Any, mitigations: Sequence[Mitigation]) -> Any:
    """Return an estimator wrapped in mitigations in order; unchanged without any."""
    for mitigation in mitigations:
        estimator = mitigation.wrap(estimator)
    return estimator


def last_step(estimator: Any) -> Any:
    """Return a pipeline's last step, or the estimator itself if it is not a pipeline."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def with_params(estimator: Any, mitigation: str, params: Mapping[str, Any]) -> Any:
    """Return an unfitted clone of an estimator with other parameters.

    Parameters
    ----------
    estimator
        A scikit-learn classifier, or a pipeline whose last step is one: then the parameters are those of that step.
    mitigation
        Kind of the mitigation, for the error message.
    params
        The parameters to change, by name.

    Raises
    ------
    SpecError
        When the estimator has no such parameter.
    """
    changed = clone(estimator)
    last = last_step(changed)
    unknown = sorted(set(params) - set(last.get_params()))
    if unknown:
        raise SpecError(
            f"mitigation {mitigation}: {type(last).__name__} has no parameter {', '.join(unknown)}; "
            f"{one_of(unknown[0], sorted(last.get_params()), 'it has')}"
        )
    last.set_params(**params)
    return changed


class WrappedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator, ABC):
    """A classifier around another one, which is fitted as a clone, or used unchanged if it was fitted before."""

    estimator: Any

    def fit(self, X: Array, y: Array, **fit_params: Any) -> "WrappedClassifier":
        """Fit a clone of the estimator.

        Parameters
        ----------
        X, y
            Features, shape (n_records, n_features), and labels, shape (n_records,).
        fit_params
            Passed to the clone's `fit`.
        """
        self.estimator_ = self._prepared(clone(self.estimator), X).fit(X, y, **fit_params)
        return self

    def predict(self, X: Array) -> Array:
        """Return the estimator's own labels, shape (n_records,)."""
        labels: Array = self._fitted.predict(X)
        return labels

    @property
    def classes_(self) -> Array:
        """The classes that the columns of prediction vectors stand for."""
        classes: Array = self._fitted.classes_
        return classes

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return int(self._fitted.n_features_in_)

    @property
    def feature_names_in_(self) -> Array:
        """Names of the features, if the estimator was fitted on named ones."""
        names: Array = self._fitted.feature_names_in_
        return names

    def _prepared(self, estimator: Any, X: Array) -> Any:
        """Return the unfitted clone with any parameters that depend on `X` set."""
        return estimator

    @property
    def _fitted(self) -> Any:
        check_is_fitted(self)
        return getattr(self, "estimator_", self.estimator)

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether it can predict: after `fit`, or if the estimator was fitted before."""
        try:
            check_is_fitted(getattr(self, "estimator_", self.estimator))
        except NotFittedError:
            return False
        return True

    def __sklearn_tags__(self) -> Tags:
        """Return the tags, with the kinds of input that the estimator accepts."""
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


class MitigatedClassifier(WrappedClassifier):
    """A classifier whose prediction vectors pass through a post-hoc mitigation.

    Parameters
    ----------
    estimator
        The classifier to wrap; if it is fitted already, the wrapper can predict at once.
    mitigation
        The mitigation that its answers pass through.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from umbrameter.mitigations import Rounding
    >>> X, y = load_iris(return_X_y=True)
    >>> Rounding(decimals=1).wrap(GaussianNB()).fit(X, y).predict_proba(X[70:71])
    array([[0. , 0.2, 0.8]])
    """

    def __init__(self, estimator: Any, mitigation: Transforms):
        self.estimator = estimator
        self.mitigation = mitigation

    def predict_proba(self, X: Array) -> Floats:
        """Return mitigated prediction vectors, shape (n_records, n_classes)."""
        return self.mitigation.transform(self._fitted.predict_proba(X))


def as_settings(mitigations: Sequence[Mitigation]) -> list[dict[str, Any]]:
    """Return mitigations as JSON-able settings, for a recipe's facts."""
    return [mitigation.model_dump(mode="json") for mitigation in mitigations]
