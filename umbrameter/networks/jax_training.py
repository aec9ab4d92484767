"""Train networks with JAX: one at a time, or many side by side as one program.

Belongs here: the program that XLA compiles, once per shape. Does not belong here: the scikit-learn interface (`base`).
"""

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("NPROC", "1")  # a worker has one thread; XLA reads this when JAX is first used

import jax
import jax.numpy as jnp
import numpy as np
import optax

from umbrameter.networks.adam import BETA1, BETA2, EPSILON, unbiased
from umbrameter.networks.layers import Layers, TrainableNetwork, in_steps, longest
from umbrameter.typing import Array, Floats, Ints


class Network(Protocol):
    """A network's architecture; hashable, so that XLA compiles it once."""

    def __call__(self, layers: Any, x: jax.Array, key: jax.Array | None) -> jax.Array:
        """Return the records' logits, shape (n_records, n_outputs); a `key` turns dropout on."""


@dataclass(frozen=True)
class Dense:
    """Fully connected layers.

    Parameters
    ----------
    activation
        `tanh` or `relu`.
    dropout
        Share of hidden units that are dropped in a step.
    """

    activation: str
    dropout: float

    def __call__(self, layers: Any, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Return the logits."""
        activate = jnp.tanh if self.activation == "tanh" else jax.nn.relu
        for i, (weights, biases) in enumerate(layers[:-1]):
            x = activate(x @ weights + biases)
            if self.dropout and key is not None:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - self.dropout, x.shape)
                x = jnp.where(kept, x / (1 - self.dropout), 0)
        weights, biases = layers[-1]
        logits: jax.Array = x @ weights + biases
        return logits


def loss(
    network: Network,
    layers: Any,
    x: jax.Array,
    y: jax.Array,
    counts: jax.Array,
    key: jax.Array | None,
    smoothing: jax.Array | float = 0.0,
) -> jax.Array:
    """Return the summed cross entropy of the records that count.

    Parameters
    ----------
    network, layers
        The network's architecture, and its weights and biases.
    x, y
        Features and labels, shapes (n_records, n_features) and (n_records,).
    counts
        Which records count, boolean, shape (n_records,); the others fill up.
    key
        Key of the dropout's random numbers, or None for none.
    smoothing
        Share of each label that is spread over all classes.
    """
    logits = network(layers, x, key)
    if logits.shape[1] == 1:
        losses = optax.sigmoid_binary_cross_entropy(logits[:, 0], y * (1 - smoothing) + smoothing / 2)
    else:
        spread = jax.nn.logsumexp(logits, axis=1) - logits.mean(axis=1)
        losses = (1 - smoothing) * optax.softmax_cross_entropy_with_integer_labels(logits, y) + smoothing * spread
    return jnp.where(counts, losses, 0).sum()


def one_pass(network: Network, state: Any, X: jax.Array, y: jax.Array, batches: jax.Array, settings: Any) -> Any:
    """Train for one pass over the batches.

    Parameters
    ----------
    network
        The network's architecture.
    state
        Layers, Adam's two moments, the number of steps taken, and the key of random numbers.
    X, y
        All records, on the device; shapes (n_records, n_features) and (n_records,).
    batches
        Rows of each step, int32, shape (n_steps or more, batch); -1 fills up. A step without any record changes
        nothing.
    settings
        Learning rate, L2 weight, label smoothing, and the number of steps.
    """
    rate, l2, smoothing, n_steps = settings

    def step(i: jax.Array, state: Any) -> Any:
        layers, mean, square, count, key = state
        rows = batches[i]
        counts = rows >= 0
        # A step without records would divide by 0; what it gives is thrown away below.
        n = jnp.maximum(counts.sum(), 1).astype(jnp.float32)
        step_key = jax.random.fold_in(key, count)
        summed = jax.grad(partial(loss, network))(layers, X[rows], y[rows], counts, step_key, smoothing)
        slope = [((dw + l2 * w) / n, db / n) for (dw, db), (w, _) in zip(summed, layers, strict=True)]
        step_rate = rate * unbiased(count + 1)
        new_mean = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, mean, slope)
        new_square = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, square, slope)
        moved = jax.tree.map(lambda p, m, v: p - step_rate * m / (jnp.sqrt(v) + EPSILON), layers, new_mean, new_square)
        new, old = (moved, new_mean, new_square, count + 1), (layers, mean, square, count)
        return (*jax.tree.map(lambda a, b: jnp.where(counts.any(), a, b), new, old), key)

    return jax.lax.fori_loop(0, n_steps, step, state)


# The old state is donated: XLA writes the new one into its memory.
@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _alone(network: Network, state: Any, X: jax.Array, y: jax.Array, batches: jax.Array, settings: Any) -> Any:
    return one_pass(network, state, X, y, batches, settings)


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _side_by_side(network: Network, state: Any, X: jax.Array, y: jax.Array, batches: jax.Array, settings: Any) -> Any:
    run = jax.vmap(partial(one_pass, network), in_axes=(0, None, None, 0, None))
    return run(state, X, y, batches, settings)


def train(
    models: Sequence[TrainableNetwork],
    network: Network,
    layers: Sequence[Layers],
    X: Floats,
    codes: Ints,
    passes: Sequence[Iterable[Ints]],
    watch: Callable[[Layers], bool] | None = None,
) -> list[Layers]:
    """Train networks of one architecture side by side on shared records, each on its own rows.

    Parameters
    ----------
    models
        The networks' parameters, equal but for their seeds.
    network
        Their architecture.
    layers
        Each network's initial weights and biases.
    X, codes
        Features of all records, float32, and their labels, 0 .. n_classes - 1.
    passes
        For each network, the rows of each pass, in order; networks may have different numbers of rows.
    watch
        Called with the layers after each pass, for a single network; the training ends when it returns True.

    Returns
    -------
    Each network's trained layers, float32; up to rounding, as if each had been trained alone.
    """
    keep_programs()
    states = [_begin(initial, _key(model)) for initial, model in zip(layers, models, strict=True)]
    data = jnp.asarray(_longer(X, rounded(len(X)))), jnp.asarray(_longer(codes, rounded(len(X))))
    alone, first = len(models) == 1, models[0]
    run = _alone if alone else _side_by_side
    state = states[0] if alone else jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    for orders in zip(*passes, strict=True):
        widths = [model.records_a_step(len(order)) for order, model in zip(orders, models, strict=True)]
        # The batch size, unless all networks have fewer records.
        width, n_steps = min(first.records_a_step(2**31), rounded(max(widths))), longest(orders, widths)
        rows = in_steps(orders, widths, rounded(n_steps), width)
        rates = np.float32(first.learning_rate), np.float32(first.l2), np.float32(first.label_smoothing)
        state = run(network, state, *data, rows[0] if alone else rows, (*rates, np.int32(n_steps)))
        if watch is not None and watch([(np.array(w), np.array(b)) for w, b in state[0]]):
            break
    arrays = [(np.asarray(w), np.asarray(b)) for w, b in state[0]]
    return [arrays] if alone else [[(w[i], b[i]) for w, b in arrays] for i in range(len(models))]


def rounded(n: int) -> int:
    """Round up to four significant bits: with few different sizes, XLA compiles few programs.

    Examples
    --------
    >>> [rounded(n) for n in (7, 16, 17, 1200)]
    [7, 16, 18, 1280]
    """
    unit = 1 << max(0, (n - 1).bit_length() - 4)
    return -(-n // unit) * unit


def _longer(array: Array, n: int) -> Array:
    more = np.zeros((n - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, more]) if len(more) else array


def _begin(layers: Layers, key: jax.Array) -> Any:
    on_device = [(jnp.asarray(w), jnp.asarray(b)) for w, b in layers]
    zeros = [(jnp.zeros_like(w), jnp.zeros_like(b)) for w, b in on_device]
    return on_device, zeros, jax.tree.map(jnp.copy, zeros), jnp.int32(0), key  # a buffer can be donated only once


def _key(model: TrainableNetwork) -> jax.Array:
    # Dropout alone uses the key.
    seed = model.random_state if isinstance(model.random_state, int) else 0
    return jax.random.key(seed)


def keep_programs() -> None:
    """Cache compiled programs on disk, for the next process of this user on this machine."""
    config: Any = jax.config
    if config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        # Machines may share a home directory, but not each other's programs.
        config.update("jax_compilation_cache_dir", str(cache / "umbrameter" / "xla" / platform.node()))
        config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
