"""Build a `records` artefact from the user's Parquet, in streaming passes.

Belongs here: checks of a source as a whole, and writing the artefact. Does not belong here: checks of single values
(`encoding`), or how records are read back (`reader`).
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import DataError
from umbrameter.records.columns import columns_of
from umbrameter.records.encoding import EXACT, Census, Intake
from umbrameter.records.membership import Membership
from umbrameter.records.metadata import SourceMetadata
from umbrameter.records.own import unfit_fields
from umbrameter.records.parquet import Source, decoded, is_text, open_source, value_type
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
    return Recipe("records", facts)


def _digests(path: str, setting: str) -> dict[str, str]:
    return {file.below: sha256(file.fs, file.path) for file in open_source(path, f"data.{setting}").files}


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
    opened = {name: open_source(path, f"data.{name}") for name, path in source.paths.items()}
    intake = _intake(source, opened)
    known = _parts(source, opened, intake, membership)
    census, dropped, warnings = _check(source, intake, known)
    with store.write(recipe) as draft:
        label_counts = _write(intake, census, dropped, draft)
        if known is not None:
            kept = {name: column[~dropped] for name, column in known.items()}
            draft.table("parts.parquet", pa.table(kept))
        _metadata(intake, census, label_counts, warnings, known is not None).write(draft)
        Cost(cpu_seconds=time.thread_time() - cpu).write(draft)
    return store.open(recipe.path)


def _intake(source: AnyData, opened: Mapping[str, Source]) -> Intake:
    """Return the source with its columns' roles; several parts become one source, in order."""
    whole = Source(tuple(file for part in opened.values() for file in part.files))
    columns = columns_of(
        whole.schema, source.label, source.id, source.features, source.ignore, source.slices, whole.index
    )
    whole.check(columns.used)
    _refuse_types(whole.schema, columns.id, columns.slices)
    return Intake(whole, columns, source.precision)


def _parts(
    source: AnyData, opened: Mapping[str, Source], intake: Intake, membership: Membership | None
) -> dict[str, Array] | None:
    """Return each row's part (0 member, 1 non-member, 2 pool) and row in the membership table, as far as known."""
    if isinstance(source, SidesData):
        return {"part": np.repeat(np.arange(len(opened), dtype=np.int8), [part.n_rows for part in opened.values()])}
    return None if membership is None else membership.look_up(_ids(intake))


def _check(source: AnyData, intake: Intake, known: Mapping[str, Array] | None) -> tuple[Census, Bools, list[str]]:
    """Scan the source; return its census, a mask of the rows to drop, and warnings about the data."""
    census = Census(intake)
    if source.id is not None:
        _refuse_repeated_ids(intake, source.id)
    repeats, first = census.repeated(None if known is None else known["part"])
    warnings = ([source.note] if source.note else []) + _oddities(census)
    if repeats.any():
        row = int(repeats.argmax())
        text = f"{int(repeats.sum())} of {census.n_rows} records repeat another in features and label"
        if source.duplicates == "error":
            raise DataError(
                f"{text}, first row {row} (equal to row {first[row]}): a record could be both member and "
                "non-member; set data.duplicates to drop (keeps the first) or keep"
            )
        warnings.append(f"{text}; {'these were left out' if source.duplicates == 'drop' else 'these were kept'}")
        warnings += [] if known is None else _overlaps(first, known["part"])
    return census, repeats & (source.duplicates == "drop"), warnings


def _overlaps(first: Ints, part: Ints) -> list[str]:
    """Return warnings about records of one part that repeat records of another."""
    names = ("members", "non-members", "records of the pool")
    counts = {(a, b): int(((part[first] == a) & (part == b)).sum()) for a, b in ((0, 1), (0, 2), (1, 2))}
    return [f"{n} {names[b]} repeat {names[a]}" for (a, b), n in counts.items() if n]


def _refuse_types(schema: pa.Schema, ident: str | None, slices: Sequence[str]) -> None:
    """Refuse ids and slices that are not plain values, and slices named like one of the artefact's own columns."""
    for setting, name in [*([("id", ident)] if ident else []), *(("slices", name) for name in slices)]:
        kind = schema.field(name).type
        if not _is_plain(kind):
            raise DataError(f"data.{setting}={name!r} is of type {kind}; expected numbers, text, dates or booleans")
    for name in slices:
        if name in OWN_COLUMNS:
            raise DataError(f"data.slices={name!r} has a name that umbrameter uses itself; rename the column")


def _is_plain(kind: pa.DataType) -> bool:
    kind = value_type(kind)
    return bool(is_text(kind) or pa.types.is_primitive(kind) or pa.types.is_decimal(kind))


