"""Records that are made up: like purchases, bits of customers in classes, as many as wanted in constant memory."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from umbrameter.seeds import generator
from umbrameter.tables import vector_column
from umbrameter.typing import Floats, Ints

BLOCK = 1000
"""Records that one stream of random numbers makes, so that a record does not depend on how many are asked for."""


def purchase_like(
    n_records: int,
    n_features: int = 600,
    n_classes: int = 100,
    density: float = 0.15,
    distinctness: float = 0.21,
    seed: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of bits `x` and labels `y`, 0 to n_classes - 1: what customers of some kinds bought.

    Each class has habits of its own, mixed with the habits of all; a customer buys each thing with the chance that the
    habits of the class say, independently.

    Parameters
    ----------
    n_records, n_features, n_classes
        How many of each.
    density
        The share of ones, about.
    distinctness
        The weight of a class's own habits, 0 (all alike) to 1; decides how hard it is to tell classes apart.
    seed
        Of all random numbers.

    Examples
    --------
    >>> batch = next(purchase_like(50, n_features=8, n_classes=3))
    >>> batch.num_rows, batch.schema.names
    (50, ['x', 'y'])
    """
    habits = _habits(n_features, n_classes, density, distinctness, seed)
    for block, start in enumerate(range(0, n_records, BLOCK)):
        X, y = _block(habits, seed, block)
        n = min(BLOCK, n_records - start)
        yield pa.record_batch({"x": vector_column(X[:n]), "y": pa.array(y[:n].astype(np.int16))})


def _habits(n_features: int, n_classes: int, density: float, distinctness: float, seed: int) -> Floats:
    """Return the chance of each thing by class: few things are bought often, most seldom."""
    rng = generator(seed, "habits")
    shape = 2 * density, 2 * (1 - density)
    shared, own = rng.beta(*shape, n_features), rng.beta(*shape, (n_classes, n_features))
    return (1 - distinctness) * shared + distinctness * own


def _block(habits: Floats, seed: int, block: int) -> tuple[Ints, Ints]:
    rng = generator(seed, "customers", block)
    y = rng.integers(len(habits), size=BLOCK)
    return (rng.random((BLOCK, habits.shape[1]), dtype=np.float32) < habits[y]).astype(np.uint8), y
