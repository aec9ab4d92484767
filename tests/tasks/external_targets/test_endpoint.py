"""The client against a real server that fails in every possible way; with short timeouts."""

import email.utils
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.external_targets import endpoint as endpoint_module
from tasks.external_targets.connectors import most_witnesses
from tasks.external_targets.endpoint import WITNESSES, Endpoint
from tests.tasks.external_targets.serving import (
    PLAIN,
    Exchange,
    Fault,
    Model,
    after,
    asking,
    expected,
    record_key,
    records,
    serve,
    status,
    statuses,
)
from umbrameter.errors import DataError, StoreError, TargetError
from umbrameter.mitigations import Rounding
from umbrameter.store.artefacts import Store
from umbrameter.targets.columns import Columns
from umbrameter.targets.endpoint import EndpointTarget, JsonRequest
from umbrameter.targets.querying import aligned_answers


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "FIRST_WAIT", 0.01)


# What is asked, and what is kept


def test_answers_come_in_order_whatever_the_delays(tmp_path: Path) -> None:
    X = records(95)
    delay = random.Random(0)
    with serve(Model(), lambda _: time.sleep(delay.uniform(0, 0.05))) as server, asking(server, tmp_path) as endpoint:
        answers = endpoint.predict_proba(X)
        assert answers.dtype == np.float32 and np.array_equal(answers, expected(X))
        assert endpoint.classes_.tolist() == [0, 1]
        assert (server.n_rows, server.n_requests) == (95, 10)
        assert server.asked == {row.tobytes(): 1 for row in X}


def test_never_more_at_once_than_allowed(tmp_path: Path) -> None:
    with (
        serve(Model(), lambda _: time.sleep(0.02)) as server,
        asking(server, tmp_path, concurrency=3) as endpoint,
        ThreadPoolExecutor(3) as callers,
    ):
        list(callers.map(endpoint.predict_proba, [records(80, seed) for seed in range(3)]))
        assert server.most_at_once == 3


def test_connections_are_kept(tmp_path: Path) -> None:
    ports = set()

    def note(exchange: Exchange) -> None:
        ports.add(exchange.handler.client_address[1])

    with serve(Model(), note) as server, asking(server, tmp_path, concurrency=2) as endpoint:
        endpoint.predict_proba(records(200))
    assert len(ports) <= 2


def test_what_was_answered_is_never_asked_again(tmp_path: Path) -> None:
    X = records(30)
    with serve(Model()) as server:
        with asking(server, tmp_path) as endpoint:
            first = endpoint.predict_proba(X)
        with asking(server, tmp_path, concurrency=1, timeout=9) as endpoint:
            assert np.array_equal(endpoint.predict_proba(X), first)
            assert np.array_equal(endpoint.predict_proba(X[:15])[10:], first[10:15])  # another batch: 10 .. 14
        assert server.n_rows == 35


def test_equal_batches_are_asked_once(tmp_path: Path) -> None:
    X = np.tile(records(10), (6, 1))
    with serve(Model()) as server, asking(server, tmp_path) as endpoint:
        assert np.array_equal(endpoint.predict_proba(X), expected(X))
        assert server.n_rows == 10


def test_no_records_no_request(tmp_path: Path) -> None:
    with serve(Model()) as server, asking(server, tmp_path) as endpoint:
        assert endpoint.predict_proba(records(0)).shape == (0, 2)
        assert (server.n_requests, endpoint.n_sent, endpoint.ledger().num_rows) == (0, 0, 0)


def test_another_model_is_asked_anew(tmp_path: Path) -> None:
    X = records(10)
    with serve(Model()) as server:
        target = EndpointTarget(url=server.url)
        for model in ("old", "new", "new"):
            with Endpoint(target, Store(tmp_path), PLAIN, [0, 1]) as endpoint:
                endpoint.model = model
                endpoint.predict_proba(X)
        with Endpoint(target, Store(tmp_path), PLAIN, [1, 0]) as endpoint:
            endpoint.model = "new"
            endpoint.predict_proba(X)  # other classes, other vectors
        assert server.n_requests == 3


