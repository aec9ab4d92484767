"""Open files and folders of Parquet, CSV or Feather as one source, and read it in batches of rows.

Belongs here: which files and columns a source has, whatever the files' order of columns. Does not belong here: what the
columns mean (`columns`), or what their values may be (`encoding`).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from umbrameter.errors import DataError, brief, in_one
from umbrameter.records.csv_tables import CsvTable
from umbrameter.records.formats import Format, open_format
from umbrameter.records.sources import CsvSettings
from umbrameter.store.addresses import located

BATCH = 2**22
"""Values read at once."""

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""The name of a folder whose key has no value."""


@dataclass(frozen=True)
class File:
    """One file of a source.

    Parameters
    ----------
    fs, path
        Where it is.
    below
        Its path below the given one; empty if it is the given one.
    name
        The setting and the path, for errors.
    schema
        Its columns.
    n_rows
        The number of its rows.
    keys
        The values in its folders' names below the given path, as text: `{"k": "01"}` for `k=01/one.parquet`.
    format
        How it is read.
    """

    fs: pafs.FileSystem
    path: str
    below: str
    name: str
    schema: pa.Schema
    n_rows: int
    keys: Mapping[str, str | None]
    format: Format

    @property
    def columns(self) -> list[str]:
        """The names of its columns, then of its folders' keys."""
        return list(dict.fromkeys([*self.schema.names, *self.keys]))

    def kind(self, name: str) -> pa.DataType | None:
        """Return a column's type; all text is of one type. None for a folder's key, and a column without any value."""
        if name not in self.schema.names or pa.types.is_null(self.schema.field(name).type):
            return None
        kind = self.schema.field(name).type
        return pa.string() if is_text(kind) else kind

    @property
    def index(self) -> list[str]:
        """The columns that are the index of a pandas data frame."""
        described = json.loads((self.schema.metadata or {}).get(b"pandas", b"{}"))
        named = [name for name in described.get("index_columns", ()) if isinstance(name, str)]
        # The name tells of an index even where the description was lost on the way through another program.
        return [n for n in self.schema.names if n in named or re.fullmatch(r"__index_level_\d+__", n)]


