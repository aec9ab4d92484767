"""Images in their publishers' binary layouts: the CIFAR archives and the idx files of MNIST.

Belongs here: one function per layout, from a path to batches of `x` and `y`. Does not belong here: finding files
(`catalogue`), text and Parquet (`text_layouts`).
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from data.archives import REMEDY, member
from data.pickles import pixels_and_classes
from data.text_layouts import records
from umbrameter.errors import DataError
from umbrameter.typing import Array, Ints

Batches = Iterator[pa.RecordBatch]

PIXELS = 32 * 32 * 3
"""Number of bytes of one CIFAR image."""

SOME = 5000
"""Number of images read at a time."""

TEN = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
HUNDRED = ("train", "test")

IDX = {
    "train-images-idx3-ubyte": (60_000, "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": (60_000, "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": (10_000, "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": (10_000, "27ae3e4e09519cfbb04c329615203637"),
}
"""Number of records in each official file of MNIST, and the MD5 sum of its content."""


def cifar10(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the images of CIFAR-10, training images first: height by width by channels bytes, flattened in that order.

    Parameters
    ----------
    path
        The binary archive or the one for Python, or the folder that it unpacks to; no pickle in it is run.

    Raises
    ------
    DataError
        When a record is malformed; names the first one.
    """
    if _is_binary(path):
        return _all_of(path, [f"{name}.bin" for name in TEN], partial(_binary, n_labels=1, n_classes=10))
    return _all_of(path, TEN, partial(_pickled, key="labels", n_classes=10))


def cifar100(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the images of CIFAR-100 with their fine classes, as `cifar10` does.

    Parameters
    ----------
    path
        See `cifar10`.

    Raises
    ------
    DataError
        When a record is malformed; names the first one.
    """
    if _is_binary(path):
        return _all_of(path, [f"{name}.bin" for name in HUNDRED], partial(_binary, n_labels=2, n_classes=100))
    return _all_of(path, HUNDRED, partial(_pickled, key="fine_labels", n_classes=100))


def _is_binary(path: Path) -> bool:
    return "binary" in path.name or path.name.endswith("-bin")


def _all_of(path: Path, names: Sequence[str], read: Callable[[IO[bytes], str], Batches]) -> Iterator[pa.RecordBatch]:
    for name in names:
        with member(path, name) as file:
            yield from read(file, f"{path}: {name}")


def _binary(file: IO[bytes], where: str, n_labels: int, n_classes: int) -> Iterator[pa.RecordBatch]:
    """Yield the images of a binary file: per record one or two label bytes (the last counts), then the pixels."""
    # CIFAR-100 has the coarse class before the fine one.
    size, first = n_labels + PIXELS, 0
    while content := file.read(SOME * size):
        if len(content) % size:
            at = first + len(content) // size
            raise DataError(f"{where}: record {at} ends after {len(content) % size} of {size} bytes; {REMEDY}")
        rows = np.frombuffer(content, np.uint8).reshape(-1, size)
        yield _images(rows[:, n_labels:], rows[:, n_labels - 1], n_classes, where, first)
        first += len(rows)


def _pickled(file: IO[bytes], where: str, key: str, n_classes: int) -> Iterator[pa.RecordBatch]:
    try:
        pixels, y = pixels_and_classes(file, key, PIXELS)
        rows = pixels.reshape(len(y), PIXELS)
    except ValueError as error:
        raise DataError(f"{where} is not a pickle of images as published ({error}); {REMEDY}") from None
    for first in range(0, len(y), SOME):
        batch = slice(first, first + SOME)
        yield _images(rows[batch], y[batch], n_classes, where, first)


def _images(rows: Array, y: Ints, n_classes: int, where: str, first: int) -> pa.RecordBatch:
    """Return images, given as channel by height by width bytes, and their classes as records with channels last."""
    bad = (y < 0) | (y >= n_classes)
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(f"{where}: record {first + at} is of class {y[at]}, expected 0 .. {n_classes - 1}; {REMEDY}")
    return records(rows.reshape(-1, 3, 32 * 32).transpose(0, 2, 1).reshape(-1, PIXELS), y)


def mnist(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the digits of MNIST's four idx files, gzipped or not, with their `split`: `train` first, then `test`.

    A file with the official number of records must have the official content.

    Parameters
    ----------
    path
        The folder with the files, or one of them.

    Raises
    ------
    DataError
        When a file is malformed; names the file and the byte or record.
    """
    folder = path if path.is_dir() else path.parent
    for split, stem in (("train", "train"), ("test", "t10k")):
        for pixels, labels in _digits(folder, f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"):
            batch = records(pixels, labels[:, 0])
            yield batch.append_column("split", pa.array([split] * batch.num_rows))


def _digits(folder: Path, *names: str) -> Iterator[tuple[Array, Array]]:
    """Yield images and labels from two files in step."""
    with member(folder, names[0]) as images, member(folder, names[1]) as labels:
        heads = _head(images, f"{folder}: {names[0]}", (28, 28)), _head(labels, f"{folder}: {names[1]}", ())
        n, n_labels = (int.from_bytes(head[4:8], "big") for head in heads)
        if n != n_labels:
            raise DataError(f"{folder}: {names[0]} holds {n} records and {names[1]} {n_labels}; {REMEDY}")
        columns = _idx(images, folder, names[0], heads[0], 28 * 28), _idx(labels, folder, names[1], heads[1], 1)
        first = 0
        for pixels, y in zip(*columns, strict=True):
            if y.max() > 9:
                at = int(np.argmax(y > 9))
                raise DataError(f"{folder}: {names[1]}: record {first + at} is of class {y[at, 0]}, expected 0 .. 9")
            yield pixels, y
            first += len(y)


def _head(file: IO[bytes], where: str, shape: tuple[int, ...]) -> bytes:
    """Return the header of an idx file: a magic number, then the number of records and the size of each dimension."""
    head, magic = file.read(8 + 4 * len(shape)), 0x801 + len(shape)  # 0x08: unsigned bytes; then the dimensions
    if len(head) < 8 + 4 * len(shape):
        raise DataError(f"{where} ends at byte {len(head)}, in its head; {REMEDY}")
    for at, expected in ((0, magic), *((8 + 4 * i, size) for i, size in enumerate(shape))):
        (number,) = struct.unpack_from(">I", head, at)
        if number != expected:
            raise DataError(f"{where}: the number at byte {at} is {number}, expected {expected}; {REMEDY}")
    return head


def _idx(file: IO[bytes], folder: Path, name: str, head: bytes, size: int) -> Iterator[Array]:
    """Yield the content after the header in batches, and check it at the end."""
    n, digest, where = int.from_bytes(head[4:8], "big"), hashlib.md5(head, usedforsecurity=False), f"{folder}: {name}"
    for first in range(0, n, SOME):
        n_bytes = min(SOME, n - first) * size
        content = file.read(n_bytes)
        if len(content) < n_bytes:
            raise DataError(f"{where} ends in record {first + len(content) // size} of {n}; {REMEDY}")
        digest.update(content)
        yield np.frombuffer(content, np.uint8).reshape(-1, size)
    if file.read(1):
        raise DataError(f"{where}: byte {len(head) + n * size} comes after the last of {n} records; {REMEDY}")
    # A user may have a part of the data set, whose digest is unknown.
    official, md5 = IDX[name]
    if n == official and digest.hexdigest() != md5:
        raise DataError(f"{where}: the MD5 sum of its content is {digest.hexdigest()}, expected {md5}; {REMEDY}")
