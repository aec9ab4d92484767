"""Stored predictions in CSV and Feather, with the figures of Parquet."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from umbrameter.spec.score import ScoreSpec
from umbrameter.stored_predictions.audit import score_stored
from umbrameter.stored_predictions.files import open_files

N = 300
RNG = np.random.default_rng(4)
CODES, MEMBER = RNG.integers(0, 2, N), np.arange(N) % 3 == 0
P_YES = 1 / (1 + np.exp(-(RNG.normal(size=N) + (2 * CODES - 1) * (1 + 2 * MEMBER))))
LISTS = [[1 - p, p] for p in P_YES]


@pytest.mark.parametrize(
    "columns",
    [
        {"label": np.array(["no", "yes"])[CODES], "is_member": np.where(MEMBER, "train", "test"), "p": P_YES},
        {"label": CODES == 1, "is_member": MEMBER, "p_True": P_YES, "p_False": 1 - P_YES},
        {"label": CODES, "is_member": MEMBER.astype(int), "prediction": LISTS},
        {"label": CODES.astype(float), "is_member": MEMBER.astype(float), "prediction": [*map(np.array, LISTS)]},
    ],
    ids=["text", "booleans", "lists", "arrays"],
)
def test_csv_and_feather_have_the_figures_of_parquet(tmp_path, columns: dict[str, Any]) -> None:
    table, spec, figures = pd.DataFrame(columns), ScoreSpec(attacks=({"kind": "loss"},)), []
    table.to_parquet(tmp_path / "x.parquet")
    table.to_feather(tmp_path / "x.feather")
    table.to_csv(tmp_path / "x.csv")
    table.to_csv(tmp_path / "semicolons.csv", sep=";", decimal=",", index=False)
    for name in ("x.parquet", "x.feather", "x.csv", "semicolons.csv"):
        report, _ = score_stored(*open_files(str(tmp_path / name), None, spec), spec)
        figures.append(report.results[0].metrics["auc"].value)
    assert figures == pytest.approx([figures[0]] * 4, abs=1e-4) and figures[0] > 0.6
