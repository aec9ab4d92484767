"""Read CSV in batches: the dialect is found from the file's beginning, and each column's type from all of its values.

Belongs here: delimiters, headers, encodings, types. Does not belong here: what the columns mean (`columns`).
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.fs as pafs

from umbrameter.errors import DataError
from umbrameter.records.sources import CsvSettings

SAMPLE, BLOCK = 2**18, 2**24
"""Bytes that the dialect is found from, and bytes read at once."""

MOST_LINES = 200
"""Lines that the dialect is found from, at most."""

DELIMITERS = ",;\t|"
"""Delimiters that are looked for; of those that fit alike, the first."""

TYPES: Mapping[str, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "datetime with zone": pa.timestamp("us", "UTC"),
    "text": pa.string(),
}
"""The types of columns, by the name that a spec gives them; a column gets the first that all of its values have."""

CODE = r"^[+-]?(0\d|\d{20})"
"""What is no number though it looks like one: 007 is not 7, and no type holds every digit of a longer one."""


@dataclass(frozen=True)
class CsvTable:
    """How one CSV file is read.

    Parameters
    ----------
    delimiter, quote, decimal, encoding
        The characters between values, around texts and before fractions, and the name of the encoding.
    header
        Whether the first line has the columns' names.
    names
        The columns' names.
    nulls
        The texts that mean that a value is missing.
    types
        The columns' types, or formats such as `%d.%m.%Y`.
    """

    delimiter: str
    quote: str
    decimal: str
    encoding: str
    header: bool
    names: tuple[str, ...]
    nulls: tuple[str, ...]
    types: tuple[pa.DataType | str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types."""
        kinds = [TYPES["datetime"] if isinstance(kind, str) else kind for kind in self.types]
        return pa.schema(list(zip(self.names, kinds, strict=True)))

    def batches(self, fs: pafs.FileSystem, path: str, names: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to `n_rows` rows with the named columns."""
        schema = pa.schema([self.schema.field(name) for name in names])
        kinds = dict(zip(self.names, self.types, strict=True))
        for texts in _texts(fs, path, self, names or self.names[:1]):
            columns = [_converted(texts[name], kinds[name], self.decimal) for name in names]
            whole = pa.Table.from_arrays(columns, schema=schema) if names else texts.select([])
            yield from whole.to_batches(n_rows) if names else [texts.select([])]

    def describe(self) -> str:
        """Return the dialect in a few words."""
        shown = {"\t": "tab"}.get(self.delimiter, repr(self.delimiter))
        parts = ["CSV", f"delimiter {shown}", "header" if self.header else "no header", self.encoding]
        return ", ".join([*parts, *(["decimal comma"] if self.decimal == "," else [])])


def find_table(fs: pafs.FileSystem, path: str, name: str, settings: CsvSettings) -> tuple[CsvTable, int]:
    """Return how a CSV file is read, and the number of its rows, after one pass over it.

    Parameters
    ----------
    fs, path
        Where the file is.
    name
        The setting and the path, for errors.
    settings
        What is known already; the rest is found.

    Raises
    ------
    DataError
        When the file is empty, names a column twice, or has lines of different numbers of values.
    """
    table = _dialect(fs, path, name, settings)
    unknown = sorted({*settings.types} - {*table.names})
    if unknown:
        raise DataError(f"data.csv.types names {', '.join(unknown)}; {name} has the columns {', '.join(table.names)}")
    fitting = {
        column: _asked(settings.types[column]) if column in settings.types else [*TYPES.values()]
        for column in table.names
    }
    n_rows = 0
    invalid: list[pacsv.InvalidRow] = []
    for texts in _texts(fs, path, table, table.names, invalid):
        n_rows += texts.num_rows
        for column, kinds in fitting.items():
            fitting[column] = [kind for kind in kinds if _fits(texts[column], kind, table.decimal)]
            if not fitting[column]:
                raise DataError(
                    f"{name}: the column {column!r} holds values that are not {settings.types[column]}; correct "
                    "data.csv.types, or the file"
                )
    if invalid:
        row = invalid[0]
        raise DataError(
            f"{name}: {len(invalid)} lines do not have {row.expected_columns} values, such as line {row.number}, which "
            f"has {row.actual_columns}; put texts with the delimiter into quotes, or set data.csv.delimiter "
            f"({table.delimiter!r} was found)"
        )
    is_empty = [len(kinds) == len(TYPES) for kinds in fitting.values()]
    types = [pa.null() if empty else kinds[0] for empty, kinds in zip(is_empty, fitting.values(), strict=True)]
    return replace(table, types=tuple(types)), n_rows


def _asked(kind: str) -> list[pa.DataType | str]:
    return [kind if kind.startswith("%") else TYPES[kind]]


def _dialect(fs: pafs.FileSystem, path: str, name: str, settings: CsvSettings) -> CsvTable:
    encoding = settings.encoding or _encoding(fs, path)
    with fs.open_input_stream(path) as stream:
        sample = stream.read(SAMPLE)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample).removeprefix("\ufeff")
    if not text.strip():
        raise DataError(f"{name} is empty; give a CSV file with a header and a line per record")
    delimiter = settings.delimiter or max(DELIMITERS, key=lambda mark: _evenness(text, mark, settings.quote))
    rows = _rows(text, delimiter, settings.quote)
    header = _is_header(rows) if settings.header is None else settings.header
    names = [cell.strip() for cell in rows[0]] if header else [f"f{i}" for i in range(len(rows[0]))]
    if not names[0]:  # as pandas writes an index, and `parquet.File` knows one
        names[0] = "__index_level_0__"
    names = [named or f"column_{i + 1}" for i, named in enumerate(names)]
    twice = sorted({named for named in names if names.count(named) > 1})
    if twice:
        raise DataError(f"{name} names {', '.join(twice)} twice; give each column its own name, or set data.csv.header")
    decimal = settings.decimal or _decimal(rows, delimiter)
    return CsvTable(delimiter, settings.quote, decimal, encoding, header, tuple(names), settings.nulls)


def _encoding(fs: pafs.FileSystem, path: str) -> str:
    """Return utf-8 if the whole file is that, utf-16 if it begins so, or else cp1252, which most other files are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with fs.open_input_stream(path) as stream:
        first = stream.read(BLOCK)
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        try:
            decoder.decode(first)
            while block := stream.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _rows(text: str, delimiter: str, quote: str) -> list[list[str]]:
    """Return the first lines' values; the last of them may be cut off."""
    rows = list(
        islice((row for row in csv.reader(io.StringIO(text), delimiter=delimiter, quotechar=quote) if row), MOST_LINES)
    )
    return rows[:-1] if len(text) >= SAMPLE and 1 < len(rows) < MOST_LINES else rows


def _evenness(text: str, delimiter: str, quote: str) -> tuple[float, int]:
    """Return the share of lines that have the first one's number of values, and that number: the more, the likelier."""
    widths = [len(row) for row in _rows(text, delimiter, quote)]
    return (widths.count(widths[0]) / len(widths) if widths[0] > 1 else 0.0, widths[0])


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line names the columns: none of its values is a number, or only their positions are."""
    numbers = {
        i: cell for i, cell in enumerate(rows[0]) if re.fullmatch(r"\s*[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?\s*", cell)
    }
    return all(cell.strip() == str(i) for i, cell in numbers.items())


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    cells = [cell.strip() for row in rows for cell in row] if delimiter != "," else []
    has_comma = any(re.fullmatch(r"[+-]?\d+,\d+", cell) for cell in cells)
    return "," if has_comma and not any(re.fullmatch(r"[+-]?\d+\.\d+", cell) for cell in cells) else "."


def _texts(
    fs: pafs.FileSystem, path: str, table: CsvTable, names: Sequence[str], invalid: list[pacsv.InvalidRow] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the named columns as text; lines of another number of values are noted and left out."""

    def note(row: pacsv.InvalidRow) -> str:
        if invalid is not None:
            invalid.append(row)
        return "skip"

    reading = pacsv.ReadOptions(
        column_names=table.names,
        skip_rows_after_names=int(table.header),
        block_size=BLOCK,
        encoding=table.encoding,
        use_threads=False,  # with threads, lines have no numbers
    )
    parsing = pacsv.ParseOptions(
        delimiter=table.delimiter, quote_char=table.quote, newlines_in_values=True, invalid_row_handler=note
    )
    converting = pacsv.ConvertOptions(
        column_types=dict.fromkeys(table.names, pa.string()),
        include_columns=list(names),
        null_values=list(table.nulls),
        strings_can_be_null=True,
    )
    with fs.open_input_stream(path) as stream, pacsv.open_csv(stream, reading, parsing, converting) as reader:
        yield from reader


def _converted(texts: pa.Array, kind: pa.DataType | str, decimal: str) -> pa.Array:
    """Return texts as values of a type."""
    if isinstance(kind, str):
        return pc.strptime(texts, format=kind, unit="us")
    if pa.types.is_string(kind):
        return texts
    if pa.types.is_null(kind):
        return pa.nulls(len(texts))
    trimmed = pc.utf8_trim_whitespace(texts)
    if decimal == "," and pa.types.is_floating(kind):
        trimmed = pc.replace_substring(trimmed, ",", ".")
    return trimmed.cast(kind)


def _fits(texts: pa.Array, kind: pa.DataType | str, decimal: str) -> bool:
    """Return whether all texts are values of a type."""
    is_number = not isinstance(kind, str) and (pa.types.is_integer(kind) or pa.types.is_floating(kind))
    try:
        _converted(texts, kind, decimal)
    except pa.ArrowInvalid:
        return False
    return not (is_number and pc.any(pc.match_substring_regex(texts, CODE)).as_py())
