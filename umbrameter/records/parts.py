"""The rows of each part of a split: members, non-members and pool."""

import numpy as np
import pyarrow.compute as pc

from umbrameter.records.reader import Records
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.typing import Ints


def rows_of(split: Artefact, part: str) -> Ints:
    """Return the record ids of one part, in ascending order."""
    table = split.table("split.parquet", ["part"])
    return np.flatnonzero(np.asarray(pc.equal(table["part"], part)))


def audited_rows(split: Artefact) -> Ints:
    """Return the record ids of members and non-members, members first."""
    return np.concatenate([rows_of(split, "member"), rows_of(split, "nonmember")])


def pool_rows(store: Store, split: Artefact, drawn: str | None) -> Ints:
    """Return the rows that shadow models take their records from.

    Parameters
    ----------
    store
        The store of the artefacts.
    split
        The opened `split` artefact, whose pool is used where no records were drawn.
    drawn
        Path of the `shadow_records` artefact, or None; its rows are numbered after those of the real records.

    Returns
    -------
    Row numbers, shape (n_rows,).
    """
    if drawn is None:
        return rows_of(split, "pool")
    n_real = split.table("split.parquet", ["part"]).num_rows
    return np.asarray(n_real + np.arange(Records.open(store, drawn).n_records))
