"""Which column of somebody's stored predictions has which role.

Belongs here: names of columns. Does not belong here: their values (`parquet`), but for the labels, which say which
column is whose class.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import pyarrow as pa

from umbrameter.predictions.checks import FaultError
from umbrameter.predictions.columns import is_list, is_number, is_numeric, may_be_fraction
from umbrameter.predictions.probabilities import class_index, listed, place_of
from umbrameter.records.parquet import is_text, value_type

Role: TypeAlias = Literal["prediction", "label", "is_member", "record_id", "model_id"]
"""What a column is for."""

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class SettingNames:
    """How errors name the settings of stored predictions.

    Parameters
    ----------
    columns
        Says that a `role` has the column `name`.
    scale, no_scale
        Say that the answers are on a `scale`, or no longer that they are.
    rounded
        Says that answers need not sum to 1.
    """

    columns: str
    scale: str
    no_scale: str
    rounded: str

    def column(self, role: str, name: str) -> str:
        """Return how to say that a role has a column."""
        return self.columns.format(role=role, name=name)


COMMAND = SettingNames(
    columns="--column {role}={name}",
    scale="add --answers {scale} (in a spec, answers: {scale})",
    no_scale="leave --answers {scale} out (in a spec, answers: {scale})",
    rounded="--rounded takes",
)
"""The settings of `umbrameter score`."""

SINGLE = ("prediction", "p", "probability", "proba", "score")
"""Names of a column with one number per record: the second of two classes' probability."""


def role_columns(columns: Sequence[str], given: Mapping[Role, str], is_shadow: bool) -> dict[Role, str]:
    """Return the column of each role but that of the answers, where there is one.

    Parameters
    ----------
    columns
        The columns that there are.
    given
        The user's columns by role; one that is not there leaves the role its usual name.
    is_shadow
        Whether these are shadow models' answers: then `is_in` tells IN from OUT, where there is such a column.
    """
    found: dict[Role, str] = {}
    for role in ROLES[1:]:
        usual = ("is_in", role) if is_shadow and role == "is_member" else (role,)
        named = next((name for name in (given.get(role), *usual) if name in columns), None)
        if named is not None:
            found[role] = named
    return found


@dataclass(frozen=True)
class AnswerColumns:
    """The columns that hold the answers.

    Parameters
    ----------
    columns
        One column of lists or numbers, or a column per class.
    classes
        The classes that the columns' names name, sorted; of one number per record that of the number last. None if the
        columns name none.
    is_single
        Whether there is one number per record.
    """

    columns: tuple[str, ...]
    classes: tuple[Any, ...] | None = None
    is_single: bool = False


def answer_columns(
    schema: pa.Schema, given: str | None, labels: Sequence[Any], settings: SettingNames = COMMAND
) -> AnswerColumns | str | None:
    """Return the columns of answers, or what is wrong with them, or None if there are none.

    A column per class is named by the class, `p_no` and `p_yes`, or by its number, `p_0`, `p_1`, ...

    Parameters
    ----------
    schema
        The columns that there are.
    given
        The user's column of answers, or a start of names with a star for the class, such as `proba_*`; or None.
    labels
        The distinct labels; numbers, booleans or text.
    settings
        How errors name the settings.
    """
    lists = [name for name in schema.names if name == (given or "prediction") and _may_be_lists(schema, name)]
    prefix = given.removesuffix("*") if given and given.endswith("*") else "p_"
    named = {} if given and not given.endswith("*") else _by_class(schema, prefix)
    numbered = {suffix: name for suffix, name in named.items() if re.fullmatch(r"-?\d+", suffix)}
    worded = {suffix: name for suffix, name in named.items() if suffix not in numbered}
    tried = [_of_classes(group, labels, prefix) for group in (numbered, worded, named) if group or not named]
    by_class = next((entry for entry in tried if isinstance(entry, AnswerColumns)), tried[0])
    if lists and isinstance(by_class, AnswerColumns) and is_list(value_type(schema.field(lists[0]).type)):
        return (
            f"has the answers twice, in {lists[0]} and in {', '.join(by_class.columns)}; drop one of the two, or say "
            f"which: {settings.column('prediction', lists[0])}"
        )
    if isinstance(by_class, AnswerColumns):
        return by_class
    if lists:
        return AnswerColumns((lists[0],))
    single = [n for n in ((given,) if given else SINGLE) if n in schema.names and is_numeric(_type(schema, n))]
    # A predicted class, as an integer, may stand beside its probability.
    single = [name for name in single if may_be_fraction(_type(schema, name))] or single
    if "prediction" in single or len(single) == 1:
        return AnswerColumns(("prediction" if "prediction" in single else single[0],), is_single=True)
    if single:
        which = settings.column("prediction", single[0])
        return f"has {' and '.join(single)}, and either may be the answer; say which: {which}"
    if named:
        return by_class
    if (name := given or "prediction") not in schema.names:
        return None
    return (
        f"has {name} of type {schema.field(name).type}; expected lists of numbers, or the probability of the second of "
        "two classes"
    )


