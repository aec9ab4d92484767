"""Audits under faults: each completes with the same numbers or ends with a clear error; finished work is kept."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import LocalCluster, Security

from flows.audit import audit
from tasks.cluster import Compute
from umbrameter.errors import DataError
from umbrameter.report import Report
from umbrameter.spec.audit import AuditSpec
from umbrameter.statistics.estimates import Interval, NotMeasured
from umbrameter.store.artefacts import Store

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
from test_cluster import certificate

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("server"),
]

SMALL = Path(__file__).parent / "small.yaml"
NETWORK = "{kind: mlp, params: {hidden: [16], epochs: 5}}"
NETWORKS = (f"target.estimator={NETWORK}", "mitigations=[]", "attacks=[{kind: shokri}, {kind: loss}]")
"""Settings that make the target and the attack models networks."""


def run(root: Path, *settings: str, compute: Compute | None = None) -> Report:
    spec = AuditSpec.load(SMALL, settings)
    folder = audit(spec, root=str(root), compute=compute or Compute(workers=0))
    return Report.model_validate_json((root / folder / "report.json").read_bytes())


def finished(root: Path, kind: str) -> int:
    return len(list((root / "store" / kind).glob("*/manifest.json")))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return run(tmp_path_factory.mktemp("networks"), *NETWORKS).results_json()


def test_networks_give_the_same_bytes_on_a_worker(networks: bytes, tmp_path: Path) -> None:
    assert run(tmp_path, *NETWORKS, compute=Compute(workers=1)).results_json() == networks


def test_two_workers_of_a_cluster_with_certificates_give_the_same_bytes(networks: bytes, tmp_path: Path) -> None:
    ours = certificate(tmp_path, "ours")
    roles = {
        f"tls_{role}_{part}": ours[f"tls_{part}"]
        for role in ("scheduler", "worker", "client")
        for part in ("cert", "key")
    }
    security = Security(tls_ca_file=ours["tls_ca"], require_encryption=True, **roles)
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        protocol="tls://",
        security=security,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        report = run(tmp_path, *NETWORKS, compute=Compute(dask=cluster.scheduler_address, **ours))
    assert report.results_json() == networks


def test_networks_side_by_side_give_the_same_figures(
    networks: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On bits, where no scaler stands before a network: as on a GPU, in two tasks of two and one models."""
    plain = (
        "data={kind: parquet, path: %s, label: y, duplicates: drop}",
        "split={members: 60}",
        f"target.estimator={NETWORK}",
    )
    bits = tmp_path / "bits.parquet"
    _write_bits(bits)
    settings = (plain[0] % bits, *plain[1:], "shadows.count=3", "mitigations=[]", "attacks=[{kind: shokri}]")
    alone = run(tmp_path / "alone", *settings)
    calls = []
    from umbrameter.steps import shadow_models

    together = shadow_models.fit_side_by_side
    monkeypatch.setattr(shadow_models, "on_gpu", lambda: True)
    monkeypatch.setattr(
        shadow_models, "fit_side_by_side", lambda nets, *a: (calls.append(len(nets)), together(nets, *a))
    )
    stacked = run(tmp_path / "stacked", *settings, compute=Compute(workers=0, models_a_task=2))
    assert sorted(calls) == [1, 2]
    for one, other in zip(_predictions(tmp_path / "alone"), _predictions(tmp_path / "stacked"), strict=True):
        assert abs(one - other).max() < 1e-5
    assert abs(stacked.shadows.test_accuracy - alone.shadows.test_accuracy) < 1e-9  # type: ignore[operator]


