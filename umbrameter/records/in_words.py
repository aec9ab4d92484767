"""The user's table in words: the formats of its files, and its columns with their types.

Belongs here: what was found in the files. Does not belong here: what is wrong with it (`faults`).
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from umbrameter.records.metadata import SourceMetadata
from umbrameter.records.own import Categories, is_left_out
from umbrameter.records.reader import Records

SHOWN = 40
"""Columns and classes that are listed, at most."""


def columns_in_words(schema: pa.Schema, categories: Categories) -> dict[str, str]:
    """Return each column's type, and what it becomes, by name.

    Parameters
    ----------
    schema
        The features' columns as the source has them.
    categories
        The texts of the codes, by the column's name.

    Examples
    --------
    >>> columns_in_words(pa.schema([("plan", pa.string()), ("born", pa.date32())]), {"plan": ("basic", "plus")})
    {'plan': 'text, 2 categories', 'born': 'date32[day], as days'}
    """
    return {field.name: ", ".join(_kind(field, categories)) for field in schema}


def _kind(field: pa.Field, categories: Categories) -> Iterator[str]:
    is_category = field.name in categories
    yield "text" if is_category else str(field.type)
    if is_left_out(field):
        yield "left out"
    elif is_category:
        yield f"{len(categories[field.name])} categories"
    elif pa.types.is_temporal(field.type):
        yield "as days"


def found_in_words(records: Records) -> dict[str, str]:
    """Return the formats of the files and the columns' types, a line each, by what they are."""
    formats = SourceMetadata.read(records.artefact).formats
    columns = columns_in_words(records.schema, records.metadata.categories)
    return {"Files": "; ".join(": ".join(pair) for pair in formats.items()), "Columns": in_brackets(columns)}


def in_brackets(kinds: Mapping[str, str]) -> str:
    """Return names in a line, each with its kind in brackets."""
    return listed([f"{name} ({kind})" for name, kind in kinds.items()])


def listed(texts: Sequence[str]) -> str:
    """Return texts in a line, the first few of many."""
    return ", ".join(texts[:SHOWN]) + (f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")
