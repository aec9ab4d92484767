"""Merge shadow models' answers into labelled IN/OUT vectors, one file per class, and read them back.

These are the attack's training sets, partitioned by class: Shokri et al. (2017), section V-D.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache
from pydantic import BaseModel, ConfigDict

from umbrameter.errors import StoreError
from umbrameter.mitigations import PostHoc, answered
from umbrameter.predictions.vectors import Vectors
from umbrameter.steps.shadow_models import ShadowMetadata
from umbrameter.steps.target_answers import PREDICTIONS
from umbrameter.store.arrow import vectors
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.metadata import Metadata
from umbrameter.store.schemas import shadow_predictions
from umbrameter.store.steps import key_of

CHUNK_BYTES = 64 * 2**20
"""Approximate size of the vectors that one merge writes; with `CHUNK_CLASSES` it determines the chunks of classes."""

CHUNK_CLASSES = 64
"""Most files that one merge has open."""

THRESHOLD_ROWS = 200_000
"""Most shadow vectors from which a global threshold is chosen; more would hardly move it."""

KEPT_BYTES = 256 * 2**20
"""Size of the shadow vectors that one process keeps, since successive attacks and mitigations read the same ones."""

_KEPT: LRUCache[tuple[object, ...], dict[int, Vectors]] = LRUCache(
    KEPT_BYTES, getsizeof=lambda by_label: sum(map(_n_bytes, by_label.values()))
)

_LOCK = Lock()  # threads of one worker share the cache, which is not thread-safe

ALL = -1
"""Stands for all classes together, in place of a label."""


class Counts(BaseModel):
    """Numbers of IN and OUT vectors of one class."""

    model_config = ConfigDict(frozen=True)

    n_in: int
    n_out: int


class AttackDataMetadata(Metadata):
    """The number of vectors of each class."""

    counts: dict[int, Counts]


@dataclass(frozen=True)
class AttackData:
    """Merge the vectors of a chunk of classes over all shadow models.

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
        """Everything that determines the merged vectors."""
        return Recipe("attack_data", {"shadows": [key_of(s) for s in self.shadows], "labels": list(self.labels)})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths of the artefacts that the step reads."""
        return self.shadows

    def make(self, store: Store, draft: Draft) -> None:
        """Write one file per class, with one row group per shadow model, and the counts of IN and OUT."""
        schema = shadow_predictions(self.n_classes)
        n_in, n_all = Counter[int](), Counter[int]()
        with ExitStack() as stack:
            writers = {label: stack.enter_context(draft.writer(_name(label), schema)) for label in self.labels}
            earlier: set[int] = set()  # models of the artefacts read so far: a copied artefact would count twice
            for source in map(store.open, self.shadows):
                models: set[int] = set()
                for label, table in _classes(source, self.labels, schema):
                    models |= _checked_models(table, source, label, earlier)
                    n_in[label] += pc.sum(table["is_in"]).as_py()
                    n_all[label] += table.num_rows
                    writers[label].write_table(table)
                earlier |= models
        counts = {label: Counts(n_in=n_in[label], n_out=n_all[label] - n_in[label]) for label in self.labels}
        AttackDataMetadata(counts=counts).write(draft)


def class_chunks(n_classes: int, n_vectors: int) -> list[tuple[int, ...]]:
    """Return the classes in chunks of similar work, which do not depend on the number of workers."""
    total = 4 * n_classes * n_vectors  # bytes, as float32
    # -(-a // b) rounds up.
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
        Stop reading further shadow models after this many rows; None reads all.
    """
    with data.parquet(_name(label)) as source:
        rows = np.cumsum([0, *(source.metadata.row_group(i).num_rows for i in range(source.num_row_groups))])
        n_groups = source.num_row_groups if limit is None else max(1, int(np.searchsorted(rows, limit)))
        groups = range(min(n_groups, source.num_row_groups))
        # One thread, like all work on a worker.
        table = source.read_row_groups(list(groups), columns=["label", "is_in", "prediction"], use_threads=False)
    return Vectors(
        vectors(table["prediction"]), np.asarray(table["label"]).astype(np.int64), np.asarray(table["is_in"])
    )


