"""How long `import umbrameter` takes, in processes of their own."""

import subprocess
import sys

from benches.compare import Row, Time, full, report


def seconds(code: str, rounds: int) -> Time:
    import statistics

    timed = (
        "import time; w, c = time.perf_counter(), time.process_time(); "
        f"{code}; print(time.process_time() - c, time.perf_counter() - w)"
    )
    found = []
    for _ in range(rounds):
        out = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True).stdout
        found.append([float(value) for value in out.split()])
    return Time(*(statistics.median(column) for column in zip(*found, strict=True)))


def main() -> None:
    rounds = 9 if full() else 5
    rows = []
    own = seconds("import umbrameter", rounds)
    for other in ("numpy", "sklearn.neural_network", "mia.estimators", "torch", "mlflow"):
        try:
            taken = seconds(f"import {other}", rounds)
        except subprocess.CalledProcessError:
            continue
        rows.append(Row(f"import {other}", str(own), str(taken), taken.wall / own.wall))
    report(rows)


if __name__ == "__main__":
    main()
