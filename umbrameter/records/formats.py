"""The formats of one file of records: Parquet, Arrow IPC (Feather), CSV; each gives its columns and batches of rows.

Belongs here: which format a file has, and how it is read. Does not belong here: folders of files (`parquet`).
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from umbrameter.errors import DataError
from umbrameter.records.csv_tables import find_table
from umbrameter.records.sources import CsvSettings

TEXTS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".csv.bz2", ".csv.zst")
"""What the names of CSV files end with; pyarrow reads compressed ones by their names."""


class Format(Protocol):
    """How a file is read."""

    def batches(self, fs: pafs.FileSystem, path: str, names: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to `n_rows` rows with the named columns."""

    def describe(self) -> str:
        """Return the format in a few words."""


class ParquetFormat:
    """Parquet."""

    def batches(self, fs: pafs.FileSystem, path: str, names: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to `n_rows` rows with the named columns."""
        with fs.open_input_file(path) as stream, pq.ParquetFile(stream) as opened:
            yield from opened.iter_batches(n_rows, columns=list(names), use_threads=False)

    def describe(self) -> str:
        """Return the format in a few words."""
        return "Parquet"


class ArrowFormat:
    """Arrow's file format, which is Feather's second version."""

    def batches(self, fs: pafs.FileSystem, path: str, names: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to `n_rows` rows with the named columns."""
        with fs.open_input_file(path) as stream, pa.ipc.open_file(stream) as opened:
            for i in range(opened.num_record_batches):
                batch = opened.get_batch(i).select(list(names))
                for start in range(0, batch.num_rows, n_rows):
                    yield batch.slice(start, n_rows)

    def describe(self) -> str:
        """Return the format in a few words."""
        return "Feather"


def open_format(fs: pafs.FileSystem, path: str, name: str, settings: CsvSettings) -> tuple[Format, pa.Schema, int]:
    """Return how a file is read, its columns, and the number of its rows.

    Parameters
    ----------
    fs, path
        Where the file is.
    name
        The setting and the path, for errors.
    settings
        How CSV is read.

    Raises
    ------
    DataError
        When a CSV file cannot be read.
    """
    if path.lower().endswith(TEXTS):
        table, n_rows = find_table(fs, path, name, settings)
        return table, table.schema, n_rows
    with fs.open_input_file(path) as stream:
        start = stream.read(6)
    if start == b"ARROW1":
        with fs.open_input_file(path) as stream, pa.ipc.open_file(stream) as opened:
            n_rows = sum(opened.get_batch(i).num_rows for i in range(opened.num_record_batches))
            return ArrowFormat(), opened.schema, n_rows
    if start.startswith(b"FEA1"):
        raise DataError(f"{name} is in Feather's first version; write it again with pyarrow.feather.write_feather")
    with fs.open_input_file(path) as stream, pq.ParquetFile(stream) as opened:
        return ParquetFormat(), opened.schema_arrow, opened.metadata.num_rows
