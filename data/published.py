"""Data sets in the layout in which they are published or stored, read some records at a time.

Belongs here: one function a layout, from a file to batches of `x` and `y`. Does not belong here: where files are found
(`catalogue`).
"""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.errors import DataError
from umbrameter.tables import vector_column
from umbrameter.typing import Array

LINES = 5000
"""Of a text file that are read at a time."""


def purchases(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the records of the authors' Purchase-100: one a line, the class (1 .. 100) first, then 600 bits.

    Raises
    ------
    DataError
        With the first line that is not of that form.
    """
    with path.open(encoding="ascii", errors="replace") as file:
        first = 1
        while lines := list(islice(file, LINES)):
            yield _bits(path, lines, first)
            first += len(lines)


def _bits(path: Path, lines: list[str], first: int) -> pa.RecordBatch:
    rows = np.empty((len(lines), 601), dtype=np.int16)
    for i, line in enumerate(lines):
        values = line.replace('"', "").strip().split(",")
        good = len(values) == 601 and set(values[1:]) <= {"0", "1"} and values[0].isdigit() and 0 < int(values[0]) < 101
        if not good:
            raise DataError(f"{path}, line {first + i}: expected a class 1 .. 100 and 600 bits, separated by commas")
        rows[i] = np.array(values, dtype=np.int16)
    return pa.record_batch({"x": vector_column(rows[:, 1:].astype(np.uint8)), "y": pa.array(rows[:, 0] - 1)})


def images(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the images of a Parquet file, decoded: height by width by channels bytes, flattened in that order.

    Parameters
    ----------
    path
        Of a file with encoded images in `x` (any lossless format that Pillow reads) and classes in `y`.

    Raises
    ------
    DataError
        With the first row that is no image.
    """
    with pq.ParquetFile(path) as file:
        row = 0
        for batch in file.iter_batches(1000, columns=["x", "y"]):
            pixels = [_pixels(path, row + i, content.as_py()) for i, content in enumerate(batch["x"])]
            row += batch.num_rows
            yield pa.record_batch({"x": vector_column(np.stack(pixels)), "y": batch["y"]})


def _pixels(path: Path, row: int, content: bytes) -> Array:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB")).reshape(-1)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path}, row {row}: x is no image ({error})") from None
