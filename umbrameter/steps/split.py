"""Split the records: members, on which the target is trained, non-members, and the pool for shadow models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from umbrameter.errors import PlanError, in_one
from umbrameter.records.parquet import refuse
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.store.schemas import SPLIT
from umbrameter.store.steps import key_of
from umbrameter.typing import Ints

PARTS = ("member", "nonmember", "pool", "unused")
"""The parts of a split; `unused` are known members and non-members in excess of those that the audit asks for."""

SHOWN = 8
"""Classes that an error lists, at most."""


class SplitMetadata(Metadata):
    """The number of records in each part of a split."""

    n_members: int
    n_nonmembers: int
    n_pool: int
    n_unused: int

    @property
    def n_audited(self) -> int:
        """Number of members and non-members."""
        return self.n_members + self.n_nonmembers


@dataclass(frozen=True)
class Split:
    """Divide the records into members, non-members and the pool: at random, or by known membership.

    Parameters
    ----------
    records
        Path of the `records` artefact.
    n_members, n_nonmembers
        The number of each; None for all, if membership is known.
    seed
        The audit's seed.
    """

    records: str
    n_members: int | None
    n_nonmembers: int | None
    seed: int

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the split."""
        facts = {"records": key_of(self.records), "members": self.n_members, "nonmembers": self.n_nonmembers}
        return Recipe("split", facts | {"seed": self.seed})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return (self.records,)

    def make(self, store: Store, draft: Draft) -> None:
        """Write every record's part.

        Raises
        ------
        PlanError
            When more members and non-members are asked for than there are records.
        DataError
            When a class has no member or no non-member.
        """
        records = Records.open(store, self.records)
        write_parts(draft, self.parts(records.labels(), records.classes, records.known_parts()))

    def parts(self, labels: Ints, classes: Sequence[Any], known: Ints | None) -> Ints:
        """Return each record's part, as its place in `PARTS`; shape (n_records,).

        Parameters
        ----------
        labels
            The records' classes, shape (n_records,); none are checked where `classes` is empty.
        classes
            What these stand for.
        known
            Each record's part as far as the source says it, or None; shape (n_records,).

        Raises
        ------
        PlanError, DataError
            See `make`; the text has all that is wrong.
        """
        order = generator(self.seed, "split").permutation(len(labels))
        if known is not None:  # a known split may lack a class, and the user cannot change it
            return self._as_known(known, order)
        part = self._at_random(order)
        refuse(_without_class(labels, classes, part))
        return part

    def _at_random(self, order: Ints) -> Ints:
        n_members, n_nonmembers = self.n_members or 0, self.n_nonmembers or 0
        asked = n_members + n_nonmembers
        if asked > len(order):
            raise PlanError(
                f"split asks for {n_members} members + {n_nonmembers} non-members = {asked} records, but "
                f"there are {len(order)}; lower split.members or split.nonmembers"
            )
        part = np.full(len(order), 2, dtype=np.int8)  # codes are positions in `PARTS`
        part[order[:n_members]] = 0
        part[order[n_members:asked]] = 1
        return part

    def _as_known(self, known: Ints, order: Ints) -> Ints:
        part, faults = known.copy(), []
        for code, (name, asked) in enumerate([("members", self.n_members), ("nonmembers", self.n_nonmembers)]):
            # In random order, so that it is left to chance which of them are unused.
            rows = order[known[order] == code]
            if not len(rows) or (asked or 0) > len(rows):
                text = f"lower split.{name} ({asked})" if len(rows) else f"give data with {name}"
                faults.append(PlanError(f"the data have {len(rows)} known {name}; {text}"))
            part[rows[asked:] if asked else rows[:0]] = PARTS.index("unused")
        if (error := in_one(faults, "the data")) is not None:
            raise error
        return part


def write_parts(draft: Draft, part: Ints) -> None:
    """Write every record's part, given as its place in `PARTS`; shape (n_records,)."""
    names = pa.DictionaryArray.from_arrays(part, list(PARTS)).cast(pa.string())
    draft.table("split.parquet", pa.table([pa.array(np.arange(len(part))), names], schema=SPLIT))
    members, nonmembers, pool, unused = np.bincount(part, minlength=len(PARTS)).tolist()
    SplitMetadata(n_members=members, n_nonmembers=nonmembers, n_pool=pool, n_unused=unused).write(draft)


def _without_class(labels: Ints, classes: Sequence[Any], part: Ints) -> Iterator[str]:
    """Yield which classes have no member, and which have no non-member, a sentence per side."""
    counts = np.bincount(labels, minlength=len(classes))
    for code, name in enumerate(PARTS[:2]):
        missing = np.flatnonzero(np.bincount(labels[part == code], minlength=len(classes)) == 0)[: len(classes)]
        if len(missing):
            listed = ", ".join(f"{classes[i]!r} has {counts[i]} records" for i in missing[:SHOWN].tolist())
            more = f" and {len(missing) - SHOWN} more classes" if len(missing) > SHOWN else ""
            yield (
                f"class {listed}{more}, too few for this split: no {name} among them; raise split.{name}s, or merge or "
                "leave out small classes"
            )
