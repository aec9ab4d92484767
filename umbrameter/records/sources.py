"""The `data` section of a spec: where the records come from."""

import codecs
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

NULLS = (
    *("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "#N/A N/A", "NaN", "nan", "-NaN", "-nan", "NaT"),
    *("NULL", "Null", "null", "None", "none"),
)
"""Texts that stand for a missing value in CSV: what pandas, R, databases and spreadsheets write."""


class CsvSettings(BaseModel):
    """How CSV files are read; what is not given is found from the files.

    Examples
    --------
    >>> CsvSettings(delimiter=";", types={"zip": "text", "since": "%d.%m.%Y"}).header is None
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Between values: one character.", examples=[";"]
    )
    header: bool | None = Field(
        None, description="Whether the first line names the columns; f0, f1, ... if it does not.", examples=[False]
    )
    quote: str = Field('"', min_length=1, max_length=1, description="Around texts.", examples=["'"])
    decimal: Literal[".", ","] | None = Field(None, description="Before a number's fraction.", examples=[","])
    encoding: str | None = Field(None, description="As Python names it, such as utf-8 or cp1252.", examples=["cp1252"])
    nulls: tuple[str, ...] = Field(NULLS, description="Texts that stand for a missing value.", examples=[["", "-"]])
    types: dict[str, str] = Field(
        default_factory=dict,
        description="Types of columns, by name: integer, number, boolean, date, datetime, text; or a format such as "
        "%d.%m.%Y.",
        examples=[{"zip": "text", "since": "%d.%m.%Y"}],
    )

    @field_validator("types")
    @classmethod
    def _known(cls, types: dict[str, str]) -> dict[str, str]:
        for name, kind in types.items():
            if kind not in CSV_TYPES and not kind.startswith("%"):
                raise ValueError(f"{name} has the type {kind!r}; expected one of {', '.join(CSV_TYPES)}, or a format")
        return types

    @field_validator("encoding")
    @classmethod
    def _encodable(cls, encoding: str | None) -> str | None:
        try:
            return encoding and codecs.lookup(encoding).name
        except LookupError:
            raise ValueError("there is no such encoding; expected a name that Python knows, such as utf-8") from None


CSV_TYPES = ("integer", "number", "boolean", "date", "datetime", "datetime with zone", "text")
"""The types that a column of a CSV file can be given."""


class Missing(BaseModel):
    """What stands in for missing values in the records that models are trained on here.

    A target trained elsewhere is asked about the records as the source has them, with their missing values.

    Examples
    --------
    >>> Missing(numbers="median").categories
    'own'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: Literal["keep", "median"] = Field(
        "keep",
        description="Leave them missing, for recipes that take them; or the column's median over all records, members "
        "and non-members alike, so that it tells nothing of which are which.",
    )
    categories: Literal["own"] = Field("own", description="A category of their own.", examples=["own"])
    label: Literal["error", "drop"] = Field("error", description="Records without a label: stop, or leave them out.")


class TableData(BaseModel):
    """How the user's table is read, wherever it lies."""

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
    missing: Missing = Field(
        default_factory=Missing, description="What stands in for missing values.", examples=[{"numbers": "median"}]
    )
    constant: Literal["leave_out", "keep"] | None = Field(
        None,
        description="Columns with the same value in every record: leave them out of what models learn from, or keep "
        "them; if unset, left out for kind table and kept for the others.",
        examples=["keep"],
    )
    smallest_class: int = Field(
        1, ge=1, description="Records of classes with fewer than this are left out.", examples=[20]
    )
    numeric_label: Literal["ask", "classes"] = Field(
        "ask",
        description="Whether a label's numbers are classes: `ask` stops where they look like measurements; `classes` "
        "takes each number as a class.",
    )
    bins: tuple[float, ...] = Field(
        (), description="Cuts a numeric label into classes at these values.", examples=[[10, 20]]
    )
    csv: CsvSettings = Field(
        default_factory=CsvSettings,
        description="How CSV files are read, where it is not found.",
        examples=[{"delimiter": ";", "decimal": ","}],
    )
    note: str | None = Field(
        None,
        description="What readers of the report should know about the records; printed with the warnings.",
        examples=["customers of 2025 only"],
    )

    @field_validator("bins")
    @classmethod
    def _ascending(cls, bins: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(bins)):
            raise ValueError("expected ascending numbers, such as [10, 20]")
        return bins

    @property
    def leaves_out_constant(self) -> bool:
        """Whether columns with the same value in every record are left out of what models learn from."""
        return self.constant == "leave_out"


class ParquetData(TableData):
    """Records from a file of Parquet, CSV or Feather, or a folder of them.

    Examples
    --------
    >>> ParquetData(path="people.parquet", label="income", id="person").duplicates
    'error'
    """

    kind: Literal["table", "parquet"] = Field(
        "parquet",
        description="A file of Parquet, CSV or Feather, or a (hive-partitioned) folder; parquet keeps constant ones.",
    )
    path: str = Field(min_length=1, description="A local path or a bucket's address.", examples=["customers.csv"])
    membership: str | None = Field(
        None,
        min_length=1,
        description="A table that says which records are members of a target trained elsewhere, with a column "
        "named like `id` and a column `is_member`; records that are not in it are the pool.",
        examples=["members.parquet"],
    )

    @property
    def leaves_out_constant(self) -> bool:
        """Whether columns with the same value in every record are left out of what models learn from."""
        return (self.constant or ("leave_out" if self.kind == "table" else "keep")) == "leave_out"

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
    """Members and non-members of a target trained elsewhere, in separate files or folders.

    Examples
    --------
    >>> SidesData(members="train.parquet", nonmembers="test.parquet", label="y").paths
    {'members': 'train.parquet', 'nonmembers': 'test.parquet'}
    """

    kind: Literal["sides"] = Field("sides", description="Members and non-members in separate files or folders.")
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
