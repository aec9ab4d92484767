"""Prefect's temporary server, started while other modules are still being imported.

If no server is configured, Prefect starts a temporary one in the first flow and waits for it, which costs about eight
seconds per command. Started first, in a process that ends whenever and however this one does, it costs almost nothing.
"""

import contextlib
import gc
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

PATIENCE = 60.0
"""Seconds to wait for the server; the flow then starts one itself, and reports what is wrong."""

OFF = (
    "CANCELLATION_CLEANUP",
    "CLEANUP_RECONCILER",
    "EVENT_PERSISTER",
    "FOREMAN",
    "LATE_RUNS",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "SCHEDULER",
    "TRIGGERS",
)
"""Prefect's services for deployments, other workers and automations, none of which a temporary server has.

The service that records task runs, which the run page shows, is not among them.
"""

SETTINGS = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "",
    # By default each state of a task run is a transaction of its own.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    **{f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "0" for service in OFF},
}
"""The environment of the temporary server."""


@contextmanager
def temporary_server() -> Iterator[Callable[[], AbstractContextManager[object]]]:
    """Start a temporary server, unless Prefect is set to talk to another; stop it at the end of the block.

    Yields
    ------
    A function that waits until the server answers and returns a context in which Prefect talks to it.
    """
    if os.environ.get("PREFECT_API_URL"):
        yield contextlib.nullcontext
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        process = _start(listening)
    # Started before Prefect is loaded here, which takes a second and tells whether a profile names a server.
    from prefect.client.base import ServerType, determine_server_type

    if determine_server_type() is not ServerType.EPHEMERAL:
        _stop(process)
        yield contextlib.nullcontext
        return
    answered = False

    def when_it_answers() -> AbstractContextManager[object]:
        nonlocal answered
        answered = _answers(process, url)
        return _talking_to(url) if answered else contextlib.nullcontext()

    try:
        yield when_it_answers
    finally:
        _stop(process, 3.0 if answered else 0.0)  # one that is still starting has nothing to finish


def _stop(process: "subprocess.Popen[bytes]", patience: float = 0.0) -> None:
    """Stop the server, and kill it if it takes too long."""
    assert process.stdin is not None
    # The end of its standard input tells the server to stop; see `serve`.
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    process.kill()
    process.wait()


def _start(listening: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the server on a socket that is already bound, so that no other process can take the port."""
    return subprocess.Popen(
        [sys.executable, __file__, str(listening.fileno())],
        env=os.environ | SETTINGS,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL") == "DEBUG" else subprocess.DEVNULL,
        pass_fds=[listening.fileno()],
        start_new_session=True,  # Ctrl-C is for the audit, which then stops the server
    )


def _answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with (
            contextlib.suppress(urllib.error.URLError, TimeoutError),
            urllib.request.urlopen(f"{url}/health", timeout=5),
        ):
            return True
        time.sleep(0.05)
    return False


@contextmanager
def _talking_to(url: str) -> Iterator[None]:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        try:
            yield
        finally:  # queued logs and events must reach the server before it stops
            APILogHandler().flush()
            EventsWorker.drain_all(timeout=5)


def serve(descriptor: int) -> None:
    """Serve on an inherited socket until standard input ends, which it does when the parent ends in any way."""
    import threading

    gc.disable()  # half a million objects are made here that all stay: looking through them takes a quarter of the time
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(create_app(), log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    gc.freeze()
    gc.enable()

    def watch() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    server.run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    serve(int(sys.argv[1]))