def test_the_artefact_of_a_batch(tmp_path: Path) -> None:
    with serve(Model(), "failing_twice") as server, asking(server, tmp_path) as endpoint:
        with endpoint.asking("synthesis"):
            endpoint.predict_proba(records(7))
        (manifest,) = tmp_path.glob("store/query_batches/*/manifest.json")
        meta = Store(tmp_path).open(f"store/query_batches/{manifest.parent.name}").meta
    assert (meta["n"], meta["purpose"], meta["attempts"], meta["status"]) == (7, "synthesis", 3, "200")
    assert meta["seconds"] > 0


def test_text_and_integers_as_they_are(tmp_path: Path) -> None:
    columns = Columns(("a", "colour"), {"colour": ("blue", "red")}, (True, False))
    request = JsonRequest(body={"instances": "$records"}, record="mapping", probabilities="predictions")
    with serve(Model()) as server:
        target = EndpointTarget(url=server.url, request=request)
        with Endpoint(target, Store(tmp_path), columns, ["no", "yes"]) as endpoint:
            endpoint.predict_proba(np.array([[3, 1]], dtype=np.float32))
        assert server.bodies == [{"instances": [{"a": 3, "colour": "red"}]}]
        assert server.asked == {record_key([3, "red"]): 1}


def test_kept_answers_that_are_damaged_are_asked_again(tmp_path: Path) -> None:
    X = records(10)
    with serve(Model()) as server, asking(server, tmp_path) as endpoint:
        endpoint.predict_proba(X)
        (file,) = tmp_path.glob("store/query_batches/*/*.parquet")
        file.write_bytes(b"")
        assert np.array_equal(endpoint.predict_proba(X), expected(X))
        assert server.n_requests == 2


# Witnesses


@pytest.mark.parametrize("batch_size", [10, 18, 19, 20, 21, 50])
def test_witnesses_are_at_most_as_many_as_said_and_no_request_is_too_large(tmp_path: Path, batch_size: int) -> None:
    sizes, X = [5, 17, 18, 19, 36, 38, 60, 100], records(100)
    with serve(Model()) as server, asking(server, tmp_path, batch_size=batch_size) as endpoint:
        endpoint.witnesses = X[:WITNESSES], expected(X[:WITNESSES])
        for seed, size in enumerate(sizes):
            before = endpoint.n_sent
            endpoint.predict_proba(records(size, seed))
            assert endpoint.n_sent - before - size <= most_witnesses(batch_size, size, 1)
        assert endpoint.n_sent - sum(sizes) <= most_witnesses(batch_size, sum(sizes), len(sizes))
        assert max(endpoint.ledger()["n_records"].to_pylist()) <= batch_size
        assert endpoint.n_sent == server.n_rows


# Faults that pass


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ("failing_twice", ["500", "500", "200"]),
        ("cut_off_once", ["cut off", "200"]),
        (lambda e: e.number < 1 and status(503, retry_after="0")(e), ["503", "200"]),
        (lambda e: e.number < 1 and status(502, retry_after="soon")(e), ["502", "200"]),
    ],
)
def test_what_passes_is_waited_for(tmp_path: Path, fault: Fault | str, ends: list[str]) -> None:
    X = records(10)
    with serve(Model(), fault) as server, asking(server, tmp_path) as endpoint:
        assert np.array_equal(endpoint.predict_proba(X), expected(X))
        assert statuses(endpoint) == ends


@pytest.mark.parametrize("as_date", [False, True])
def test_an_endpoint_says_how_long_to_wait(tmp_path: Path, as_date: bool) -> None:
    def busy(exchange: Exchange) -> bool:
        then = email.utils.formatdate(time.time() + 2, usegmt=True)  # dates are of whole seconds: 1 .. 2 s from now
        return exchange.number < 1 and status(429, retry_after=then if as_date else "1")(exchange)

    began = time.perf_counter()
    with serve(Model(), busy) as server, asking(server, tmp_path) as endpoint:
        endpoint.predict_proba(records(10))
        assert statuses(endpoint) == ["429", "200"]
    assert 0.9 < time.perf_counter() - began < 20


