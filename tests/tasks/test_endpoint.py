"""The client against a real server, with every way in which a server can fail; short timeouts."""

import datetime
import email.utils
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

import tasks.endpoint
from tasks.connection import masked, read_token
from tasks.endpoint import Endpoint
from tasks.ledger import LEDGER
from umbrameter.errors import DataError, SpecError, StoreError, TargetError
from umbrameter.mitigations import Rounding
from umbrameter.store import Store
from umbrameter.targets.columns import Columns, same
from umbrameter.targets.endpoint import EndpointTarget, JsonRequest, Token

sys.path.insert(0, str(Path(__file__).parent))
from serving import Exchange, Fault, Server, after, record_key, serve, status

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


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.endpoint, "FIRST_WAIT", 0.01)


@contextmanager
def asking(server: Server, root: Path, secret: str | None = None, **settings: Any) -> Iterator[Endpoint]:
    target = EndpointTarget(**{"url": server.url, "batch_size": 10, "timeout": 5, "retries": 2, **settings})
    with Endpoint(target, Store(root), PLAIN, ["no", "yes"], secret) as endpoint:
        yield endpoint


def statuses(endpoint: Endpoint) -> list[str]:
    return endpoint.ledger()["status"].to_pylist()


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


# The ledger


def test_the_ledger_has_every_request_and_nothing_of_its_content(tmp_path: Path) -> None:
    before = datetime.datetime.now(datetime.UTC)
    with serve(Model(), "failing_twice") as server, asking(server, tmp_path, concurrency=1) as endpoint:
        endpoint.predict_proba(records(25))
        with endpoint.asking("synthesis"):
            endpoint.predict_proba(records(10, seed=1))
        table = endpoint.ledger()
        assert endpoint.n_sent == server.n_rows == pc.sum(table["n_records"]).as_py()
    assert table.schema == LEDGER
    assert table["status"].to_pylist() == ["500", "500", "200", "200", "200", "200"]
    assert table["n_records"].to_pylist() == [10, 10, 10, 10, 5, 10]
    assert table["purpose"].to_pylist() == ["audited records"] * 5 + ["synthesis"]
    assert [len(set(table["batch"].to_pylist()[:3])), len(set(table["batch"].to_pylist()))] == [1, 4]
    sent = table["sent"].to_pylist()
    assert before - datetime.timedelta(seconds=1) < sent[0] <= sent[-1] < datetime.datetime.now(datetime.UTC)
    assert all(seconds > 0 for seconds in table["seconds"].to_pylist())


KILLED = """
import sys
import numpy as np
from tasks.endpoint import Endpoint
from umbrameter.store import Store
from umbrameter.targets.columns import Columns
from umbrameter.targets.endpoint import EndpointTarget
url, root = sys.argv[1:]
target = EndpointTarget(url=url, batch_size=10, concurrency=1)
columns = Columns(("a", "b"), {}, (False, False))
Endpoint(target, Store(root), columns, ["no", "yes"]).predict_proba(np.load(root + "/X.npy"))
"""


def test_a_killed_audit_goes_on_and_its_requests_are_known(tmp_path: Path) -> None:
    X = records(60)
    np.save(tmp_path / "X.npy", X)
    held = threading.Event()

    def hold(exchange: Exchange) -> bool:
        if exchange.number == 3:
            held.set()
            time.sleep(1.5)
            return True
        return False

    with serve(Model(), hold) as server:
        here = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-c", KILLED, server.url, str(tmp_path)]
        with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(here)}) as process:
            assert held.wait(30)
            process.send_signal(signal.SIGKILL)
        with asking(server, tmp_path) as endpoint:
            assert statuses(endpoint) == ["200"] * 3 + ["unknown"]
            assert endpoint.ledger()["seconds"].null_count == 1
            assert np.array_equal(endpoint.predict_proba(X), expected(X))
            assert endpoint.n_sent == server.n_rows == 70
        assert set(server.asked.values()) == {1} and len(server.asked) == 60


