"""Whole audits with every kind of mitigation, without mocks, and the exported model over HTTP."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from data.catalogue import locate
from flows.audit import audit
from tasks.cluster import Compute
from umbrameter.mitigations import MemGuard, Rounding, TopK, wrapped
from umbrameter.mitigations.memguard import Guarded
from umbrameter.persistence import load_model
from umbrameter.records.reader import Records
from umbrameter.report import Report
from umbrameter.report.run_artefacts import read_run_artefacts
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.attack_data import read_sample
from umbrameter.steps.guards import guard_file, guard_seed
from umbrameter.steps.target import model_file
from umbrameter.store.artefacts import Store

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("server"),
]

MITIGATIONS: list[Any] = [
    {"kind": "top_k", "k": 1, "renormalise": True},
    {"kind": "temperature", "t": 4},
    {"kind": "memguard"},
    [{"kind": "memguard"}, {"kind": "rounding", "decimals": 1}],
    {"kind": "l2", "weight": 0.003},
    [{"kind": "l2", "weight": 0.003}, {"kind": "label_only"}],
    {"kind": "early_stopping"},
    {"kind": "dropout", "rate": 0.5},
    {"kind": "label_smoothing", "amount": 0.1},
    {"kind": "dp_sgd", "noise_multiplier": 2.0, "sampling_rate": 0.5, "epochs": 5, "reproducible": True},
]


def spec(**changes: Any) -> AuditSpec:
    network = {"hidden": [64], "epochs": 40, "batch_size": 20, "learning_rate": 0.003}
    settings: dict[str, Any] = {
        "name": "matrix",
        "data": {"kind": "generated", "like": "purchase", "records": 3000, "features": 120, "classes": 5},
        "split": {"members": 400, "nonmembers": 400},
        "target": {"kind": "train", "estimator": {"kind": "mlp", "params": network}},
        "shadows": {"count": 2},
        "attacks": [
            {"kind": "shokri", "model": {"kind": "logistic_regression"}, "features": "sorted"},
            {"kind": "loss"},
            {"kind": "lira"},
            {"kind": "label_only", "noise": {"copies": 3, "rate": 0.02}},
        ],
        "mitigations": MITIGATIONS,
    }
    return AuditSpec.model_validate(settings | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Report]:
    root = tmp_path_factory.mktemp("matrix")
    folder = audit(spec(), root=str(root), compute=Compute(workers=0))
    return root, folder, Report.model_validate_json((root / folder / "report.json").read_bytes())


def found(report: Report, attack: str, mitigation: str | None, attacker: str | None = "adaptive") -> Any:
    return next(
        r
        for r in report.results
        if (r.attack, r.mitigation, r.attacker) == (attack, mitigation, attacker if mitigation else None)
    )


def test_every_mitigation_faces_every_attack_and_both_attackers(finished: tuple[Path, str, Report]) -> None:
    report = finished[2]
    labels = [m.label for m in spec().mitigations]
    assert {r.mitigation for r in report.results} == {None, *labels}
    assert {r.attack for r in report.results} == {
        "shokri(logistic_regression, sorted)",
        "loss",
        "lira(offline)",
        "label_only",
        "confidence",
    }
    assert len(report.results) == 5 * (1 + 2 * len(labels))
    for result in report.results:
        assert result.metrics["auc"].value >= 0 and (result.mitigation is None) == (result.change == {})
    cut = found(report, "loss", "top_k(1, renormalised)")
    assert cut.change["test_accuracy"].value == 0 and cut.utility["label_agreement"].value == 1
    assert found(report, "loss", "temperature(4)").change["calibration_error"].value != 0
    base = found(report, "loss", None).metrics["auc"].value
    for result in report.results:
        if result.attack == "loss" and result.mitigation:
            assert result.change["auc"].value == pytest.approx(result.metrics["auc"].value - base)


def test_a_guard_keeps_labels_and_its_budget(finished: tuple[Path, str, Report]) -> None:
    guarded = found(finished[2], "loss", "memguard(1)")
    assert guarded.utility["label_agreement"].value == 1 and 0 < guarded.utility["distortion"].value <= 1
    assert guarded.change["test_accuracy"].value == 0
    rounded = found(finished[2], "loss", "memguard(1) + rounding(1)")
    assert rounded.utility["distortion"].value > 0


def test_a_guarantee_stands_beside_what_was_proved(finished: tuple[Path, str, Report]) -> None:
    (guarantee,) = finished[2].guarantees
    assert guarantee.mitigation.startswith("dp_sgd(noise_multiplier=2") and guarantee.n_steps == 10
    assert 0 <= guarantee.one_run_epsilon_lower_bound <= guarantee.epsilon and guarantee.n_attacks == 10
    assert guarantee.is_reproducible and guarantee.mitigation.endswith(", reproducible)")
    assert "PLD accountant" in guarantee.accountant and finished[2].verdict.status == "no_limits"


def test_two_workers_give_the_same_bytes(finished: tuple[Path, str, Report], tmp_path: Path) -> None:
    folder = audit(spec(), root=str(tmp_path), compute=Compute(workers=2))
    again = Report.model_validate_json((tmp_path / folder / "report.json").read_bytes())
    assert again.results_json() == finished[2].results_json() and again.guarantees == finished[2].guarantees
    assert again.recommendation == finished[2].recommendation


def test_mitigations_of_the_answer_train_nothing(finished: tuple[Path, str, Report]) -> None:
    rows = [*MITIGATIONS, {"kind": "rounding", "decimals": 2}, {"kind": "top_k", "k": 3}]
    root = finished[0]
    folder = audit(spec(mitigations=rows), root=str(root), compute=Compute(workers=0))
    again = Report.model_validate_json((root / folder / "report.json").read_bytes())
    assert again.ledger.fits == 0 and again.ledger.queries == 0 and again.shadows.n_reused == 2
    assert {r.mitigation for r in again.results} >= {"rounding(2)", "top_k(3)"}


def test_mlflow_has_a_run_per_mitigation_with_matching_names(finished: tuple[Path, str, Report]) -> None:
    root, folder, report = finished
    client = mlflow.MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("matrix")
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.run_folder = '{folder}'")
    of_parent = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    runs = {str(r.info.run_name): r for r in client.search_runs([experiment.experiment_id], of_parent)}
    children = {name: run for name, run in runs.items() if name.startswith("mitigation:")}
    assert set(children) == {f"mitigation:{m.label}" for m in spec().mitigations}
    names = [set(run.data.metrics) for run in children.values()]
    shared = {"auc", "auc_high", "test_accuracy", "log_loss", "calibration_error", "distortion", "change_of_auc"}
    assert all(shared <= own for own in names)
    private = next(run for name, run in children.items() if "dp_sgd" in name)
    assert private.data.metrics["epsilon_proved"] == report.guarantees[0].one_run_epsilon_lower_bound
    assert "epsilon_claimed" not in private.data.metrics
    assert private.data.tags["mlflow.note.content"].startswith("withdrawn: dp_sgd(")
    assert {run.data.tags["strongest_attacker"] for run in children.values()} <= {"adaptive", "static"}
    assert parent.data.tags["recommended_mitigation"]
    table = client.download_artifacts(parent.info.run_id, "mitigations.json")
    content = json.loads(Path(table).read_text())
    assert len(content["data"]) == len(report.results) and content["columns"][:3] == [
        "mitigation",
        "attack",
        "attacker",
    ]


def exported(command: Any, finished: tuple[Path, str, Report], mitigation: str, to: Path) -> str:
    code, out, err = command("export", finished[0] / finished[1], "--mitigation", mitigation, "--to", to)
    assert code == 0 and "Serve it: mlflow models serve" in out, err
    return (to / "MODEL_CARD.md").read_text(encoding="utf8")


def test_an_exported_model_answers_as_the_wrapper_does(
    command: Any, finished: tuple[Path, str, Report], tmp_path: Path
) -> None:
    root, folder, report = finished
    store = Store(root)
    artefacts = read_run_artefacts(store, folder)
    X = Records.open(store, artefacts.records).take(np.arange(50))[0]
    models = {paths.mitigation: paths for paths in artefacts.models}
    unmitigated = load_model(model_file(store.open(models[None].target)))
    strong = load_model(model_file(store.open(models["l2(0.003) + label_only"].target)))
    guard = MemGuard().fit(read_sample([store.open(path) for path in artefacts.attack_data[:1]]), guard_seed(0))
    stored = load_model(guard_file(store.open(str(models["memguard(1)"].guard))))
    assert np.array_equal(stored.coefs_[0], guard.network.coefs_[0])
    expected = {
        "none": unmitigated.predict_proba(X),
        "top_k(1, renormalised)": TopK(1, True).wrap(unmitigated).predict_proba(X),
        "memguard(1) + rounding(1)": wrapped(
            unmitigated, [Guarded(MemGuard(), stored, guard_seed(0)), Rounding(1)]
        ).predict_proba(X),
        "l2(0.003) + label_only": np.eye(5)[strong.predict_proba(X).argmax(axis=1)],
    }
    for i, (mitigation, answers) in enumerate(expected.items()):
        card = exported(command, finished, mitigation, tmp_path / str(i))
        assert mitigation in card and "What the mitigation costs" in card and report.audit.spec_digest[:12] in card
        served = mlflow.pyfunc.load_model(str(tmp_path / str(i)))
        np.testing.assert_array_equal(served.predict(X), answers)


def test_export_writes_no_claim_on_noise_that_can_be_drawn_again(
    command: Any, finished: tuple[Path, str, Report], tmp_path: Path
) -> None:
    name, to = finished[2].guarantees[0].mitigation, tmp_path / "m"
    code, out, err = command("export", finished[0] / finished[1], "--mitigation", name, "--to", to)
    assert code == 0 and f"Privacy, withdrawn: {name} claims no privacy" in " ".join(out.split()), err
    (claim,) = mlflow.pyfunc.load_model(str(to)).metadata.metadata["privacy"]
    assert claim.startswith("withdrawn") and "ε" not in claim
    card = (to / "MODEL_CARD.md").read_text(encoding="utf8")
    assert "withdrawn: " in card and "claims ε" not in card


def test_a_model_that_cannot_be_exported_is_reported(
    command: Any, finished: tuple[Path, str, Report], tmp_path: Path
) -> None:
    run = finished[0] / finished[1]
    code, _, err = command("export", run, "--mitigation", "blur(3)", "--to", tmp_path / "m")
    assert code == 1 and "--mitigation='blur(3)': the audit has no such mitigation; it has none, top_k" in err
    code, _, err = command("export", run, "--mitigation", "none", "--to", tmp_path)
    assert code == 1 and "exists already; name a folder that does not" in err


def test_a_served_model_answers_over_http_what_the_wrapper_gives(
    command: Any, finished: tuple[Path, str, Report], tmp_path: Path
) -> None:
    root, folder, _ = finished
    store = Store(root)
    artefacts = read_run_artefacts(store, folder)
    records = Records.open(store, artefacts.records)
    X = records.take(np.arange(20))[0]
    model = load_model(model_file(store.open(artefacts.models[0].target)))
    exported(command, finished, "temperature(4)", tmp_path / "m")
    wanted = next(m for m in spec().mitigations if m.label == "temperature(4)").wrap(model).predict_proba(X)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-m", str(tmp_path / "m"), "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url, frame = f"http://127.0.0.1:{port}/invocations", {"columns": records.feature_names, "data": X.tolist()}
        answer = posted(url, {"inputs": X.tolist()})
        assert posted(url, {"dataframe_split": frame}) == answer
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
    np.testing.assert_array_equal(np.array(answer["predictions"], dtype=np.float32), wanted)


def posted(url: str, content: dict[str, Any]) -> Any:
    """Return a server's answer, as soon as it gives one."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    for _ in range(120):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not answer within a minute")


def test_categories_are_served_as_text(command: Any, tmp_path: Path) -> None:
    small = AuditSpec.load(Path(__file__).parent / "small.yaml")
    folder = audit(small, root=str(tmp_path), compute=Compute(workers=0))
    code, _, err = command("export", tmp_path / folder, "--mitigation", "rounding(1)", "--to", tmp_path / "m")
    assert code == 0, err
    served = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    store = Store(tmp_path)
    artefacts = read_run_artefacts(store, folder)
    records, models = Records.open(store, artefacts.records), {m.mitigation: m for m in artefacts.models}
    raw = pd.read_parquet(locate("adult", str(tmp_path)).path)
    frame = raw.drop_duplicates([c for c in raw.columns if c not in ("fnlwgt", "split")])[:30]
    named = {n: frame[n] if n in records.metadata.categories else frame[n].astype(float) for n in records.feature_names}
    by_name = served.predict(pd.DataFrame(named))
    codes = records.take(np.arange(30))[0]
    model = load_model(model_file(store.open(models["rounding(1)"].target)))
    np.testing.assert_array_equal(by_name, Rounding(1).wrap(model).predict_proba(codes))