def _by_class(schema: pa.Schema, prefix: str) -> dict[str, str]:
    """Return the columns of numbers by the class in their names."""
    return {n.removeprefix(prefix): n for n in schema.names if n.startswith(prefix) and is_numeric(_type(schema, n))}


def _of_classes(named: Mapping[str, str], labels: Sequence[Any], prefix: str) -> AnswerColumns | str:
    """Return columns named by the labels' classes, or numbered from 0 on; or what is wrong."""
    others = [label for label in labels if place_of(label, class_index(named)) is None]
    columns = [*named.values()]
    if len(named) == 1 and len(others) == 1 and len(labels) == 2:  # a column of one of two classes
        classes = [*_class_names(others, labels), *_class_names(named, labels)]
        return AnswerColumns((columns[0],), tuple(classes), is_single=True)
    if len(named) > 1 and labels and not others:
        classes = _class_names(named, labels)
        order = sorted(range(len(classes)), key=lambda i: classes[i])
        return AnswerColumns(tuple(columns[i] for i in order), tuple(classes[i] for i in order))
    numbers = [str(i) for i in range(len(named))]
    if len(named) > 1 and set(named) == set(numbers):
        return AnswerColumns(tuple(named[number] for number in numbers))
    return (
        f"has columns {', '.join(sorted(columns, key=lambda name: (len(name), name)))} and labels {listed(labels)}; "
        f"expected {prefix}0 to {prefix}{max(1, len(named) - 1)} without gaps, or columns that the labels name; rename "
        "the columns, or write the labels as the columns name them"
    )


def _class_names(names: Iterable[Any], labels: Sequence[Any]) -> list[Any]:
    """Return classes as the labels write them: integers where all are, else text."""
    written = {place: label for label in labels if (place := place_of(label, class_index(names))) is not None}
    texts = [name if isinstance(label := written.get(i, name), bool) else label for i, name in enumerate(names)]
    texts = [str(text).lower() if isinstance(text, bool) else str(text) for text in texts]
    are_integers = all(type(label) is int for label in labels) and all(map(is_number, texts))
    return [int(text) for text in texts] if are_integers else texts


def numbered_classes(labels: Sequence[Any], n_classes: int, is_single: bool) -> list[Any]:
    """Return the classes of confidences that no column names, in the order of the confidences.

    Labels 0 .. n_classes - 1 are the confidences' numbers. Others (text, fractions, integers without 0) are sorted, if
    there are as many as confidences.

    Raises
    ------
    FaultError
        When it is not clear which confidence is whose.
    """
    is_text, are_as_many = isinstance(labels[0], str), len(labels) == n_classes
    has_fractions = any(isinstance(label, float) and not label.is_integer() for label in labels)
    if is_single and len(labels) > 2:
        raise FaultError(
            "has one number per record, the probability of the second of two classes, and the labels "
            f"{listed(labels)}; store the confidences of all {len(labels)} classes"
        )
    is_unclear = is_text and all(map(is_number, labels)) and labels != sorted(labels, key=int)
    if is_unclear or ((is_text or has_fractions) and not are_as_many):
        raise FaultError(
            f"has the labels {listed(labels)}{' as text' if is_text else ''} and {n_classes} confidences per record, "
            f"and it is not clear whose is whose; store labels as integers 0 .. {n_classes - 1}, by the confidences' "
            "order, or a column for each class, named p_ and the class"
        )
    are_numbers = not (is_text or has_fractions) and labels[0] >= 0 and labels[-1] < n_classes
    are_sorted = are_as_many and not are_numbers and 0 not in labels
    return list(labels) if is_text or has_fractions or are_sorted else list(range(n_classes))


def _may_be_lists(schema: pa.Schema, name: str) -> bool:
    return is_list(_type(schema, name)) or is_text(_type(schema, name))


def _type(schema: pa.Schema, name: str) -> pa.DataType:
    return value_type(schema.field(name).type)