def read_classes(data: Artefact, labels: Sequence[int], mitigations: Sequence[PostHoc] = ()) -> dict[int, Vectors]:
    """Return the given classes' shadow vectors after they passed through mitigations.

    Parameters
    ----------
    data
        The `attack_data` artefact that holds the classes.
    labels
        The classes.
    mitigations
        The mitigations, in order.

    Returns
    -------
    Vectors by class.
    """
    key = (data.store.root, data.path, *labels)
    by_label = _kept(key, lambda: {label: read_class(data, label) for label in labels})
    return {label: through(vectors, mitigations) for label, vectors in by_label.items()}


def read_sample(data: Sequence[Artefact], mitigations: Sequence[PostHoc] = ()) -> Vectors:
    """Return a sample of all classes' shadow vectors after mitigations, to choose a global threshold from.

    Parameters
    ----------
    data
        The `attack_data` artefacts, which hold all classes together.
    mitigations
        The mitigations, in order.
    """
    # The unmitigated sample is kept as well, since every mitigation starts from it.
    whole = tuple((part.store.root, part.path) for part in data)
    if not mitigations:
        return _kept((ALL, *whole), lambda: {ALL: _read_sample(data)})[ALL]
    key = (ALL, *whole, *(mitigation.model_dump_json() for mitigation in mitigations))
    return _kept(key, lambda: {ALL: through(read_sample(data), mitigations)})[ALL]


def through(vectors: Vectors, mitigations: Sequence[PostHoc]) -> Vectors:
    """Return vectors after they passed through mitigations, in order."""
    return replace(vectors, predictions=answered(vectors.predictions, mitigations))


def _kept(key: tuple[object, ...], read: Callable[[], dict[int, Vectors]]) -> dict[int, Vectors]:
    """Return the vectors kept under a key; read them if they are not kept."""
    with _LOCK:
        if key in _KEPT:
            return _KEPT[key]
    by_label = read()  # outside the lock, so that others need not wait for the disk
    with _LOCK:
        if sum(map(_n_bytes, by_label.values())) <= KEPT_BYTES:
            _KEPT[key] = by_label
    return by_label


def _n_bytes(vectors: Vectors) -> int:
    return sum(array.nbytes for array in (vectors.predictions, vectors.labels, vectors.is_in) if array is not None)


def _read_sample(data: Sequence[Artefact]) -> Vectors:
    classes = [(part, label) for part in data for label in AttackDataMetadata.read(part).counts]
    parts = [read_class(part, label, THRESHOLD_ROWS // len(classes)) for part, label in classes]
    return Vectors(
        np.concatenate([p.predictions for p in parts]),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.is_in for p in parts if p.is_in is not None]),
    )


def _name(label: int) -> str:
    return f"label={label}.parquet"


def _classes(source: Artefact, labels: Sequence[int], schema: pa.Schema) -> Iterator[tuple[int, pa.Table]]:
    """Yield one shadow model's vectors, class by class, of those classes in `labels` that it has."""
    with source.parquet(PREDICTIONS) as file:
        if file.schema_arrow != schema:
            expected = ", ".join(f"{field.name} {field.type}" for field in schema)
            raise StoreError(f"{source.path}: columns other than {expected}; remove that folder and run again")
        for group, label in enumerate(ShadowMetadata.read(source).labels):
            if label in labels:
                yield label, file.read_row_group(group, use_threads=False)


def _checked_models(table: pa.Table, source: Artefact, label: int, earlier: set[int]) -> set[int]:
    """Return the number of a table's model, as a set; refuse another class, an earlier model, or a repeated record."""
    models = set(pc.unique(table["model_id"]).to_pylist())
    n_twice = table.num_rows - pc.count_distinct(table["record_id"]).as_py()
    has_other_label = pc.any(pc.not_equal(table["label"], label)).as_py()
    if len(models) != 1 or models & earlier or n_twice or has_other_label:
        raise StoreError(
            f"{source.path}: class {label} holds models {sorted(models)}, {n_twice} records twice; expected one new "
            "model with each record once; remove that folder and run again"
        )
    return models
