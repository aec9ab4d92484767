"""Generated records, any number of them in constant memory: bits of customers or of hospital stays, in classes.

A record depends on the parameters and its position alone: it is the same whatever the number of records.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from umbrameter.errors import SpecError
from umbrameter.seeds import generator
from umbrameter.store.arrow import vector_column
from umbrameter.typing import Array, Floats, Ints

BLOCK = 1000
"""Number of records per stream of random numbers, so that none depends on how many are asked for."""

STREAM = 2
"""The generator's version: raise it whenever the same parameters give other records than before."""


@dataclass(frozen=True)
class Parameters:
    """The parameters that decide generated records.

    Parameters
    ----------
    n_records, n_features, n_classes
        Number of each.
    density
        The approximate share of ones, a fraction.
    distinctness
        The weight of a class's own habits, from 0 (all alike) to 1; decides how hard classes are to tell apart.
    seed
        Seed of all random numbers.

    Raises
    ------
    SpecError
        When a value is out of its range.
    """

    n_records: int
    n_features: int
    n_classes: int
    density: float
    distinctness: float
    seed: int

    def __post_init__(self) -> None:
        """Raise if a value is out of its range."""
        most = np.iinfo(np.int16).max + 1  # labels are stored as int16
        for name, is_valid, expected in (
            ("n_records", self.n_records >= 1, "1 or more"),
            ("n_features", self.n_features >= 1, "1 or more"),
            ("n_classes", 1 <= self.n_classes <= most, f"1 to {most}"),
            ("density", 0 < self.density < 1, "a share between 0 and 1, without these"),
            ("distinctness", 0 <= self.distinctness <= 1, "a weight from 0 to 1"),
            ("seed", self.seed >= 0, "0 or more"),
        ):
            if not is_valid:
                raise SpecError(f"{name}={getattr(self, name)!r} of generated records must be {expected}; change it")


def purchase_like(
    n_records: int,
    n_features: int = 600,
    n_classes: int = 100,
    density: float = 0.15,
    distinctness: float = 0.21,
    seed: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of bits `x` and labels `y`, 0 to n_classes - 1: what customers of several kinds bought.

    Each class has its own habits, mixed with habits that all share; a customer buys each item independently, with the
    probability that the habits of the class give. With the defaults, the network of Shokri et al. (2017), 128 tanh
    units, memorises 10,000 records and classifies two thirds of other records correctly.

    Parameters
    ----------
    n_records, n_features, n_classes, density, distinctness, seed
        See `Parameters`.

    Examples
    --------
    >>> batch = next(purchase_like(50, n_features=8, n_classes=3))
    >>> batch.num_rows, batch.schema.names
    (50, ['x', 'y'])
    """
    return batches(Parameters(n_records, n_features, n_classes, density, distinctness, seed))


def texas_like(
    n_records: int,
    n_features: int = 6170,
    n_classes: int = 100,
    density: float = 0.04,
    distinctness: float = 0.06,
    seed: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of bits `x` and labels `y`, 0 to n_classes - 1: notes on hospital stays, by procedure.

    Generated like `purchase_like`, but wide and sparse, and as hard for the paper's network.

    Parameters
    ----------
    n_records, n_features, n_classes, density, distinctness, seed
        See `Parameters`.

    Examples
    --------
    >>> batch = next(texas_like(2))
    >>> batch.num_rows, batch["x"].type.list_size
    (2, 6170)
    """
    return batches(Parameters(n_records, n_features, n_classes, density, distinctness, seed))


DEFAULTS: Mapping[str, Parameters] = {
    "purchase": Parameters(10_000, 600, 100, 0.15, 0.21, 0),
    "texas": Parameters(10_000, 6170, 100, 0.04, 0.06, 0),
}
"""The defaults of each kind of generated records, the same as those of its function."""


def parameters(
    like: str,
    n_records: int,
    n_features: int | None = None,
    n_classes: int | None = None,
    density: float | None = None,
    distinctness: float | None = None,
    seed: int | None = None,
) -> Parameters:
    """Return all parameters of generated records, with the kind's defaults for those not given.

    Parameters
    ----------
    like
        The kind, `purchase` or `texas`.
    n_records, n_features, n_classes, density, distinctness, seed
        See `Parameters`.

    Raises
    ------
    SpecError
        When there is no such kind, or a value is out of its range.

    Examples
    --------
    >>> parameters("texas", 5, n_classes=2).n_features
    6170
    """
    if like not in DEFAULTS:
        raise SpecError(f"like={like!r} is not a kind of generated records; expected one of {', '.join(DEFAULTS)}")
    settings = {
        "n_records": n_records,
        "n_features": n_features,
        "n_classes": n_classes,
        "density": density,
        "distinctness": distinctness,
        "seed": seed,
    }
    return Parameters(**asdict(DEFAULTS[like]) | {name: value for name, value in settings.items() if value is not None})


def generated(
    like: str,
    n_records: int,
    n_features: int | None = None,
    n_classes: int | None = None,
    density: float | None = None,
    distinctness: float | None = None,
    seed: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield batches of records of a kind, with the kind's defaults for parameters not given.

    Parameters
    ----------
    like, n_records, n_features, n_classes, density, distinctness, seed
        See `parameters`.

    Raises
    ------
    SpecError
        When there is no such kind, or a value is out of its range.
    """
    return batches(parameters(like, n_records, n_features, n_classes, density, distinctness, seed))


def batches(parameters: Parameters) -> Iterator[pa.RecordBatch]:
    """Yield the generated records, at most `BLOCK` at a time."""
    chances = _chances(parameters)
    for block, start in enumerate(range(0, parameters.n_records, BLOCK)):
        X, y = _block(chances, parameters.seed, block)
        n = min(BLOCK, parameters.n_records - start)
        yield pa.record_batch({"x": vector_column(X[:n]), "y": pa.array(y[:n].astype(np.int16))})


def _chances(parameters: Parameters) -> Ints:
    """Return the probability of each item by class, in 65,536ths: few items are common, most are rare."""
    rng = generator(parameters.seed, "habits")
    # The beta distribution with these two parameters has the mean `density`.
    shape, weight = (2 * parameters.density, 2 * (1 - parameters.density)), parameters.distinctness
    shared = rng.beta(*shape, parameters.n_features)
    of_class = rng.beta(*shape, (parameters.n_classes, parameters.n_features))
    habits: Floats = (1 - weight) * shared + weight * of_class
    # A probability of 1 would be 65,536, which does not fit into 16 bits.
    return np.minimum(np.rint(habits * 2**16), 2**16 - 1).astype(np.uint16)


def _block(chances: Ints, seed: int, block: int) -> tuple[Array, Ints]:
    rng, width = generator(seed, "customers", block), chances.shape[1]
    y = rng.integers(len(chances), size=BLOCK)
    # 16 random bits per feature, four features per draw: a quarter of the time that floats would take.
    draws = rng.integers(2**64, size=-(-BLOCK * width // 4), dtype=np.uint64).view(np.uint16)
    draws = draws[: BLOCK * width].reshape(BLOCK, width)
    X = np.empty((BLOCK, width), dtype=np.bool_)
    for i, label in enumerate(y):  # row by row, without a copy of the probabilities for each record
        np.less(draws[i], chances[label], out=X[i])
    return X.view(np.uint8), y
