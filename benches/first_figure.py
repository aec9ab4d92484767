"""How long until the first figure: audits in Python and by the command, on two cores, beside `mia` where it can.

Location: 1,200 members, 30 shadow models, 128 tanh units, 100 epochs in batches of 100, attack networks per class.
Purchase-like: 10,000 members of 60,000 records of 600 bits, 100 classes, 20 shadow models, 25 epochs in batches of 200.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml

from benches import audit
from benches.compare import Row, Time, installed, report
from benches.data import full_sets, purchases, write

SPECS = Path(__file__).parents[1] / "deployments" / "specs"
IN_PYTHON = """
import sys
from umbrameter import audit
if __name__ == "__main__":
    audit(sys.argv[1], root=sys.argv[2], workers=2, progress=False)
"""
WITHOUT_SHADOWS = """
import json, time
import numpy as np
from sklearn.ensemble import RandomForestClassifier
rng = np.random.default_rng(0)
X = rng.normal(size=(20_000, 20))
y = (X[:, 0] + rng.normal(size=20_000) > 0).astype(int)
model = RandomForestClassifier(20, random_state=0).fit(X[:10_000], y[:10_000])
cpu, wall = time.process_time(), time.perf_counter()
from umbrameter import audit
audit(model, members=(X[:10_000], y[:10_000]), nonmembers=(X[10_000:], y[10_000:]), progress=False)
print(json.dumps([time.process_time() - cpu, time.perf_counter() - wall]))
"""


def finished(*arguments: str) -> Time:
    """Run Python with arguments; return its time, with that of the processes that it started."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"  {' '.join(arguments[1:])[-60:]}: {cpu:.1f} s CPU, {wall:.1f} s", file=sys.stderr, flush=True)
    return Time(cpu, wall)


