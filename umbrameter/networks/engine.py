"""The choice of a trainer: JAX on a GPU, hand-written backpropagation on a CPU."""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec

import numpy as np

from umbrameter.networks.layers import Layers, TrainableNetwork
from umbrameter.typing import Floats, Ints

GPU_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin")
"""Packages that let JAX use a GPU; where none is installed, JAX need not be loaded to find out."""


def on_gpu() -> bool:
    """Return whether JAX runs on a GPU; JAX is loaded only where a package for one is installed."""
    if not any(map(find_spec, GPU_PLUGINS)):
        return False
    import jax

    return bool(jax.default_backend() == "gpu")


def trained(
    networks: Sequence[TrainableNetwork],
    layers: Sequence[Layers],
    X: Floats,
    codes: Ints,
    passes: Sequence[Iterable[Ints]],
    watch: Callable[[Layers], bool] | None = None,
) -> list[Layers]:
    """Train networks of one architecture on shared records, each on its own rows.

    Parameters
    ----------
    networks
        The networks, with equal parameters except for their seeds.
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
    Each network's trained layers, float32.
    """
    first_layers = None if on_gpu() else networks[0]._first_layers(X, len(networks))
    if first_layers is None:
        from umbrameter.networks import jax_training

        return jax_training.train(networks, networks[0]._network(), layers, X, codes, passes, watch)
    from umbrameter.networks import cpu_training

    with np.errstate(over="ignore", invalid="ignore"):  # weights that are not finite are refused afterwards
        return cpu_training.train(networks, layers, first_layers, codes, passes, watch)
