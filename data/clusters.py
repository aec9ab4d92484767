"""Data sets with fewer classes, as in Shokri et al. (2017): the records of another data set, clustered.

Belongs here: from a Parquet file to records labelled with their cluster. The file's own labels are not used.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from umbrameter.errors import DataError
from umbrameter.store.arrow import vectors
from umbrameter.typing import Array

FITTED = 50_000
"""Number of records, spread over the file, that the centres are fitted to; every record then joins the nearest one."""

SOME = 5000
"""Number of records read at a time."""


def clustered(path: Path, n_classes: int) -> Iterator[pa.RecordBatch]:
    """Yield the records of a Parquet file, each with its k-means cluster, 0 .. n_classes - 1, as `y`.

    The same file gives the same clusters, whatever the number of threads.

    Parameters
    ----------
    path
        A Parquet file with vectors in `x`.
    n_classes
        Number of clusters.

    Raises
    ------
    DataError
        When there are fewer records than clusters.
    """
    with threadpool_limits(1):
        # Not in mini-batches, which leave some centres with a single record.
        # The seed is fixed, since the clusters belong to the data set and not to an audit.
        model = KMeans(n_classes, n_init=3, max_iter=100, copy_x=False, random_state=2017)
        model.fit(_spread(path, n_classes))
    for x in _columns(path):
        with threadpool_limits(1):
            y = model.predict(_floats(x))
        yield pa.record_batch({"x": x, "y": pa.array(y.astype(np.int16))})


def _spread(path: Path, n_classes: int) -> Array:
    """Return every k-th record, about `FITTED` in all."""
    n = pq.read_metadata(path).num_rows
    if n < n_classes:
        raise DataError(f"{path} holds {n} records, too few for {n_classes} clusters; put the whole data set there")
    step, first, parts = -(-n // FITTED), 0, []
    for x in _columns(path):
        # Goes on counting across batches: the next record's number is a multiple of the step.
        parts.append(_floats(x.take(np.arange(-first % step, len(x), step))))
        first += len(x)
    return np.concatenate(parts)


def _columns(path: Path) -> Iterator[pa.FixedSizeListArray]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(SOME, columns=["x"]):
            yield batch["x"]


def _floats(x: pa.FixedSizeListArray) -> Array:
    return vectors(pa.chunked_array([x])).astype(np.float32)