def silences(*arguments: str) -> tuple[float, float]:
    """Run the command on a terminal; return the seconds until something is shown, and the longest without a change."""
    ours, theirs = os.openpty()
    start = time.perf_counter()
    times = [start]
    with subprocess.Popen([*audit.COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        with suppress(OSError):  # that is how the end of a terminal is read
            while os.read(ours, 1 << 16):
                times.append(time.perf_counter())
    os.close(ours)
    return times[1] - start, float(np.diff(times).max())


def location_spec(data: Path) -> dict:
    network = {"kind": "mlp", "params": {"hidden": [128], "epochs": 100, "batch_size": 100}}
    return {
        "name": "location",
        "data": {"kind": "parquet", "path": str(data), "label": "y", "duplicates": "keep"},
        "split": {"members": 1200, "nonmembers": 1200},
        "target": {"kind": "train", "estimator": network},
        "shadows": {"count": 30},
        "attacks": [{"kind": "shokri"}],
    }


def mia_on_location(X, y) -> Time:
    """Run the attack on Location with `mia`, in float32."""
    from mia.estimators import AttackModelBundle, ShadowModelBundle, prepare_attack_data
    from sklearn.neural_network import MLPClassifier

    cpu, wall = time.process_time(), time.perf_counter()
    n, X, one_hot = 1200, X.astype(np.float32), np.eye(30, dtype=np.float32)[y]

    class Network(MLPClassifier):
        """A network that takes the package's one-hot labels."""

        def __init__(self):
            super().__init__((128,), activation="tanh", batch_size=100, max_iter=100, random_state=0)

        def fit(self, X, y):
            return super().fit(X, y.argmax(axis=1))

    shadows = ShadowModelBundle(Network, shadow_dataset_size=n, num_models=30)
    attack = AttackModelBundle(lambda: MLPClassifier((64,), max_iter=20, random_state=0), num_classes=30)
    attack.fit(*shadows.fit_transform(X[2 * n :], one_hot[2 * n :]))
    target = Network().fit(X[:n], one_hot[:n])
    rows, _ = prepare_attack_data(target, (X[:n], one_hot[:n]), (X[n : 2 * n], one_hot[n : 2 * n]))
    attack.predict(rows)
    return Time(time.process_time() - cpu, time.perf_counter() - wall)


def whole_audits(folder: Path, name: str, spec: dict, most: tuple[float, ...], mia: Callable[[], Time]) -> list[Row]:
    """Run an audit in Python, by the command with and without `--local`, each in a cold root, and with `mia`."""
    file, script = folder / f"{name}.yaml", folder / "audit.py"
    file.write_text(yaml.safe_dump(spec), encoding="utf8")
    script.write_text(IN_PYTHON, encoding="utf8")
    command = ["-c", audit.COMMAND[2], "audit", str(file), "--workers", "2", "--root"]
    finished(str(script), str(file), str(folder / f"{name}-warm"))  # leaves numba's compiled code on disk
    taken = {
        "audit() in Python": finished(str(script), str(file), str(folder / f"{name}-python")),
        "umbrameter audit": finished(*command, str(folder / f"{name}-flow")),
        "umbrameter audit --local": finished(*command, str(folder / f"{name}-local"), "--local"),
    }
    limits = {"audit() in Python": most[:2], "umbrameter audit": most[2:], "umbrameter audit --local": most[:2]}
    rows = [limit(f"{what}, {name}", time, time.wall, *limits[what]) for what, time in taken.items()]
    if installed("mia"):
        other = mia()
        ours = taken["audit() in Python"]
        rows.append(Row(f"mia 0.1.2 on {name}, v. audit() in Python", str(ours), str(other), other.wall / ours.wall))
    return rows


def limit(what: str, taken: Time, seconds: float, at_most: float, reach: float) -> Row:
    """Return a row of seconds against the most that they should be."""
    return Row(what, str(taken), f"{at_most:g} s", seconds / at_most, 1, reach / at_most, True)


def everything_stored(folder: Path) -> list[Row]:
    """Audit Adult a second time in the same root."""
    command = ["-c", audit.COMMAND[2], "audit", str(SPECS / "adult.yaml"), "--root", str(folder / "adult")]
    finished(*command)
    rows = []
    for what, more in (("umbrameter audit", ()), ("umbrameter audit --local", ("--local",))):
        again = finished(*command, *more)
        rows.append(limit(f"{what}, Adult with everything in the store: CPU", again, again.cpu, 6, 4))
        first, longest = silences(*command[2:], *more)
        lines = f"{what}, Adult with everything in the store: until the first line"
        rows.append(Row(lines, f"{first:.1f} s", "1 s", first, 1, None, True))
        lines = f"{what}, Adult with everything in the store: longest time without a change on the terminal"
        rows.append(Row(lines, f"{longest:.1f} s", "3 s", longest / 3, 1, None, True))
    return rows


def without_shadows() -> Row:
    """Audit a fitted classifier by its answers alone, in a process that has loaded scikit-learn."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_SHADOWS], stdout=subprocess.PIPE, text=True, check=True)
    taken = Time(*json.loads(done.stdout.splitlines()[-1]))
    return limit("audit(model, members, nonmembers), 10,000 + 10,000 records", taken, taken.wall, 2, 1)


def main() -> None:
    data = full_sets() / "location30.parquet"
    table = pq.read_table(data)
    X, y = np.stack(table["x"].to_numpy()), table["y"].to_numpy().astype(np.int64)
    bits, labels = purchases(6 * audit.N)

    def mia_on_purchases() -> Time:
        from sklearn.neural_network import MLPClassifier

        return audit.mia_package(bits, labels, lambda: MLPClassifier((64,), max_iter=20, random_state=0))[0]

    with tempfile.TemporaryDirectory() as name:
        folder, records = Path(name), Path(name, "purchases.parquet")
        write(records, bits, labels)
        rows = [without_shadows(), *everything_stored(folder)]
        location, purchase = location_spec(data), audit.spec(records, {"kind": "shokri"})
        rows += whole_audits(folder, "location", location, (8, 5, 13, 10), lambda: mia_on_location(X, y))
        rows += whole_audits(folder, "purchases", purchase, (18, 14, 24, 20), mia_on_purchases)
    report(rows)


if __name__ == "__main__":
    main()
