"""Which rows are members, non-members and pool."""

import numpy as np
import pyarrow.compute as pc

from umbrameter.records.reader import Records
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.typing import Ints


def rows_of(split: Artefact, part: str) -> Ints:
    """Return the record ids of one part, in rising order."""
    table = split.table("split.parquet", ["part"])
    return np.flatnonzero(np.asarray(pc.equal(table["part"], part)))


def audited_rows(split: Artefact) -> Ints:
    """Return the record ids of members and non-members, members first."""
    return np.concatenate([rows_of(split, "member"), rows_of(split, "nonmember")])


def pool_rows(store: Store, split: Artefact, drawn: str | None) -> Ints:
    """Return the rows that shadow models draw from: the split's pool, or those that were drawn, numbered after it."""
    if drawn is None:
        return rows_of(split, "pool")
    n_real = split.table("split.parquet", ["part"]).num_rows
    return np.asarray(n_real + np.arange(Records.open(store, drawn).n_records))
