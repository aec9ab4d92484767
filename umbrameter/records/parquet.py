"""Open Parquet files and folders, and read them in batches of rows."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from umbrameter.errors import DataError, brief

BATCH = 2**22
"""Values read at once."""


def open_source(path: str, setting: str = "data.path") -> pads.Dataset:
    """Open a Parquet file or a (hive-partitioned) folder.

    Raises
    ------
    DataError
        When the path does not exist, cannot be read as Parquet, or has no rows.
    """
    fs, base = filesystem(path)
    try:
        kind = fs.get_file_info(base).type
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{setting}={path!r} cannot be reached ({brief(error, 160)}); correct it") from None
    if kind == pafs.FileType.NotFound:
        raise DataError(f"{setting}={path!r} does not exist; give a Parquet file or a folder of them")
    try:
        source = pads.dataset(base, filesystem=fs, format="parquet", partitioning="hive")
        if kind == pafs.FileType.Directory and source.files:  # sorted: file systems list in different orders
            scheme = pads.partitioning(flavor="hive")
            files = sorted(source.files)
            source = pads.dataset(files, filesystem=fs, format="parquet", partitioning=scheme, partition_base_dir=base)
        rows = source.count_rows() if source.files else 0
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{setting}={path!r} cannot be read as Parquet ({brief(error, 160)}); write it again") from None
    if not source.files:
        raise DataError(f"{setting}={path!r} holds no Parquet file; give a Parquet file or a folder of them")
    if rows == 0:
        raise DataError(f"{setting}={path!r} has no rows; an audit needs records")
    return source


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a local path or a bucket's address, and the path within it."""
    if "://" in path:
        try:
            location: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"data.path={path!r} cannot be reached ({brief(error, 160)}); correct the address"
            ) from None
        return location
    return pafs.LocalFileSystem(), path


def _stream(source: pads.Dataset, names: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of up to `n_rows` rows; the dataset's own reader holds whole row groups, which may be gigabytes."""
    schema = pa.schema([source.schema.field(name) for name in names])
    for fragment in source.get_fragments():
        keys = pads.get_partition_keys(fragment.partition_expression)
        with pq.ParquetFile(fragment.open()) as file:
            stored = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(n_rows, columns=stored, use_threads=False):
                columns = [
                    batch[field.name]
                    if field.name in stored
                    else _repeated(keys.get(field.name), batch.num_rows, field)
                    for field in schema
                ]
                # Files of one folder may store a column in different types.
                cast = [c if c.type == f.type else c.cast(f.type) for c, f in zip(columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(cast, schema=schema)


def _repeated(value: Any, n: int, field: pa.Field) -> pa.Array:
    return pa.repeat(pa.scalar(value, field.type), n)