def test_waits_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(endpoint_module, "MOST_WAIT", 0.03)
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    with (
        serve(Model(), "busy") as server,
        asking(server, tmp_path, retries=4) as endpoint,
        pytest.raises(TargetError),
    ):
        endpoint.predict_proba(records(1))
    waits = [record.args[1] for record in caplog.records if isinstance(record.args, tuple)]
    assert waits == [0.01, 0.02, 0.03, 0.03]


# Faults that do not


@pytest.mark.parametrize(
    ("fault", "settings", "end", "text"),
    [
        ("down", {}, "no connection", r"does not answer: 3 requests for one batch, the last ended with no connection"),
        ("slow", {"timeout": 0.3}, "timeout", r"ended with timeout; check that it is up, or raise target\.timeout"),
        ("drip", {"timeout": 0.6}, "timeout", "ended with timeout"),
        ("drip_headers", {"timeout": 0.6}, "timeout", "ended with timeout"),
        ("cut_off", {}, "cut off", "ended with cut off"),
        ("busy", {}, "429", r"ended with 429 \({\"error\": \"no\"}\)"),
        ("failing", {}, "500", "ended with 500"),
    ],
)
def test_what_does_not_pass_ends(tmp_path: Path, fault: str, settings: dict[str, Any], end: str, text: str) -> None:
    began = time.perf_counter()
    with serve(Model(), fault) as server, asking(server, tmp_path, **settings) as endpoint:
        with pytest.raises(TargetError, match=text + r".*answered batches are kept$"):
            endpoint.predict_proba(records(10))
        assert statuses(endpoint) == [end] * 3
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        ("bad_request", TargetError, r"answered 400 \({\"error\": \"no\"}\); check target\.url and target\.request"),
        (status(401), TargetError, r"answered 401 .*; check target\.token"),
        (status(403), TargetError, r"answered 403 .*; check target\.token"),
        (status(404), TargetError, "answered 404"),
        (status(422), TargetError, "answered 422"),
        (status(201), TargetError, "answered 201"),
        (
            "redirect",
            TargetError,
            r"answered 308 and redirects to https://elsewhere\.example/invocations; .* target\.url to it",
        ),
        ("invalid_json", TargetError, r"answered 200, but no JSON \(application/json\) \({\"predictions\": \[\[#,\)"),
        ("html", TargetError, r"no JSON \(text/html\) \(<html><body>Please log in</body></html>\); check target\.url"),
        (status(200, b"[" * 100_000), TargetError, "no JSON"),
        ("busy_for_an_hour", TargetError, r"says to wait 3600 s, more than target\.longest_wait=60; run again then"),
        ("wrong_classes", DataError, "answered 3 numbers for record 0; expected 2"),
        ("too_few", DataError, r"answered 9 times for the 10 records 0 \.\. 9"),
        ("nan", DataError, r"answered \[nan, 1\] for record 9 .* finite"),
        ("negative", DataError, r"answered \[-0\.5, 1\.5\] for record 9"),
        ("unsummed", DataError, r"answered \[0\.7, 0\.7\] for record 9 .* target\.answers"),
    ],
)
def test_nonsense_ends_at_once(tmp_path: Path, fault: Fault | str, error: type[Exception], text: str) -> None:
    with serve(Model(), fault) as server, asking(server, tmp_path, concurrency=1) as endpoint:
        with pytest.raises(error, match=text):
            endpoint.predict_proba(records(30))
        assert server.n_requests == len(statuses(endpoint)) == 1
    assert not list(tmp_path.glob("store/query_batches/*/manifest.json"))


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://u:hunter2@b.example:8443/in?sig=hunter2#hunter2", "https://b.example:8443/in"),
        ("/login;jsessionid=hunter2?next=hunter2", "/login"),
        ("https://[hunter2/in", "an address that cannot be read"),
    ],
)
def test_of_a_redirect_only_the_place_is_shown(tmp_path: Path, location: str, shown: str) -> None:
    with (
        serve(Model(), status(302, location=location)) as server,
        asking(server, tmp_path) as endpoint,
        pytest.raises(TargetError) as caught,
    ):
        endpoint.predict_proba(records(10))
    assert f"answered 302 and redirects to {shown}; redirects" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_errors_name_the_record_of_the_whole_query(tmp_path: Path) -> None:
    with serve(Model(), after(2, "nan")) as server, asking(server, tmp_path, concurrency=1) as endpoint:
        with pytest.raises(DataError, match="for record 29 "):
            endpoint.predict_proba(records(30))
        assert len(list(tmp_path.glob("store/query_batches/*/manifest.json"))) == 2


