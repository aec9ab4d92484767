"""The `data` part of a spec: where records come from."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class TableData(BaseModel):
    """How somebody's Parquet is read, wherever it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(description="The column with the class: integers, booleans or text.")
    id: str | None = Field(None, description="A column that names each record; no feature, and checked to be unique.")
    features: tuple[str, ...] | None = Field(
        None, min_length=1, description="The columns to learn from; all that are not label, id, ignored or slices."
    )
    ignore: tuple[str, ...] = Field((), description="Columns that are neither features nor anything else.")
    slices: tuple[str, ...] = Field((), description="Columns to break results down by; features only if listed there.")
    precision: Literal["float32", "float64"] = Field(
        "float32", description="What features are kept and given to estimators as; float32 is the faster by far."
    )
    duplicates: Literal["error", "drop", "keep"] = Field(
        "error", description="Equal records would be member and non-member at once: stop, keep the first, or keep all."
    )
    note: str | None = Field(None, description="What a reader has to know of the records; printed with the warnings.")


class ParquetData(TableData):
    """Records from a Parquet file or a folder of them.

    Examples
    --------
    >>> ParquetData(path="people.parquet", label="income", id="person").duplicates
    'error'
    """

    kind: Literal["parquet"] = Field("parquet", description="A Parquet file or a (hive-partitioned) folder.")
    path: str = Field(min_length=1, description="Where it is: a local path or a bucket's address.")
    membership: str | None = Field(
        None,
        min_length=1,
        description="A Parquet table that says who is what, for a target that was trained elsewhere: a column named as "
        "`id`, and `is_member`; records that are not in it are the pool.",
    )

    @property
    def knows_members(self) -> bool:
        """Whether the data say which records are members."""
        return self.membership is not None

    @property
    def name(self) -> str:
        """What the records are called in reports: their file or folder."""
        return _last(self.path)

    @property
    def paths(self) -> dict[str, str]:
        """Where the records are, by setting."""
        return {"path": self.path}


class SidesData(TableData):
    """Members and non-members of a target that was trained elsewhere, each in Parquet of their own.

    Examples
    --------
    >>> SidesData(members="train.parquet", nonmembers="test.parquet", label="y").paths
    {'members': 'train.parquet', 'nonmembers': 'test.parquet'}
    """

    kind: Literal["sides"] = Field("sides", description="Members and non-members in Parquet of their own.")
    members: str = Field(min_length=1, description="Records that the target was trained on.")
    nonmembers: str = Field(min_length=1, description="Records that it was not trained on.")
    pool: str | None = Field(None, min_length=1, description="Other records, to train shadow models on.")
    duplicates: Literal["error", "drop", "keep"] = Field(
        "drop",
        description="Records that are there twice: keep the first (a member before a non-member), stop, keep all.",
    )

    knows_members: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What the records are called in reports: the members' file or folder."""
        return _last(self.members)

    @property
    def paths(self) -> dict[str, str]:
        """Where the records are, by setting: members, non-members, pool."""
        pool = {"pool": self.pool} if self.pool else {}
        return {"members": self.members, "nonmembers": self.nonmembers, **pool}


class CatalogueData(BaseModel):
    """Records of a data set that umbrameter knows by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    knows_members: ClassVar[bool] = False

    kind: Literal["catalogue"] = Field("catalogue", description="A data set known by name; see `umbrameter datasets`.")
    name: str = Field(description="Its name, such as adult.")


class GeneratedData(BaseModel):
    """Records that are made up, as many as wanted: no person's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    knows_members: ClassVar[bool] = False

    kind: Literal["generated"] = Field("generated", description="Made-up records, like those of a known data set.")
    like: Literal["purchase", "texas"] = Field("purchase", description="Which: purchases, or hospital stays.")
    records: int = Field(ge=2, description="How many records.")
    features: int | None = Field(None, ge=1, description="How many bits; as of the data set if unset.")
    classes: int | None = Field(None, ge=2, description="How many classes; as of the data set if unset.")
    density: float | None = Field(None, gt=0, lt=1, description="The share of ones.")
    distinctness: float | None = Field(None, ge=0, le=1, description="How much classes differ: 0 not at all.")
    seed: int = Field(0, ge=0, lt=2**32, description="Of the records; that of the audit decides other things.")

    @property
    def name(self) -> str:
        """What the records are called in reports."""
        return f"{self.like}-like, generated"


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
