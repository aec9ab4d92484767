"""A small real HTTP(S) server that answers as MLflow's scoring server does, counts what it is asked, and can fail.

`with serve(model, fault="busy_once") as server:` gives `server.url`, `server.n_rows`, `server.asked`, ...
"""

import datetime
import ipaddress
import json
import socket
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks.external_targets.endpoint import Endpoint
from umbrameter.store.artefacts import Store
from umbrameter.targets.columns import Columns
from umbrameter.targets.endpoint import EndpointTarget


def record_key(row: Any) -> bytes:
    """Return what a record is counted under: its float32 bytes (as `X[i].tobytes()`), or its JSON where it has text."""
    try:
        return np.asarray(row, dtype=np.float32).tobytes()
    except ValueError:
        return json.dumps(list(row)).encode()


@dataclass
class Server:
    """What was asked so far; `asked` counts how often each record was answered, `n_rows` all that came in."""

    url: str
    ca: str | None = None
    n_rows: int = 0
    n_requests: int = 0
    most_at_once: int = 0
    asked: Counter[bytes] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    changes_after: int = 1
    """With the fault `changed`: requests that the first model answers."""
    pause: float = 3.0
    """With the fault `slow`: seconds before it answers."""
    at_once: int = 0
    lock: Any = field(default_factory=threading.Lock)


@dataclass
class Exchange:
    """One request and the answer it is about to get; a fault may change `content`, or reply by itself."""

    handler: BaseHTTPRequestHandler
    server: Server
    number: int
    rows: list[Any]
    content: Any

    @property
    def answers(self) -> Any:
        """The answers, one a record, in place."""
        return self.content["predictions"]

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bool:
        self.handler.send_response(status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(body))} | dict(headers or {})
        for name, value in sent.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(body)
        return True


Fault = Callable[[Exchange], object]
"""Returns true where it replied (or hung up) by itself."""


def _slow(exchange: Exchange) -> bool:
    time.sleep(exchange.server.pause)
    return False


def _drip(exchange: Exchange) -> bool:
    exchange.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n")
    return _dripped(exchange, b" " * 60)


def _drip_headers(exchange: Exchange) -> bool:
    return _dripped(exchange, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 60)


def _dripped(exchange: Exchange, content: bytes) -> bool:
    for byte in content:
        exchange.handler.wfile.write(bytes([byte]))
        time.sleep(0.25)
    return True


def _cut_off(exchange: Exchange) -> bool:
    body = json.dumps(exchange.content).encode()
    exchange.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])
    exchange.handler.close_connection = True
    return True


def _first(n: int, fault: Fault) -> Fault:
    return lambda exchange: exchange.number < n and fault(exchange)


def after(n: int, fault: "Fault | str") -> Fault:
    """Return a fault that begins after `n` requests."""
    return lambda exchange: exchange.number >= n and named(fault)(exchange)


def status(code: int, body: bytes = b'{"error": "no"}', **headers: str) -> Fault:
    """Return a fault that answers a status; `retry_after="1"` becomes the header Retry-After."""
    fields = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return lambda exchange: exchange.reply(code, body, fields)


def _edited(edit: Callable[[Exchange], None]) -> Fault:
    def fault(exchange: Exchange) -> bool:
        edit(exchange)
        return False

    return fault


def _last(vector: list[float]) -> Fault:
    """Return a fault that gives the last record of every batch one vector."""
    return _edited(lambda exchange: exchange.answers.__setitem__(-1, vector))


def _changed(exchange: Exchange) -> bool:
    if exchange.number >= exchange.server.changes_after:
        exchange.content = {"predictions": [vector[::-1] for vector in exchange.answers]}
    return False


FAULTS: Mapping[str, Fault] = {
    "slow": _slow,
    "drip": _drip,
    "drip_headers": _drip_headers,
    "cut_off": _cut_off,
    "cut_off_once": _first(1, _cut_off),
    "bad_request": status(400),
    "busy": status(429),
    "busy_once": _first(1, status(429, retry_after="1")),
    "busy_for_an_hour": status(429, retry_after="3600"),
    "failing": status(500),
    "failing_twice": _first(2, status(500)),
    "wrong_classes": _edited(lambda e: e.answers.__setitem__(0, [*e.answers[0], 0.0])),
    "too_few": _edited(lambda e: e.answers.__delitem__(0)),
    "nan": _last([float("nan"), 1.0]),
    "negative": _last([-0.5, 1.5]),
    "unsummed": _last([0.7, 0.7]),
    "invalid_json": lambda e: e.reply(200, b'{"predictions": [[0.5,'),
    "html": lambda e: e.reply(200, b"<html><body>Please log in</body></html>", {"Content-Type": "text/html"}),
    "changed": _changed,
    "redirect": status(308, b"", location="https://elsewhere.example/invocations"),
}
"""Faults by name; `down` (nobody listens at the port) is known beside them."""


