"""Connections to an endpoint: secrets, certificates, proxies, and errors that do not repeat what was sent."""

import base64
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.external_targets import endpoint as endpoint_module
from tasks.external_targets.connection import read_token
from tasks.external_targets.endpoint import Endpoint
from tests.tasks.external_targets.serving import (
    PLAIN,
    SECRET,
    Exchange,
    Model,
    Server,
    after,
    asking,
    expected,
    records,
    serve,
    status,
    statuses,
)
from umbrameter.errors import DataError, SpecError, TargetError
from umbrameter.store.artefacts import Store
from umbrameter.targets.columns import masked
from umbrameter.targets.endpoint import EndpointTarget, Token


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "FIRST_WAIT", 0.01)


# Secrets


@pytest.mark.filterwarnings("default")
def test_the_token_is_sent_and_nowhere_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    said = f"who is Bearer {SECRET}? {'x' * 500}".encode()

    def fault(exchange: Exchange) -> object:
        if exchange.number == 0:
            return status(500, said)(exchange)
        return exchange.number == 2 and status(400, said, x=SECRET)(exchange)

    caplog.set_level(logging.DEBUG)
    with serve(Model(), fault) as server, asking(server, tmp_path, SECRET, concurrency=1) as endpoint:
        endpoint.predict_proba(records(10))
        with pytest.raises(TargetError, match=r"answered 400 \(who is Bearer \[token\]\? x+\)") as caught:
            endpoint.predict_proba(records(10, seed=1))
        assert [headers["Authorization"] for headers in server.headers] == [f"Bearer {SECRET}"] * 3
    assert len(str(caught.value)) < 400
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    shown = "".join((str(caught.value), caplog.text, *capfd.readouterr(), repr(endpoint.ledger().to_pylist())))
    assert len(written) > 6 and not any(SECRET.encode() in content for content in written)
    assert SECRET not in shown


def test_a_header_of_its_own(tmp_path: Path) -> None:
    with (
        serve(Model()) as server,
        asking(server, tmp_path, SECRET, token=Token(env="KEY", header="X-API-Key", scheme="")) as endpoint,
    ):
        endpoint.predict_proba(records(1))
        assert server.headers[0]["X-API-Key"] == SECRET and "Authorization" not in server.headers[0]


def test_a_token_that_no_header_can_carry(tmp_path: Path) -> None:
    target = EndpointTarget(url="http://localhost:1")
    with pytest.raises(TargetError, match=r"target\.token: the secret holds characters") as caught:
        Endpoint(target, Store(tmp_path), PLAIN, [0, 1], f"{SECRET}\nX: y")
    assert SECRET not in str(caught.value)


def test_tokens_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET)
    assert read_token(Token(env="SOME_KEY")) == SECRET and read_token(None) is None
    monkeypatch.delenv("SOME_KEY")
    with pytest.raises(SpecError, match=r"target\.token\.env='SOME_KEY': this variable is not set"):
        read_token(Token(env="SOME_KEY"))


def test_tokens_are_read_from_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.system import Secret

    def load(name: str) -> Any:
        if name != "endpoint-key":
            raise ValueError(f"Unable to find block document named {name}")
        return Secret(value=SECRET)

    monkeypatch.setattr(Secret, "load", load)
    assert read_token(Token(secret="endpoint-key")) == SECRET
    with pytest.raises(SpecError, match=r"target\.token\.secret='other': Prefect has no such Secret block"):
        read_token(Token(secret="other"))


def test_what_was_sent_is_not_repeated_in_errors(tmp_path: Path) -> None:
    def echo(exchange: Exchange) -> bool:
        return status(422, repr(exchange.rows).encode() + b" has 10 rows")(exchange)

    with (
        serve(Model(), echo) as server,
        asking(server, tmp_path) as endpoint,
        pytest.raises(TargetError, match=r"answered 422 \(\[\[#, #\], \[#, #\]") as caught,
    ):
        endpoint.predict_proba(records(10))
    assert "." not in str(caught.value).partition("(")[2].partition(")")[0]


