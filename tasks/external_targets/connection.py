"""HTTP connections to an endpoint: a deadline for every request, proxies and certificates, and the secret to send.

Belongs here: what httpx does not offer. Does not belong here: what is sent, and which answers are kept (`endpoint`).
"""

import os
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from umbrameter.errors import SpecError, TargetError, brief
from umbrameter.targets.endpoint import EndpointTarget, Token


def read_token(token: Token | None) -> str | None:
    """Return the secret, from the environment or from a Prefect Secret block.

    Raises
    ------
    SpecError
        When the variable is not set, or the block does not exist.
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
    """The deadline of this thread's current request."""

    end = float("inf")

    def left(self) -> float:
        """Return the seconds that are left."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the request took too long")
        return left


@dataclass
class _TimedStream(httpcore.NetworkStream):
    """A connection whose reads and writes end at the deadline, so that an endpoint that drips bytes stalls nothing."""

    stream: httpcore.NetworkStream
    clock: Clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, self.clock.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), 1 << 16):  # in pieces, each of which gets the time that is left
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
    """Opens connections that keep the deadline."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _TimedStream(super().connect_tcp(*args, **options | {"timeout": self.clock.left()}), self.clock)


class _TimedTransport(httpx.BaseTransport):
    """Sends requests through httpcore, each with one deadline: httpx's own timeouts start again with every byte."""

    def __init__(self, pool: httpcore.ConnectionPool):
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        with _as_httpx_errors():
            response = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    target,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ReplyStream(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _ReplyStream(httpx.SyncByteStream):
    """The body of a reply as it arrives."""

    def __init__(self, response: httpcore.Response):
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


@contextmanager
def _as_httpx_errors() -> Iterator[None]:
    """Raise httpcore's errors as httpx's of the same name."""
    errors = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProxyError, httpcore.ProtocolError)
    try:
        yield
    except (*errors, httpcore.UnsupportedProtocol) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error)) from error


def client(target: EndpointTarget, headers: Mapping[str, str], clock: Clock) -> httpx.Client:
    """Return a client that verifies certificates and ends every request at its deadline.

    Parameters
    ----------
    target
        The endpoint's settings.
    headers
        Sent with every request.
    clock
        The deadline of each thread's current request.

    Raises
    ------
    TargetError
        When the file of certificates cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=target.ca)
    except (OSError, ssl.SSLError) as error:
        text = f"target.ca={target.ca!r} cannot be read ({brief(error)}); give a PEM file of certificates"
        raise TargetError(text) from None
    pool = httpcore.ConnectionPool(
        ssl_context=context,
        proxy=_proxy(target.url),
        max_connections=target.concurrency,
        max_keepalive_connections=target.concurrency,
        network_backend=_TimedBackend(clock),
    )
    return httpx.Client(transport=_TimedTransport(pool), headers=headers, timeout=target.timeout)


def _proxy(address: str) -> httpcore.Proxy | None:
    """Return the proxy that the environment names for an address, if it names one."""
    parts, proxies = urlsplit(address), getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if not named or proxy_bypass(parts.hostname or ""):
        return None
    proxy = httpx.URL(named if "://" in named else f"http://{named}")
    # httpcore itself notices a missing socksio only when it opens the first connection.
    if proxy.scheme.startswith("socks") and find_spec("socksio") is None:
        raise TargetError(f"the environment names a proxy of kind {proxy.scheme}; pip install socksio, or unset it")
    auth = (proxy.username, proxy.password) if proxy.username else None
    return httpcore.Proxy(str(proxy.copy_with(username=None, password=None)), auth=auth)
