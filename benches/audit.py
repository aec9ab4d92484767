"""A whole audit of Purchase-like records on two cores, against the script and the package a researcher would use.

20 shadow models of 10,000 records each, 600 bits, 100 classes, networks of 128 tanh units, 25 epochs in batches of 200.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import yaml
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier as SklearnMLP

from benches.compare import Row, Time, full, installed, report
from benches.data import purchases, write

N, N_SHADOWS, N_CLASSES, BATCH = 10_000, 20, 100, 200
EPOCHS = 25
COMMAND = [sys.executable, "-c", "from umbrameter.cli import main; main()", "audit"]


def spec(data: Path, attack: dict) -> dict:
    return {
        "name": "purchases",
        "data": {"kind": "parquet", "path": str(data), "label": "y", "duplicates": "keep"},
        "split": {"members": N, "nonmembers": N},
        "target": {
            "kind": "train",
            "estimator": {"kind": "mlp", "params": {"hidden": [128], "epochs": EPOCHS, "batch_size": BATCH}},
        },
        "shadows": {"count": N_SHADOWS},
        "attacks": [attack],
    }


def command(folder: Path, settings: dict, root: str, workers: int) -> tuple[float, dict]:
    """Run the command as a user does; return its wall seconds and its report.

    Parameters
    ----------
    folder
        Where the spec and the root are written.
    settings
        The spec.
    root
        The root's name; runs of one root share its artefacts.
    workers
        Local worker processes.
    """
    file = folder / "spec.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf8")
    # A new process, as for a user: its start and its imports are part of the time.
    start = time.perf_counter()
    arguments = [*COMMAND, str(file), "--root", str(folder / root), "--workers", str(workers), "--json"]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start, json.loads(done.stdout)


def ours(folder: Path, data: Path, attack: dict) -> tuple[Time, float, float]:
    """Run an audit in a new root; return its time, accuracy and AUC."""
    # A root's name is used once, so that nothing is reused.
    wall, content = command(folder, spec(data, attack), f"root-{time.time_ns()}", 2)
    metrics = content["results"][0]["metrics"]
    cpu = sum(content["ledger"]["cpu_seconds"].values())
    return Time(cpu, wall), metrics["accuracy"]["value"], metrics["auc"]["value"]


def library(X, y) -> tuple[Time, float, float]:
    """Run the same attack with our library alone: two processes, no orchestrator, store or report."""
    from joblib.externals.loky import get_reusable_executor

    from umbrameter import AttackModelBundle, ShadowModelBundle, prepare_attack_data
    from umbrameter.attacks.shokri import NETWORK
    from umbrameter.networks import MLPClassifier

    cpu, wall = _cpu(), time.perf_counter()
    X = X.astype(np.float32)
    members, others, pool = slice(0, N), slice(N, 2 * N), slice(2 * N, None)
    settings = {"hidden": (128,), "epochs": EPOCHS, "batch_size": BATCH}
    shadows = ShadowModelBundle(lambda: MLPClassifier(**settings), N, N_SHADOWS, n_jobs=2)
    X_shadow, y_shadow = shadows.fit_transform(X[pool], y[pool])
    attack = AttackModelBundle(lambda: MLPClassifier(**NETWORK), N_CLASSES, n_jobs=2)
    attack.fit(X_shadow, y_shadow)
    target = MLPClassifier(**settings).fit(X[members], y[members])
    rows, is_member = prepare_attack_data(target, (X[members], y[members]), (X[others], y[others]))
    scores = attack.predict_proba(rows)[:, 1]
    get_reusable_executor().shutdown(wait=True)  # only then is the CPU time of its processes counted
    taken = Time(_cpu() - cpu, time.perf_counter() - wall)
    return taken, float(((scores > 0.5) == is_member).mean()), float(roc_auc_score(is_member, scores))


def script(bits, y) -> tuple[Time, float, float]:
    """Run the attack as a plain script, with scikit-learn at its defaults and the paper's attack models."""
    cpu, wall = time.process_time(), time.perf_counter()
    rng = np.random.default_rng(0)
    members, others, pool = np.arange(N), np.arange(N, 2 * N), np.arange(2 * N, len(y))
    vectors, labels, is_in = [], [], []
    for seed in range(N_SHADOWS):
        rows = rng.permutation(pool)[: 2 * N]
        shadow = SklearnMLP((128,), activation="tanh", batch_size=BATCH, max_iter=EPOCHS, random_state=seed)
        shadow.fit(bits[rows[:N]], y[rows[:N]])
        vectors.append(shadow.predict_proba(bits[rows]))
        labels.append(y[rows])
        is_in.append(np.arange(2 * N) < N)
    vectors, labels, is_in = np.concatenate(vectors), np.concatenate(labels), np.concatenate(is_in)
    target = SklearnMLP((128,), activation="tanh", batch_size=BATCH, max_iter=EPOCHS, random_state=99)
    target.fit(bits[members], y[members])
    asked = np.concatenate([members, others])
    answers, scores = target.predict_proba(bits[asked]), np.full(2 * N, 0.5)
    for c in range(N_CLASSES):
        attack = SklearnMLP((64,), random_state=c).fit(vectors[labels == c], is_in[labels == c])
        is_class = y[asked] == c
        scores[is_class] = attack.predict_proba(answers[is_class])[:, 1]
    is_member = np.arange(2 * N) < N
    taken = Time(time.process_time() - cpu, time.perf_counter() - wall)
    return taken, float(((scores > 0.5) == is_member).mean()), float(roc_auc_score(is_member, scores))


