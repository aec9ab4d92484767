"""Columns of lists, such as embeddings, as vectors of one length.

Belongs here: how lists become columns. Does not belong here: which columns are features (`columns`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.records.parquet import BATCH, File, Source


@dataclass(frozen=True)
class ListSource:
    """A source whose lists are vectors: one column of them, or a column for each of their elements.

    Parameters
    ----------
    source
        The source.
    widths
        The length of the lists of each column.
    is_vector
        Whether the lists stay one column; otherwise the column `e` becomes `e[0]`, `e[1]`, ...
    """

    source: Source
    widths: dict[str, int]
    is_vector: bool

    @cached_property
    def _elements(self) -> dict[str, tuple[str, int]]:
        """The list and the place in it of each column that is an element."""
        if self.is_vector:
            return {}
        return {f"{name}[{i}]": (name, i) for name, width in self.widths.items() for i in range(width)}

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, with lists of one length, or with their elements."""
        return pa.schema([(name, kind) for field in self.source.schema for name, kind in self._kinds(field)])

    def _kinds(self, field: pa.Field) -> list[tuple[str, pa.DataType]]:
        width = self.widths.get(field.name)
        if width is None:
            return [(field.name, field.type)]
        inner = field.type.value_type
        return (
            [(field.name, pa.list_(inner, width))] if self.is_vector else [(n, inner) for n in self.names(field.name)]
        )

    def names(self, name: str) -> list[str]:
        """Return the columns that a column of the source becomes."""
        is_split = name in self.widths and not self.is_vector
        return [f"{name}[{i}]" for i in range(self.widths[name])] if is_split else [name]

    @property
    def index(self) -> list[str]:
        """The columns that are the index of a pandas data frame."""
        return self.source.index

    @property
    def files(self) -> tuple[File, ...]:
        """The source's files."""
        return self.source.files

    def batches(self, names: Sequence[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of up to `n_rows` rows with the named columns; see `Source.batches`."""
        schema = pa.schema([self.schema.field(name) for name in names])
        stored = list(dict.fromkeys(self._elements.get(name, (name, 0))[0] for name in names))
        for batch in self.source.batches(stored, n_rows):
            yield pa.RecordBatch.from_arrays([self._column(batch, field) for field in schema], schema=schema)

    def _column(self, batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
        if field.name in self._elements:
            name, place = self._elements[field.name]
            return pc.list_element(batch[name], place)
        return batch[field.name].cast(field.type) if field.name in self.widths else batch[field.name]


def with_vectors(source: Source, names: Sequence[str], is_vector: bool) -> tuple[ListSource, list[str]]:
    """Return a source with lists as vectors, and what is wrong with the lists, a sentence each.

    Parameters
    ----------
    source
        The source.
    names
        The columns of lists.
    is_vector
        Whether the one column of lists is to stay one column.
    """
    lengths: dict[str, set[int]] = {name: set() for name in names}
    for batch in source.batches(names, BATCH // 2**6):
        for name, found in lengths.items():
            found.update(pc.unique(pc.list_value_length(batch[name]).drop_null()).to_pylist())
    faults = [
        f"column {name!r} has lists of {min(found)} to {max(found)} numbers; give all the same length, or list the "
        "column under data.ignore"
        for name, found in lengths.items()
        if len(found) > 1
    ]
    faults += [
        f"column {name!r} has only empty lists; list it under data.ignore"
        for name, found in lengths.items()
        if not found or found == {0}
    ]
    return ListSource(source, {name: max(found, default=0) for name, found in lengths.items()}, is_vector), faults
