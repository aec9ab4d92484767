"""The convolutional network as JAX computes it: matrix products on a CPU, native convolutions on a GPU."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from umbrameter.networks import training
from umbrameter.networks.base import Layers
from umbrameter.typing import Floats

CHUNK = 10
"""Images at once on a CPU: their patches stay in the cache, which doubles the speed against a whole batch."""


@dataclass(frozen=True)
class Convolutional:
    """Convolution, pool, convolution, pool, fully connected, output.

    Parameters
    ----------
    image
        Height, width, channels.
    kernel
        Height and width of the convolutions.
    activation
        `tanh` or `relu`.
    pixel_max
        The brightest pixel, which becomes 1; 0 becomes -1.
    """

    image: tuple[int, ...]
    kernel: int
    activation: str
    pixel_max: float

    @property
    def chunk(self) -> int | None:
        """Records whose gradient is computed at once."""
        return CHUNK if jax.default_backend() == "cpu" else None

    def __call__(self, layers: Any, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Return the logits."""
        activate = jnp.tanh if self.activation == "tanh" else jax.nn.relu
        convolve = by_patches if jax.default_backend() == "cpu" else natively
        x = (x * (2 / self.pixel_max) - 1).reshape(len(x), *self.image)
        for weights, biases in layers[:-2]:
            x = max_pool(activate(convolve(x, weights, self.kernel) + biases))
        x = x.reshape(len(x), -1)
        (weights, biases), (last, offsets) = layers[-2:]
        logits: jax.Array = activate(x @ weights + biases) @ last + offsets
        return logits


def by_patches(x: jax.Array, weights: jax.Array, kernel: int) -> jax.Array:
    """Convolve as one matrix product over the patches around each pixel (im2col)."""
    _, height, width, _ = x.shape
    before = (kernel - 1) // 2
    padded = jnp.pad(x, [(0, 0), (before, kernel - 1 - before), (before, kernel - 1 - before), (0, 0)])
    shifts = [padded[:, i : i + height, j : j + width] for i in range(kernel) for j in range(kernel)]
    return jnp.concatenate(shifts, axis=-1) @ weights


def natively(x: jax.Array, weights: jax.Array, kernel: int) -> jax.Array:
    """Convolve by XLA's own operation; the same numbers as `by_patches`, to rounding."""
    channels = x.shape[-1]
    filters = weights.reshape(kernel, kernel, channels, -1)
    return jax.lax.conv_general_dilated(x, filters, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def max_pool(x: jax.Array) -> jax.Array:
    """Take the largest of each 2 by 2 square; of equal ones the first has the gradient, or learning is worse."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    largest = x[:, 0:height:2, 0:width:2]
    for i, j in ((0, 1), (1, 0), (1, 1)):
        other = x[:, i:height:2, j:width:2]
        largest = jnp.where(other > largest, other, largest)
    return largest


@partial(jax.jit, static_argnums=0)
def _answer(network: Convolutional, layers: Any, x: jax.Array) -> jax.Array:
    return network(layers, x)


def answerer(network: Convolutional, layers: Layers) -> Callable[[Floats], Floats]:
    """Return a fitted network as a function from features to logits, of a few hundred images at once."""
    training.keep_programs()
    on_device = [(jnp.asarray(w), jnp.asarray(b)) for w, b in layers]
    width = 10 * CHUNK

    def answer(X: Floats) -> Floats:
        parts = []
        for start in range(0, len(X), width):
            part = X[start : start + width]
            filled = np.pad(part, [(0, width - len(part)), (0, 0)])
            parts.append(np.asarray(_answer(network, on_device, jnp.asarray(filled)))[: len(part)])
        return np.concatenate(parts)

    return answer
