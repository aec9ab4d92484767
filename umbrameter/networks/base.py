"""The base class of the network classifiers: parameters, checks, batches and predictions.

Belongs here: the scikit-learn interface. Does not belong here: how a network is trained (`engine` chooses a trainer).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, ClassVar, TypeGuard

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from umbrameter.networks.engine import trained
from umbrameter.networks.layers import Layers, probabilities
from umbrameter.networks.parameters import (
    Check,
    boolean,
    check_parameters,
    number,
    random_state,
    unset_or,
    whole_number,
)
from umbrameter.typing import Array, Floats, Ints


class NetworkClassifier(ClassifierMixin, BaseEstimator, ABC):
    """Base class of networks that Adam trains for a fixed number of passes over the data.

    Fitted attributes: `classes_`, `coefs_` and `intercepts_` (float32, one of each per layer), `n_features_in_`.
    """

    parameter_checks: ClassVar[Mapping[str, Check]] = {
        "epochs": whole_number(1),
        "batch_size": unset_or(whole_number(1), "auto"),
        "learning_rate": number(0, ends="neither"),
        "l2": number(0),
        "label_smoothing": number(0, 1),
        "early_stopping": boolean,
        "validation_fraction": number(0, 1, ends="neither"),
        "patience": whole_number(1),
        "random_state": random_state,
    }
    asked_at_once: ClassVar[int] = 8192
    """Records per forward pass of `predict_proba`, which bounds the memory for hidden units."""

    epochs: int
    batch_size: int | str
    learning_rate: float
    l2: float
    label_smoothing: float
    early_stopping: bool
    validation_fraction: float
    patience: int
    random_state: Any

    def fit(self, X: Array, y: Array) -> "NetworkClassifier":
        """Train the network.

        Parameters
        ----------
        X
            Features, shape (n_records, n_features); used as float32.
        y
            Labels of two classes or more, shape (n_records,).

        Raises
        ------
        ValueError
            When a parameter or the data are out of range, or the training diverges.
        """
        X, codes = self._checked(X, y)
        rng = check_random_state(self.random_state)
        layers = self._initial(rng)
        if self.early_stopping:
            best = Best(self, X, codes, rng)
            trained([self], [layers], X, codes, [map(best.kept.__getitem__, self.batches(rng, len(best.kept)))], best)
            self._keep(best.layers)
            self.n_epochs_ = best.n_epochs
        else:
            self._keep(trained([self], [layers], X, codes, [self.batches(rng, len(X))])[0])
        return self

    def predict_proba(self, X: Array) -> Floats:
        """Return the prediction vectors, float32, shape (n_records, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        answer = self._answerer()
        n = self.asked_at_once
        logits = np.concatenate([answer(X[start : start + n]) for start in range(0, len(X), n)])
        return probabilities(logits)

    def predict(self, X: Array) -> Array:
        """Return the most likely class of each record, shape (n_records,)."""
        chosen = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[chosen])

    def batches(self, rng: np.random.RandomState, n_records: int) -> Iterator[Ints]:
        """Yield the rows of each pass, int32, shape (n_records,), shuffled as in scikit-learn's networks."""
        order = np.arange(n_records, dtype=np.int32)
        for _ in range(self.epochs):
            shuffle = np.arange(n_records)
            rng.shuffle(shuffle)
            order = order[shuffle]  # scikit-learn shuffles the last pass's order, not the original one
            yield order

    def records_a_step(self, n_records: int) -> int:
        """Return the number of records in a step of Adam."""
        # 200 is what `auto` means in scikit-learn.
        return min(200 if self.batch_size == "auto" else int(self.batch_size), n_records)

    def check_parameters(self) -> None:
        """Check the parameters' values.

        Raises
        ------
        ValueError
            When a value is out of range; the message names every such parameter.
        """
        check_parameters(type(self).__name__, self.get_params(), self.parameter_checks)

    def _checked(self, X: Array, y: Array) -> tuple[Floats, Ints]:
        """Return the features as float32 and the labels as codes."""
        self.check_parameters()
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has 1 class, {self.classes_[0]!r}; a classifier needs records of two classes or more")
        return X, codes.astype(np.int32)

    def _keep(self, layers: Layers) -> None:
        self.coefs_, self.intercepts_ = [w for w, _ in layers], [b for _, b in layers]
        if not all(np.isfinite(p).all() for p in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                f"the training of {type(self).__name__} diverged: its weights are not finite; lower learning_rate "
                f"({self.learning_rate}) or scale the features"
            )

    @property
    def trains_alone(self) -> bool:
        """Whether the network must be trained alone, since early stopping may end its training at any pass."""
        return self.early_stopping

    @property
    def _n_outputs(self) -> int:
        # Two classes need one logit, as in scikit-learn's networks.
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    @abstractmethod
    def _initial(self, rng: np.random.RandomState) -> Layers:
        """Return the weights before training, float32."""

    @abstractmethod
    def _network(self) -> Any:
        """Return the network's architecture as a function for JAX."""

    @abstractmethod
    def _first_layers(self, X: Floats, n_networks: int) -> Any:
        """Return the first layers on these records for `cpu_training`, or None if JAX has to train."""

    @abstractmethod
    def _answerer(self) -> Callable[[Floats], Floats]:
        """Return the fitted network as a function from features to logits of shape (n_records, n_outputs)."""


class Best:
    """Early stopping: holds out records, and keeps the weights with the smallest loss on them.

    Parameters
    ----------
    network
        The network being trained.
    X, codes
        Features and labels of all training records.
    rng
        Chooses the held-out records; stratified by class if there are enough of every class.
    """

    def __init__(self, network: NetworkClassifier, X: Floats, codes: Ints, rng: np.random.RandomState):
        n_held = ceil(network.validation_fraction * len(codes))
        # scikit-learn refuses to stratify if a class has one record, or a side fewer records than classes.
        by_class = np.bincount(codes).min() >= 2 and min(n_held, len(codes) - n_held) >= len(network.classes_)
        if n_held >= len(codes):
            raise ValueError(f"validation_fraction={network.validation_fraction} leaves none of {len(codes)} records")
        self.kept, held = train_test_split(
            np.arange(len(codes), dtype=np.int32),
            test_size=n_held,
            random_state=rng,
            stratify=codes if by_class else None,
        )
        self._network, self._X, self._codes = network, X[held], codes[held]
        self._least, self._waited, self._passes = np.inf, 0, 0
        self.n_epochs = 0

    def __call__(self, layers: Layers) -> bool:
        """Evaluate the weights after a pass, and return whether to stop."""
        # `_answerer` reads the fitted attributes.
        self._network.coefs_, self._network.intercepts_ = [w for w, _ in layers], [b for _, b in layers]
        answers = probabilities(self._network._answerer()(self._X))
        # A confidence of 0 would make the loss infinite.
        loss = -np.log(np.maximum(answers[np.arange(len(answers)), self._codes], np.finfo(np.float32).tiny)).mean()
        self._passes, self._waited = self._passes + 1, self._waited + 1
        if loss < self._least or self.n_epochs == 0:  # the first pass counts even if its loss is not finite
            self._least, self._waited, self.n_epochs, self.layers = loss, 0, self._passes, layers
        return self._waited >= self._network.patience


def all_networks(models: Sequence[Any]) -> TypeGuard[Sequence[NetworkClassifier]]:
    """Return whether all models are networks themselves, rather than pipelines that end in one."""
    return all(isinstance(model, NetworkClassifier) for model in models)