def mia_package(bits, y, attack_fn) -> tuple[Time, float, float]:
    """Run the attack with `mia` 0.1.2 as its example does, with shadow models in float32."""
    from mia.estimators import AttackModelBundle, ShadowModelBundle, prepare_attack_data

    cpu, wall = time.process_time(), time.perf_counter()
    X, one_hot = bits.astype(np.float32), np.eye(N_CLASSES, dtype=np.float32)
    members, others, pool = slice(0, N), slice(N, 2 * N), slice(2 * N, None)

    class Network(SklearnMLP):
        """A network that takes the package's one-hot labels."""

        def __init__(self):
            super().__init__((128,), activation="tanh", batch_size=BATCH, max_iter=EPOCHS, random_state=0)

        def fit(self, X, y):
            return super().fit(X, y.argmax(axis=1))

    shadows = ShadowModelBundle(Network, shadow_dataset_size=N, num_models=N_SHADOWS)
    X_shadow, y_shadow = shadows.fit_transform(X[pool], one_hot[y[pool]])
    attack = AttackModelBundle(attack_fn, num_classes=N_CLASSES)
    attack.fit(X_shadow, y_shadow)
    target = Network().fit(X[members], one_hot[y[members]])
    rows, is_member = prepare_attack_data(target, (X[members], one_hot[y[members]]), (X[others], one_hot[y[others]]))
    called = attack.predict(rows)
    taken = Time(time.process_time() - cpu, time.perf_counter() - wall)
    return taken, float((called == is_member).mean()), float("nan")


def _cpu() -> float:
    """Return the CPU seconds of this process and of the finished processes that it started."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    warnings.simplefilter("ignore")
    network = {"kind": "shokri"}
    forest = {"kind": "shokri", "model": {"kind": "random_forest"}}
    forests = lambda: RandomForestClassifier(random_state=0)  # noqa: E731
    networks = lambda: SklearnMLP((64,), max_iter=20, random_state=0)  # noqa: E731
    bits, y = purchases(6 * N)
    measured = {}

    def run(name, contestant):
        taken, accuracy, auc = measured[name] = contestant()
        print(f"  {name}: {taken}, attack accuracy {accuracy:.3f}, AUC {auc:.3f}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name, "purchases.parquet")
        write(data, bits, y)
        # Leaves numba's compiled code on disk, as on any machine but a new one.
        ours(folder, data, network)
        run("ours", lambda: ours(folder, data, network))
        run("script", lambda: script(bits, y))
        if has_mia := installed("mia"):
            run("mia, networks", lambda: mia_package(bits, y, networks))
            run("mia, forests", lambda: mia_package(bits, y, forests))
        run("ours, library", lambda: library(bits, y))
        if full():
            run("ours, forests", lambda: ours(folder, data, forest))

    def row(what, our_name, other_name, *targets):
        (our_time, *quality), (other_time, *other_quality) = measured[our_name], measured[other_name]
        shown = [f"{t}, accuracy {q[0]:.3f}" for t, q in ((our_time, quality), (other_time, other_quality))]
        return Row(what, *shown, other_time.wall / our_time.wall, *targets)

    rows = [
        row("script with scikit-learn at its defaults", "ours", "script", 6, 12),
        row("the same script, by our library alone", "ours, library", "script"),
    ]
    if has_mia:
        rows += [
            row("mia 0.1.2, random forests as attack models", "ours", "mia, forests", 8, 15),
            row("mia 0.1.2, networks as attack models", "ours", "mia, networks", 4, 7),
            row("the same, by our library alone", "ours, library", "mia, networks"),
        ]
        if full():
            rows.append(row("mia 0.1.2, random forests on both sides", "ours, forests", "mia, forests"))
    report(rows)


if __name__ == "__main__":
    main()
