"""Connections to an endpoint: no wait without an end, secrets from where they are kept, nothing repeated that was sent.

Belongs here: what httpx does not offer. Does not belong here: what is sent, and what of it is kept (`endpoint`).
"""

import os
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from umbrameter.errors import SpecError, TargetError, brief
from umbrameter.targets.endpoint import EndpointTarget, Token


def read_token(token: Token | None) -> str | None:
    """Return the secret, from the environment or from a Prefect Secret block.

    Raises
    ------
    SpecError
        When it is not there.
    """
    if token is None:
        return None
    if token.env is not None:
        value = os.environ.get(token.env)
        if not value:
            raise SpecError(f"target.token.env={token.env!r}: this variable is not set; set it where the audit runs")
        return value
    from prefect.blocks.system import Secret

    try:
        return str(Secret.load(str(token.secret)).get())  # type: ignore[union-attr]
    except ValueError as error:
        raise SpecError(
            f"target.token.secret={token.secret!r}: Prefect has no such Secret block ({brief(error)}); create it, or "
            "set target.token.env"
        ) from None


class Clock(threading.local):
    """When the request of this thread must have ended."""

    end = float("inf")

    def left(self) -> float:
        """Return the seconds that are left."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the request took too long")
        return left


@dataclass
class _TimedStream(httpcore.NetworkStream):
    """A connection whose every read and write ends with the clock: an endpoint that drips bytes holds nobody up."""

    stream: httpcore.NetworkStream
    clock: Clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, self.clock.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 1 << 16):
            self.stream.write(buffer[start : start + (1 << 16)], self.clock.left())

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TimedStream(self.stream.start_tls(ssl_context, server_hostname, self.clock.left()), self.clock)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


class _TimedBackend(httpcore.SyncBackend):
    """Opens connections that end with the clock."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _TimedStream(super().connect_tcp(*args, **options | {"timeout": self.clock.left()}), self.clock)


def client(target: EndpointTarget, headers: Mapping[str, str], clock: Clock) -> httpx.Client:
    """Return a client that verifies certificates, and whose every request ends with the clock."""
    try:
        context = ssl.create_default_context(cafile=target.ca)
    except (OSError, ssl.SSLError) as error:
        text = f"target.ca={target.ca!r} cannot be read ({brief(error)}); give a PEM file of certificates"
        raise TargetError(text) from None
    limits = httpx.Limits(max_connections=target.concurrency, max_keepalive_connections=target.concurrency)
    client = httpx.Client(verify=context, headers=headers, limits=limits, timeout=target.timeout)
    transports: list[Any] = [client._transport, *client._mounts.values()]
    for transport in filter(None, transports):
        # httpx has no setting for it, and its own timeouts begin anew with every byte
        transport._pool._network_backend = _TimedBackend(clock)
    return client
