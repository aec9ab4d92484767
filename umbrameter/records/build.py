"""Build a `records` artefact from the user's Parquet, in streaming passes.

Belongs here: checks of a source as a whole, and writing the artefact. Does not belong here: checks of single values
(`encoding`), or how records are read back (`reader`).
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError
from umbrameter.records.columns import columns_of
from umbrameter.records.encoding import EXACT_DOUBLE, Census, Intake
from umbrameter.records.faults import faults_of, infinite_faults
from umbrameter.records.lists import with_vectors
from umbrameter.records.membership import Membership
from umbrameter.records.metadata import SourceMetadata
from umbrameter.records.oddities import oddities_of, overlaps
from umbrameter.records.own import CONSTANT, unfit_fields
from umbrameter.records.parquet import Source, decoded, is_text, joined, list_files, open_source, refuse, value_type
from umbrameter.records.reader import FEATURES, OWN, OWN_COLUMNS, PRINTS, ROW_GROUP
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.store.arrow import byte_column, vector_column
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store, sha256
from umbrameter.store.metadata import Cost
from umbrameter.typing import Array, Bools, Ints

AnyData = ParquetData | SidesData
"""A source of records in Parquet."""


def records_recipe(source: AnyData, membership: Membership | None = None) -> Recipe:
    """Return the recipe of the records: the settings and the files' content, wherever the files lie.

    Parameters
    ----------
    source
        The source to read.
    membership
        The table that says which records are members, if there is one.

    Raises
    ------
    DataError
        When a path does not exist or holds no Parquet.
    """
    files = {name: _digests(path, name) for name, path in source.paths.items()}
    facts: dict[str, Any] = {
        "source": source.model_dump(mode="json", exclude={*source.paths, "membership"}),
        "files": files,
    }
    if membership is not None:
        facts |= {"membership": _digests(membership.path, membership.setting), "id": membership.id}
        facts |= {} if membership.member == "is_member" else {"member": membership.member}
    return Recipe("records", facts)


def _digests(path: str, setting: str) -> dict[str, str]:
    return {below: sha256(fs, place) for fs, place, below in list_files(path, f"data.{setting}")}


def build(source: AnyData, store: Store, membership: Membership | None = None) -> Artefact:
    """Write a source as a `records` artefact in streaming passes, or return the artefact that was written before.

    Parameters
    ----------
    source
        The source to read.
    store
        The store that the artefact goes to.
    membership
        The table that says which records are members, if there is one.

    Raises
    ------
    DataError
        When the source fails a check, such as for missing values, repeated ids or an unusable column.
    """
    recipe = records_recipe(source, membership)
    existing = store.find(recipe)
    if existing is not None:
        return existing
    cpu = time.thread_time()
    look = look_at(source, membership)
    refuse(look.faults)
    return write_records(look, store, recipe, cpu)


def write_records(look: "Look", store: Store, recipe: Recipe, cpu: float) -> Artefact:
    """Write what was looked at as an artefact.

    Parameters
    ----------
    look
        The source, and which of its rows and features to leave out.
    store, recipe
        Where to write it.
    cpu
        CPU time of this thread before the look, in seconds.
    """
    with store.write(recipe) as draft:
        label_counts = _write(look, draft)
        if look.known is not None:
            kept = {name: column[~look.dropped] for name, column in look.known.items()}
            draft.table("parts.parquet", pa.table(kept))
        _metadata(look, label_counts).write(draft)
        Cost(cpu_seconds=time.thread_time() - cpu).write(draft)
    return store.open(recipe.path)


@dataclass(frozen=True)
class Look:
    """What two passes over a source say: its columns' roles, what is wrong, and what to read of it.

    Parameters
    ----------
    intake, census
        The source with its columns' roles, and facts about its values.
    faults
        What is wrong, a sentence each; with any, nothing else here is of use.
    warnings
        Oddities that do not stop an audit, a sentence each.
    dropped
        Which rows to leave out, shape (n_rows,).
    left_out
        Which features to leave out of the matrix, since they have one value or none, shape (n_features,).
    known
        Each row's part and place in the membership table, as far as known; see `Membership.look_up`.
    formats
        See `SourceMetadata`.
    """

    intake: Intake
    census: Census
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    dropped: Bools
    left_out: Bools
    known: dict[str, Array] | None
    formats: dict[str, str]

    @property
    def schema(self) -> pa.Schema:
        """The features as the source has them, with the value of those that the matrix leaves out."""
        schema = self.intake.schema
        for i in np.flatnonzero(self.left_out).tolist():
            low, high = self.census.low[i], self.census.high[i]
            value = "nan" if low > high else repr(float(low))
            schema = schema.set(i, schema.field(i).with_metadata((schema.field(i).metadata or {}) | {CONSTANT: value}))
        return schema


def look_at(source: AnyData, membership: Membership | None = None) -> Look:
    """Read a source and return everything that is wrong with it at once, instead of raising the first of it.

    Parameters
    ----------
    source
        The source to read.
    membership
        The table that says which records are members, if there is one.

    Raises
    ------
    DataError
        When the source cannot be read at all, or lacks the columns that the spec names.
    """
    opened = {name: open_source(path, f"data.{name}", source.csv) for name, path in source.paths.items()}
    intake, faults = _intake(source, opened)
    faults += faults_of(intake.survey, intake.columns, source)
    if source.id is not None:
        faults += _repeated_ids(intake, source.id)
    known = None
    try:
        known = _parts(source, opened, intake, membership)
    except DataError as error:  # about the table of members, which says no more of the data
        faults.append(str(error))
    census = Census(intake)
    faults += infinite_faults(census.infinite, source.precision)
    dropped, warnings = _without_repeats(source, census, known, faults)
    left_out = _left_out(source, census)
    if left_out.all():
        faults.append("data.features: no column is left as a feature; each has the same value in every record, or none")
    warnings = ([source.note] if source.note else []) + oddities_of(census, left_out) + warnings
    formats = {name: part.describe() for name, part in opened.items()}
    return Look(intake, census, tuple(faults), tuple(warnings), dropped, left_out, known, formats)


def _intake(source: AnyData, opened: Mapping[str, Source]) -> tuple[Intake, list[str]]:
    """Return the source with its columns' roles, and what is wrong with them; several parts become one, in order."""
    whole = joined([file for part in opened.values() for file in part.files])
    columns = columns_of(
        whole.schema, source.label, source.id, source.features, source.ignore, source.slices, whole.index
    )
    faults = [*columns.faults, *whole.faults(columns.used), *_type_faults(whole.schema, columns.id, columns.slices)]
    refuse([] if set(faults) == set(columns.faults) else faults)
    is_one_array = columns.vector is not None and pa.types.is_fixed_size_list(whole.schema.field(columns.vector).type)
    if not columns.lists or is_one_array:
        return Intake(whole, columns, source), faults
    vectors, more = with_vectors(whole, columns.lists, columns.vector is not None)
    refuse([*faults, *more] if more else [])
    features = tuple(name for feature in columns.features for name in vectors.names(feature))
    split = columns if columns.vector is not None else replace(columns, features=features, lists=())
    return Intake(vectors, split, source), faults


