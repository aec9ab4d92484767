"""Who is member and who is not, of a target that was trained elsewhere: a table of ids."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError
from umbrameter.records.parquet import open_source
from umbrameter.typing import Array


@dataclass(frozen=True)
class Membership:
    """A Parquet table that says of records, by id, whether they are members.

    Parameters
    ----------
    path
        Where it is.
    id
        Its column of ids, which are those of the data's id column.
    setting
        What the spec calls the table, for errors.
    """

    path: str
    id: str
    setting: str

    def look_up(self, ids: pa.ChunkedArray) -> dict[str, Array]:
        """Return for each record its part (0 member, 1 non-member, 2 neither), and its row in the table or -1.

        Parameters
        ----------
        ids
            Of all records, in order.

        Raises
        ------
        DataError
            When a column is missing, an id is there twice, or is no record's.
        """
        table = self._table()
        named = table[self.id].combine_chunks()
        if named.type != ids.type:
            named = self._cast(named, ids.type)
        if pc.count_distinct(named).as_py() != len(named):
            raise self._error(f"has ids twice in its column {self.id!r}; give each record one row")
        place = pc.index_in(ids.combine_chunks(), value_set=named)
        n_other = len(named) - (len(place) - place.null_count)
        if n_other:
            other = pc.filter(named, pc.invert(pc.is_in(named, value_set=ids.combine_chunks())))
            raise self._error(f"has {n_other} ids that no record has, such as {other[0].as_py()!r}; correct the table")
        rows = np.asarray(place.fill_null(-1)).astype(np.int64)
        is_member = np.asarray(table["is_member"])
        part = np.where(rows < 0, 2, np.where(is_member[rows], 0, 1)).astype(np.int8)
        return {"part": part, "place": rows}

    def _table(self) -> pa.Table:
        source = open_source(self.path, self.setting)
        missing = [name for name in (self.id, "is_member") if name not in source.schema.names]
        if missing:
            raise self._error(f"has no column {', '.join(missing)}; it has {', '.join(source.schema.names)}")
        kind = source.schema.field("is_member").type
        table: pa.Table = source.to_table(columns=[self.id, "is_member"])
        if not pa.types.is_boolean(kind):
            raise self._error(f"has is_member of type {kind}; expected booleans")
        empty = [name for name in table.column_names if table[name].null_count]
        if empty:
            raise self._error(f"has rows without {' and '.join(empty)}; fill them, or leave these rows out")
        return table

    def _cast(self, named: pa.Array, kind: pa.DataType) -> pa.Array:
        try:
            return named.cast(kind)
        except pa.ArrowException:
            raise self._error(
                f"has ids of type {named.type}, and the records have {kind}; give the same type"
            ) from None

    def _error(self, text: str) -> DataError:
        return DataError(f"{self.setting}={self.path!r} {text}")
