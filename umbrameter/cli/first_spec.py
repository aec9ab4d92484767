"""The spec that `umbrameter init` writes for a table: commented, of sensible sizes, and tried on the table.

Belongs here: what to choose for a table, and why, in comments. Does not belong here: how tables are read (`records`).
"""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from umbrameter.cli.preview import preview
from umbrameter.errors import DataError, PlanError
from umbrameter.records.build import Look, look_at
from umbrameter.records.faults import MANY_CLASSES, label_faults, quartiles
from umbrameter.records.parquet import open_source, refuse
from umbrameter.records.sources import ParquetData
from umbrameter.spec.audit import AuditSpec
from umbrameter.store.artefacts import Store

MOST_AUDITED = 5000
"""Members, and non-members, of the spec at most: more make a first audit slow, and its intervals hardly narrower."""

FEWEST = 100
"""Records below which there is nothing to audit."""

N_SHADOWS = 16
"""Shadow models of the spec."""

MEASURED = "the label looks like a measurement: cut into classes; if each number is a class, numeric_label: classes"
"""Why a label is cut into bins."""

ID_NAMES = r"(?i)(.*[_ ])?(id|uuid|guid|index|key|nr|no|number)|Unnamed: \d+"
"""Names of columns that are identifiers if each record has its own value."""


@dataclass(frozen=True)
class _Choice:
    """What a spec says about a table.

    Parameters
    ----------
    ignored
        Why each column is left out.
    settings
        The other settings of the data that differ from the defaults, each with its reason.
    n_records
        Records that are left.
    """

    ignored: dict[str, str]
    settings: dict[str, tuple[object, str]]
    n_records: int