def _write_bits(path: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    X = (rng.random((3, 40)) < 0.15)[y] ^ (rng.random((600, 40)) < 0.1)
    pq.write_table(pa.table({"y": y, **{f"bit{i}": X[:, i].astype(int) for i in range(40)}}), path)


def _predictions(root: Path) -> Iterator[Any]:
    from umbrameter.store.arrow import vectors

    folders = {}
    for manifest in (root / "store" / "shadow_predictions").glob("*/manifest.json"):
        folders[json.loads(manifest.read_bytes())["facts"]["model_id"]] = manifest.parent
    for _, folder in sorted(folders.items()):
        artefact = Store(root).open(str(folder.relative_to(root)))
        yield vectors(artefact.table("predictions.parquet")["prediction"])


@pytest.mark.parametrize(
    ("estimator", "text"),
    [
        (
            "{kind: gaussian_nb, params: {priors: [0.1, 0.2, 0.7]}}",
            r"estimator=gaussian_nb\(priors=.*could not be trained on 300 records: ValueError: .*priors",
        ),
        (
            "{kind: k_neighbors, params: {n_neighbors: 5000}}",
            r"could not answer 600 records: ValueError: .*n_neighbors.*; change its parameters",
        ),
        (
            "{kind: mlp, params: {learning_rate: 1.0e+38, activation: relu, epochs: 9}}",
            r"could not be trained .*training of MLPClassifier diverged: its weights are not finite; lower",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_cannot_be_trained_or_asked(tmp_path: Path, estimator: str, text: str) -> None:
    with pytest.raises(DataError, match=text):
        run(tmp_path, f"target.estimator={estimator}", "mitigations=[]")
    assert finished(tmp_path, "records") == finished(tmp_path, "split") == 1


def test_shadow_models_that_learn_nothing_measure_nothing(tmp_path: Path) -> None:
    dummy = "{kind: sklearn.dummy.DummyClassifier, params: {strategy: constant, constant: 1}}"
    report = run(tmp_path, f"target.estimator={dummy}", "mitigations=[]")
    shokri, loss = report.results
    assert loss.attack == "loss" and isinstance(loss.metrics["auc"], Interval)
    assert all(isinstance(metric, NotMeasured) for metric in shokri.metrics.values())
    assert report.verdict.status == "not_measured"
    assert "did not learn: on the records they were trained on, their mean accuracy is 0.2" in report.verdict.reason


def test_files_from_another_time_are_used_as_they_are(tmp_path: Path) -> None:
    first = run(tmp_path)
    for i, path in enumerate(sorted((tmp_path / "store").rglob("*"))):
        os.utime(path, (0, 0) if i % 2 else (4e9, 4e9))
    again = run(tmp_path)
    assert (again.shadows.n_trained, again.ledger.fits) == (0, 0)
    assert again.results_json() == first.results_json()


@pytest.mark.parametrize(
    ("settings", "is_at_hand"),
    [(((), ()), False), (((), ("seed=1",)), True)],  # the first start a server each, and make one database
    ids=["the same audit twice", "two audits"],
)
def test_at_once_on_one_store(
    tmp_path: Path,
    settings: tuple[tuple[str, ...], ...],
    is_at_hand: bool,
    at_hand: Callable[[Path], dict[str, str]],
) -> None:
    environment = at_hand(tmp_path / "shared") if is_at_hand else None
    command = [sys.executable, "-c", "from umbrameter.cli import main; main()", "audit", str(SMALL), "--json"]
    command += ["--workers", "1", "--root", str(tmp_path / "shared")]
    processes = [
        subprocess.Popen(
            [*command, *(part for setting in own for part in ("--set", setting))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for own in settings
    ]
    for process, own in zip(processes, settings, strict=True):
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
        alone = run(tmp_path / f"alone-{own}", *own)
        assert Report.model_validate_json(out).results_json() == alone.results_json()
    assert len(list((tmp_path / "shared" / "runs").iterdir())) == 2


def test_costs_are_reported_by_stage_and_by_process(tmp_path: Path) -> None:
    ledger = run(tmp_path, compute=Compute(workers=1)).ledger
    assert ledger.fits == 6 and ledger.queries == 1200
    assert set(ledger.cpu_seconds) == {*ledger.seconds, "orchestration"}
    assert 0 < ledger.cpu_seconds["fit shadow models"] <= 1.5 * sum(ledger.seconds.values())
    assert ledger.cpu_seconds["orchestration"] > 0 and ledger.cpu_seconds["prepare"] > 0
    assert ledger.worker_peak_rss_mb > 50 < ledger.driver_peak_rss_mb
    assert ledger.peak_rss_mb == max(ledger.worker_peak_rss_mb, ledger.driver_peak_rss_mb)
    again = run(tmp_path).ledger
    assert again.worker_peak_rss_mb == 0 and again.cpu_seconds["fit shadow models"] == 0
    assert not [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]
