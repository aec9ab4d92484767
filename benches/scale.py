"""One worker against two, the same audit again, memory by number of shadow models, and 64 workers that only wait."""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benches import audit
from benches.compare import Row, full, report
from benches.data import purchases, write
from umbrameter.store.artefacts import Draft, Recipe, Store

N_WAITING, WAIT = 64, 5.0


def measured(folder: Path, data: Path, root: str, workers: int, shadows: int, epochs: int) -> tuple[float, dict]:
    """Run an audit; return its wall seconds and its report's ledger.

    Parameters
    ----------
    folder, data
        Where specs and roots are written, and the Parquet file of records.
    root
        The root's name; runs of one root share its artefacts.
    workers, shadows, epochs
        Worker processes, shadow models, and passes of each training.
    """
    settings = audit.spec(data, {"kind": "shokri"})
    settings["target"]["estimator"]["params"]["epochs"] = epochs
    settings["shadows"]["count"] = shadows
    wall, content = audit.command(folder, settings, root, workers)
    print(f"  {shadows} models, {workers} workers: {wall:.1f} s", file=sys.stderr, flush=True)
    return wall, content["ledger"]


def workers_and_again(folder: Path, data: Path) -> list[Row]:
    """Run an audit with 200 shadow models, which two workers train in two minutes."""
    two, ledger = measured(folder, data, "two", 2, 200, 50)
    again, _ = measured(folder, data, "two", 2, 200, 50)
    one, _ = measured(folder, data, "one", 1, 200, 50)
    work = sum(seconds for stage, seconds in ledger["cpu_seconds"].items() if stage != "orchestration")
    fits = ledger["seconds"]["fit shadow models"]
    lost = two - work / 2
    return [
        Row("2 workers v. 1, whole audit", f"{two:.1f} s", f"{one:.1f} s", one / two, 1.8, 1.95),
        Row(
            f"orchestration's share with 2 workers, {fits:.0f} s of fitting: all that is not work",
            f"{lost:.1f} s",
            f"{two:.1f} s",
            lost / two,
            0.2,
            0.08,
            True,
        ),
        Row("the same audit again v. the first time", f"{again:.1f} s", f"{two:.1f} s", again / two, 0.1, 0.04, True),
    ]


def memory(folder: Path, data: Path) -> list[Row]:
    ledgers = {n: measured(folder, data, f"memory-{n}", 2, n, 2)[1] for n in (16, 64)}
    rows = []
    for who in ("worker", "driver"):
        few, many = (ledgers[n][f"{who}_peak_rss_mb"] for n in (16, 64))
        what = f"peak memory of the {who}, 64 v. 16 shadow models"
        rows.append(Row(what, f"{many:.0f} MiB", f"{few:.0f} MiB", many / few, 1.15, 1.0, True))
    return rows


@dataclass(frozen=True)
class Wait:
    """A step that takes wall time but no CPU time."""

    number: int

    @property
    def recipe(self) -> Recipe:
        return Recipe("scores", {"wait": self.number})

    @property
    def inputs(self) -> tuple[str, ...]:
        return ()

    def make(self, store: Store, draft: Draft) -> None:
        time.sleep(WAIT)


def waiting() -> list[Row]:
    """Run steps that only wait on 64 workers, as the stages of an audit run theirs."""
    import subprocess

    from prefect import flow
    from prefect.task_runners import ThreadPoolTaskRunner

    from tasks.audits import session
    from tasks.cluster import Compute
    from tasks.server import temporary_server
    from umbrameter.running import stage_jobs, stages
    from umbrameter.running.session import Chunk
    from umbrameter.spec.audit import AuditSpec

    n = N_WAITING * (10 if full() else 5)
    command = [sys.executable, "-m", "benches.scale", "--cluster"]
    settings = AuditSpec.model_validate(audit.spec(Path("none"), {"kind": "shokri"}))

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=256))
    def wait(root: str, address: str) -> float:
        with session(settings, root, Compute(dask=address)) as run:
            assert run.workers.n_workers() == N_WAITING
            start = time.perf_counter()
            stages.run_stage(run, "wait", [(stage_jobs.score_records, Chunk(f"wait {i}", [Wait(i)])) for i in range(n)])
            return time.perf_counter() - start

    with (
        tempfile.TemporaryDirectory() as root,
        subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as cluster,
        temporary_server() as when_it_answers,
    ):
        assert cluster.stdout is not None and cluster.stdin is not None
        address = cluster.stdout.readline().strip()
        with when_it_answers():
            taken = wait(root, address)
        cluster.stdin.close()
    ideal = n * WAIT / N_WAITING
    what = f"{n} tasks of {WAIT:g} s on {N_WAITING} workers that only wait: time v. no time lost"
    return [Row(what, f"{taken:.1f} s", f"{ideal:.1f} s", taken / ideal)]


def cluster() -> None:
    """Run a cluster of 64 workers until standard input ends."""
    import dask
    from distributed import LocalCluster

    dask.config.set({"distributed.worker.profile.enabled": False})
    options = {"processes": False, "protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(n_workers=N_WAITING, threads_per_worker=1, **options) as waiting_workers:
        print(waiting_workers.scheduler_address, flush=True)
        sys.stdin.read()


def main() -> None:
    rows = waiting()
    bits, y = purchases(6 * audit.N)
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name, "purchases.parquet")
        write(data, bits, y)
        # Leaves numba's compiled code on disk.
        measured(folder, data, "warm", 2, 2, 1)
        rows = [*workers_and_again(folder, data), *memory(folder, data), *rows]
    report(rows)


if __name__ == "__main__":
    cluster() if "--cluster" in sys.argv else main()
