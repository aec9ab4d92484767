"""Audits of Location-30 whose worker or driver is killed at a random moment: all must give the same results."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benches.audit import COMMAND
from benches.compare import Row, full, report
from benches.data import full_sets

SPEC = Path(__file__).parents[1] / "deployments" / "specs" / "location30.yaml"


def started(root: Path) -> subprocess.Popen:
    command = [*COMMAND, str(SPEC), "--root", str(root), "--workers", "2", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def results(process: subprocess.Popen) -> str:
    """Return a finished audit's results as text."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return json.dumps(json.loads(out)["results"], sort_keys=True)


def workers(process: subprocess.Popen) -> list[psutil.Process]:
    # Dask starts its workers by multiprocessing's `spawn`, whose command line names this function.
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def killed(root: Path, who: str, moment: float, rng: np.random.Generator) -> tuple[str, bool]:
    """Kill a process of an audit; return the audit's final results, and whether the process still ran.

    Parameters
    ----------
    root
        The audit's root.
    who
        `driver`, which is then started again, or `worker`.
    moment
        Seconds after the start.
    rng
        Chooses the worker.
    """
    process = started(root)
    time.sleep(moment)
    is_running = process.poll() is None
    if who == "driver" and is_running:
        process.send_signal(signal.SIGKILL)  # cannot be caught, so nothing is tidied up
        process.communicate()
        process = started(root)
    elif is_running:
        while not (candidates := workers(process)) and process.poll() is None:
            time.sleep(0.05)
        is_running = bool(candidates)
        if candidates:
            candidates[rng.integers(len(candidates))].kill()
    return results(process), is_running


def main() -> None:
    full_sets()
    n, rng = (20 if full() else 4), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        expected = results(started(Path(name, "undisturbed")))
        usual = time.perf_counter() - start
        same = struck = 0
        for i in range(n):
            # Not in the first or last moments, when there is nothing to lose.
            who, moment = ("worker", "driver")[i % 2], rng.uniform(0.15, 0.9) * usual
            actual, was_running = killed(Path(name, f"audit-{i}"), who, moment, rng)
            same, struck = same + (actual == expected), struck + was_running
            text = "the same results" if actual == expected else "OTHER RESULTS"
            print(f"  {who} killed after {moment:.1f} s of {usual:.1f} s: {text}", file=sys.stderr, flush=True)
    report([Row(f"{n} audits, {struck} struck by kill -9: the same results", f"{same} of {n}", "", same / n, 1.0)])


if __name__ == "__main__":
    main()
