"""The merge of shadow models' answers against concatenation, and what it refuses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from umbrameter.errors import StoreError
from umbrameter.mitigations import LabelOnly
from umbrameter.steps.attack_data import AttackData, class_chunks, read_class, read_classes, read_sample
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


@pytest.mark.parametrize("n_classes", [1, 2, 30, 100])
@pytest.mark.parametrize("n_models", [1, 64, 10_000])
def test_chunks_hold_every_class_once(n_classes: int, n_models: int) -> None:
    chunks = class_chunks(n_classes, 10_000 * n_models)
    assert [label for chunk in chunks for label in chunk] == list(range(n_classes)) and all(chunks)
