"""The paper's Location audit with 60 shadow models, against a plain script with scikit-learn."""

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier as SklearnMLP

from benches import audit
from benches.compare import Row, Time, report
from benches.data import full_sets
from umbrameter.spec.audit import AuditSpec

SPEC = Path(__file__).parents[1] / "deployments" / "specs" / "location30.yaml"
N, N_SHADOWS, N_CLASSES = 1200, 60, 30


def network(seed: int) -> SklearnMLP:
    return SklearnMLP((128,), activation="tanh", batch_size=32, max_iter=100, random_state=seed)


def script(X, y) -> tuple[Time, float, float]:
    """Train, query and attack as in the paper, one model after the other."""
    cpu, wall = time.process_time(), time.perf_counter()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(y))
    asked, pool = order[: 2 * N], order[2 * N :]
    target = network(99).fit(X[asked[:N]], y[asked[:N]])
    vectors, labels, is_in = [], [], []
    for seed in range(N_SHADOWS):
        rows = rng.permutation(pool)[: 2 * N]
        shadow = network(seed).fit(X[rows[:N]], y[rows[:N]])
        vectors.append(shadow.predict_proba(X[rows]))
        labels.append(y[rows])
        is_in.append(np.arange(2 * N) < N)
    vectors, labels, is_in = np.concatenate(vectors), np.concatenate(labels), np.concatenate(is_in)
    answers, scores = target.predict_proba(X[asked]), np.empty(2 * N)
    for c in range(N_CLASSES):
        attack = SklearnMLP((64,), random_state=c).fit(vectors[labels == c], is_in[labels == c])
        scores[y[asked] == c] = attack.predict_proba(answers[y[asked] == c])[:, 1]
    is_member = np.arange(2 * N) < N
    taken = Time(time.process_time() - cpu, time.perf_counter() - wall)
    return taken, float(((scores > 0.5) == is_member).mean()), float(roc_auc_score(is_member, scores))


def main() -> None:
    warnings.simplefilter("ignore")
    table = pq.read_table(full_sets() / "location30.parquet")
    X, y = np.stack(table["x"].to_numpy()), table["y"].to_numpy().astype(np.int64)
    settings = AuditSpec.load(SPEC).model_dump(mode="json")
    assert settings["shadows"]["count"] == N_SHADOWS
    # The spec lists the script's attack first.
    alone, three = (settings | {"attacks": settings["attacks"][:n]} for n in (1, 3))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        audit.command(Path(name), alone, "warm", 2)  # leaves numba's compiled code on disk
        runs = {what: audit.command(Path(name), spec, what, 2) for what, spec in (("three", three), ("alone", alone))}
    other, *quality = script(X, y)
    print(f"  script: {other}, accuracy {quality[0]:.3f}, AUC {quality[1]:.3f}", file=sys.stderr)
    for what, name in (
        ("with networks, forests and the loss", "three"),
        ("with the attack of the script alone", "alone"),
    ):
        wall, content = runs[name]
        metrics = content["results"][0]["metrics"]
        shown = f"{wall:.1f} s, accuracy {metrics['accuracy']['value']:.3f}, AUC {metrics['auc']['value']:.3f}"
        theirs = f"{other.wall:.1f} s, accuracy {quality[0]:.3f}, AUC {quality[1]:.3f}"
        rows.append(Row(f"location30.yaml {what}, v. the script with scikit-learn", shown, theirs, other.wall / wall))
    report(rows)


if __name__ == "__main__":
    main()
