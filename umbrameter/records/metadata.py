"""Facts about records, as kept in the manifest of a `records` artefact."""

from typing import Any

from pydantic import ConfigDict, Field

from umbrameter.store.metadata import Metadata


class RecordsMetadata(Metadata):
    """Facts about records, real or drawn.

    Parameters
    ----------
    n_records, n_features
        The number of records, and of columns of the feature matrix.
    label_counts
        The number of records of each class.
    classes
        The data's values that the labels 0 .. n_classes - 1 stand for.
    feature_names
        The columns' names; those of a vector are `x[0]`, `x[1]`, ...
    precision
        The type of the features: float32 or float64.
    categorical
        Indices of the columns that hold category codes.
    categories
        The texts that the codes 0, 1, ... of each categorical column stand for, by the column's name.
    low, high
        The smallest and largest value of each column.
    integral
        Whether each column holds only whole numbers.
    binary
        Whether all columns but the categorical ones hold only 0 and 1.
    missing
        The number of missing values of each column that lacks some; they are NaN in the matrix.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)

    n_records: int
    n_features: int
    label_counts: tuple[int, ...]
    classes: tuple[Any, ...]
    feature_names: tuple[str, ...]
    precision: str
    categorical: tuple[int, ...]
    categories: dict[str, tuple[str, ...]]
    low: tuple[float, ...]
    high: tuple[float, ...]
    integral: tuple[bool, ...]
    binary: bool
    missing: dict[str, int] = Field(default_factory=dict)


class SourceMetadata(RecordsMetadata):
    """Facts about real records and their source.

    Parameters
    ----------
    warnings
        Oddities of the data that did not stop the audit, a sentence each.
    is_known
        Whether the source says which records are members.
    formats
        The format of the files, with the dialect of CSV, by the setting that names them.
    """

    warnings: tuple[str, ...]
    is_known: bool
    formats: dict[str, str] = Field(default_factory=dict)