def _parts(
    source: AnyData, opened: Mapping[str, Source], intake: Intake, membership: Membership | None
) -> dict[str, Array] | None:
    """Return each row's part (0 member, 1 non-member, 2 pool) and row in the membership table, as far as known."""
    if isinstance(source, SidesData):
        return {"part": np.repeat(np.arange(len(opened), dtype=np.int8), [part.n_rows for part in opened.values()])}
    return None if membership is None else membership.look_up(_ids(intake))


def _without_repeats(
    source: AnyData, census: Census, known: Mapping[str, Array] | None, faults: list[str]
) -> tuple[Bools, list[str]]:
    """Return which rows to drop, and warnings about them; add to the faults if there may be no repeats."""
    survey, unlabelled = census.intake.survey, census.labels < 0
    rare = {value: n for value, n in survey.labels.items() if n < source.smallest_class}
    n_missing = survey.missing.get(source.label, (0, 0))[1]
    warnings = []
    if n_missing and source.missing.label == "drop":
        warnings.append(f"{n_missing} of {census.n_rows} records have no label; these were left out")
    if rare:
        listed = ", ".join(f"{value!r} ({n})" for value, n in sorted(rare.items(), key=lambda pair: str(pair[0])))
        warnings.append(f"classes with fewer than {source.smallest_class} records were left out: {listed}")
    if unlabelled.all():  # the labels are no classes, which is a fault of its own
        return unlabelled, warnings
    repeats, first = census.repeated(None if known is None else known["part"])
    repeats &= ~unlabelled
    if not repeats.any():
        return unlabelled, warnings
    row = int(repeats.argmax())
    text = f"{int(repeats.sum())} of {census.n_rows} records repeat another in features and label"
    if source.duplicates == "error":
        faults.append(
            f"{text}, first row {row} (equal to row {first[row]}): a record could be both member and "
            "non-member; set data.duplicates to drop (keeps the first) or keep"
        )
    warnings.append(f"{text}; {'these were left out' if source.duplicates == 'drop' else 'these were kept'}")
    warnings += [] if known is None else overlaps(first, known["part"])
    return unlabelled | (repeats & (source.duplicates == "drop")), warnings


