"""Models that answer the same whatever they are asked, and records to ask them about."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.store.artefacts import Store
from umbrameter.targets.adapter import Adapted
from umbrameter.targets.columns import Columns
from umbrameter.targets.querying import aligned_answers

N = 90


VECTORS = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], np.float32)


def stored(folder: Path, labels: Sequence[Any], **columns: Any) -> Records:
    """Return records of two features and a label, and of further columns."""
    X = np.random.default_rng(0).normal(size=(len(labels), 2)).astype(np.float32)
    table = pa.table({"a": X[:, 0], "b": X[:, 1], **columns, "y": pa.array(labels)})
    pq.write_table(table, folder / "data.parquet")
    store = Store(folder / "root")
    return Records.open(store, build(ParquetData(path=str(folder / "data.parquet"), label="y"), store).path)


def answers(model: Any, records: Records, **options: Any) -> np.ndarray:
    """Return a model's answers on all records, as an audit gets them."""
    adapted = Adapted(model, Columns.of(records), records.classes, **options)
    return aligned_answers(adapted, len(records.classes))(records.take(np.arange(records.n_records))[0])


def of_three(names: Sequence[Any]) -> list[Any]:
    return [names[i % 3] for i in range(N)]


class Fixed:
    """Answers the same vectors whatever it is asked, under a method's name; keeps what it was given."""

    def __init__(self, method: str, answer: Any, classes: Sequence[Any] | None = None):
        setattr(self, method, self.answer)
        self.given: list[Any] = []
        self._answer = answer
        if classes is not None:
            self.classes_ = classes

    def answer(self, X: Any) -> Any:
        self.given.append(X)
        return self._answer(X) if callable(self._answer) else self._answer


PLAIN = Columns(("a", "b"), {}, (False, False))


X = np.array([[0.5, 1], [2, 3]], np.float32)


def adapted(model: Any, classes: Sequence[Any] = ("no", "yes", "maybe"), **options: Any) -> Adapted:
    return Adapted(model, PLAIN, classes, **options)


PEOPLE = Columns(("pay", "age", "colour"), {"colour": ("blue", "red")}, (False, True, False))


ROWS = np.array([[0.5, 37, 1], [0.25, 40, 0]], np.float32)
