"""Merge shadow models' answers into labelled IN/OUT vectors, one file a class, checked; and read them back.

Shokri et al. (2017), section V-D: the attack's training set, partitioned by class.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from umbrameter.errors import StoreError
from umbrameter.mitigations import PostHoc, answered
from umbrameter.predictions.vectors import Vectors
from umbrameter.store.arrow import vectors
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.schemas import shadow_predictions
from umbrameter.store.steps import key_of

CHUNK_BYTES = 64 * 2**20
"""Vectors that one merge writes, about; with `CHUNK_CLASSES` it decides how the classes are chunked."""

CHUNK_CLASSES = 64
"""Files that one merge has open, at most."""

THRESHOLD_ROWS = 200_000
"""Shadow vectors from which a global threshold is chosen, at most: more would move it by less than it matters."""

_LAST: dict[str, tuple[tuple[object, ...], Any]] = {}
"""What this process read last, with what it was asked for."""


@dataclass(frozen=True)
class AttackData:
    """Merge some classes' vectors of all shadow models.

    Parameters
    ----------
    shadows
        Paths of the `shadow_predictions` artefacts, by model number.
    labels
        The classes to merge.
    n_classes
        The length of a prediction vector.
    """

    shadows: tuple[str, ...]
    labels: tuple[int, ...]
    n_classes: int

    @property
    def recipe(self) -> Recipe:
        """What decides the merged vectors."""
        return Recipe("attack_data", {"shadows": [key_of(s) for s in self.shadows], "labels": list(self.labels)})

    def make(self, store: Store, draft: Draft) -> None:
        """Write one file a class, one row group a shadow model, and the counts of IN and OUT."""
        schema = shadow_predictions(self.n_classes)
        counts = {label: {"in": 0, "out": 0} for label in self.labels}
        with ExitStack() as stack:
            writers = {label: stack.enter_context(draft.writer(_name(label), schema)) for label in self.labels}
            earlier: set[int] = set()
            for source in map(store.open, self.shadows):
                own: set[int] = set()
                for label, table in _classes(source, self.labels, schema):
                    own |= _checked_models(table, source, label, earlier)
                    n_in = pc.sum(table["is_in"]).as_py()
                    counts[label]["in"] += n_in
                    counts[label]["out"] += table.num_rows - n_in
                    writers[label].write_table(table)
                earlier |= own
        draft.meta["counts"] = {str(label): counts[label] for label in self.labels}


def class_chunks(n_classes: int, n_vectors: int) -> list[tuple[int, ...]]:
    """Return the classes in chunks of some work each; independent of the number of workers."""
    total = 4 * n_classes * n_vectors
    n_chunks = min(n_classes, max(-(-total // CHUNK_BYTES), -(-n_classes // CHUNK_CLASSES)))
    return [tuple(part.tolist()) for part in np.array_split(np.arange(n_classes), n_chunks)]


def read_class(data: Artefact, label: int, limit: int | None = None) -> Vectors:
    """Return one class's shadow vectors.

    Parameters
    ----------
    data
        The `attack_data` artefact that holds the class.
    label
        The class.
    limit
        Rows after which no further shadow model is read.
    """
    with data.parquet(_name(label)) as source:
        rows = np.cumsum([0, *(source.metadata.row_group(i).num_rows for i in range(source.num_row_groups))])
        n_groups = source.num_row_groups if limit is None else max(1, int(np.searchsorted(rows, limit)))
        groups = range(min(n_groups, source.num_row_groups))
        table = source.read_row_groups(list(groups), columns=["label", "is_in", "prediction"], use_threads=False)
    return Vectors(
        vectors(table["prediction"]), np.asarray(table["label"]).astype(np.int64), np.asarray(table["is_in"])
    )


def read_classes(data: Artefact, labels: Sequence[int], mitigations: Sequence[PostHoc] = ()) -> dict[int, Vectors]:
    """Return some classes' shadow vectors, mitigated alike.

    Those that were read last are kept, since one mitigation after another asks for the same.
    """
    key = ("classes", data.store.root, data.path, *labels)
    found = _kept("classes", key, lambda: {label: read_class(data, label) for label in labels})
    return {label: mitigated(vectors, mitigations) for label, vectors in found.items()}


def read_some(data: Sequence[Artefact], mitigations: Sequence[PostHoc] = ()) -> Vectors:
    """Return shadow vectors of all classes, mitigated alike, enough to choose a global threshold from.

    Those that were read last are kept, since one attack and mitigation after another asks for the same.
    """
    whole = tuple((part.store.root, part.path) for part in data)
    if not mitigations:
        found: Vectors = _kept("some", whole, lambda: _read_some(data))
    else:
        key = (*whole, *(mitigation.model_dump_json() for mitigation in mitigations))
        found = _kept("mitigated", key, lambda: mitigated(read_some(data), mitigations))
    return found


def mitigated(known: Vectors, mitigations: Sequence[PostHoc]) -> Vectors:
    """Return vectors that passed through mitigations, in order."""
    return replace(known, predictions=answered(known.predictions, mitigations))


def _kept(what: str, key: tuple[object, ...], read: Callable[[], Any]) -> Any:
    """Return what was read last under a name, read now where it is not what is asked for."""
    if what not in _LAST or _LAST[what][0] != key:
        _LAST.pop(what, None)
        _LAST[what] = key, read()
    return _LAST[what][1]


def _read_some(data: Sequence[Artefact]) -> Vectors:
    classes = [(part, int(label)) for part in data for label in part.meta["counts"]]
    parts = [read_class(part, label, THRESHOLD_ROWS // len(classes)) for part, label in classes]
    return Vectors(
        np.concatenate([p.predictions for p in parts]),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.is_in for p in parts if p.is_in is not None]),
    )


def _name(label: int) -> str:
    return f"label={label}.parquet"


def _classes(source: Artefact, labels: Sequence[int], schema: pa.Schema) -> Iterator[tuple[int, pa.Table]]:
    """Yield one shadow model's vectors of each of some classes that it has."""
    with source.parquet("predictions.parquet") as file:
        if file.schema_arrow != schema:
            expected = ", ".join(f"{field.name} {field.type}" for field in schema)
            raise StoreError(f"{source.path}: columns other than {expected}; remove that folder and run again")
        for group, label in enumerate(source.meta["labels"]):
            if label in labels:
                yield label, file.read_row_group(group, use_threads=False)


def _checked_models(table: pa.Table, source: Artefact, label: int, earlier: set[int]) -> set[int]:
    """Return which model these vectors are of; refuse another class, a model met before, or a record twice."""
    models = set(pc.unique(table["model_id"]).to_pylist())
    twice = table.num_rows - pc.count_distinct(table["record_id"]).as_py()
    other = pc.any(pc.not_equal(table["label"], label)).as_py()
    if len(models) != 1 or models & earlier or twice or other:
        raise StoreError(
            f"{source.path}: class {label} holds models {sorted(models)}, {twice} records twice; expected one new "
            "model with each record once; remove that folder and run again"
        )
    return models
