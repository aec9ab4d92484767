"""The table of ids that says which records are members of a target trained elsewhere."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError
from umbrameter.records.parquet import open_source
from umbrameter.records.sides import WRITTEN, other_values, sides
from umbrameter.typing import Array


@dataclass(frozen=True)
class Membership:
    """A table that says which records are members, by id.

    Parameters
    ----------
    path
        The file or folder.
    id
        The table's column of ids, whose values are those of the data's id column.
    setting
        The spec's setting that names the table, for errors.
    member
        The table's column that says which are members.
    """

    path: str
    id: str
    setting: str
    member: str = "is_member"

    def look_up(self, ids: pa.ChunkedArray) -> dict[str, Array]:
        """Return each record's part (0 member, 1 non-member, 2 neither) and its row in the table (-1 for none).

        Parameters
        ----------
        ids
            The ids of all records, in order.

        Raises
        ------
        DataError
            When the table lacks a column, repeats an id, or has an id that no record has.
        """
        table = self._table()
        table_ids = table[self.id].combine_chunks()
        if table_ids.type != ids.type:
            table_ids = self._cast(table_ids, ids.type)
        if pc.count_distinct(table_ids).as_py() != len(table_ids):
            raise self._error(f"has ids twice in its column {self.id!r}; give each record one row")
        positions = pc.index_in(ids.combine_chunks(), value_set=table_ids)
        n_unknown = len(table_ids) - (len(positions) - positions.null_count)
        if n_unknown:
            unknown = pc.filter(table_ids, pc.invert(pc.is_in(table_ids, value_set=ids.combine_chunks())))
            example = unknown[0].as_py()
            raise self._error(f"has {n_unknown} ids that no record has, such as {example!r}; correct the table")
        rows = np.asarray(positions.fill_null(-1)).astype(np.int64)
        is_member = np.asarray(table[self.member])
        part = np.where(rows < 0, 2, np.where(is_member[rows], 0, 1)).astype(np.int8)
        return {"part": part, "place": rows}

    def _table(self) -> pa.Table:
        source = open_source(self.path, self.setting)
        missing = [name for name in (self.id, self.member) if name not in source.schema.names]
        if missing:
            raise self._error(f"has no column {', '.join(missing)}; it has {', '.join(source.schema.names)}")
        kind = source.schema.field(self.member).type
        table: pa.Table = source.to_table([self.id, self.member])
        if others := other_values(table[self.member].drop_null()):
            raise self._error(
                f"has {self.member} of type {kind} with the values {', '.join(others[:8])}; expected {WRITTEN}"
            )
        table = table.set_column(1, self.member, sides(table[self.member]))
        empty = [name for name in table.column_names if table[name].null_count]
        if empty:
            raise self._error(f"has rows without {' and '.join(empty)}; fill them, or leave these rows out")
        return table

    def _cast(self, table_ids: pa.Array, kind: pa.DataType) -> pa.Array:
        try:
            return table_ids.cast(kind)
        except pa.ArrowException:
            raise self._error(
                f"has ids of type {table_ids.type}, and the records have {kind}; give the same type"
            ) from None

    def _error(self, text: str) -> DataError:
        return DataError(f"{self.setting}={self.path!r} {text}")
