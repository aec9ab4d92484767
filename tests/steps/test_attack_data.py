"""Merging the shadow models' answers, against plain concatenation, and what is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from umbrameter.errors import StoreError
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.steps import attack_data
from umbrameter.steps.attack_data import (
    AttackData,
    AttackDataMetadata,
    class_chunks,
    read_class,
    read_classes,
    read_sample,
    through,
)
from umbrameter.steps.shadow_models import ShadowMetadata
from umbrameter.store.arrow import vector_column
from umbrameter.store.artefacts import Artefact, Draft, Recipe, Store
from umbrameter.store.schemas import shadow_predictions
from umbrameter.store.steps import ensure

N_CLASSES = 3


@dataclass(frozen=True)
class Answers:
    """One shadow model's answers, as the fitting writes them, or with one thing wrong."""

    model_id: int
    wrong: str = ""

    @property
    def recipe(self) -> Recipe:
        return Recipe("shadow_predictions", {"model": self.model_id, "wrong": self.wrong})

    inputs: ClassVar[tuple[str, ...]] = ()

    def columns(self) -> tuple[Any, ...]:
        """Return model, record, label, is_in and prediction columns, by class."""
        rng = np.random.default_rng(self.model_id)
        labels = np.sort(rng.integers(0, 2 if self.model_id == 1 else N_CLASSES, 40))
        records, is_in = rng.permutation(100)[:40], rng.random(40) < 0.5
        predictions = rng.dirichlet(np.ones(N_CLASSES), 40).astype(np.float32)
        if self.wrong == "record twice":
            records[1] = records[0]
        model_ids = np.full(40, 0 if self.wrong == "model twice" else self.model_id)
        return model_ids, records, labels, is_in, predictions

    def make(self, store: Store, draft: Draft) -> None:
        model_ids, records, labels, is_in, predictions = self.columns()
        written = np.full(40, 2) if self.wrong == "other class" else labels
        schema = shadow_predictions(N_CLASSES)
        table = pa.table([model_ids, records, written, is_in, vector_column(predictions)], schema=schema)
        if self.wrong == "other schema":
            table = table.cast(schema.set(0, pa.field("model_id", pa.int64())))
        ShadowMetadata(labels=tuple(np.unique(labels).tolist()), train_accuracy=1.0, test_accuracy=1.0).write(draft)
        with draft.writer("predictions.parquet", table.schema) as writer:
            for label in np.unique(labels):
                writer.write_table(table.filter(labels == label))


def merged(root: Path, models: list[Answers]) -> Artefact:
    store = Store(root)
    step = AttackData(tuple(ensure(store, model) for model in models), tuple(range(N_CLASSES)), N_CLASSES)
    return store.open(ensure(store, step))


ORDERS = {"there": [Answers(0), Answers(2)], "back": [Answers(2), Answers(0)]}


def test_each_class_holds_what_concatenation_gives(tmp_path: Path) -> None:
    models = [Answers(0), Answers(1), Answers(2)]
    data = merged(tmp_path, models)
    for label in range(N_CLASSES):
        of_class = [c for m in models for c in zip(*m.columns(), strict=True) if c[2] == label]
        found = read_class(data, label)
        assert np.array_equal(found.predictions, [row[4] for row in of_class])
        assert np.array_equal(found.is_in, [row[3] for row in of_class]) and set(found.labels) == {label}
        n_in = sum(bool(row[3]) for row in of_class)
        assert data.meta["counts"][str(label)] == {"n_in": n_in, "n_out": len(of_class) - n_in}
    everything = read_sample([data])
    assert len(everything.labels) == 120 and everything.is_in is not None


def test_vectors_are_mitigated_and_limited_by_whole_models(tmp_path: Path) -> None:
    data = merged(tmp_path, [Answers(0), Answers(2)])
    whole = read_class(data, 1)
    assert np.array_equal(
        read_classes(data, [1], [LabelOnly()])[1].predictions, LabelOnly().transform(whole.predictions)
    )
    first = int((Answers(0).columns()[2] == 1).sum())
    assert [len(read_class(data, 1, limit).labels) for limit in (1, first, first + 1)] == [
        first,
        first,
        len(whole.labels),
    ]


@pytest.mark.parametrize("wrong", ["record twice", "model twice", "other class", "other schema"])
def test_what_does_not_belong_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(StoreError, match=r"store/shadow_predictions/.*remove that folder and run again"):
        merged(tmp_path, [Answers(0), Answers(2, wrong)])
    assert not list((tmp_path / "store" / "attack_data").glob("*/manifest.json"))


