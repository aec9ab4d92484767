"""The cache of data sets that were downloaded, generated or rewritten; each file is written whole or not at all.

Belongs here: the folder, and writing Parquet. Does not belong here: where the records come from.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pooch
import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.errors import DataError, StoreError, brief

FOLDER_VARIABLE = "UMBRAMETER_DATA"
"""The environment variable that names a folder with data sets, which then need no download."""

GROUP_ROWS, GROUP_BYTES = 65_536, 2**24
"""Most rows and bytes of one row group; writing it takes about ten times its records' bytes of memory."""


def kept(name: str, root: str) -> Path:
    """Return the path at which a data set is kept: under a local root, or else in the user's cache."""
    folder = Path(pooch.os_cache("umbrameter")) if "://" in root else Path(root) / "datasets"
    return folder / f"{name}.parquet"


def made_from(source: Path, *others: Path) -> str:
    """Return a digest of the paths, sizes and times of change of a file or of a folder's files: 12 hexadecimal digits.

    Parameters
    ----------
    source
        The file or folder.
    others
        Further files that are read with it, if they exist.
    """
    places = {place.resolve() for place in (source, *others) if place.exists()}
    files = {file for place in places for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()}
    # The time of change stands for the content: reading gigabytes at the start of each audit would take too long.
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(files)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def rewritten(batches: Iterator[pa.RecordBatch], path: Path) -> Path:
    """Write records as plain Parquet, unless the file exists, and return its path.

    Raises
    ------
    DataError
        When there are no records.
    StoreError
        When the file cannot be written.
    """
    if not path.is_file():
        first = next(batches, None)
        if first is None:
            raise DataError(f"there are no records to write to {path.name}; the file that they come from is empty")
        _write(first.schema, chain([first], batches), path)
    return path


def _write(schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: Path) -> None:
    """Write records in one step, so that a kill leaves the whole file or none."""
    part = path.with_suffix(f".{os.getpid()}.part")  # two audits may write the same data set at once
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for group in _groups(batches):
                writer.write_table(pa.Table.from_batches(group), row_group_size=GROUP_ROWS)
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"the data set could not be kept as {str(path)!r} ({brief(error)}); free some space or let that folder be "
            "written, or take another root"
        ) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield the batches of each row group."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if group and (rows > GROUP_ROWS or size > GROUP_BYTES):
            yield group
            group, rows, size = [], batch.num_rows, batch.nbytes
        group.append(batch)
    if group:
        yield group
