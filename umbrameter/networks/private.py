"""Networks trained with differential privacy.

Each step samples every record with the same probability (Poisson sampling), clips the gradient of each sampled record
over all weights and biases together, adds Gaussian noise to the sum, and divides by the expected number of records,
never by the number sampled. Adam only sees the result, and no record.

Abadi et al. (2016), "Deep Learning with Differential Privacy", arXiv 1607.00133, algorithm 1. Fully connected networks
clip by `ghost_clipping`.
"""

import secrets
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from sklearn.utils import check_random_state

from umbrameter.networks.accounting import accountant, epsilon_of, noise_multiplier_of
from umbrameter.networks.base import NetworkClassifier
from umbrameter.networks.cnn import CNNClassifier
from umbrameter.networks.ghost_clipping import clipped_sum, squared_norms, targets
from umbrameter.networks.layers import Layers
from umbrameter.networks.mlp import MLPClassifier, is_sparse_bits
from umbrameter.networks.parameters import Check, number, unset_or
from umbrameter.typing import Array, Floats, Ints

if TYPE_CHECKING:
    from umbrameter.networks.cpu_training import FirstLayers

MICROBATCH = 16
"""Records whose gradients jax_privacy holds at once, for networks with convolutions."""


class PrivateNetwork(NetworkClassifier):
    """Base class of private networks: the training and its guarantee.

    The guarantee is for adding or removing one record. The number of records and the set of classes count as public.

    With `random_state=None`, the initial weights, the batches and the noise follow from 256 bits of the operating
    system that are stored nowhere. With a seed the training can be repeated to the last bit, also by an attacker who
    knows the seed: then `is_reproducible_` is true, and the guarantee holds against nobody who may know or guess it.
    The noise is numpy's, from a generator (PCG64) that is not cryptographic, in floating point, whose rounding may
    tell more than the guarantee allows (Mironov 2012); neither is accounted for.

    Further fitted attributes: `epsilon_` (the accountant's, for the noise that was added; never the request),
    `delta_`, `noise_multiplier_`, `clip_norm_`, `sampling_rate_`, `n_steps_`, `accountant_`.

    References
    ----------
    Mironov (2012), "On significance of the least significant bits for differential privacy", CCS.
    """

    parameter_checks: ClassVar[Mapping[str, Check]] = {
        "epsilon": unset_or(number(0, ends="neither")),
        "noise_multiplier": unset_or(number(0, ends="neither")),
        "delta": number(0, 1, ends="neither"),
        "clip_norm": number(0, ends="neither"),
        "sampling_rate": unset_or(number(0, 1, ends="right")),
    }
    epsilon: float | None
    noise_multiplier: float | None
    delta: float
    clip_norm: float
    sampling_rate: float | None

    def fit(self, X: Array, y: Array) -> "PrivateNetwork":
        """Train the network privately.

        Parameters
        ----------
        X
            Features, shape (n_records, n_features); used as float32.
        y
            Labels of two classes or more, shape (n_records,).

        Raises
        ------
        ValueError
            When a parameter or the data are out of range.
        SpecError
            When so many steps cannot reach so small an epsilon.
        """
        X, codes = self._checked(X, y)
        self._check_private()
        self.is_reproducible_ = self.random_state is not None
        if self.is_reproducible_:
            rng = check_random_state(self.random_state)
            layers = self._initial(rng)
            noise = np.random.default_rng(rng.randint(2**31 - 1, size=4))
        else:
            # Not numpy's shared generator, which None stands for elsewhere: anybody may have seeded it.
            layers = self._initial(np.random.RandomState(np.random.MT19937(_secret())))
            noise = np.random.default_rng(_secret())
        self._account(len(X))
        self._keep(self._trained(layers, self._clipped_sums(X, codes), len(X), noise))
        return self

    @property
    def trains_alone(self) -> bool:
        """Whether the network must be trained alone: always, since each step samples records of its own."""
        return True

    @abstractmethod
    def _clipped_sums(self, X: Floats, codes: Ints) -> Callable[[Layers, Ints], Layers]:
        """Return the function from layers and rows to the sum of these records' clipped gradients."""

    def _account(self, n_records: int) -> None:
        """Set the fitted attributes that state the guarantee."""
        self.delta_, self.clip_norm_, self.accountant_ = float(self.delta), float(self.clip_norm), accountant()
        self.sampling_rate_ = float(self.sampling_rate or self.records_a_step(n_records) / n_records)
        self.n_steps_ = ceil(self.epochs / self.sampling_rate_)
        sampled = self.sampling_rate_, self.n_steps_
        noise_multiplier = self.noise_multiplier or noise_multiplier_of(float(self.epsilon or 0), self.delta_, *sampled)
        self.noise_multiplier_ = float(noise_multiplier)
        self.epsilon_ = epsilon_of(self.noise_multiplier_, *sampled, self.delta_)

    def _trained(
        self, layers: Layers, sums: Callable[[Layers, Ints], Layers], n_records: int, rng: np.random.Generator
    ) -> Layers:
        """Return the weights after all steps."""
        from umbrameter.networks.cpu_kernels import adam

        shapes = [w.shape for w, _ in layers] + [b.shape for _, b in layers]
        flat = np.concatenate([part.ravel() for part in (*(w for w, _ in layers), *(b for _, b in layers))])[None]
        gradient, mean, square = (np.zeros_like(flat) for _ in range(3))
        n_weights, n_steps = sum(w.size for w, _ in layers), np.zeros(1, np.int64)
        # Views into `flat`, which Adam changes in place.
        expected, current = np.float32(self.sampling_rate_ * n_records), _layers(flat[0], shapes)
        noise, scale = np.empty_like(flat[0]), np.float32(self.noise_multiplier_ * self.clip_norm_)
        for _ in range(self.n_steps_):
            rows = np.flatnonzero(rng.random(n_records) < self.sampling_rate_).astype(np.int32)
            summed = sums(current, rows)
            rng.standard_normal(dtype=np.float32, out=noise)
            np.multiply(noise, scale / expected, out=gradient[0])
            for (by_weights, by_biases), (weights, biases) in zip(_layers(gradient[0], shapes), summed, strict=True):
                by_weights += weights * (1 / expected)
                by_biases += biases * (1 / expected)
            # Adam scales the L2 term by the expected number as well, never by the number sampled.
            adam(flat, gradient, mean, square, n_weights, self.l2, self.learning_rate, np.array([expected]), n_steps)
        return [(w.copy(), b.copy()) for w, b in current]

    def _check_private(self) -> None:
        """Refuse settings that the guarantee does not cover."""
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError(
                f"epsilon={self.epsilon}, noise_multiplier={self.noise_multiplier}: give the one or the other"
            )
        if self.early_stopping:
            raise ValueError("early_stopping=True looks at records outside the guarantee; set epochs instead")


