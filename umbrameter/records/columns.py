"""The roles of a source's columns: label, id, features and slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from umbrameter.records.parquet import is_text, refuse, value_type


@dataclass(frozen=True)
class Columns:
    """The role of each column of a source.

    Parameters
    ----------
    label
        The column with the class.
    id
        The column that identifies records, if there is one.
    features
        The columns to learn from, in the order of the matrix: the spec's, or else the source's.
    categories
        Those of the features that are text.
    lists
        Those of the features that are lists of numbers.
    slices
        Columns that results are broken down by.
    faults
        What is wrong with the types of columns, a sentence each; such columns have no role.
    """

    label: str
    id: str | None
    features: tuple[str, ...]
    categories: tuple[str, ...]
    lists: tuple[str, ...]
    slices: tuple[str, ...]
    faults: tuple[str, ...] = ()

    @property
    def vector(self) -> str | None:
        """The column of lists that holds all features, if there is one."""
        return self.lists[0] if len(self.lists) == 1 == len(self.features) else None

    @property
    def used(self) -> list[str]:
        """The names of all columns to read, each once."""
        ident = [] if self.id is None else [self.id]
        return list(dict.fromkeys([self.label, *ident, *self.features, *self.slices]))


def columns_of(
    schema: pa.Schema,
    label: str,
    ident: str | None,
    features: Sequence[str] | None,
    ignore: Sequence[str],
    slices: Sequence[str],
    index: Sequence[str] = (),
) -> Columns:
    """Return each column's role, by name and type.

    Parameters
    ----------
    schema
        The source's columns.
    label, ident
        The columns with the class and with the id; None for records without ids.
    features
        The columns to learn from; if None, all that are not label, id, ignored or slices.
    ignore, slices
        Columns to leave out, and columns to break results down by.
    index
        Columns that number the rows of a data frame; no features, unless `features` lists them.

    Raises
    ------
    DataError
        When a named column is missing, the label has an unusable type, or no feature is left; the text has all causes.
    """
    named = {"label": [label], "id": [ident] if ident else [], "features": features or (), "ignore": ignore}
    faults = [
        f"data.{setting}={name!r} is not a column{_meant(name, schema.names)}; the columns are "
        f"{', '.join(schema.names)}"
        for setting, names in (named | {"slices": slices}).items()
        for name in names
        if name not in schema.names
    ]
    left_out = {label, ident, *ignore, *index} | (set(slices) - set(features or ()))
    chosen = list(features) if features is not None else [n for n in schema.names if n not in left_out]
    if label in chosen:
        faults.append(f"data.features lists the label {label!r}; a model that sees the label cannot be audited")
    if not chosen:
        faults.append("data.features: no column is left as a feature; all are label, id, ignored or slices")
    if label in schema.names and not _is_label(schema.field(label).type):
        faults.append(f"data.label={label!r} holds {schema.field(label).type}; expected integers, booleans or text")
    types = {name: schema.field(name).type for name in chosen if name in schema.names}
    unusable = [f"{name} ({kind})" for name, kind in types.items() if not (_is_scalar(kind) or _is_list(kind))]
    if unusable:
        faults.append(
            f"column {', '.join(unusable)}: not a number, boolean, date, time, text, category or list of numbers; "
            "convert it, or list it under data.ignore"
        )
    if len(faults) > bool(unusable) or len(unusable) == len(types):  # else the other columns can be looked at
        refuse(faults)
    usable = {name: kind for name, kind in types.items() if _is_scalar(kind) or _is_list(kind)}
    categories = tuple(name for name, kind in usable.items() if is_text(kind))
    lists = tuple(name for name, kind in usable.items() if _is_list(kind))
    return Columns(label, ident, tuple(usable), categories, lists, tuple(slices), tuple(faults))


def _meant(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _is_label(kind: pa.DataType) -> bool:
    plain = value_type(kind)
    # Floats pass, since whole numbers are often stored so; `encoding` refuses others.
    is_numeric = pa.types.is_boolean(plain) or pa.types.is_integer(plain) or pa.types.is_floating(plain)
    return is_numeric or is_text(plain)


def _is_scalar(kind: pa.DataType) -> bool:
    is_named = pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_null(kind)
    return is_named or _is_number(kind) or is_text(kind)


def _is_list(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and _is_number(kind.value_type)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
