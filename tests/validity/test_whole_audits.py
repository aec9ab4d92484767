"""Whole audits of what is known: models that give nothing away, healthy ones, and audits that are wrong on purpose."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.running.inline import audited
from umbrameter.evaluation.controls import failures
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.report import Report, run_figures
from umbrameter.report.sentences import likeness_sentence
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.score import ScoreSpec
from umbrameter.store.arrow import vector_column
from umbrameter.stored_predictions.audit import score_stored
from umbrameter.typing import Array, Bools, Floats, Ints

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

LIMITS = [{"preset": "owasp_aisvs"}, {"metric": "auc", "limit": 0.6, "source": "this test"}]


@pytest.fixture(autouse=True)
def _without_figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draw no figures, which take half of an audit's time and decide nothing."""
    monkeypatch.setattr(run_figures, "drawn_figures", lambda *_: {})
    yield


# Stored predictions of models that treat members and non-members alike

N_NULL = 200


def predictions(
    rng: np.random.Generator, n: int, n_classes: int, decimals: int | None, leak: float = 0.0
) -> list[pa.Table]:
    """Return answers of a target and eight shadow models, which depend on the record and, without leak, on no side."""
    labels, hardness = rng.integers(0, n_classes, n), rng.normal(size=n)
    is_member = rng.permutation(np.arange(n) < rng.choice([n // 2, n // 5, 4 * n // 5]))

    def table(is_in: Bools, **columns: Any) -> pa.Table:
        raw = rng.normal(size=(n, n_classes))
        raw[np.arange(n), labels] += 2 + 2 * hardness + leak * is_in
        answers = softmax(raw, axis=1) if decimals is None else softmax(raw, axis=1).round(decimals)
        common = {"label": labels, "record_id": np.arange(n), "is_member": is_in}
        return pa.table(common | columns | {"prediction": vector_column(answers.astype(np.float32))})

    # In pairs that share the records between them, so that the online attacks are measured, too.
    halves = [rng.permutation(n) < n // 2 for _ in range(4)]
    shadows = [
        table(half ^ turn, model_id=np.full(n, 2 * i + turn)) for i, half in enumerate(halves) for turn in (0, 1)
    ]
    return [table(is_member), pa.concat_tables(shadows)]


def null_audit(seed: int, folder: Path, leak: float = 0.0) -> Report:
    rng = np.random.default_rng([seed, 1])
    n, n_classes = int(rng.choice([260, 300, 500])), int(rng.choice([2, 3, 6]))
    # Answers of one decimal are tied at the top, where most wrong alarms come from.
    tables = predictions(rng, n, n_classes, decimals=[None, 1, 2][seed % 3], leak=leak)
    stored = []
    for name, table in zip(("target", "shadows"), tables, strict=True):
        pq.write_table(table, folder / f"{name}.parquet")
        stored.append(StoredPredictions(folder / f"{name}.parquet", rounded=True))
    return score_stored(*stored, ScoreSpec(seed=seed, limits=LIMITS))[0]


@pytest.fixture(scope="module")
def null_reports(tmp_path_factory: pytest.TempPathFactory) -> list[Report]:
    folder = tmp_path_factory.mktemp("null")
    return [null_audit(seed, folder) for seed in range(N_NULL)]


def statuses(report: Report, *metrics: str) -> list[str]:
    return [limit.status for limit in report.verdict.limits if limit.metric in metrics or not metrics]


def test_hardly_any_null_audit_fails(null_reports: list[Report]) -> None:
    # An AUC is measured under every attack, so that it could have failed; the largest audits even pass.
    assert not any("not_measured" in statuses(report, "auc") for report in null_reports)
    assert sum("pass" in statuses(report, "auc") for report in null_reports) > 0.2 * N_NULL
    failed = [i for i, report in enumerate(null_reports) if "fail" in statuses(report)]
    assert len(failed) <= 0.01 * N_NULL, failed


def test_controls_do_not_void_null_audits(null_reports: list[Report]) -> None:
    voided = {i: failures(report.controls) for i, report in enumerate(null_reports) if failures(report.controls)}
    assert len(voided) <= 0.01 * N_NULL, voided


@pytest.mark.parametrize("seed", range(3))
def test_the_same_audits_of_a_model_that_leaks_fail(tmp_path: Path, seed: int) -> None:
    assert null_audit(seed, tmp_path, leak=4.0).verdict.status == "fail"


# Healthy audits of models trained here

ESTIMATORS: list[dict[str, Any]] = [
    {"kind": "logistic_regression"},
    {"kind": "gaussian_nb"},
    {"kind": "decision_tree", "params": {"max_depth": 6}},
    {"kind": "random_forest", "params": {"n_estimators": 10}},
    {"kind": "k_neighbors", "params": {"n_neighbors": 5}},
]
ATTACKS = [{"kind": "shokri", "model": {"kind": "logistic_regression"}}, {"kind": "loss"}, {"kind": "lira"}]


def table(rng: np.random.Generator, n: int, n_classes: int, shift: float = 0.0) -> dict[str, Any]:
    y = rng.choice(n_classes, n, p=rng.dirichlet(np.full(n_classes, 20)))
    centres = np.random.default_rng(n_classes).normal(size=(n_classes, 5))
    X = centres[y] + rng.normal(size=(n, 5)) + shift
    return {**{f"x{i}": X[:, i] for i in range(5)}, "n": rng.integers(0, 40, n), "y": y}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda entry: entry["kind"])
def test_no_control_fails_in_healthy_audits(tmp_path: Path, estimator: dict[str, Any]) -> None:
    for seed in range(12):
        rng = np.random.default_rng([seed, 2])
        path = tmp_path / f"{seed}.parquet"
        pq.write_table(pa.table(table(rng, 2400, 2 + seed % 3)), path)
        spec = AuditSpec.model_validate(
            {
                "name": "healthy",
                "seed": seed,
                "data": {"kind": "parquet", "path": str(path), "label": "y"},
                "split": {"members": 300, "nonmembers": [300, 60, 600][seed % 3]},
                "target": {"kind": "train", "estimator": estimator},
                "shadows": {"count": 4, "design": ["disjoint", "audit", "mixed"][seed // 4]},
                "attacks": ATTACKS,
            }
        )
        report = audited(spec, tmp_path / f"root-{seed}").report
        assert failures(report.controls) == [], (estimator, seed)


# Audits that are wrong on purpose, each beside one that is right

N = 400
Model = Callable[[Array], Floats]


def forest(X: Floats, y: Ints) -> Any:
    return RandomForestClassifier(10, random_state=0).fit(X, y)


def logistic(X: Floats, y: Ints) -> Any:
    return LogisticRegression().fit(X, y)


class Changed:
    """A fitted classifier whose answers are made otherwise than they should be."""

    def __init__(self, model: Any, answer: Model):
        self.model, self.classes_, self.answer = model, model.classes_, answer

    def predict_proba(self, X: Array) -> Floats:
        return self.answer(X)


def network(X: Floats, y: Ints) -> Any:
    model = MLPClassifier((32,), max_iter=100, learning_rate_init=0.01, random_state=0)
    return make_pipeline(StandardScaler(), model).fit(X, y)


def with_dropout(fitted: Any) -> Changed:
    """Leave the dropout of training on: half of the hidden units are silent, others for each record."""
    scaler, model = fitted[0], fitted[-1]

    def answer(X: Array) -> Floats:
        hidden = np.maximum(scaler.transform(X) @ model.coefs_[0] + model.intercepts_[0], 0)
        kept = np.random.default_rng(0).random(hidden.shape) < 0.5
        return softmax(2 * hidden * kept @ model.coefs_[1] + model.intercepts_[1], axis=1)

    return Changed(fitted, answer)


def shuffled(model: Any) -> Changed:
    """Answer in another order than asked."""
    return Changed(model, lambda X: np.random.default_rng(0).permutation(model.predict_proba(X)))


def wrong_audit(folder: Path, wrong: str, shadow: str, seed: int) -> Report:
    """Return the report of an audit of members, non-members and a pool, sound unless something is wrong."""
    X, y = make_classification(8 * N, 10, n_informative=6, n_classes=3, flip_y=0.1, random_state=seed)
    rng = np.random.default_rng([seed, 3])
    members, others, pool = (slice(0, N), slice(N, 2 * N), slice(2 * N, None))
    if wrong == "shift":
        X[others] += 0.5 * X.std(axis=0)
    if wrong == "label drift":
        drifted = N + np.flatnonzero(rng.random(N) < 0.4)
        y[drifted] = rng.integers(0, 3, len(drifted))
    if wrong == "near-duplicates":
        copied = np.arange(N // 5)
        X[N + copied], y[N + copied] = X[copied] + 0.01 * rng.normal(size=(len(copied), 10)), y[copied]
    trained = {"trained on both": slice(0, 2 * N), "half trained on": slice(0, 3 * N // 2)}.get(wrong, members)
    fit = {"other architecture": logistic}.get(wrong, network if "mlp" in shadow else forest)
    model = {"dropout on": with_dropout, "shuffled answers": shuffled}.get(wrong, lambda fitted: fitted)(
        fit(X[trained], y[trained])
    )
    parts = {"members": members, "nonmembers": others, "pool": pool}
    paths = {name: str(folder / f"{name}.parquet") for name in parts}
    for name, rows in parts.items():
        pq.write_table(pa.table({**{f"x{i}": X[rows, i] for i in range(10)}, "y": y[rows]}), paths[name])
    spec = {
        "name": "wrong",
        "seed": seed,
        "data": {"kind": "sides", **paths, "label": "y"},
        "target": {"kind": "object"},
        "shadows": {"count": 12, "size": N, "design": "disjoint", "estimator": SHADOWS[shadow]},
        "attacks": ATTACKS[:2],
        "limits": LIMITS[1:],
    }
    return audited(AuditSpec.model_validate(spec), folder / "root", model).report


SHADOWS: dict[str, dict[str, Any]] = {
    "forest": {"kind": "random_forest", "params": {"n_estimators": 10}},
    "mlp": {
        "kind": "sklearn.neural_network.MLPClassifier",
        "params": {"hidden_layer_sizes": [32], "max_iter": 100, "learning_rate_init": 0.01},
    },
}
WRONG = [
    ("shift", "forest", "blind_baseline"),
    ("label drift", "forest", "label_drift"),
    ("trained on both", "forest", "unseen_nonmembers"),
    ("half trained on", "forest", "unseen_nonmembers"),
    ("near-duplicates", "forest", "near_copies"),
    ("shuffled answers", "forest", "answers_fit_labels"),
]
"""What is wrong, the shadow models, and the control that fails."""


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("wrong", "shadow", "control"), WRONG)
def test_a_wrong_audit_is_voided(tmp_path: Path, wrong: str, shadow: str, control: str, seed: int) -> None:
    report = wrong_audit(tmp_path, wrong, shadow, seed)
    assert report.controls[control].status == "fail", report.controls[control].reason
    assert report.verdict.status == "not_measured" and control in report.verdict.reason


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("wrong", "shadow"), [("other architecture", "forest"), ("dropout on", "mlp")])
def test_a_target_unlike_the_shadow_models_is_named(tmp_path: Path, wrong: str, shadow: str, seed: int) -> None:
    report = wrong_audit(tmp_path, wrong, shadow, seed)
    assert "The shadow models are not like the target" in (likeness_sentence(report) or "")


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shadow", SHADOWS)
def test_its_sound_twin_is_not_flagged(tmp_path: Path, shadow: str, seed: int) -> None:
    report = wrong_audit(tmp_path, "", shadow, seed)
    assert failures(report.controls) == [] and likeness_sentence(report) is None
    assert {"label_drift", "unseen_nonmembers"} <= {k for k, c in report.controls.items() if c.status == "pass"}
    assert report.verdict.status != "not_measured"