def _left_out(source: AnyData, census: Census) -> Bools:
    """Return which features have no value at all, or the same in every record if these are to be left out."""
    if census.intake.columns.vector is not None:
        return np.zeros(len(census.low), dtype=bool)
    is_empty = census.is_empty
    # Nothing is left out whose one value no float64 has: it could not be given back.
    is_exact = census.fits | ~census.integral | (np.abs(census.low) < EXACT_DOUBLE)
    is_exact &= [not pa.types.is_decimal(field.type) for field in census.intake.schema]
    has_one = census.is_constant & is_exact if source.leaves_out_constant else False
    return np.asarray(is_empty | has_one)


def _type_faults(schema: pa.Schema, ident: str | None, slices: Sequence[str]) -> list[str]:
    """Return which ids and slices are not plain values, and which slices have a name of the artefact's own columns."""
    faults = []
    for setting, name in [*([("id", ident)] if ident else []), *(("slices", name) for name in slices)]:
        kind = schema.field(name).type
        if not _is_plain(kind):
            faults.append(f"data.{setting}={name!r} is of type {kind}; expected numbers, text, dates or booleans")
    for name in slices:
        if name in OWN_COLUMNS:
            faults.append(f"data.slices={name!r} has a name that umbrameter uses itself; rename the column")
    return faults


def _is_plain(kind: pa.DataType) -> bool:
    kind = value_type(kind)
    return bool(is_text(kind) or pa.types.is_primitive(kind) or pa.types.is_decimal(kind))


def _ids(intake: Intake) -> pa.ChunkedArray:
    name = str(intake.columns.id)
    ids_only = replace(intake, columns=replace(intake.columns, features=(), categories=(), lists=(), slices=()))
    return pa.chunked_array([decoded(batch[name]) for _, batch in ids_only.batches()])


def _repeated_ids(intake: Intake, name: str) -> list[str]:
    ids = _ids(intake)
    if name in intake.survey.missing or pc.count_distinct(ids).as_py() == len(ids):
        return []
    # Slow, but only a source with repeated ids gets here.
    seen: dict[Any, int] = {}
    for row, value in enumerate(ids.to_pylist()):
        if seen.setdefault(value, row) != row:
            return [
                f"data.id={name!r} is not unique: row {row} repeats {value!r} of row {seen[value]}; remove repeated "
                "records, or name another column"
            ]
    return []


