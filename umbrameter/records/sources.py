"""The `data` section of a spec: where the records come from."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class TableData(BaseModel):
    """How the user's Parquet is read, wherever it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(description="The column with the class: integers, booleans or text.", examples=["churned"])
    id: str | None = Field(
        None, description="A column that identifies each record: unique, and not a feature.", examples=["customer"]
    )
    features: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="The columns to learn from; if unset, all but label, id, ignored and slices.",
        examples=[["age", "income"]],
    )
    ignore: tuple[str, ...] = Field((), description="Columns to leave out altogether.", examples=[["exported_at"]])
    slices: tuple[str, ...] = Field(
        (), description="Columns to break results down by; also features if listed there.", examples=[["region"]]
    )
    precision: Literal["float32", "float64"] = Field(
        "float32", description="The type that features are stored and trained on in; float32 is much faster."
    )
    duplicates: Literal["error", "drop", "keep"] = Field(
        "error", description="Equal records could be both member and non-member: stop, keep the first, or keep all."
    )
    note: str | None = Field(
        None,
        description="What readers of the report should know about the records; printed with the warnings.",
        examples=["customers of 2025 only"],
    )


class ParquetData(TableData):
    """Records from a Parquet file or a folder of them.

    Examples
    --------
    >>> ParquetData(path="people.parquet", label="income", id="person").duplicates
    'error'
    """

    kind: Literal["parquet"] = Field("parquet", description="A Parquet file or a (hive-partitioned) folder.")
    path: str = Field(min_length=1, description="A local path or a bucket's address.", examples=["customers.parquet"])
    membership: str | None = Field(
        None,
        min_length=1,
        description="A Parquet table that says which records are members of a target trained elsewhere, with a column "
        "named like `id` and a column `is_member`; records that are not in it are the pool.",
        examples=["members.parquet"],
    )

    @property
    def knows_members(self) -> bool:
        """Whether the data say which records are members."""
        return self.membership is not None

    @property
    def name(self) -> str:
        """The records' name in reports: that of their file or folder."""
        return _last(self.path)

    @property
    def paths(self) -> dict[str, str]:
        """The paths of the records, by setting."""
        return {"path": self.path}


class SidesData(TableData):
    """Members and non-members of a target trained elsewhere, in separate Parquet files or folders.

    Examples
    --------
    >>> SidesData(members="train.parquet", nonmembers="test.parquet", label="y").paths
    {'members': 'train.parquet', 'nonmembers': 'test.parquet'}
    """

    kind: Literal["sides"] = Field("sides", description="Members and non-members in separate Parquet files or folders.")
    members: str = Field(
        min_length=1, description="Records that the target was trained on.", examples=["train.parquet"]
    )
    nonmembers: str = Field(min_length=1, description="Records that it was not trained on.", examples=["test.parquet"])
    pool: str | None = Field(
        None, min_length=1, description="Other records, for training shadow models.", examples=["other.parquet"]
    )
    duplicates: Literal["error", "drop", "keep"] = Field(
        "drop",
        description="Equal records: keep the first (a member before a non-member), stop, or keep all.",
    )

    knows_members: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The records' name in reports: that of the members' file or folder."""
        return _last(self.members)

    @property
    def paths(self) -> dict[str, str]:
        """The paths of the records, by setting: members, non-members, pool."""
        pool = {"pool": self.pool} if self.pool else {}
        return {"members": self.members, "nonmembers": self.nonmembers, **pool}


class CatalogueData(BaseModel):
    """A data set that umbrameter knows by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    knows_members: ClassVar[bool] = False

    kind: Literal["catalogue"] = Field("catalogue", description="A data set known by name; see `umbrameter datasets`.")
    name: str = Field(description="The data set's name, such as adult.", examples=["adult"])


class GeneratedData(BaseModel):
    """Made-up records of no real person, in any number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    knows_members: ClassVar[bool] = False

    kind: Literal["generated"] = Field("generated", description="Made-up records, like those of a known data set.")
    like: Literal["purchase", "texas"] = Field(
        "purchase", description="What they are like: purchases, or hospital stays."
    )
    records: int = Field(ge=2, description="How many records.", examples=[100000])
    features: int | None = Field(
        None, ge=1, description="How many bits; those of the data set if unset.", examples=[600]
    )
    classes: int | None = Field(
        None, ge=2, description="How many classes; those of the data set if unset.", examples=[100]
    )
    density: float | None = Field(None, gt=0, lt=1, description="The share of ones.", examples=[0.1])
    distinctness: float | None = Field(
        None, ge=0, le=1, description="How much classes differ; 0 is not at all.", examples=[0.5]
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="Seed of the records; the audit's own seed does not change them.", examples=[1]
    )

    @property
    def name(self) -> str:
        """The records' name in reports."""
        return f"{self.like}-like, generated"


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
