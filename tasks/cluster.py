"""The only module that talks to Dask: where heavy work runs, and the errors when it cannot.

Belongs here: starting, connecting to, checking and closing a cluster. Does not belong here: what the work is, or what
the store already holds.
"""

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator

from umbrameter import __version__
from umbrameter.errors import ComputeError, brief
from umbrameter.store.artefacts import digest
from umbrameter.store.steps import Step, paths_of, perform

if TYPE_CHECKING:  # imported where it is used: an audit whose work is all in the store needs no cluster
    from distributed import Client, Future, LocalCluster, Security

log = logging.getLogger("umbrameter.cluster")

QUIET = ("distributed", "tornado", "asyncio")
"""Loggers that would print a closing connection as a traceback."""

LOST = "the cluster's scheduler went away while work was on it; finished models are kept"

WORKERLESS_SECONDS = 60.0
"""Seconds between looks at whether local workers are left; after two without any, the work on them is given up."""

PROCESSES = {
    # Workers return paths, so there is nothing to spill; a worker that outgrows its memory is stopped and replaced.
    **{f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")},
    "distributed.worker.profile.enabled": False,  # a sample every 10 ms that nobody looks at
    # By default the workers' clocks tick up to a hundred times a second, on the cores that do the work.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.work-stealing-interval": "100ms",  # an idle worker should not wait a second for work
    # Ctrl-C is for the audit, which then stops its workers.
    # Modules that every audit needs are imported while this process prepares the records.
    "distributed.worker.preload": [
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n",
        "import skops.io, umbrameter.steps.shadow_models, umbrameter.steps.scores\n",
    ],
    # Dask's default returns memory to the system after every batch, and a small network then trains five times slower.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}
"""Dask's settings for local worker processes."""


class Compute(BaseModel):
    """Where the heavy work runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(
        None,
        ge=0,
        le=1024,
        description="Local worker processes, one thread each; one per core if unset; 0 works in this process.",
    )
    dask: str | None = Field(
        None, pattern=r"^(tcp|tls)://[^\s/]+$", description="Address of an existing cluster: tcp://... or tls://..."
    )
    tls_ca: str | None = Field(None, description="PEM file of the authority that signed the cluster's certificate.")
    tls_cert: str | None = Field(None, description="PEM file of this client's certificate.")
    tls_key: str | None = Field(None, description="PEM file of this client's key.")
    memory: str | None = Field(
        None,
        pattern=r"^\d+(\.\d+)? ?([kMGT]i?)?B$",
        description="Memory limit of each local worker, such as 4GiB; a worker that exceeds it is stopped. An equal "
        "share of this machine's memory if unset.",
    )
    resources: dict[str, float] = Field(
        {},
        description="Resources that each task occupies on a worker of the cluster, by name, such as {GPU: 1}.",
    )
    models_a_task: int | None = Field(
        None,
        ge=1,
        description="Shadow models per task; if unset, a few seconds of work, or on GPUs a worker's share.",
    )
    patience: float = Field(30.0, gt=0, description="Seconds to wait for a cluster to answer and to have a worker.")

    @model_validator(mode="after")
    def _one_place(self) -> "Compute":
        if self.dask is not None and self.workers is not None:
            raise ValueError("workers and dask exclude each other: workers starts processes here, dask names a cluster")
        if self.dask is None and self.resources:
            raise ValueError("resources are a cluster's: give its address with dask, or leave resources out")
        if self.dask is not None and self.memory is not None:
            raise ValueError(
                "memory is for local workers; a cluster's workers have their own (dask worker --memory-limit)"
            )
        if str(self.dask).startswith("tls://") and not (self.tls_ca and self.tls_cert and self.tls_key):
            raise ValueError("a tls:// address needs tls_ca, tls_cert and tls_key, the paths of three PEM files")
        return self

    @property
    def n_workers(self) -> int:
        """How many local workers run at once."""
        if self.workers is not None:
            return max(1, self.workers)
        from dask.system import CPU_COUNT

        return int(CPU_COUNT)


class Cluster:
    """Dask workers, started or connected to at the first step, and closed at the end of the `with` block.

    Parameters
    ----------
    compute
        Where the workers run.
    """

    def __init__(self, compute: Compute):
        self.compute = compute
        self._client: Client | None = None
        self._lock = threading.Lock()  # many threads may ask for the workers first; one starts them
        self._open = ExitStack()
        self.made_here: set[str] = set()

    def __enter__(self) -> "Cluster":
        """Return the cluster; nothing is started yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the workers; work that still runs after an error is abandoned."""
        self._open.close()

    @property
    def models_a_task(self) -> int | None:
        """How many shadow models make a chunk, if that is set."""
        return self.compute.models_a_task

    @property
    def trains_side_by_side(self) -> bool:
        """Whether each worker trains its share of the shadow models at once, as on a GPU."""
        return "GPU" in self.compute.resources

    def start(self) -> None:
        """Start or connect to the workers now.

        Raises
        ------
        ComputeError
            When the cluster cannot be reached or has no worker.
        """
        self._connected()

    def perform(self, root: str, steps: Sequence[Step]) -> list[str]:
        """Run steps as one task on a worker, wait for it, and return the artefacts' paths.

        Raises
        ------
        ComputeError
            When the cluster cannot be reached, has no worker, or loses each worker that tries.
        UmbrameterError
            Whatever a step itself raises.
        """
        from distributed import CancelledError, KilledWorker
        from distributed.client import FutureCancelledError

        client = self._connected()
        # Named by the work, so that Dask runs a chunk once even if it is submitted twice at a time.
        key = f"{steps[0].recipe.kind}-{digest([step.recipe.key for step in steps])[:24]}"
        resources = self.compute.resources or None
        # The longest chunks first, so that all workers end at about the same time.
        options = {"key": key, "resources": resources, "priority": len(steps)}
        self.made_here.update(paths_of(steps) if self.compute.workers == 0 else ())
        future = client.submit(perform, root, tuple(steps), pure=True, **options)
        try:
            return self._result(client, future)
        except KilledWorker as error:
            raise ComputeError(
                f"the worker died {error.allowed_failures + 1} times over one chunk of work ({key}), most likely for "
                "lack of memory; use fewer workers (--workers), give each more (--memory) or take machines with more, "
                "and run again: finished models are kept"
            ) from None
        except (CancelledError, FutureCancelledError) as error:
            raise ComputeError(f"dask={self.compute.dask!r}: {LOST} ({brief(error)}); run again") from None
        finally:
            future.release()

    def _result(self, client: "Client", future: "Future[list[str]]") -> list[str]:
        """Wait for a future; raise an error when the local workers have ended and none came back.

        Dask restarts a worker that dies, but gives up on one that dies while it starts; its work then waits for ever.
        """
        n_empty = 0
        while n_empty < 2:
            try:
                paths: list[str] = future.result(timeout=WORKERLESS_SECONDS)
                return paths
            except TimeoutError:
                if future.done():  # the step's own error
                    raise
                # A cluster of the user's may be without workers for a time, and get some later.
                n_empty = 0 if self.compute.dask is not None or client.nthreads() else n_empty + 1
        raise ComputeError(
            "all local workers ended and could not be started again, most likely for lack of memory; use fewer workers "
            "(--workers) or give each more (--memory), and run again: finished models are kept"
        )

    def n_workers(self) -> int:
        """Return how many chunks of work run at once."""
        if self.compute.dask is None:
            return self.compute.n_workers
        return max(1, sum(int(n) for n in self._connected().nthreads().values()))

    def _connected(self) -> "Client":
        with self._lock:
            # A client that has lost its scheduler is replaced, so that a retry can succeed.
            if self._client is None or self._client.status not in ("running", "connecting"):
                self._client = self._reach() if self.compute.dask else self._start()
            return self._client

    def _start(self) -> "Client":
        import dask
        from distributed import Client, LocalCluster

        for name in QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        processes = self.compute.workers != 0
        self._open.enter_context(dask.config.set(PROCESSES if processes else {}))
        # Everything listens on this machine alone, the dashboard on any free port.
        cluster = LocalCluster(
            n_workers=self.compute.n_workers,
            threads_per_worker=1,
            processes=processes,
            protocol="tcp://" if processes else "inproc://",
            host="127.0.0.1" if processes else None,
            dashboard_address="127.0.0.1:0",
            memory_limit=(self.compute.memory or "auto") if processes else 0,
            silence_logs=logging.CRITICAL,
        )
        self._open.callback(_close, cluster)
        client: Client = self._open.enter_context(Client(cluster, set_as_default=False))
        if processes:
            workers = client.scheduler_info(-1)["workers"].values()  # -1: all workers, not only the first few
            limits = [worker["memory_limit"] / 2**30 for worker in workers]
            log.info(f"{self.compute.n_workers} worker processes, up to {min(limits):.1f} GiB of memory each")
        return client

    def _reach(self) -> "Client":
        from distributed import Client

        compute, address = self.compute, str(self.compute.dask)
        try:
            client = Client(address, timeout=compute.patience, set_as_default=False, security=_security(compute))
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            raise ComputeError(
                f"dask={address!r}: no scheduler answers there within {compute.patience:g} s ({brief(error)}); check "
                "the address, that it runs, and for tls:// the certificates; or leave it out to work on this machine"
            ) from None
        self._open.enter_context(client)
        try:
            client.wait_for_workers(1, timeout=compute.patience)
            # Also imports umbrameter on every worker, so that one without it is found before any work.
            versions = client.run(_version)
        except TimeoutError:
            raise ComputeError(
                f"dask={address!r}: the cluster has no worker after {compute.patience:g} s; start workers "
                f"(dask worker {address}) and run again"
            ) from None
        except ImportError as error:
            raise ComputeError(
                f"dask={address!r}: a worker lacks what it needs ({error}); install umbrameter there"
            ) from None
        other_versions = sorted({version for version in versions.values() if version != __version__})
        if other_versions:
            raise ComputeError(
                f"dask={address!r}: workers have umbrameter {', '.join(other_versions)}, this is {__version__}; "
                "results would not be comparable: install the same version everywhere"
            )
        self._check_resources(client)
        return client

    def _check_resources(self, client: "Client") -> None:
        """Raise if no worker has the requested resources: Dask would wait for one for ever."""
        needed = self.compute.resources
        offers = [worker["resources"] for worker in client.scheduler_info(-1)["workers"].values()]
        if not any(all(offer.get(name, 0) >= n for name, n in needed.items()) for offer in offers):
            known = "; ".join(sorted({_resources(offer) for offer in offers}))
            raise ComputeError(
                f"dask={self.compute.dask!r}: no worker has the resources {_resources(needed)} ({len(offers)} workers "
                f"have: {known}); start workers with --resources '{_resources(needed)}', or ask for less"
            )


def _close(cluster: "LocalCluster") -> None:
    """Stop a local cluster; ignore that Dask trips over a worker in mid-restart, which ends with us anyway."""
    with suppress(AssertionError):
        cluster.close(timeout=10)


def _resources(amounts: dict[str, float]) -> str:
    return " ".join(f"{name}={n:g}" for name, n in sorted(amounts.items())) or "none"


def _version() -> str:
    """Return the version of umbrameter on the worker that runs this."""
    from umbrameter import __version__ as version

    return version


def _security(compute: Compute) -> "Security | None":
    from distributed import Security

    if not str(compute.dask).startswith("tls://"):
        return None
    files = {"tls_ca_file": compute.tls_ca, "tls_client_cert": compute.tls_cert, "tls_client_key": compute.tls_key}
    missing = [f"{name}={path!r}" for name, path in files.items() if not Path(str(path)).is_file()]
    if missing:
        raise ComputeError(f"{', '.join(missing)}: no such file; give the three PEM files of the cluster")
    return Security(require_encryption=True, **files)