def test_rounded_answers_are_taken_where_it_is_said(tmp_path: Path) -> None:
    with serve(Model(), "unsummed") as server, asking(server, tmp_path, answers=(Rounding(1),)) as endpoint:
        assert endpoint.predict_proba(records(10))[-1].tolist() == pytest.approx([0.7, 0.7])
        ask = aligned_answers(endpoint, 2)
        assert ask(records(10))[-1].tolist() == pytest.approx([0.7, 0.7])


def test_an_answer_without_an_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "MOST_BYTES", 10_000)
    with serve(Model(), status(200, b" " * 1_000_000)) as server, asking(server, tmp_path) as endpoint:
        with pytest.raises(TargetError, match="answers more than prediction vectors can take"):
            endpoint.predict_proba(records(10))
        assert statuses(endpoint) == ["too large"]


def test_after_one_batch_failed_none_is_begun_and_those_under_way_are_kept(tmp_path: Path) -> None:
    def fault(exchange: Exchange) -> bool:
        if exchange.number == 0:
            while exchange.server.n_requests < 3:
                time.sleep(0.01)
            return status(400)(exchange)
        time.sleep(0.5)
        return False

    X = records(200)
    with serve(Model(), fault) as server:
        with asking(server, tmp_path, concurrency=3) as endpoint, pytest.raises(TargetError, match="answered 400"):
            endpoint.predict_proba(X)
        assert server.n_requests == 3
        assert len(list(tmp_path.glob("store/query_batches/*/manifest.json"))) == 2


def test_no_repetition_after_another_batch_failed(tmp_path: Path) -> None:
    def fault(exchange: Exchange) -> bool:
        if exchange.number == 0:
            return status(503, retry_after="30")(exchange)
        time.sleep(0.3)
        return status(404)(exchange)

    began = time.perf_counter()
    with (
        serve(Model(), fault) as server,
        asking(server, tmp_path, concurrency=2) as endpoint,
        pytest.raises(TargetError, match="answered 404"),
    ):
        endpoint.predict_proba(records(40))
    assert time.perf_counter() - began < 10


def test_an_audit_that_failed_goes_on_without_asking_twice(tmp_path: Path) -> None:
    X = records(100)
    broken = threading.Event()

    def fault(exchange: Exchange) -> bool:
        if exchange.number >= 4:
            broken.set()
        return broken.is_set() and status(500)(exchange)

    with serve(Model(), fault) as server:
        with asking(server, tmp_path) as endpoint, pytest.raises(TargetError, match="does not answer"):
            endpoint.predict_proba(X)
        assert 0 < len(server.asked) < 100
        broken = threading.Event()
        broken.is_set = lambda: False  # type: ignore[method-assign]
        with asking(server, tmp_path) as endpoint:
            assert np.array_equal(endpoint.predict_proba(X), expected(X))
            assert endpoint.n_sent == server.n_rows > 100
        assert set(server.asked.values()) == {1} and len(server.asked) == 100


def test_a_full_disk_is_said_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("no space left while writing")

    with serve(Model()) as server, asking(server, tmp_path) as endpoint:
        monkeypatch.setattr(Store, "write", full)
        with pytest.raises(StoreError, match="no space left"):
            endpoint.predict_proba(records(10))
