"""Small records in a store: bits alone, kept as bytes, and features of all kinds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.store.artefacts import Store

N, N_BITS = 3000, 12


def kept(folder: Path, name: str, columns: dict[str, object]) -> Records:
    """Return a table as records; equal ones are kept."""
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    store = Store(folder / "root")
    data = ParquetData(path=str(folder / f"{name}.parquet"), label="y", duplicates="keep")
    return Records.open(store, build(data, store).path)


@pytest.fixture(scope="session")
def bits(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Return bits of three classes, each with habits of its own; b0 and b1 always agree."""
    rng = np.random.default_rng(1)
    y = rng.choice(3, N, p=[0.5, 0.3, 0.2])
    X = rng.random((N, N_BITS)) < rng.uniform(0.1, 0.9, (3, N_BITS))[y]
    X[:, 1] = X[:, 0]
    columns = {f"b{i}": X[:, i].astype(np.int8) for i in range(N_BITS)}
    return kept(tmp_path_factory.mktemp("bits"), "bits", {**columns, "y": y})


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Return features of all kinds; the colour and the height go with the class."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, N)
    colour = np.where(rng.random(N) < 0.8, np.where(y == 0, "red", "blue"), "green")
    height = rng.normal(170 + 10 * y, 5)
    height[:2], year = [0, 1000], rng.integers(1950, 2000, N)
    year[:2] = [1000, 3000]
    columns = {"height": height, "year": year, "flag": rng.integers(0, 2, N), "colour": colour}
    y_text = np.where(y == 0, "no", "yes")
    return kept(tmp_path_factory.mktemp("mixed"), "mixed", {**columns, "y": y_text})