def named(fault: "Fault | str | None") -> Fault:
    if fault is None:
        return lambda exchange: False
    return FAULTS[fault] if isinstance(fault, str) else fault


def _handler(model: Any, fault: Fault, server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rows = content["dataframe_split"]["data"] if "dataframe_split" in content else content["instances"]
            with server.lock:
                number = server.n_requests
                server.n_requests += 1
                server.n_rows += len(rows)
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
                server.headers.append(dict(self.headers.items()))
                server.bodies.append(content)
            try:
                self.answer(number, rows)
            except OSError:
                self.close_connection = True  # the client hung up
            finally:
                with server.lock:
                    server.at_once -= 1

        def answer(self, number: int, rows: list[Any]) -> None:
            values = [list(row.values()) if isinstance(row, dict) else row for row in rows]
            exchange = Exchange(self, server, number, values, {"predictions": _predicted(model, values)})
            if not fault(exchange):
                with server.lock:
                    server.asked.update(map(record_key, values))
                exchange.reply(200, json.dumps(exchange.content).encode())

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _predicted(model: Any, rows: list[Any]) -> Any:
    has_text = any(isinstance(value, str) for value in rows[0])
    return model.predict_proba(np.array(rows, dtype=object if has_text else np.float64)).tolist()


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that hang up, and handshakes that fail, are what is tested


@contextmanager
def serve(model: Any, fault: Fault | str | None = None, tls: bool = False, days: int = 1) -> Iterator[Server]:
    """Serve a model's `predict_proba` on this machine.

    Parameters
    ----------
    model
        Has `predict_proba`, which gets an array of float64, or of objects where records hold text.
    fault
        None, one of `FAULTS` or `down`, or a function of an `Exchange`.
    tls
        Whether it speaks HTTPS, with a certificate signed by itself: `server.ca`.
    days
        That the certificate is valid from now on; negative for one that has expired.
    """
    if fault == "down":
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        yield Server(f"http://127.0.0.1:{port}/invocations")
        return
    server = Server("")
    with (
        tempfile.TemporaryDirectory() as folder,
        _Http(("127.0.0.1", 0), _handler(model, named(fault), server)) as http,
    ):
        server.url = f"http{'s' * tls}://127.0.0.1:{http.server_address[1]}/invocations"
        if tls:
            server.ca, key = certificate(Path(folder), days)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(server.ca, key)
            http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def certificate(folder: Path, days: int = 1) -> tuple[str, str]:
    """Make a certificate for this machine that is signed by itself; return the paths of its PEM file and of its key."""
    now, own = datetime.datetime.now(datetime.UTC), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "umbrameter test")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = dict.fromkeys(
        ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"], False
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(True, key_cert_sign=True, crl_sign=True, decipher_only=False, **usage), critical=True
        )
        .sign(own, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(signed.public_bytes(pem))
    plain = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(own.private_bytes(*plain))
    return str(folder / "ca.pem"), str(folder / "key.pem")


PLAIN = Columns(("a", "b"), {}, (False, False))
SECRET = "s3cret-T0ken-value"


class Model:
    """Answers by the first feature, so that every record has an answer of its own."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        first = 1 / (1 + np.exp(-X[:, 0].astype(float)))
        return np.column_stack([first, 1 - first])


def records(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


def expected(X: np.ndarray) -> np.ndarray:
    return Model().predict_proba(X).astype(np.float32)


@contextmanager
def asking(server: Server, root: Path, secret: str | None = None, **settings: Any) -> Iterator[Endpoint]:
    target = EndpointTarget(**{"url": server.url, "batch_size": 10, "timeout": 5, "retries": 2, **settings})
    with Endpoint(target, Store(root), PLAIN, ["no", "yes"], secret) as endpoint:
        yield endpoint


def statuses(endpoint: Endpoint) -> list[str]:
    return endpoint.ledger()["status"].to_pylist()
