"""Records in a store with a split, and models that answer them: what a connection is made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.steps.split import Split
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import ensure
from umbrameter.targets.connection import ConnectionContext, draw_canaries
from umbrameter.typing import Array, Floats

N = 120


def people(folder: Path, n: int = N, **columns: Any) -> Records:
    """Return records of two numbers and a category, of three classes."""
    rng = np.random.default_rng(4)
    table = {
        "height": rng.normal(170, 9, n).astype(np.float32),
        "year": rng.integers(1950, 2000, n),
        "colour": np.array(["blue", "green", "red"])[rng.integers(0, 3, n)],
        "y": np.array(["low", "middle", "top"])[np.arange(n) % 3],
    }
    path = folder / "people.parquet"
    pq.write_table(pa.table(table | columns), path)
    return Records.open(
        Store(folder / "root"), build(ParquetData(path=str(path), label="y"), Store(folder / "root")).path
    )


def dealt(records: Records, n_members: int = 40, n_nonmembers: int = 30, seed: int = 0) -> Artefact:
    """Return a split of the records."""
    store = records.artefact.store
    return store.open(ensure(store, Split(records.artefact.path, n_members, n_nonmembers, seed)))


def context(records: Records, model: Any = None, n: int = 16, **more: Any) -> ConnectionContext:
    """Return what a target may need to be found."""
    canaries = draw_canaries(records, dealt(records), n)
    return ConnectionContext(records.artefact.store, records, canaries, model, **more)


class Softmax:
    """Answers over three classes by the first feature, sharper or flatter; counts what it is asked about."""

    classes_ = np.array(["low", "middle", "top"])

    def __init__(self, sharpness: float = 0.1):
        self.sharpness = sharpness
        self.n_asked = 0

    def predict_proba(self, X: Array) -> Floats:
        values = np.asarray(X)[:, 0].astype(np.float64)
        self.n_asked += len(values)
        logits = self.sharpness * (values[:, None] - np.array([160.0, 170.0, 180.0])) * np.array([-1.0, 0.1, 1.0])
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True))