def test_a_note_that_was_cut_short_counts(tmp_path: Path) -> None:
    with serve(Model()) as server, asking(server, tmp_path) as endpoint:
        endpoint.predict_proba(records(10))
        for note in tmp_path.glob("ledger/*/*.json"):
            note.write_bytes(b'{"ba')
        assert endpoint.n_sent == 10
        (row,) = endpoint.ledger().to_pylist()
        assert (row["batch"], row["purpose"], row["status"], row["n_records"]) == ("", "unknown", "unknown", 10)


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
    monkeypatch.setattr(tasks.endpoint, "MOST_WAIT", 0.03)
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
        ("slow", {"timeout": 0.3}, "timeout", r"ended with timeout; see that it is up, or raise target\.timeout"),
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
            r"answered 308, to go to https://elsewhere\.example/invocations; .* target\.url to it",
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


def test_errors_name_the_record_of_the_whole_query(tmp_path: Path) -> None:
    with serve(Model(), after(2, "nan")) as server, asking(server, tmp_path, concurrency=1) as endpoint:
        with pytest.raises(DataError, match="for record 29 "):
            endpoint.predict_proba(records(30))
        assert len(list(tmp_path.glob("store/query_batches/*/manifest.json"))) == 2


def test_rounded_answers_are_taken_where_it_is_said(tmp_path: Path) -> None:
    with serve(Model(), "unsummed") as server, asking(server, tmp_path, answers=(Rounding(1),)) as endpoint:
        assert endpoint.predict_proba(records(10))[-1].tolist() == pytest.approx([0.7, 0.7])


def test_an_answer_without_an_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.endpoint, "MOST_BYTES", 10_000)
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


# The budget


def test_a_budget_is_never_exceeded(tmp_path: Path) -> None:
    X = records(100)
    with serve(Model(), lambda _: time.sleep(0.01)) as server:
        with (
            asking(server, tmp_path, budget=45, concurrency=8) as endpoint,
            pytest.raises(TargetError, match=r"target\.budget=45 does not suffice: 40 records were sent and 10 more"),
        ):
            endpoint.predict_proba(X)
        assert server.n_rows == 40
        with asking(server, tmp_path, budget=100) as endpoint:
            assert np.array_equal(endpoint.predict_proba(X), expected(X))
        assert set(server.asked.values()) == {1}


def test_repetitions_and_canaries_count_for_the_budget(tmp_path: Path) -> None:
    with serve(Model(), "failing_twice") as server, asking(server, tmp_path, budget=35) as endpoint:
        endpoint.predict_proba(records(10))
        endpoint.canary(records(5))
        with pytest.raises(TargetError, match=r"35 records were sent and 1 more"):
            endpoint.canary(records(1))
        assert server.n_rows == 35


# Canaries


def test_a_canary_is_always_asked_anew(tmp_path: Path) -> None:
    X = records(12)
    with serve(Model()) as server, asking(server, tmp_path) as endpoint:
        known = endpoint.predict_proba(X)
        assert same(endpoint.canary(X), known) and same(endpoint.canary(X), known)
        assert server.n_rows == 36
        assert endpoint.ledger()["purpose"].to_pylist().count("canary") == 4
    assert len(list(tmp_path.glob("store/query_batches/*"))) == 2


def test_a_changed_model_is_seen(tmp_path: Path) -> None:
    X = records(10)
    with serve(Model(), "changed") as server, asking(server, tmp_path) as endpoint:
        assert not same(endpoint.predict_proba(X), endpoint.canary(X))


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
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/invocations"))
        server = Server("http://model.invalid/invocations")
        with (
            asking(server, tmp_path, timeout=1.5, retries=0, concurrency=1) as endpoint,
            pytest.raises(TargetError, match="ended with timeout"),
        ):
            endpoint.predict_proba(records(20))
        assert proxy.n_rows == 20 and proxy.headers[0]["Host"] == "model.invalid"


@pytest.mark.parametrize("url", ["http://models..example/invocations", "http://localhost/\x01"])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    with (
        asking(Server(url), tmp_path) as endpoint,
        pytest.raises(TargetError, match=r"http://.* cannot be asked .*; check target\.url"),
    ):
        endpoint.predict_proba(records(1))