def _ids(intake: Intake) -> pa.ChunkedArray:
    name = str(intake.columns.id)
    ids_only = replace(intake, columns=replace(intake.columns, features=(), categories=(), vector=None, slices=()))
    return pa.chunked_array([decoded(batch[name]) for _, batch in ids_only.batches()])


def _refuse_repeated_ids(intake: Intake, name: str) -> None:
    ids = _ids(intake)
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    # Slow, but only a source with repeated ids gets here.
    seen: dict[Any, int] = {}
    for row, value in enumerate(ids.to_pylist()):
        if seen.setdefault(value, row) != row:
            raise DataError(
                f"data.id={name!r} is not unique: row {row} repeats {value!r} of row {seen[value]}; remove repeated "
                "records, or name another column"
            )


def _oddities(census: Census) -> list[str]:
    names = np.array(census.intake.feature_names)
    largest = np.maximum(np.abs(census.low), np.abs(census.high))
    constant = names[census.low == census.high]
    wide = names[census.integral & (largest > EXACT) & (census.intake.precision == "float32")]
    used, index = census.intake.columns.used, census.intake.source.index
    unused = np.array([name for name in index if name not in used])
    warnings = []
    if len(unused):
        warnings.append(f"{_listed(unused)} the index of a data frame and no feature")
    if len(constant):
        warnings.append(f"{_listed(constant)} the same in every record, which no model can learn from")
    if len(wide):
        warnings.append(f"{_listed(wide)} beyond 2**24, where float32 rounds integers")
    return warnings


def _listed(names: Array) -> str:
    shown = ", ".join(names[:5].tolist()) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"column{'s' if len(names) > 1 else ''} {shown} {'are' if len(names) > 1 else 'is'}"


def _write(intake: Intake, census: Census, dropped: Bools, draft: Draft) -> Ints:
    """Write the records, one row group at a time; return the number of records per class.

    `records.parquet` has record_id, label, the matrix x and the slices, and `own.parquet` those of the features that x
    rounds, as the source has them.
    """
    # Bits, pixels and small counts take one byte each instead of four or eight.
    bytewide = bool(census.integral.all() and census.low.min() >= 0 and census.high.max() <= 255)
    precision, n_features = pa.from_numpy_dtype(np.dtype(intake.precision)), len(intake.feature_names)
    x = pa.binary(n_features) if bytewide else pa.list_(precision, n_features)
    slices = intake.columns.slices
    fields = [("record_id", pa.int64()), ("label", pa.int32()), ("x", x), *((name, pa.string()) for name in slices)]
    schema, counts = pa.schema(fields), np.zeros(len(intake.codes.classes), dtype=np.int64)
    own = unfit_fields(intake.schema, census.fits)
    with ExitStack() as stack:
        writer = stack.enter_context(draft.writer("records.parquet", schema))
        own_writer = stack.enter_context(draft.writer(OWN, own)) if own.names else None
        for start, batch in intake.batches():
            keep = ~dropped[start : start + batch.num_rows]
            X, _, y = intake.encode(batch, start)
            ids = np.arange(keep.sum()) + counts.sum()  # consecutive, without gaps for dropped rows
            kept = batch.filter(pa.array(keep))
            slice_columns = [kept[name].cast(pa.string()) for name in slices]
            features = (byte_column if bytewide else vector_column)(X[keep])
            columns = [pa.array(ids), pa.array(y[keep]), features, *slice_columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema), row_group_size=ROW_GROUP)
            if own_writer is not None:
                unfit = pa.RecordBatch.from_arrays([kept[name] for name in own.names], schema=own)
                own_writer.write_batch(unfit, row_group_size=ROW_GROUP)
            counts += np.bincount(y[keep], minlength=len(counts))
    draft.data(FEATURES, intake.schema.serialize().to_pybytes())
    prints = byte_column(census.fingerprints[~dropped].view(np.uint8))
    draft.table(PRINTS, pa.table({"fingerprint": prints}), row_group_size=ROW_GROUP)
    return counts


def _metadata(
    intake: Intake, census: Census, label_counts: Ints, warnings: Sequence[str], is_known: bool
) -> SourceMetadata:
    codes, categorical = intake.codes, intake.categorical
    others = np.delete(np.arange(len(intake.feature_names)), categorical)
    return SourceMetadata(
        n_records=int(label_counts.sum()),
        n_features=len(intake.feature_names),
        label_counts=tuple(label_counts.tolist()),
        classes=codes.classes,
        feature_names=tuple(intake.feature_names),
        precision=intake.precision,
        categorical=tuple(categorical),
        categories=dict(codes.categories),
        low=tuple(census.low.tolist()),
        high=tuple(census.high.tolist()),
        integral=tuple(census.integral.tolist()),
        binary=bool((census.integral & (census.low >= 0) & (census.high <= 1))[others].all()),
        warnings=tuple(warnings),
        is_known=is_known,
    )
