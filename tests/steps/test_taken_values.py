"""Recipes that do not take missing values are refused before anything is trained; those that do are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.cli.preview import preview
from umbrameter.errors import DataError
from umbrameter.records.sources import ParquetData
from umbrameter.spec.audit import AuditSpec
from umbrameter.store.artefacts import Store

N = 200


def planned(folder: Path, kind: str, **more: Any) -> Any:
    rng = np.random.default_rng(0)
    table = {"a": pa.array(rng.normal(size=N), mask=rng.random(N) < 0.1), "b": rng.normal(size=N)}
    table |= {"c": pa.array(rng.integers(9, size=N), mask=np.arange(N) == 3), "y": np.arange(N) % 2}
    pq.write_table(pa.table(table), folder / "t.parquet")
    data = {"kind": "table", "path": str(folder / "t.parquet"), "label": "y"} | more.pop("data", {})
    spec = AuditSpec.model_validate(
        {"name": "m", "data": data, "split": {"members": 50}, "target": {"kind": "train", "estimator": {"kind": kind}}}
        | {"attacks": [{"kind": "loss"}]}
        | more
    )
    assert isinstance(spec.data, ParquetData)
    return preview(spec, spec.data, Store(folder / "root"), is_timed=False)


TAKE = ["random_forest", "extra_trees", "decision_tree", "hist_gradient_boosting"]


@pytest.mark.parametrize("kind", TAKE)
def test_recipes_that_take_missing_values_get_them(tmp_path: Path, kind: str) -> None:
    assert planned(tmp_path, kind).records.metadata.missing["c"] == 1


@pytest.mark.parametrize("kind", ["logistic_regression", "k_neighbors", "gaussian_nb", "mlp"])
def test_others_are_refused_with_all_columns_and_advice_that_works(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError) as caught:
        planned(tmp_path, kind)
    text = str(caught.value)
    assert "values are missing in a (" in text and "c (1)" in text and "data.missing: {numbers: median}" in text
    assert planned(tmp_path, kind, data={"missing": {"numbers": "median"}}).records.metadata.missing == {}
    assert planned(tmp_path, kind, data={"ignore": ["a", "c"]}).records.metadata.missing == {}


def test_drawn_records_have_no_missing_values(tmp_path: Path) -> None:
    shadows = {"shadows": {"data": {"kind": "marginal"}}, "attacks": [{"kind": "shokri"}]}
    with pytest.raises(DataError, match=r"shadows.data.kind=marginal draws no records with missing values"):
        planned(tmp_path, "random_forest", **shadows)
