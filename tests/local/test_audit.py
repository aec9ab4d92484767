"""An audit in one call: the figures are those of asking the model by hand, for everything that can be passed."""

import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from umbrameter import AuditSpec, audit
from umbrameter.errors import DataError, SpecError, TargetError, UmbrameterError

N = 120
X, Y = make_classification(3 * N, 6, n_informative=4, flip_y=0.2, random_state=0)
IN, OUT, POOL = slice(0, N), slice(N, 2 * N), slice(2 * N, None)


def forest(X: Any, y: Any) -> RandomForestClassifier:
    return RandomForestClassifier(10, random_state=0).fit(X, y)


def by_hand(model: Any, X: Any, y: Any) -> float:
    """Return the AUC of the model's log confidence in the label."""
    places = np.searchsorted(model.classes_, np.asarray(y))
    confidence = np.float32(model.predict_proba(X))[np.arange(len(places)), places]
    return float(roc_auc_score(np.arange(len(places)) < N, confidence))


def auc(result: Any, attack: str = "loss") -> float:
    (entry,) = (r for r in result.report.results if r.attack == attack and r.mitigation is None)
    return float(entry.metrics["auc"].value)


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": lambda X: X,
    "float32": lambda X: np.float32(X),
    "frame": lambda X: pd.DataFrame(X, columns=[*"abcdef"]),
    "arrow": lambda X: pa.table(dict(zip("abcdef", X.T, strict=True))),
    "sparse": lambda X: csr_matrix(X),
}
LABELS: dict[str, Callable[[np.ndarray], Any]] = {
    "numbers": lambda y: y,
    "text": lambda y: np.array(["no", "yes"])[y],
    "signs": lambda y: 2 * y - 1,
    "booleans": lambda y: y.astype(bool),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("labels", LABELS)
def test_the_figure_is_that_of_asking_by_hand(form: str, labels: str) -> None:
    y = LABELS[labels](Y)
    data = X.astype(np.float32).astype(np.float64) if form == "float32" else X
    frame = pd.DataFrame(data, columns=[*"abcdef"]) if form in ("frame", "arrow") else data
    model = forest(frame[IN], y[IN])
    result = audit(model, (FORMS[form](X[IN]), y[IN]), (FORMS[form](X[OUT]), y[OUT]), progress=False)
    assert auc(result) == pytest.approx(by_hand(model, frame[: 2 * N], y[: 2 * N]))
    assert {r.attack for r in result.report.results} == {"loss", "gap", "entropy(global)", "modified_entropy(global)"}


def test_a_pipeline_gets_its_frame_with_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": X[:, 0], "word": np.array(["low", "high"])[(X[:, 1] > 0).astype(int)]})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["word"]), remainder="passthrough"), forest_of())
    model.fit(frame[IN], Y[IN])
    result = audit(model, (frame[IN], Y[IN]), (frame[OUT], Y[OUT]), progress=False)
    assert auc(result) == pytest.approx(by_hand(model, frame[: 2 * N], Y[: 2 * N]))


def forest_of() -> RandomForestClassifier:
    return RandomForestClassifier(10, random_state=0)


@pytest.mark.slow
@pytest.mark.parametrize("with_pool", [True, False])
def test_shadow_models_are_the_model_s_own_kind(with_pool: bool) -> None:
    model = forest(X[IN], Y[IN])
    pool = (X[POOL], Y[POOL]) if with_pool else None
    size = {"count": 4, "size": 40} if with_pool else 4
    result = audit(model, (X[IN], Y[IN]), (X[OUT], Y[OUT]), pool, shadows=size, workers=1, progress=False)
    mode = "offline" if with_pool else "online"
    attacks = {r.attack for r in result.report.results}
    assert {f"lira({mode})", f"rmia({mode})", "shokri(random_forest, sorted)", "confidence", "loss", "gap"} <= attacks
    assert result.report.shadows.n_models == 4
    again = audit(model, (X[IN], Y[IN]), (X[OUT], Y[OUT]), pool, shadows=size, workers=2, progress=False)
    assert again.report.results_json() == result.report.results_json()


def test_labels_of_a_model_that_names_its_classes_are_classes() -> None:
    y = np.arange(3 * N) % 40 * 7
    result = audit(forest(X[IN], y[IN]), members=(X[IN], y[IN]), nonmembers=(X[OUT], y[OUT]), progress=False)
    assert result.report.data.n_classes == 40


def test_finished_work_in_a_root_is_reused(tmp_path: Path) -> None:
    model = forest(X[IN], Y[IN])
    first, again = (audit(model, (X[IN], Y[IN]), (X[OUT], Y[OUT]), root=tmp_path, progress=False) for _ in range(2))
    assert first.report.results_json() == again.report.results_json() and first.folder != again.folder
    assert (tmp_path / first.folder / "report.html").is_file()
    assert len([*(tmp_path / "store" / "records").iterdir()]) == 1


def test_a_temporary_root_goes_with_the_result() -> None:
    result = audit(forest(X[IN], Y[IN]), (X[IN], Y[IN]), (X[OUT], Y[OUT]), progress=False)
    root = Path(result.root)
    assert root.is_dir()
    del result
    assert not root.exists()


SPEC = """
name: small
data: {kind: parquet, path: PATH, label: y}
split: {members: 60}
target: {kind: train, estimator: {kind: logistic_regression}}
shadows: {count: 2}
attacks: [{kind: loss}]
"""


def test_a_spec_or_its_path(tmp_path: Path) -> None:
    from tests.running.inline import people

    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.replace("PATH", str(people(tmp_path / "people.parquet"))))
    results = [
        audit(given, workers=1, progress=False).report.results_json()
        for given in (str(path), path, AuditSpec.load(path))
    ]
    assert results[0] == results[1] == results[2]
    with pytest.raises(SpecError, match="members, attacks cannot be given beside a spec"):
        audit(path, members=(X, Y), attacks=["loss"])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"members": X[IN]}, DataError, "members is a ndarray; give a pair"),
        ({"nonmembers": None}, DataError, "nonmembers is a NoneType"),
        ({"attacks": [{"kind": "losss"}]}, SpecError, "losss"),
        ({"model": "no such file.yaml", "members": None, "nonmembers": None}, SpecError, "cannot be read"),
        ({"model": object()}, TargetError, "neither predict_proba nor predict"),
        ({"nonmembers": (X[OUT], Y[OUT] + 5)}, DataError, "does not know the class"),
    ],
)
def test_errors_are_ours_and_end_at_the_caller_s_line(
    arguments: dict[str, Any], error: type[UmbrameterError], text: str
) -> None:
    given = {"model": forest(X[IN], Y[IN]), "members": (X[IN], Y[IN]), "nonmembers": (X[OUT], Y[OUT])} | arguments
    with pytest.raises(error, match=text) as raised:
        audit(**given, progress=False)
    frames = traceback.extract_tb(raised.value.__traceback__)
    assert [frame.name for frame in frames][-1] == "audit" and len(frames) == 2
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


def test_neither_prefect_nor_dask_nor_mlflow_is_imported() -> None:
    code = """
import sys
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
from umbrameter import audit
X, y = load_iris(return_X_y=True)
model = DecisionTreeClassifier(max_depth=3).fit(X[::2], y[::2])
audit(model, (X[::2], y[::2]), (X[1::2], y[1::2]))
print(sorted({"prefect", "dask", "distributed", "mlflow", "httpx", "requests"} & {*sys.modules}))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]" and ran.stderr == ""
