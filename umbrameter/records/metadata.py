"""What the manifest of a `records` artefact says of its records."""

from typing import Any

from pydantic import ConfigDict

from umbrameter.store.metadata import Metadata


class RecordsMetadata(Metadata):
    """Facts about records, real or drawn.

    Parameters
    ----------
    n_records, n_features
        Their number, and the columns of the feature matrix.
    label_counts
        Records of each class.
    classes
        What the labels 0 .. n_classes - 1 stand for.
    feature_names
        Of the columns; those of a vector are `x[0]`, `x[1]`, ...
    precision
        What features are given as: float32 or float64.
    categorical
        Columns that hold codes of categories.
    categories
        What the codes 0, 1, ... of a categorical column stand for, by the column's name.
    low, high
        The least and the largest value of each column.
    integral
        Whether a column has whole numbers alone.
    binary
        Whether all columns but the categorical ones hold only 0 and 1.
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


class SourceMetadata(RecordsMetadata):
    """Facts about real records, and what their source is like.

    Parameters
    ----------
    warnings
        What is odd about the data but did not stop the audit.
    is_known
        Whether the source says which records are members.
    """

    warnings: tuple[str, ...]
    is_known: bool
