"""Failures of real clusters, caused on purpose: the work is done in the end, or the error says what to do."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster

from tasks.cluster import Cluster, Compute
from umbrameter.errors import ComputeError, StoreError
from umbrameter.store.artefacts import Store

sys.path.insert(0, str(Path(__file__).parents[1]))
from note_step import Note

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("light_workers"),
]


def made(root: Path, *steps: Note) -> bool:
    return all(Store(root).find(step.recipe) is not None for step in steps)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def in_background(action: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def test_a_worker_killed_twice_in_a_row_costs_its_piece_alone(tmp_path: Path) -> None:
    steps = [Note("before"), Note("a", str(tmp_path), "die twice")]
    with Cluster(Compute(workers=1)) as cluster:
        cluster.perform(str(tmp_path), steps)
    before, after = (dict(Store(tmp_path).open(step.recipe.path).meta) for step in steps)
    assert before["pid"] != after["pid"]


def test_all_workers_killed_at_once(tmp_path: Path) -> None:
    steps = [Note(name, str(tmp_path), "wait") for name in "ab"]
    with Cluster(Compute(workers=2)) as cluster:
        threads = [in_background(lambda step=step: cluster.perform(str(tmp_path), [step])) for step in steps]
        until(lambda: len(list(tmp_path.glob("began-*"))) == 2)
        (tmp_path / "go").touch()
        workers = [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]
        assert len(workers) >= 2
        for process in workers:
            process.kill()
        for thread, errors in threads:
            thread.join(60)
            assert not errors
    assert made(tmp_path, *steps)


def test_a_worker_that_takes_more_memory_than_it_may(tmp_path: Path) -> None:
    text = r"the worker died \d times .* lack of memory; use fewer workers .* give each more \(--memory\)"
    with Cluster(Compute(workers=1, memory="700MiB")) as cluster, pytest.raises(ComputeError, match=text):
        cluster.perform(str(tmp_path), [Note("before"), Note("a", fate="hog")])
    assert made(tmp_path, Note("before")) and not made(tmp_path, Note("a", fate="hog"))


def test_work_is_given_up_when_no_local_worker_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.cluster.WORKERLESS_SECONDS", 1.0)
    with Cluster(Compute(workers=1)) as cluster:
        cluster.perform(str(tmp_path), [Note("before")])
        local = cluster._connected().cluster
        assert local is not None
        local.scale(0)
        until(lambda: not cluster._connected().nthreads())
        with pytest.raises(ComputeError, match=r"all local workers ended .* \(--memory\), and run again"):
            cluster.perform(str(tmp_path), [Note("a")])


def test_a_disk_that_fills_up_on_a_worker(tmp_path: Path) -> None:
    steps = [Note("before"), Note("a", fate="full")]
    with Cluster(Compute(workers=1)) as cluster:
        with pytest.raises(StoreError, match=r"no space left while writing; what was finished is kept: free some"):
            cluster.perform(str(tmp_path), steps)
        cluster.perform(str(tmp_path), [Note("after")])
    assert made(tmp_path, Note("before"), Note("after")) and not list(tmp_path.rglob("large-*"))


@contextmanager
def scheduler_and_worker(port: int) -> Iterator[None]:
    """Run a scheduler and a worker as processes of their own; kill both, hard, at the end."""
    dask = [sys.executable, "-m", "dask"]
    here = Path(__file__).parents[1]
    path = {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": os.environ | path}
    commands = [
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        [*dask, "worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-dashboard", "--no-nanny"],
    ]
    processes = [subprocess.Popen(command, **quiet) for command in commands]  # type: ignore[call-overload]
    try:
        with Client(f"tcp://127.0.0.1:{port}", timeout=60, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_scheduler_that_is_restarted(tmp_path: Path, free_tcp_port: int) -> None:
    step = Note("a", str(tmp_path), "wait")
    with Cluster(Compute(dask=f"tcp://127.0.0.1:{free_tcp_port}")) as cluster:
        with scheduler_and_worker(free_tcp_port):
            thread, errors = in_background(lambda: cluster.perform(str(tmp_path), [step]))
            until(lambda: list(tmp_path.glob("began-*")))
        (tmp_path / "go").touch()
        with scheduler_and_worker(free_tcp_port):
            thread.join(90)
            assert not thread.is_alive()
            if errors:  # as Prefect does with such an error: once more, with the same cluster
                assert isinstance(errors[0], ComputeError) and "scheduler went away" in str(errors[0])
                cluster.perform(str(tmp_path), [step])
    assert made(tmp_path, step)


@contextmanager
def cluster_with(**settings: object) -> Iterator[LocalCluster]:
    with LocalCluster(threads_per_worker=1, dashboard_address=None, host="127.0.0.1", **settings) as cluster:
        yield cluster


def test_resources_that_no_worker_has_are_an_error_and_not_a_wait(tmp_path: Path) -> None:
    text = (
        r"no worker has the resources GPU=2 \(1 workers have: GPU=1\); start workers with --resources 'GPU=2', or ask"
    )
    with cluster_with(n_workers=1, resources={"GPU": 1}) as there:
        address = there.scheduler_address
        with Cluster(Compute(dask=address, resources={"GPU": 2})) as cluster, pytest.raises(ComputeError, match=text):
            cluster.perform(str(tmp_path), [Note("a")])
        with Cluster(Compute(dask=address, resources={"GPU": 1})) as cluster:
            cluster.perform(str(tmp_path), [Note("a")])
    assert made(tmp_path, Note("a"))


def test_workers_may_join_and_leave(tmp_path: Path) -> None:
    first, second = Note("a", str(tmp_path), "wait"), Note("b")
    with cluster_with(n_workers=1) as there, Cluster(Compute(dask=there.scheduler_address)) as cluster:
        thread, errors = in_background(lambda: cluster.perform(str(tmp_path), [first]))
        until(lambda: list(tmp_path.glob("began-*")))
        old = {worker.name for worker in there.workers.values()}
        there.scale(2)
        until(lambda: cluster.n_workers() == 2)
        cluster.perform(str(tmp_path), [second])
        (tmp_path / "go").touch()
        there.sync(there.workers[next(iter(old))].close)
        thread.join(60)
        assert not errors
    assert made(tmp_path, first, second)