class PrivateMLPClassifier(PrivateNetwork, MLPClassifier):
    """A fully connected network, trained with differential privacy.

    Parameters
    ----------
    hidden, activation, epochs, batch_size, learning_rate, l2, label_smoothing, random_state
        See `MLPClassifier`; `epochs` passes on average. Leave `random_state` at None for a model that is to be private:
        noise and batches then follow from a secret of the operating system. A seed makes the training reproducible, by
        attackers too, and there is no guarantee (`is_reproducible_`).
    dropout, early_stopping, validation_fraction, patience
        Not supported: leave `dropout` at 0 and `early_stopping` at False.
    epsilon, noise_multiplier
        Either the guarantee requested, or the standard deviation of the noise in clipping norms.
    delta
        The delta of the guarantee.
    clip_norm
        The largest norm of one record's gradient.
    sampling_rate
        Probability of each record to be in a step's batch; `batch_size` over the number of records if None.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 5))
    >>> model = PrivateMLPClassifier((8,), epochs=20, learning_rate=0.05, epsilon=4, sampling_rate=0.2, random_state=0)
    >>> y = X[:, 0] > 0
    >>> model.fit(X, y).epsilon_ <= 4, model.score(X, y) > 0.8
    (True, True)
    """

    parameter_checks: ClassVar[Mapping[str, Check]] = {
        **MLPClassifier.parameter_checks,
        **PrivateNetwork.parameter_checks,
    }

    def __init__(
        self,
        hidden: tuple[int, ...] = (128,),
        activation: Literal["tanh", "relu"] = "tanh",
        epochs: int = 100,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 0.001,
        l2: float = 0.0,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        epsilon: float | None = None,
        noise_multiplier: float | None = None,
        delta: float = 1e-5,
        clip_norm: float = 1.0,
        sampling_rate: float | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.hidden = hidden
        self.activation = activation
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.l2 = l2
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.epsilon = epsilon
        self.noise_multiplier = noise_multiplier
        self.delta = delta
        self.clip_norm = clip_norm
        self.sampling_rate = sampling_rate
        self.random_state = random_state

    def _check_private(self) -> None:
        super()._check_private()
        if self.dropout:
            raise ValueError(f"dropout={self.dropout} is not supported in private training; set it to 0")

    def _clipped_sums(self, X: Floats, codes: Ints) -> Callable[[Layers, Ints], Layers]:
        from umbrameter.networks.cpu_bits import Bits
        from umbrameter.networks.cpu_training import Dense

        truth, squares = targets(codes, self._n_outputs, self.label_smoothing), squared_norms(X)
        first_layers: FirstLayers = Bits(X, len(X)) if is_sparse_bits(X) else Dense(X)

        def sums(layers: Layers, rows: Ints) -> Layers:
            return clipped_sum(layers, first_layers, rows, squares[rows], truth[rows], self.activation, self.clip_norm_)

        return sums


class PrivateCNNClassifier(PrivateNetwork, CNNClassifier):
    """A small convolutional network, trained with differential privacy; its gradients are jax_privacy's.

    Parameters
    ----------
    image, filters, kernel, hidden, activation, pixel_max, epochs, batch_size, learning_rate, l2, label_smoothing
        See `CNNClassifier`; `epochs` passes on average.
    early_stopping, validation_fraction, patience
        Not supported: leave `early_stopping` at False.
    epsilon, noise_multiplier, delta, clip_norm, sampling_rate, random_state
        See `PrivateMLPClassifier`.
    """

    parameter_checks: ClassVar[Mapping[str, Check]] = {
        **CNNClassifier.parameter_checks,
        **PrivateNetwork.parameter_checks,
    }

    def __init__(
        self,
        image: tuple[int, int, int] = (32, 32, 3),
        filters: tuple[int, int] = (32, 64),
        kernel: int = 3,
        hidden: int = 128,
        activation: Literal["tanh", "relu"] = "tanh",
        pixel_max: float = 255.0,
        epochs: int = 100,
        batch_size: int | Literal["auto"] = 100,
        learning_rate: float = 0.001,
        l2: float = 0.0,
        label_smoothing: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        epsilon: float | None = None,
        noise_multiplier: float | None = None,
        delta: float = 1e-5,
        clip_norm: float = 1.0,
        sampling_rate: float | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.image = image
        self.filters = filters
        self.kernel = kernel
        self.hidden = hidden
        self.activation = activation
        self.pixel_max = pixel_max
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.l2 = l2
        self.label_smoothing = label_smoothing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.epsilon = epsilon
        self.noise_multiplier = noise_multiplier
        self.delta = delta
        self.clip_norm = clip_norm
        self.sampling_rate = sampling_rate
        self.random_state = random_state

    def _clipped_sums(self, X: Floats, codes: Ints) -> Callable[[Layers, Ints], Layers]:
        import jax
        from jax_privacy import clipped_grad

        from umbrameter.networks import jax_training

        jax_training.keep_programs()
        loss = partial(jax_training.loss, replace(self._network(), by_patches=True))
        smoothing = float(self.label_smoothing)

        def loss_of_record(layers: Any, x: Any, y: Any, counts: Any) -> Any:
            return loss(layers, x, y, counts, None, smoothing)

        options = {"l2_clip_norm": self.clip_norm_, "batch_argnums": (1, 2, 3), "microbatch_size": MICROBATCH}
        summed = jax.jit(clipped_grad(loss_of_record, **options))

        def sums(layers: Layers, rows: Ints) -> Layers:
            # Few sizes, so that XLA compiles few programs.
            fill = -len(rows) % (4 * MICROBATCH) if len(rows) else MICROBATCH
            filled = np.concatenate([rows, np.zeros(fill, rows.dtype)])
            counts = np.arange(len(filled)) < len(rows)
            return [(np.asarray(w), np.asarray(b)) for w, b in summed(layers, X[filled], codes[filled], counts)]

        return sums


def _secret() -> np.random.SeedSequence:
    """Return 256 bits of the operating system's, in a pool that keeps them all."""
    return np.random.SeedSequence(secrets.randbits(256), pool_size=8)


def _layers(flat: Floats, shapes: Sequence[tuple[int, ...]]) -> Layers:
    """Return weights and biases as views into one vector that has all weights before all biases."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    views = [flat[end - int(np.prod(shape)) : end].reshape(shape) for end, shape in zip(ends, shapes, strict=True)]
    half = len(views) // 2
    return list(zip(views[:half], views[half:], strict=True))