def first_spec(path: str, label: str) -> str:
    """Return a commented spec for a table, as YAML, that an audit runs as it is.

    Parameters
    ----------
    path
        A table, or a folder of tables.
    label
        The column with the class.

    Raises
    ------
    DataError
        When the table cannot be audited, such as for lack of records; the text has all causes.
    """
    choice = _chosen(path, label)
    smallest, text = 1, _yaml(path, label, choice)
    # Classes too small for the split are left out; how large they must be depends on how records are dealt.
    while smallest <= choice.n_records:
        try:
            _try(text)
        except (DataError, PlanError) as error:
            if "too few for this split" not in str(error):
                if smallest == 1:
                    raise
                break
            smallest = max(smallest + 1, smallest * 3 // 2)
            reason = "classes with fewer records have none among the members or the non-members"
            text = _yaml(
                path, label, replace(choice, settings={**choice.settings, "smallest_class": (smallest, reason)})
            )
        else:
            return text
    raise DataError(f"FILE={path!r}: no two classes of {label!r} have enough records; give more, or fewer classes")


def _try(text: str) -> None:
    """Raise what an audit by this spec would raise before it trains anything."""
    spec = AuditSpec.from_yaml(text)
    assert isinstance(spec.data, ParquetData)
    with tempfile.TemporaryDirectory(prefix="umbrameter-") as root:
        preview(spec, spec.data, Store(root), is_timed=False)


def _chosen(path: str, label: str) -> _Choice:
    """Look at a table and choose; a second look, without what is to be ignored, must find nothing wrong."""
    schema = open_source(path, "FILE").schema
    if label not in schema.names:
        raise DataError(f"--label={label!r} is not a column; the columns are {', '.join(schema.names)}")
    unusable = {field.name: f"of type {field.type}" for field in schema if _is_unusable(field.type)}
    unusable.pop(label, None)
    first = look_at(ParquetData(kind="table", path=path, label=label, duplicates="keep", ignore=tuple(unusable)))
    ignored = unusable | _identifiers(first)
    settings = _settings(first)
    asked = ParquetData.model_validate(
        {"kind": "table", "path": path, "label": label, "ignore": [*ignored], "duplicates": "drop"}
        | {name: value for name, (value, _) in settings.items()}
    )
    second = look_at(asked)
    refuse(second.faults)
    repeats = next((text for text in second.warnings if "repeat another" in text), None)
    if repeats is not None:
        settings["duplicates"] = ("drop", repeats.partition(";")[0])
    n_records = int((~second.dropped).sum())
    if n_records < FEWEST:
        raise DataError(f"FILE={path!r} has {n_records} different records; an audit needs {FEWEST} or more")
    return _Choice(ignored, settings, n_records)


def _is_unusable(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    inner = kind.value_type if is_list else kind
    return bool(pa.types.is_binary(inner) or pa.types.is_large_binary(inner) or pa.types.is_nested(inner))


def _identifiers(look: Look) -> dict[str, str]:
    """Return the columns in which each record, or nearly each, has its own value, and say so."""
    survey, census, found = look.intake.survey, look.census, {}
    for name, values in survey.texts.items():
        if len(values) > max(MANY_CLASSES, survey.n_rows / 2):
            found[name] = f"text with {len(values):,} different values in {survey.n_rows:,} records: an identifier?"
    for i, field in enumerate(look.intake.schema):
        has_all = census.high[i] - census.low[i] == survey.n_rows - 1 and survey.n_rows > 2
        if pa.types.is_integer(field.type) and has_all and (re.fullmatch(ID_NAMES, field.name) or _counts(look, i)):
            found[field.name] = "numbers the records"
    return found


def _counts(look: Look, place: int) -> bool:
    """Return whether a column of integers has each number between its smallest and its largest once, in order."""
    name, parts = look.intake.schema.field(place).name, []
    for batch in look.intake.source.batches([name], 2**20):
        parts.append(batch[name].drop_null().to_numpy(zero_copy_only=False))
    steps = np.diff(np.concatenate(parts))
    return bool((steps == 1).all())


def _settings(look: Look) -> dict[str, tuple[object, str]]:
    """Return the settings that the table needs, each with its reason."""
    survey, intake = look.intake.survey, look.intake
    settings: dict[str, tuple[object, str]] = {}
    if intake.columns.label in survey.missing:
        n = survey.missing[intake.columns.label][1]
        settings["missing"] = ({"label": "drop"}, f"{n} records have no label")
    if any("regression" in fault for fault in label_faults(survey, intake.settings)):
        settings["bins"] = (quartiles(survey.labels), MEASURED)
    return settings


def _yaml(path: str, label: str, choice: _Choice) -> str:
    return "\n".join(_lines(path, label, choice)) + "\n"


def _lines(path: str, label: str, choice: _Choice) -> Iterator[str]:
    """Yield the spec's lines."""
    source = open_source(path, "FILE")
    n = min(MOST_AUDITED, choice.n_records // 4)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.rstrip("/").rpartition("/")[2].partition(".")[0])[:60]
    yield f"# Written by umbrameter init for {path}; run it: umbrameter audit SPEC"
    yield f"name: {name.strip('-_.') or 'table'}"
    yield "data:"
    yield "  kind: table"
    yield f"  path: {json.dumps(path)}  # {source.describe()}; {source.n_rows:,} records"
    yield f"  label: {json.dumps(label)}"
    types = "; ".join(f"{field.name} {field.type}" for field in source.schema if field.name != label)
    yield f"  # columns: {types if len(types) < 900 else types[:900] + ' ...'}"
    if choice.ignored:
        yield "  ignore:"
        for column, reason in choice.ignored.items():
            yield f"    - {json.dumps(column)}  # {reason}"
    for setting, (value, reason) in choice.settings.items():
        yield f"  {setting}: {json.dumps(value)}  # {reason}"
    yield "  # missing: {numbers: median}  # for recipes that do not take missing numbers; the one below does"
    yield f"split: {{members: {n}, nonmembers: {n}}}  # of {choice.n_records:,}; the others are for shadow models"
    yield "target:"
    yield "  kind: train  # trained by the audit; see docs/targets.md for a model of your own"
    yield "  estimator: {kind: random_forest}  # your model's kind and params"
    yield f"shadows: {{count: {N_SHADOWS}}}  # more make figures surer, and take longer"
    yield "attacks:"
    yield "  - {kind: loss}"
    yield "  - {kind: shokri, model: {kind: logistic_regression}}"
    yield "  - {kind: lira, mode: offline}"
    yield "# limits: [{metric: auc, limit: 0.6, source: our own rule}]  # exit code 2 if an attack exceeds it"
