"""The roles of a source's columns: label, id, features and slices."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from umbrameter.errors import DataError, one_of
from umbrameter.records.parquet import is_text, value_type


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
    vector
        The fixed-size list column that holds all features, if there is one; it is then the only one of `features`.
    width
        The length of the vector; 0 without one.
    slices
        Columns that results are broken down by.
    """

    label: str
    id: str | None
    features: tuple[str, ...]
    categories: tuple[str, ...]
    vector: str | None
    width: int
    slices: tuple[str, ...]

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
        When a named column is missing, or a feature has an unusable type.
    """
    named = {"label": [label], "id": [ident] if ident else [], "features": features or (), "ignore": ignore}
    for setting, names in (named | {"slices": slices}).items():
        for name in names:
            if name not in schema.names:
                choice = one_of(name, schema.names, "the columns are")
                raise DataError(f"data.{setting}={name!r} is not a column; {choice}")
    left_out = {label, ident, *ignore, *index} | (set(slices) - set(features or ()))
    chosen = list(features) if features is not None else [n for n in schema.names if n not in left_out]
    if label in chosen:
        raise DataError(f"data.features lists the label {label!r}; a model that sees the label cannot be audited")
    kind = schema.field(label).type
    plain = value_type(kind)
    # Floats pass, since whole numbers are often stored so; `encoding` refuses others.
    is_numeric = pa.types.is_boolean(plain) or pa.types.is_integer(plain) or pa.types.is_floating(plain)
    if not (is_numeric or is_text(plain)):
        raise DataError(f"data.label={label!r} holds {kind}; expected integers, booleans or text")
    return _by_type(schema, label, ident, chosen, tuple(slices))


def _by_type(schema: pa.Schema, label: str, ident: str | None, chosen: list[str], slices: tuple[str, ...]) -> Columns:
    types = {name: schema.field(name).type for name in chosen}
    numbers = [n for n, t in types.items() if pa.types.is_boolean(t) or _is_number(t)]
    categories = tuple(n for n, t in types.items() if is_text(t))
    vectors = [n for n, t in types.items() if pa.types.is_fixed_size_list(t) and _is_number(t.value_type)]
    unusable = [f"{n} ({types[n]})" for n in chosen if n not in {*numbers, *categories, *vectors}]
    if unusable:
        raise DataError(
            f"column {', '.join(unusable)}: not a number, boolean, text, category or fixed-size list of numbers; "
            "convert it, or list it under data.ignore"
        )
    if len(vectors) > 1 or (vectors and len(chosen) > 1):
        raise DataError(
            f"columns {', '.join(chosen)}: a fixed-size list column must be the only feature; put all features into "
            "it, or choose it with data.features"
        )
    if not chosen:
        raise DataError("data.features: no column is left as a feature; all are label, id, ignored or slices")
    width = types[vectors[0]].list_size if vectors else 0
    return Columns(label, ident, tuple(types), categories, vectors[0] if vectors else None, width, slices)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