@dataclass(frozen=True)
class Source:
    """Files that are read as one table, column by column of the same name."""

    files: tuple[File, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of all files, in the order in which they first appear, then the folders' keys."""
        names = dict.fromkeys(name for file in self.files for name in file.schema.names)
        names |= dict.fromkeys(name for file in self.files for name in file.keys)
        return pa.schema([(name, self._kind(name)) for name in names])

    @property
    def index(self) -> list[str]:
        """The columns that are the index of a pandas data frame."""
        return list(dict.fromkeys(name for file in self.files for name in file.index))

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return sum(file.n_rows for file in self.files)

    def describe(self) -> str:
        """Return the formats of the files in a few words: of CSV, the dialect."""
        kinds = Counter(file.format.describe() for file in self.files)
        return "; ".join(kind + (f", {n} files" if n > 1 else "") for kind, n in kinds.items())

    def _kind(self, name: str) -> pa.DataType:
        kinds = [file.schema.field(name).type for file in self.files if file.kind(name) is not None]
        if not kinds and any(name in file.schema.names for file in self.files):
            return pa.null()
        if not kinds:
            return _kind_of_keys([value for file in self.files if (value := file.keys.get(name)) is not None])
        if all(pa.types.is_dictionary(kind) and is_text(kind) for kind in kinds):
            return pa.dictionary(pa.int32(), pa.string(), ordered=all(kind.ordered for kind in kinds))
        return next(kind for file in self.files if (kind := file.kind(name)) is not None)

    def faults(self, names: Sequence[str]) -> list[str]:
        """Return which files lack one of the columns, or hold it as another type, a sentence each."""
        faults = []
        for name in names:
            first = next((file for file in self.files if file.kind(name) is not None), None)
            first = first or next(file for file in self.files if name in file.columns)
            for file in self.files:
                kinds = first.kind(name), file.kind(name)
                if name not in file.columns:
                    faults.append(
                        f"{file.name} has no column {name!r}, and {first.name} has one; give all files the same "
                        "columns: only those under data.ignore may be missing"
                    )
                elif None not in kinds and kinds[0] != kinds[1]:
                    faults.append(
                        f"{file.name} holds the column {name!r} as {kinds[1]}, and {first.name} as {kinds[0]}; write "
                        "it as one type in all files"
                    )
        return faults

    def check(self, names: Sequence[str]) -> None:
        """Refuse files that lack one of the columns, or hold it as another type.

        Raises
        ------
        DataError
            When there are such files; the text names each with its column.
        """
        refuse(self.faults(names))

    def batches(self, names: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to `n_rows` rows with the named columns; see `check` for what the files must have."""
        schema = pa.schema([self.schema.field(name) for name in names])
        for file in self.files:
            stored = [name for name in names if name in file.schema.names]
            for batch in file.format.batches(file.fs, file.path, stored, n_rows):
                columns = [
                    _stored(batch[field.name], file, field) if field.name in stored else _key(batch, file, field)
                    for field in schema
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def to_table(self, names: Sequence[str]) -> pa.Table:
        """Return the named columns of all rows."""
        self.check(names)
        return pa.Table.from_batches(self.batches(names, BATCH), pa.schema([self.schema.field(name) for name in names]))


def refuse(faults: Iterable[str], what: str = "the data") -> None:
    """Raise one error that says all that is wrong, unless there is nothing.

    Parameters
    ----------
    faults
        What is wrong, a sentence each.
    what
        What has to be corrected, in the plural.

    Raises
    ------
    DataError
        When there are faults; a single one as it is, several as a list.
    """
    if (error := in_one(faults, what)) is not None:
        raise error


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is text, however it is stored: also as a dictionary, which pandas calls categories."""
    kind = value_type(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values: that of a dictionary's, for one that is stored as a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def decoded(column: pa.Array) -> pa.Array:
    """Return a dictionary-encoded column as its values, a string view as text, any other unchanged."""
    # pyarrow does not compare string views, and dictionaries differ from batch to batch.
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return plain.cast(pa.large_string()) if pa.types.is_string_view(plain.type) else plain


AS_FOUND = CsvSettings()
"""Everything about CSV is found from the files."""


def open_source(path: str, setting: str = "data.path", settings: CsvSettings = AS_FOUND) -> Source:
    """Open a file of Parquet, CSV or Feather, or a folder; of a folder's names, those below the path may be keys.

    Parameters
    ----------
    path
        The file or folder.
    setting
        The setting that names it, for errors.
    settings
        How CSV is read.

    Raises
    ------
    DataError
        When the path does not exist, cannot be read, or has no rows.
    """
    places = list_files(path, setting)
    try:
        files = [_file(fs, place, below, f"{setting}={path!r}", settings) for fs, place, below in places]
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{setting}={path!r} cannot be read as Parquet ({brief(error, 160)}); write it again") from None
    source = joined(files)
    if source.n_rows == 0:
        raise DataError(f"{setting}={path!r} has no rows; an audit needs records")
    return source


def list_files(path: str, setting: str) -> list[tuple[pafs.FileSystem, str, str]]:
    """Return the files of a source without opening them: the file system, the path, and the path below the given one.

    Raises
    ------
    DataError
        When the path does not exist, or has no files.
    """
    fs, base = _filesystem(path, setting)
    try:
        info = fs.get_file_info(base)
        infos = fs.get_file_info(pafs.FileSelector(base, recursive=True)) if not info.is_file else [info]
    except FileNotFoundError:
        raise DataError(f"{setting}={path!r} does not exist; give a Parquet file or a folder of them") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{setting}={path!r} cannot be reached ({brief(error, 160)}); correct it") from None
    # Sorted, since file systems list in different orders.
    places = sorted((_below(base, found.path), found.path) for found in infos if found.is_file)
    files = [(fs, place, below) for below, place in places if _is_data(below)]
    if not files:
        raise DataError(f"{setting}={path!r} holds no Parquet file; give a Parquet file or a folder of them")
    return files


def joined(files: Sequence[File]) -> Source:
    """Return files as one source; a column of several CSV files gets the type that holds the values of all of them."""
    tables = [file.format for file in files if isinstance(file.format, CsvTable)]
    kinds: dict[str, Any] = {}
    for table in tables:
        for name, kind in zip(table.names, table.types, strict=True):
            kinds[name] = _common(kinds.get(name, kind), kind)
    return Source(tuple(_as(file, kinds) for file in files))


def _common(a: Any, b: Any) -> Any:
    if a == b or b == pa.null():
        return a
    if a == pa.null():
        return b
    return pa.float64() if {a, b} == {pa.int64(), pa.float64()} else pa.string()


def _as(file: File, kinds: Mapping[str, Any]) -> File:
    """Return a CSV file with columns of other types; any other file unchanged."""
    if not isinstance(file.format, CsvTable):
        return file
    table = replace(file.format, types=tuple(kinds[name] for name in file.format.names))
    return replace(file, format=table, schema=table.schema)


def _filesystem(path: str, setting: str) -> tuple[pafs.FileSystem, str]:
    try:
        return located(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{setting}={path!r} cannot be reached ({brief(error, 160)}); correct the address") from None


def _below(base: str, path: str) -> str:
    """Return a file's path below the given one; empty if it is the given one."""
    return path.removeprefix(base).strip("/")


def _is_data(below: str) -> bool:
    """Return whether a file holds data: names that begin with . or _ are other programs' own."""
    return not any(part.startswith((".", "_")) for part in below.split("/"))


def _file(fs: pafs.FileSystem, path: str, below: str, name: str, settings: CsvSettings) -> File:
    shown = f"{name}, file {below!r}" if below else name
    form, schema, n_rows = open_format(fs, path, shown, settings)
    keys = {}
    for part in below.split("/")[:-1]:
        key, is_key, value = map(unquote, part.partition("="))
        if is_key:
            keys[key] = None if value == NO_VALUE else value
    return File(fs, path, below, shown, schema, n_rows, keys, form)


def _kind_of_keys(values: Sequence[str]) -> pa.DataType:
    """Return integers if that changes no value: 01 is not 1."""
    are_integers = all(re.fullmatch(r"0|-?[1-9]\d{0,17}", value) for value in values)
    return pa.int64() if are_integers and values else pa.string()


def _stored(column: pa.Array, file: File, field: pa.Field) -> pa.Array:
    """Return a column in the source's type; refuse one that contradicts the name of its folder."""
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    value = file.keys.get(field.name)
    if value is not None and not pc.all(pc.equal(plain, _scalar(value, plain.type, file, field.name))).as_py():
        raise DataError(f"{file.name} holds other values of {field.name!r} than its folder's name; correct one of them")
    if column.type == field.type:
        return column
    if pa.types.is_dictionary(field.type):
        return pa.DictionaryArray.from_arrays(
            column.indices.cast(pa.int32()), column.dictionary.cast(pa.string()), ordered=field.type.ordered
        )
    return plain.cast(field.type)


def _key(batch: pa.RecordBatch, file: File, field: pa.Field) -> pa.Array:
    value = file.keys.get(field.name)
    filled = pa.scalar(None, field.type) if value is None else _scalar(value, field.type, file, field.name)
    return pa.repeat(filled, batch.num_rows)


def _scalar(value: str, kind: pa.DataType, file: File, name: str) -> Any:
    try:
        return pa.scalar(value).cast(kind)
    except pa.ArrowException:
        raise DataError(
            f"{file.name}: its folder's name has {value!r} for the column {name!r}, which is of type {kind}"
            "; rename the folder"
        ) from None
