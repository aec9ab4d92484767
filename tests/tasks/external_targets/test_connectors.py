"""Connections by kind of target: whoever connects itself does, and an endpoint keeps account of all that is sent."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import Field

from tasks.external_targets import endpoint as endpoint_module
from tasks.external_targets.connectors import EndpointConnection, connect, most_witnesses
from tasks.external_targets.endpoint import WITNESSES
from tests.targets.people import Softmax, context, people
from tests.tasks.external_targets.serving import Exchange, Server, serve, status
from umbrameter.errors import DataError, SpecError, TargetError
from umbrameter.records.reader import Records
from umbrameter.store.artefacts import digest
from umbrameter.targets import EndpointTarget, ExternalTarget, GivenTarget, RegistryTarget, Target, TrainedTarget
from umbrameter.targets.connection import Connection, ConnectionContext
from umbrameter.targets.endpoint import Token


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "FIRST_WAIT", 0.01)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return people(tmp_path)


@contextmanager
def connected(server: Server, records: Records, **settings: Any) -> Iterator[EndpointConnection]:
    options = {"url": server.url, "batch_size": 10, "timeout": 5, "retries": 1} | settings
    connection = connect(EndpointTarget(**options), context(records))
    assert isinstance(connection, EndpointConnection)
    try:
        yield connection
    finally:
        connection.close()


def n_threads() -> int:
    return sum(thread.name.startswith("endpoint") for thread in threading.enumerate())


# Who connects


def test_a_kind_from_outside_connects_itself(records: Records) -> None:
    class Elsewhere(ExternalTarget):
        kind: Literal["tests.Elsewhere"] = Field("tests.Elsewhere", description="Anywhere else.")

        def connect(self, context: ConnectionContext) -> Connection:
            return Connection({"canaries": len(context.canaries)}, "elsewhere", "the model")

    connection = connect(Elsewhere(), context(records))
    assert (connection.facts, connection.model) == ({"canaries": 16}, "the model")


def test_an_object_connects_itself(records: Records) -> None:
    model = Softmax()
    connection = connect(GivenTarget(name="soft"), context(records, model))
    assert connection.description == "soft" and model.n_asked == 16


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (TrainedTarget(estimator={"kind": "decision_tree"}), "train"),  # type: ignore[arg-type]
        (ExternalTarget(), "ExternalTarget"),
    ],
)
def test_a_kind_that_cannot_be_connected_says_so(records: Records, target: Target, kind: str) -> None:
    with pytest.raises(TargetError, match=rf"target\.kind={kind}\b"):
        connect(target, context(records))


@pytest.mark.parametrize("target", [EndpointTarget(url="http://h/x"), RegistryTarget(model="models:/m/1")])
def test_kinds_that_need_a_client_library_are_refused_without_the_pipeline(records: Records, target: Target) -> None:
    with pytest.raises(TargetError, match=r"target\.kind=(endpoint|registry)\b.*umbrameter audit"):
        target.connect(context(records))


# An endpoint is met


def test_meeting_an_endpoint_asks_about_the_canaries_alone(records: Records) -> None:
    with serve(_Served()) as server, connected(server, records) as connection:
        assert server.n_rows == 16 == connection.n_canaries == connection.n_sent()
        assert connection.endpoint.ledger()["purpose"].to_pylist() == ["canary"] * 2
        assert connection.description == server.url
        assert connection.endpoint.model == digest(connection.facts)


def test_facts_hold_the_settings_that_decide_answers_and_no_secret(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    token, settings = Token(env="KEY"), {"timeout": 3, "concurrency": 2}
    with serve(_Served()) as server, connected(server, records, token=token, **settings) as connection:
        assert connection.facts["url"] == server.url and connection.facts["kind"] == "endpoint"
        assert not {"timeout", "concurrency", "token", "batch_size"} & connection.facts.keys()
        assert server.headers[0]["Authorization"] == "Bearer s3cret"


def test_how_fast_it_is_asked_does_not_change_who_it_is(records: Records) -> None:
    with serve(_Served()) as server:
        facts = []
        for settings in ({}, {"batch_size": 3, "concurrency": 1}, {"retries": 0, "timeout": 9}, {"budget": 10_000}):
            with connected(server, records, **settings) as connection:
                facts.append(connection.facts)
        with connected(server, records, answers=[{"kind": "rounding", "decimals": 2}]) as connection:
            assert connection.facts != facts[0]
    assert facts.count(facts[0]) == 4


def test_another_model_at_the_address_is_another_generation_and_the_first_is_known_again(records: Records) -> None:
    model = _Served()
    with serve(model) as server:
        generations = []
        for sharpness in (0.1, 0.3, 0.1, 0.3):
            model.model.sharpness = sharpness
            with connected(server, records) as connection:
                generations.append(connection.facts["generation"])
    assert generations == [0, 1, 0, 1]


def test_the_known_records_that_go_along_are_those_it_is_least_sure_of(records: Records) -> None:
    with serve(_Served()) as server, connected(server, records) as connection:
        asked, answers = connection.endpoint.witnesses or (np.empty(0), np.empty(0))
        everything = Softmax().predict_proba(connection.canaries)
        assert len(asked) == WITNESSES
        least = np.sort(everything.max(axis=1))[:WITNESSES]
        assert np.allclose(np.sort(answers.max(axis=1)), least, atol=1e-4)
        assert connection.n_witnesses(100, 2) == most_witnesses(10, 100, 2)


# What goes wrong


def test_a_target_that_answers_nonsense_leaves_no_thread_behind(records: Records) -> None:
    before = n_threads()

    def unsummed(exchange: Exchange) -> None:
        exchange.content = {"predictions": [[0.9, 0.9, 0.9] for _ in exchange.rows]}

    with serve(_Served(), unsummed) as server, pytest.raises(DataError, match=r"0\.9, 0\.9, 0\.9"):
        connect(EndpointTarget(url=server.url), context(records))
    assert n_threads() == before


def test_a_secret_that_is_not_there_is_said_before_anything_is_sent(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEY", raising=False)
    with serve(_Served()) as server:
        with pytest.raises(SpecError, match=r"target\.token\.env='KEY'"):
            connect(EndpointTarget(url=server.url, token=Token(env="KEY")), context(records))
        assert server.n_requests == 0


def test_an_endpoint_that_refuses_is_told_by_what_it_says(records: Records) -> None:
    with serve(_Served(), status(403, b"no access")) as server, pytest.raises(TargetError, match=r"403.*target\.token"):
        connect(EndpointTarget(url=server.url), context(records))


def test_a_model_that_changed_is_refused_and_its_identity_given_up(records: Records) -> None:
    model = _Served()
    with serve(model) as server:
        with connected(server, records) as connection:
            connection.verify_unchanged()
            model.model.sharpness = 0.4
            with pytest.raises(TargetError, match=server.url):
                connection.verify_unchanged()
            assert connection.n_sent() == 48
        model.model.sharpness = 0.1
        with connected(server, records) as connection:
            assert connection.facts["generation"] == 1


# The account


def test_what_this_run_sent_is_told_from_what_was_ever_sent(records: Records) -> None:
    X = records.take(np.arange(20))[0]
    with serve(_Served()) as server:
        with connected(server, records) as connection:
            connection.model.predict_proba(X)
            assert connection.n_sent() == connection.n_sent_ever() == 36
        with connected(server, records) as connection:
            assert (connection.n_sent(), connection.n_sent_ever()) == (16, 52)
            connection.model.predict_proba(X)  # which is kept
            assert connection.n_sent() == 16


def test_answers_are_noted_under_the_purpose_they_were_asked_for(records: Records) -> None:
    X = records.take(np.arange(30))[0]
    with serve(_Served()) as server, connected(server, records) as connection:
        with connection.querying("changed copies"):
            connection.model.predict_proba(X[:20])
        connection.model.predict_proba(X[20:])
        assert connection.n_answered() == {"changed copies": 20, "audited records": 10}


def test_the_run_s_folder_gets_the_ledger_and_no_record(records: Records) -> None:
    with serve(_Served()) as server, connected(server, records) as connection:
        connection.model.predict_proba(records.take(np.arange(5))[0])
        (content,) = connection.files().values()
        table = pq.read_table(io.BytesIO(content))
        assert [*connection.files()] == ["ledger.parquet"]
        assert table["n_records"].to_pylist() == [10, 6, 5] and table["status"].to_pylist() == ["200"] * 3
        assert table.schema.names == ["batch", "purpose", "n_records", "sent", "seconds", "status"]


def test_a_budget_that_canaries_alone_exceed_ends_before_the_request(records: Records) -> None:
    with serve(_Served()) as server:
        with pytest.raises(TargetError, match=r"target\.budget=15\b"):
            connect(EndpointTarget(url=server.url, budget=15), context(records))
        assert server.n_rows == 0


class _Served:
    """A softmax model behind HTTP, where records come as lists with text."""

    def __init__(self) -> None:
        self.model = Softmax()

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(X)