def test_a_class_that_no_model_has_is_empty(tmp_path: Path) -> None:
    data = merged(tmp_path, [Answers(1)])  # of two classes alone
    for limit in (None, 0, 1, 99):
        vectors = read_class(data, 2, limit)
        assert vectors.predictions.shape == (0, N_CLASSES) and len(vectors.labels) == 0 == len(vectors.is_in)
    assert AttackDataMetadata.read(data).counts[2].model_dump() == {"n_in": 0, "n_out": 0}
    assert len(read_sample([data]).labels) == 40
    assert [*read_classes(data, [2, 0], [LabelOnly()])] == [2, 0]


def test_the_order_of_models_is_that_of_the_step(tmp_path: Path) -> None:
    there, back = (merged(tmp_path / name, models) for name, models in ORDERS.items())
    for label in range(N_CLASSES):
        one, two = read_class(there, label), read_class(back, label)
        n = int((Answers(0).columns()[2] == label).sum())
        assert np.array_equal(np.roll(one.predictions, -n, axis=0), two.predictions)
        assert np.array_equal(np.roll(one.is_in, -n), two.is_in)


def test_merges_of_some_classes_each_hold_what_one_of_all_holds(tmp_path: Path) -> None:
    whole = merged(tmp_path, [Answers(0), Answers(1)])
    shadows = tuple(ensure(whole.store, Answers(i)) for i in (0, 1))
    chunks = [
        whole.store.open(ensure(whole.store, AttackData(shadows, labels, N_CLASSES))) for labels in ((2,), (0, 1))
    ]
    for label, chunk in ((2, chunks[0]), (0, chunks[1]), (1, chunks[1])):
        assert whole.data(f"label={label}.parquet") == chunk.data(f"label={label}.parquet")
        assert whole.meta["counts"][str(label)] == chunk.meta["counts"][str(label)]
    one, two = read_sample([whole]), read_sample(chunks[::-1])
    assert np.array_equal(one.predictions, two.predictions) and np.array_equal(one.is_in, two.is_in)


def test_of_many_vectors_a_sample_has_whole_models_of_every_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack_data, "THRESHOLD_ROWS", N_CLASSES)  # one vector a class: one model of each
    data = merged(tmp_path, [Answers(0), Answers(2)])
    sample, (_, _, labels, is_in, predictions) = read_sample([data]), Answers(0).columns()
    assert np.array_equal(sample.predictions, predictions) and np.array_equal(sample.labels, labels)
    assert np.array_equal(sample.is_in, is_in)


@pytest.mark.parametrize("kept_bytes", [0, 2**28])
def test_what_is_kept_in_memory_is_what_is_stored(
    tmp_path: Path, kept_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack_data, "KEPT_BYTES", kept_bytes)
    data = merged(tmp_path, [Answers(0), Answers(1)])
    mitigations = (TopK(2), Rounding(1))
    for _ in range(2):
        for label, vectors in read_classes(data, range(N_CLASSES), mitigations).items():
            stored = read_class(data, label)
            assert np.array_equal(vectors.predictions, through(stored, mitigations).predictions)
            assert np.array_equal(vectors.labels, stored.labels) and np.array_equal(vectors.is_in, stored.is_in)
        assert np.array_equal(
            read_sample([data], mitigations).predictions, through(read_sample([data]), mitigations).predictions
        )
    is_same = read_classes(data, [0])[0].predictions is read_classes(data, [0])[0].predictions
    assert is_same == (kept_bytes > 0)


def test_stores_of_equal_artefacts_are_kept_apart(tmp_path: Path) -> None:
    one, two = (merged(tmp_path / name, [Answers(0)]) for name in ("one", "two"))
    assert one.key == two.key
    before = read_classes(one, [0])[0].predictions
    Path(two.store.root, two.file("label=0.parquet")).unlink()
    assert np.array_equal(read_classes(one, [0])[0].predictions, before)
    with pytest.raises(StoreError):
        read_classes(two, [0])


@pytest.mark.parametrize("n_classes", [1, 2, 30, 100])
@pytest.mark.parametrize("n_models", [1, 64, 10_000])
def test_chunks_hold_every_class_once(n_classes: int, n_models: int) -> None:
    chunks = class_chunks(n_classes, 10_000 * n_models)
    assert [label for chunk in chunks for label in chunk] == list(range(n_classes)) and all(chunks)


def test_chunks_hold_so_many_classes_and_so_many_bytes_at_most() -> None:
    for n_classes, n_vectors in ((1000, 1), (100, 10**7), (7, 10**8)):
        chunks = class_chunks(n_classes, n_vectors)
        assert max(map(len, chunks)) <= attack_data.CHUNK_CLASSES
        bytes_of_class = 4 * n_vectors  # its share of the vectors, each as long as there are classes
        assert all(len(c) == 1 or (len(c) - 1) * bytes_of_class < attack_data.CHUNK_BYTES for c in chunks)
        assert max(map(len, chunks)) - min(map(len, chunks)) <= 1
