"""How long `import umbrameter` takes beside other imports, each in a new process."""

import subprocess
import sys

from benches.compare import Row, Time, full, report


def seconds(code: str, rounds: int) -> Time:
    import statistics

    timed = (
        "import time; w, c = time.perf_counter(), time.process_time(); "
        f"{code}; print(time.process_time() - c, time.perf_counter() - w)"
    )
    times = []
    for _ in range(rounds):
        out = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True).stdout
        times.append([float(value) for value in out.split()])
    return Time(*(statistics.median(column) for column in zip(*times, strict=True)))


def main() -> None:
    rounds = 9 if full() else 5
    rows = []
    ours = seconds("import umbrameter", rounds)
    for other in ("numpy", "sklearn.neural_network", "mia.estimators", "torch", "mlflow"):
        try:
            taken = seconds(f"import {other}", rounds)
        except subprocess.CalledProcessError:  # not installed
            continue
        rows.append(Row(f"import {other}", str(ours), str(taken), taken.wall / ours.wall))
    report(rows)


if __name__ == "__main__":
    main()