def _write(look: Look, draft: Draft) -> Ints:
    """Write the records, one row group at a time; return the number of records per class.

    `records.parquet` has record_id, label, the matrix x and the slices, and `own.parquet` those of the features that x
    rounds, as the source has them.
    """
    intake, census, dropped, inside = look.intake, look.census, look.dropped, ~look.left_out
    # Bits, pixels and small counts take one byte each instead of four or eight.
    is_bytewide = census.integral & (census.low >= 0) & (census.high <= 255)
    bytewide = bool(is_bytewide[inside].all() and not _missing(look))
    precision, n_features = pa.from_numpy_dtype(np.dtype(intake.precision)), int(inside.sum())
    x = pa.binary(n_features) if bytewide else pa.list_(precision, n_features)
    slices = intake.columns.slices
    fields = [("record_id", pa.int64()), ("label", pa.int32()), ("x", x), *((name, pa.string()) for name in slices)]
    schema, counts = pa.schema(fields), np.zeros(len(intake.codes.classes), dtype=np.int64)
    own = unfit_fields(look.schema, census.fits[inside])
    with ExitStack() as stack:
        writer = stack.enter_context(draft.writer("records.parquet", schema))
        own_writer = stack.enter_context(draft.writer(OWN, own)) if own.names else None
        for start, batch in intake.batches():
            keep = ~dropped[start : start + batch.num_rows]
            X, _, y = intake.encode(batch, start)
            ids = np.arange(keep.sum()) + counts.sum()  # consecutive, without gaps for dropped rows
            kept = batch.filter(pa.array(keep))
            slice_columns = [kept[name].cast(pa.string()) for name in slices]
            features = (byte_column if bytewide else vector_column)(X[keep][:, inside])
            columns = [pa.array(ids), pa.array(y[keep]), features, *slice_columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema), row_group_size=ROW_GROUP)
            if own_writer is not None:
                unfit = pa.RecordBatch.from_arrays([kept[name] for name in own.names], schema=own)
                own_writer.write_batch(unfit, row_group_size=ROW_GROUP)
            counts += np.bincount(y[keep], minlength=len(counts))
    draft.data(FEATURES, look.schema.serialize().to_pybytes())
    prints = byte_column(census.fingerprints[~dropped].view(np.uint8))
    draft.table(PRINTS, pa.table({"fingerprint": prints}), row_group_size=ROW_GROUP)
    return counts


def _missing(look: Look) -> dict[str, int]:
    """Return how many values are missing in the matrix, by column; none in columns that are complete."""
    out = {name for name, is_out in zip(look.intake.feature_names, look.left_out, strict=True) if is_out}
    return {n: count for n, count in look.intake.lacking.items() if n not in look.intake.fills and n not in out}


def _metadata(look: Look, label_counts: Ints) -> SourceMetadata:
    intake, census, inside = look.intake, look.census, np.flatnonzero(~look.left_out)
    codes, names = intake.codes, [intake.feature_names[i] for i in inside]
    categorical = [i for i, name in enumerate(names) if name in intake.columns.categories]
    others = np.delete(inside, categorical)
    return SourceMetadata(
        n_records=int(label_counts.sum()),
        n_features=len(names),
        label_counts=tuple(label_counts.tolist()),
        classes=codes.classes,
        feature_names=tuple(names),
        precision=intake.precision,
        categorical=tuple(categorical),
        categories=dict(codes.categories),
        low=tuple(census.low[inside].tolist()),
        high=tuple(census.high[inside].tolist()),
        integral=tuple(census.integral[inside].tolist()),
        binary=bool((census.integral & (census.low >= 0) & (census.high <= 1))[others].all()),
        missing=_missing(look),
        warnings=look.warnings,
        is_known=look.known is not None,
        formats=look.formats,
    )
