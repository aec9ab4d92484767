"""The ledger of an endpoint, its budget, and canaries that detect another model."""

import datetime
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from tasks.external_targets import endpoint as endpoint_module
from tasks.external_targets.ledger import LEDGER, Ledger
from tests.tasks.external_targets.serving import Exchange, Model, asking, expected, records, serve, statuses
from umbrameter.errors import TargetError
from umbrameter.mitigations import Rounding
from umbrameter.records.metadata import RecordsMetadata
from umbrameter.records.noise import Noise
from umbrameter.shadow_data import ModelBased
from umbrameter.steps.shadow_records import Synthesis
from umbrameter.steps.target_answers import NoisyQuery
from umbrameter.store.artefacts import Recipe, Store
from umbrameter.targets.columns import same


def two_features() -> RecordsMetadata:
    """Return what is known of three records of two numbers."""
    return RecordsMetadata(
        n_records=3,
        n_features=2,
        label_counts=(2, 1),
        classes=("no", "yes"),
        feature_names=("a", "b"),
        precision="float32",
        categorical=(),
        categories={},
        low=(0.0, 0.0),
        high=(1.0, 1.0),
        integral=(False, False),
        binary=False,
    )


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "FIRST_WAIT", 0.01)


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
from tasks.external_targets.endpoint import Endpoint
from umbrameter.store.artefacts import Store
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
        here = Path(__file__).resolve().parents[3]
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


def test_files_are_counted_once_and_then_each_note_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(Store(tmp_path), "ledger/a")
    ledger.begin("b", "p", 3)
    assert ledger.n_sent() == 3
    monkeypatch.setattr(Ledger, "_names", lambda *_: pytest.fail("listed again"))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: ledger.begin("b", "p", n), range(50)))
    assert ledger.n_sent() == 3 + sum(range(50))
    monkeypatch.undo()
    assert Ledger(Store(tmp_path), "ledger/a").n_sent() == ledger.n_sent()


def test_what_a_model_has_answered_is_known_by_purpose(tmp_path: Path) -> None:
    ledger = Ledger(Store(tmp_path), "ledger/a")
    for purpose, n, model, status in (
        ("search", 5, "new", "200"),
        ("search", 7, "new", "200"),
        ("others", 1, "new", "200"),
        ("others", 2, "old", "200"),
        ("others", 4, "new", "500"),
    ):
        ledger.end(ledger.begin("b", purpose, n, model), status, 0.1)
    ledger.begin("b", "others", 8, "new")  # killed meanwhile
    assert ledger.answered("new") == {"search": 12, "others": 1}
    assert ledger.table().num_rows == 6 and ledger.table().schema == LEDGER


# The budget


@pytest.mark.parametrize("settings", [{"answers": (Rounding(5),)}, {"labels": ("no", "yes")}, {"batch_size": 7}])
def test_the_budget_is_that_of_the_address_whatever_else_is_set(tmp_path: Path, settings: dict[str, Any]) -> None:
    with serve(Model()) as server:
        with asking(server, tmp_path, budget=25) as endpoint:
            endpoint.predict_proba(records(20))
        with asking(server, tmp_path, budget=25, **settings) as endpoint:
            assert endpoint.n_sent == 20
            with pytest.raises(TargetError, match=r"target\.budget=25 does not suffice: 20 records were sent"):
                endpoint.predict_proba(records(20, seed=1))


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


# What is announced


def test_calls_are_at_most_as_many_as_said(tmp_path: Path) -> None:
    rng, store = random.Random(0), Store(tmp_path)
    with store.write(Recipe("records", {})) as draft:
        two_features().write(draft)
    path = Recipe("records", {}).path
    for _ in range(200):
        n, iter_max, places = rng.randint(1, 30), rng.randint(1, 9), rng.randint(1, 12)
        data = ModelBased(iter_max=iter_max, side_by_side=places)
        waiting, running, calls = [rng.randint(1, iter_max) for _ in range(n)], list[int](), 0
        while waiting or running:
            running += [waiting.pop() for _ in range(min(len(waiting), places - len(running)))]
            running, calls = [left - 1 for left in running if left > 1], calls + 1
        step = Synthesis("", path, data, n, (0,), 0)
        assert calls <= step.most_calls(store, n * iter_max) <= iter_max * (1 + n / places)
    noisy = NoisyQuery("", path, "", Noise(copies=2), 0)
    assert [noisy.most_calls(store, 3 * n) for n in (1, 2**22, 2**22 + 1)] == [3, 3, 6]


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
