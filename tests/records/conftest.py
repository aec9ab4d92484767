"""A store, and Parquet files to fill it from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.store.artefacts import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "root")


@pytest.fixture
def parquet(tmp_path: Path):
    """Write a table and return its path."""

    def write(table: pa.Table | Mapping[str, Any], name: str = "data.parquet", **options: Any) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table if isinstance(table, pa.Table) else pa.table(dict(table)), path, **options)
        return str(path)

    return write
