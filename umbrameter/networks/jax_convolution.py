"""The convolutional network in JAX, for GPUs; `cpu_convolution` is for CPUs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from umbrameter.networks import jax_training
from umbrameter.networks.layers import Layers
from umbrameter.typing import Floats


@dataclass(frozen=True)
class Convolutional:
    """A network of convolution, pool, convolution, pool, fully connected layer and output.

    Parameters
    ----------
    image
        Height, width, channels.
    kernel
        Height and width of a filter.
    activation
        `tanh` or `relu`.
    pixel_max
        The largest pixel value, which becomes 1; 0 becomes -1.
    """

    image: tuple[int, ...]
    kernel: int
    activation: str
    pixel_max: float
    by_patches: bool = False
    """Whether convolutions are products over patches, which is faster for per-record gradients."""

    def __call__(self, layers: Any, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Return the logits."""
        activate = jnp.tanh if self.activation == "tanh" else jax.nn.relu
        x = (x * (2 / self.pixel_max) - 1).reshape(len(x), *self.image)
        for weights, biases in layers[:-2]:
            convolved = over_patches if self.by_patches else convolve
            x = activate(max_pool(convolved(x, weights, self.kernel)) + biases)
        x = x.reshape(len(x), -1)
        (weights, biases), (last, offsets) = layers[-2:]
        logits: jax.Array = activate(x @ weights + biases) @ last + offsets
        return logits


def convolve(x: jax.Array, weights: jax.Array, kernel: int) -> jax.Array:
    """Convolve images, which are padded and keep their size.

    Parameters
    ----------
    x
        Images, shape (n_images, height, width, channels).
    weights
        One column per filter, shape (kernel ** 2 * channels, filters).
    kernel
        Height and width of a filter.
    """
    filters = weights.reshape(kernel, kernel, x.shape[-1], -1)
    return jax.lax.conv_general_dilated(x, filters, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def over_patches(x: jax.Array, weights: jax.Array, kernel: int) -> jax.Array:
    """Convolve as `convolve` does, by a product over patches.

    Parameters
    ----------
    x, weights, kernel
        See `convolve`.
    """
    height, width, before = x.shape[1], x.shape[2], (kernel - 1) // 2
    padded = jnp.pad(x, ((0, 0), *[(before, kernel - 1 - before)] * 2, (0, 0)))
    shifts = [padded[:, i : i + height, j : j + width] for i in range(kernel) for j in range(kernel)]
    return jnp.concatenate(shifts, axis=3) @ weights


def max_pool(x: jax.Array) -> jax.Array:
    """Take the largest of each 2 by 2 square; of equal ones only the first has a gradient, or learning is worse."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    largest = x[:, 0:height:2, 0:width:2]
    for i, j in ((0, 1), (1, 0), (1, 1)):
        other = x[:, i:height:2, j:width:2]
        largest = jnp.where(other > largest, other, largest)
    return largest


@partial(jax.jit, static_argnums=0)
def _answer(network: Convolutional, layers: Any, x: jax.Array) -> jax.Array:
    return network(layers, x)


def answerer(network: Convolutional, layers: Layers, n: int) -> Callable[[Floats], Floats]:
    """Return a fitted network as a function from features to logits.

    Parameters
    ----------
    network
        The network's architecture.
    layers
        Its weights and biases.
    n
        The largest number of records per call.
    """
    jax_training.keep_programs()
    on_device = [(jnp.asarray(w), jnp.asarray(b)) for w, b in layers]

    def answer(X: Floats) -> Floats:
        filled = np.pad(X, [(0, n - len(X)), (0, 0)])  # one shape, so that XLA compiles one program
        return np.asarray(_answer(network, on_device, jnp.asarray(filled)))[: len(X)]

    return answer
