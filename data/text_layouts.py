"""Data sets in their publishers' text and Parquet layouts, read in batches.

Belongs here: one function per layout, from a path to batches of `x` and `y`. Does not belong here: finding files
(`catalogue`), binary layouts (`images`).
"""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.archives import REMEDY, member
from umbrameter.errors import DataError
from umbrameter.store.arrow import vector_column
from umbrameter.typing import Array

LINES = 2000
"""Number of lines of a text file read at a time."""

TEXAS_BITS: tuple[int, ...] = (6169, 6170)
"""Features per record: as published, and as in the paper."""

LONGEST = 2**16
"""Most bytes of one line, so that a file of another kind does not fill the memory."""


def records(X: Array, y: Array) -> pa.RecordBatch:
    """Return bytes of shape (n_records, n_features) and classes as a batch of `x` and `y`."""
    return pa.record_batch({"x": vector_column(X.astype(np.uint8, copy=False)), "y": pa.array(y.astype(np.int16))})


def purchases(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the records of the authors' Purchase-100: one per line, the class (1 .. 100) first, then 600 bits.

    Parameters
    ----------
    path
        The file, or the archive with it.

    Raises
    ------
    DataError
        When a line is malformed; names the first one.
    """
    return _classes_and_bits(path, "dataset_purchase", 600, 100)


def locations(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the records of the authors' Location-30: one per line, the class (1 .. 30) first, then 446 bits.

    Parameters
    ----------
    path
        The file, or the archive with it.

    Raises
    ------
    DataError
        When a line is malformed; names the first one.
    """
    return _classes_and_bits(path, "bangkok", 446, 30)


def hospitals(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the records of the authors' Texas-100: bits in one file, 6,169 or 6,170 per line, classes in another.

    Parameters
    ----------
    path
        The archive, or the folder with the files `feats` and `labels` (1 .. 100).

    Raises
    ------
    DataError
        When a line is malformed, or only one of the files has it; names the first one.
    """
    first, widths = 1, TEXAS_BITS
    with member(path, "feats") as bits, member(path, "labels") as classes:
        while pair := _pair(bits, classes):
            _refuse_alone(path, len(pair[0]), len(pair[1]), first)
            X = _bits(pair[0], widths, f"{path}: feats", first)
            yield records(X, _classes(pair[1], 100, f"{path}: labels", first) - 1)
            first, widths = first + len(X), (X.shape[1],)


def _pair(bits: IO[bytes], classes: IO[bytes]) -> tuple[list[bytes], list[bytes]] | None:
    """Return the next lines of two files, or None after the last of both."""
    pair = _lines(bits), _lines(classes)
    return pair if any(pair) else None


def _refuse_alone(path: Path, n_bits: int, n_classes: int, first: int) -> None:
    if n_bits != n_classes:
        longer, shorter = ("feats", "labels") if n_bits > n_classes else ("labels", "feats")
        raise DataError(
            f"{path}: {longer} has a line {first + min(n_bits, n_classes)} and {shorter} has none; expected as many "
            f"lines in both; {REMEDY}"
        )


def _classes_and_bits(path: Path, name: str, n_bits: int, n_classes: int) -> Iterator[pa.RecordBatch]:
    first, what = 1, f"a class 1 .. {n_classes} and {n_bits} bits"
    with member(path, name) as file:
        while lines := _lines(file):
            parts = [line.partition(b",") for line in lines]
            X = _bits([bits for _, _, bits in parts], (n_bits,), f"{path}", first, what)
            yield records(X, _classes([label for label, _, _ in parts], n_classes, f"{path}", first, what) - 1)
            first += len(lines)


def _lines(file: IO[bytes]) -> list[bytes]:
    lines = islice(iter(partial(file.readline, LONGEST), b""), LINES)
    return [line.strip().replace(b'"', b"").replace(b" ", b"") for line in lines]


def _bits(lines: Sequence[bytes], widths: tuple[int, ...], where: str, first: int, what: str = "") -> Array:
    """Return lines of comma-separated zeros and ones as an array; the first line decides between the widths."""
    width = (len(lines[0]) + 1) // 2
    # Compared as bytes, all lines at once: parsing each number would take many times as long.
    size = 2 * (width if width in widths else widths[-1]) - 1
    bad = next((i for i, line in enumerate(lines) if len(line) != size), None)
    if bad is None:
        content = np.frombuffer(b"".join(lines), np.uint8).reshape(len(lines), size)
        bits, commas = content[:, ::2] - ord("0"), content[:, 1::2]
        good = (bits < 2).all(axis=1) & (commas == ord(",")).all(axis=1)
        if good.all():
            return np.asarray(bits)
        bad = int(np.argmin(good))
    expected = what or f"{' or '.join(str(n) for n in widths)} bits"
    raise DataError(f"{where}, line {first + bad}: expected {expected}, separated by commas; {REMEDY}")


def _classes(lines: Sequence[bytes], n_classes: int, where: str, first: int, what: str = "") -> Array:
    for i, line in enumerate(lines):
        # The length comes first: `int` raises an error of its own for thousands of digits.
        if not (line.isdigit() and len(line) < 5 and 0 < int(line) <= n_classes):
            expected = what or f"a class 1 .. {n_classes}"
            raise DataError(f"{where}, line {first + i}: expected {expected}, found {line[:20]!r}; {REMEDY}")
    return np.array([int(line) for line in lines], dtype=np.int16)


def images(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the images of a Parquet file, decoded: height by width by channels bytes, flattened in that order.

    Parameters
    ----------
    path
        A Parquet file with encoded images in `x` (any lossless format that Pillow reads) and classes in `y`.

    Raises
    ------
    DataError
        When a row does not hold an image; names the first one.
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
        raise DataError(f"{path}, row {row}: x is not an image ({error}); get the file again") from None
