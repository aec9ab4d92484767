"""Members, non-members and pool: who is in the target's training data, who is not, who is left for shadow models."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from umbrameter.errors import DataError, PlanError
from umbrameter.records import Records
from umbrameter.seeds import generator
from umbrameter.store import Artefact, Draft, Recipe, Store
from umbrameter.tables import SPLIT
from umbrameter.typing import Ints
from umbrameter.work import key_of

PARTS = ("member", "nonmember", "pool")


@dataclass(frozen=True)
class Split:
    """Deal the records at random into members, non-members and the pool.

    Parameters
    ----------
    records
        Path of the `records` artefact.
    n_members, n_nonmembers
        How many of each; the rest is the pool.
    seed
        The audit's seed.
    """

    records: str
    n_members: int
    n_nonmembers: int
    seed: int

    @property
    def recipe(self) -> Recipe:
        """What decides the split."""
        facts = {"records": key_of(self.records), "members": self.n_members, "nonmembers": self.n_nonmembers}
        return Recipe("split", facts | {"seed": self.seed})

    def make(self, store: Store, draft: Draft) -> None:
        """Write the part of every record.

        Raises
        ------
        PlanError
            When more members and non-members are asked for than there are records.
        DataError
            When a class has no member or no non-member.
        """
        records = Records.open(store, self.records)
        asked = self.n_members + self.n_nonmembers
        if asked > records.n_records:
            raise PlanError(
                f"split asks for {self.n_members} members + {self.n_nonmembers} non-members = {asked} records, but "
                f"there are {records.n_records}; lower split.members or split.nonmembers"
            )
        part = np.full(records.n_records, 2)
        order = generator(self.seed, "split").permutation(records.n_records)
        part[order[: self.n_members]] = 0
        part[order[self.n_members : asked]] = 1
        _check_classes(records, part)
        names = pa.DictionaryArray.from_arrays(part, list(PARTS)).cast(pa.string())
        draft.table("split.parquet", pa.table([pa.array(np.arange(len(part))), names], schema=SPLIT))


def rows_of(split: Artefact, part: str) -> Ints:
    """Return the record ids of one part, in rising order."""
    table = split.table("split.parquet")
    return np.flatnonzero(np.asarray(table["part"]) == part)


def audited_rows(split: Artefact) -> Ints:
    """Return the record ids of members and non-members, members first."""
    return np.concatenate([rows_of(split, "member"), rows_of(split, "nonmember")])


def _check_classes(records: Records, part: Ints) -> None:
    labels = records.labels()
    for code, name in enumerate(PARTS[:2]):
        missing = np.flatnonzero(np.bincount(labels[part == code], minlength=len(records.classes)) == 0)
        if len(missing):
            worst = int(missing[0])
            raise DataError(
                f"class {records.classes[worst]!r} has {(labels == worst).sum()} records, too few for this split: no "
                f"{name} among them; raise split.{name}s, or merge or leave out small classes"
            )