def test_an_endpoint_that_answers_the_records(tmp_path: Path) -> None:
    def echo(exchange: Exchange) -> None:
        exchange.content = {"predictions": exchange.rows}

    with (
        serve(Model(), echo) as server,
        asking(server, tmp_path) as endpoint,
        pytest.raises(DataError, match=r"answers the records themselves; set target\.request"),
    ):
        endpoint.predict_proba(records(10))


def test_values_are_masked() -> None:
    text = "row 7 [37, 0.1, 1e-05, 'Exec-managerial', 'Z\\u00fcrich'], 3 columns, 370, Executive"
    rows = [[37, 0.25, "Exec-managerial", "Zürich", "Exec"]]
    assert masked(text, rows) == "row 7 [#, #, #, '#', '#'], 3 columns, 370, Executive"


# Certificates and proxies


def test_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    X = records(30)
    with serve(Model(), tls=True) as server, asking(server, tmp_path, ca=server.ca) as endpoint:
        assert server.url.startswith("https://")
        assert np.array_equal(endpoint.predict_proba(X), expected(X))


@pytest.mark.parametrize(("days", "is_known", "why"), [(1, False, "self-signed"), (-1, True, "expired")])
def test_a_certificate_that_is_not_trusted(tmp_path: Path, days: int, is_known: bool, why: str) -> None:
    with (
        serve(Model(), tls=True, days=days) as server,
        asking(server, tmp_path, ca=server.ca if is_known else None, concurrency=1) as endpoint,
    ):
        text = rf"the certificate of https://.*/invocations is not trusted \(.*{why}.*\); set target\.ca"
        with pytest.raises(TargetError, match=text):
            endpoint.predict_proba(records(30))
        assert statuses(endpoint) == ["not trusted"]
        assert server.n_rows == 0


def test_drips_within_tls_end_too(tmp_path: Path) -> None:
    with (
        serve(Model(), "drip_headers", tls=True) as server,
        asking(server, tmp_path, ca=server.ca, timeout=0.6, retries=0) as endpoint,
        pytest.raises(TargetError, match="ended with timeout"),
    ):
        endpoint.predict_proba(records(1))


def test_an_authority_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("none.pem", "empty.pem"):
        target = EndpointTarget(url="https://localhost:1", ca=str(tmp_path / name))
        with pytest.raises(TargetError, match=rf"target\.ca='.*{name}' cannot be read .*; give a PEM file"):
            Endpoint(target, Store(tmp_path), PLAIN, [0, 1])


def test_the_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(Model(), after(1, "drip_headers")) as proxy:
        for name in ("http_proxy", "no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        address = proxy.url.removesuffix("/invocations").replace("http://", "http://me:secret@")
        monkeypatch.setenv("HTTP_PROXY", address)
        server = Server("http://model.invalid/invocations")
        with (
            asking(server, tmp_path, timeout=1.5, retries=0, concurrency=1) as endpoint,
            pytest.raises(TargetError, match="ended with timeout"),
        ):
            endpoint.predict_proba(records(20))
        assert proxy.n_rows == 20 and proxy.headers[0]["Host"] == "model.invalid"
        login = base64.b64encode(b"me:secret").decode()
        assert proxy.headers[0]["Proxy-Authorization"] == f"Basic {login}"


def test_an_address_that_needs_no_proxy_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(Model()) as server, asking(server, tmp_path) as endpoint:
        endpoint.predict_proba(records(3))
        assert server.n_rows == 3


def test_a_kind_of_proxy_that_cannot_be_used_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://proxy.invalid")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(TargetError, match="names a proxy of kind socks5; pip install socksio, or unset it"):
        Endpoint(EndpointTarget(url="http://model.invalid"), Store(tmp_path), PLAIN, [0, 1])


@pytest.mark.parametrize("url", ["http://models..example/invocations", "http://localhost/\x01"])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    with (
        asking(Server(url), tmp_path) as endpoint,
        pytest.raises(TargetError, match=r"http://.* cannot be asked .*; check target\.url"),
    ):
        endpoint.predict_proba(records(1))
