"""Small tables, and the records that are built from them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from umbrameter.errors import DataError
from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.store.artefacts import Store

N = 30


def numbers(n: int = N, **more: Any) -> dict[str, Any]:
    """Return n distinct records with two numeric columns and a label of three classes."""
    return {"a": np.arange(n) + 0.5, "b": np.arange(n) % 2, "y": np.arange(n) % 3} | more


def built(store: Store, path: str, **settings: Any) -> Records:
    return Records.open(store, build(ParquetData(**{"path": path, "label": "y"} | settings), store).path)


def refusal(store: Store, path: str, **settings: Any) -> str:
    """Return the text of the error, having checked that nothing was left in the store."""
    with pytest.raises(DataError) as caught:
        built(store, path, **settings)
    assert not list(Path(store.root).rglob("manifest.json"))
    return str(caught.value)


def stored(records: Records) -> pa.Table:
    return records.artefact.table("records.parquet")
