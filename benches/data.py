"""Records like those of Purchase-100: bits of customers, in classes."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def purchases(n_records: int, n_features: int = 600, n_classes: int = 100, seed: int = 0):
    """Return bits (15 % ones) and labels: each customer follows the habits of the class and habits that all share.

    Parameters
    ----------
    n_records, n_features, n_classes
        Number of each.
    seed
        Seed of all random numbers.
    """
    rng = np.random.default_rng(seed)
    # Both distributions have the mean .15: few items are common, most are rare.
    habits = 0.6 * rng.beta(0.3, 1.7, n_features) + 0.4 * rng.beta(0.3, 1.7, (n_classes, n_features))
    y = rng.integers(0, n_classes, n_records)
    return (rng.random((n_records, n_features), dtype=np.float32) < habits[y]).astype(np.uint8), y


def full_sets() -> Path:
    """Return the folder of the full data sets, and point audits to it by the environment variable."""
    folder = os.environ.setdefault("UMBRAMETER_DATA", str(Path(__file__).parents[2] / "shared" / "datasets"))
    return Path(folder)


def write(path: Path, X, y) -> None:
    """Write bits and labels as Parquet: a vector column and the label."""
    values = pa.FixedSizeListArray.from_arrays(pa.array(X.reshape(-1)), X.shape[1])
    pq.write_table(pa.table({"x": values, "y": pa.array(y.astype(np.int16))}), path)
