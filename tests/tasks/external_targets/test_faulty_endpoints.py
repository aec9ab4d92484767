"""A server that fails at random: every audit ends in the right figures or in a clear error, in time, and goes on later.

The audit is that of `flows.audit`, in its order, without Prefect and Dask.
"""

import random
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from tasks.cluster import Compute
from tasks.external_targets import endpoint as endpoint_module
from tasks.external_targets.connectors import connect
from tasks.external_targets.endpoint import FEWEST, WITNESSES
from tests.running.inline import driver
from tests.tasks.external_targets.serving import FAULTS, Exchange, Fault, Server, named, serve, status
from umbrameter.errors import TargetError, UmbrameterError
from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.running.budget import announce
from umbrameter.running.session import Session
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.feasibility import AuditInputs
from umbrameter.steps.layout import lay_out
from umbrameter.steps.split import Split
from umbrameter.steps.target import TargetIdentity
from umbrameter.steps.variants import TrainedVariant
from umbrameter.store.artefacts import Store
from umbrameter.store.steps import Step, perform
from umbrameter.targets.connection import N_CANARIES, Connection, ConnectionContext, draw_canaries

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

CHUNKS, RUNS = 8, 25
TIMEOUT, RETRIES, WAIT, SLACK = 0.3, 2, 0.02, 10.0
SECRET = "s3cret-T0ken-value"
SPEC = f"""
name: faulty
target: {{kind: endpoint, batch_size: 20, retries: {RETRIES}, longest_wait: 1, token: {{env: FAULTY_KEY}}}}
shadows: {{count: 2, size: 30, estimator: {{kind: logistic_regression}}}}
attacks:
- {{kind: loss}}
- {{kind: gap}}
- {{kind: label_only, noise: {{copies: 2}}}}
- {{kind: shokri, model: {{kind: logistic_regression}}}}
"""


def echo(exchange: Exchange) -> object:
    """Refuse, and repeat the records and the token."""
    said = f"cannot read {exchange.rows} of {exchange.handler.headers['Authorization']}"
    return status(422, said.encode())(exchange)


SINGLE: Mapping[str, Fault] = {
    **{name: fault for name, fault in FAULTS.items() if name != "changed" and not name.endswith(("_once", "_twice"))},
    "echo": echo,
}
"""What can befall any request."""


def passing(rng: random.Random) -> Fault:
    code = rng.choice([429, 500, 502, 503])
    return lambda e: e.number < RETRIES and status(code, retry_after="0")(e)


def later(rng: random.Random) -> Fault:
    n, fault = rng.randint(1, 19), SINGLE[rng.choice([*SINGLE])]
    return lambda e: e.number >= n and fault(e)


def mixed(rng: random.Random) -> Fault:
    return lambda e: rng.random() < 0.1 and SINGLE[rng.choice([*SINGLE])](e)


def changed(rng: random.Random) -> Fault:
    n = rng.randint(0, 20)
    return lambda e: turned(e) if e.number >= n else None


def turned(exchange: Exchange) -> None:
    """Answer as another model."""
    exchange.content = {"predictions": [vector[::-1] for vector in exchange.answers]}


RANDOM: Mapping[str, Callable[[random.Random], Fault]] = {
    "failing_twice": lambda _: FAULTS["failing_twice"],
    "passing": passing,
    "later": later,
    "mixed": mixed,
    "changed": changed,
}
FOR_EVER = [*SINGLE, "down", "not_trusted"]


@dataclass
class Switch:
    """A fault that can be mended while the server runs."""

    fault: Fault | None = None

    def __call__(self, exchange: Exchange) -> object:
        return named(self.fault)(exchange)


@dataclass(frozen=True)
class Here:
    """A cluster that is this thread."""

    compute: Compute = field(default_factory=lambda: Compute(workers=0))

    def perform(self, root: str, steps: Sequence[Step]) -> list[str]:
        return perform(root, steps)


@dataclass(frozen=True)
class Prepared:
    """What all runs share: the data, the model, and a root with all that no target decides."""

    folder: Path
    model: Any
    values: frozenset[str]
    """The first digits of all features."""

    def spec(self, **target: Any) -> AuditSpec:
        names = ("members", "nonmembers", "pool")
        data = {"kind": "sides", "label": "y", **{name: f"{self.folder}/{name}.parquet" for name in names}}
        settings = [f"data={data}", *(f"target.{name}={value!r}" for name, value in target.items())]
        return AuditSpec.from_yaml(SPEC, settings)


def laid_out(session: Session) -> tuple[Records, str, Callable[[TargetIdentity], tuple[TrainedVariant, ...]]]:
    """Return records, split and, of the target, the plan."""
    spec, store = session.spec, session.store
    records = Records.open(store, build(spec.data, store).path)  # type: ignore[arg-type]
    split = Split(records.artefact.path, None, None, spec.seed)
    session.make([split])
    dealt = store.open(split.recipe.path)
    return records, split.recipe.path, lambda target: lay_out(AuditInputs(spec, records, dealt, target))


def make_all(
    session: Session, variants: Sequence[TrainedVariant], *names: str, connection: Connection | None = None
) -> None:
    for name in names:
        for v in variants:
            session.make(getattr(v, name), connection)


def audit(prepared: Prepared, root: Path, url: str, **target: Any) -> list[bytes]:
    """Run an audit and return its figures, attack by attack."""
    session = Session(prepared.spec(url=url, **target), str(root), driver(Here()))
    records, split, plan = laid_out(session)
    store = session.store
    context = ConnectionContext(store, records, draw_canaries(records, store.open(split), N_CANARIES))
    with closing(connect(session.spec.target, context)) as connection:
        identity = TargetIdentity(connection.facts, connection.description)
        session.make([identity])
        variants = plan(identity)
        announce(store, connection, [step for v in variants for step in (v.query, *v.population, *v.noisy)])
        for v in variants:
            session.make([v.query], connection)
        make_all(session, variants, "population", "noisy", connection=connection)
        connection.verify_unchanged()
    make_all(session, variants, "shadows", "merges", "references")
    measurements = [measurement for v in variants for measurement in v.measurements]
    for measurement in measurements:
        for step in (*measurement.attack_models, measurement.scoring, measurement.evaluation):
            session.make([step])
    return [
        session.store.open(measurement.evaluation.recipe.path).data("evaluation.json") for measurement in measurements
    ]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "FIRST_WAIT", WAIT / 2)
    monkeypatch.setenv("FAULTY_KEY", SECRET)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("faulty")
    rng = np.random.default_rng(5)
    X = rng.normal(size=(180, 6)).astype(np.float32)
    y = (X[:, 0] + rng.normal(size=180) > 0).astype(int)
    for i, name in enumerate(("members", "nonmembers", "pool")):
        rows = slice(60 * i, 60 * (i + 1))
        pq.write_table(pa.table({**{f"f{j}": X[rows, j] for j in range(6)}, "y": y[rows]}), folder / f"{name}.parquet")
    model = LogisticRegression(C=100).fit(X[:60], y[:60])
    found = Prepared(folder, model, frozenset(f"{abs(value):.9f}"[:7] for value in X.ravel()))
    session = Session(found.spec(url="http://localhost"), str(folder / "root"), driver(Here()))
    _, _, plan = laid_out(session)
    planned = plan(TargetIdentity({}, ""))
    make_all(session, planned, "shadows", "merges", "references")
    for v in planned:
        for measurement in v.measurements:
            session.make(measurement.attack_models)
    return found


@dataclass(frozen=True)
class Healthy:
    """What comes out where nothing fails: of the model, and of the one that it may turn into."""

    figures: list[bytes]
    turned: list[bytes]
    n_rows: int
    n_requests: int


@pytest.fixture(scope="module")
def healthy(prepared: Prepared) -> Healthy:
    figures = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAULTY_KEY", SECRET)
        for i, fault in enumerate((None, turned)):
            with serve(prepared.model, fault) as server:
                figures.append(audit(prepared, fresh(prepared, f"healthy-{i}"), server.url))
    assert figures[0] != figures[1]
    return Healthy(figures[0], figures[1], server.n_rows, server.n_requests)


def fresh(prepared: Prepared, name: str) -> Path:
    """Return a root of its own with what no target decides."""
    return Path(shutil.copytree(prepared.folder / "root", prepared.folder / name))


def n_kept(root: Path) -> int:
    """Return how many records, with canaries among them, have been answered for good."""
    store = Store(root)
    found = [
        store.open(f"store/query_batches/{m.parent.name}") for m in root.glob("store/query_batches/*/manifest.json")
    ]
    sizes = [artefact.meta["n"] for artefact in found]
    return sum(n + (WITNESSES if n + WITNESSES >= FEWEST else 0) for n in sizes)


def check_error(error: UmbrameterError, server: Server, prepared: Prepared) -> None:
    """See that an error says in one line where, what, and what to do, and shows nothing that it must not."""
    text = str(error)
    assert text and "\n" not in text and "Traceback" not in text and len(text) < 800
    assert server.url in text or "the endpoint" in text
    assert re.search(r"check|see that|[Rr]un again|set target|say target|expected", text)
    assert SECRET not in text
    assert not [value for value in prepared.values if value in text]


def run(prepared: Prepared, healthy: Healthy, root: Path, name: str, rng: random.Random) -> bool:
    """Audit under a fault and, where that ended in an error, mostly again without; return whether it ended well."""
    fault = SINGLE[name] if name in SINGLE else RANDOM[name](rng) if name in RANDOM else None
    switch = Switch(fault)
    with serve(prepared.model, "down" if name == "down" else switch, tls=name == "not_trusted") as server:
        server.pause = 2 * TIMEOUT
        began = time.monotonic()
        try:
            found = audit(prepared, root, server.url, timeout=TIMEOUT, concurrency=rng.randint(1, 4))
            error = None
        except UmbrameterError as caught:
            error = caught
        seconds = time.monotonic() - began
        assert seconds < (RETRIES + 1 + server.n_requests) * (TIMEOUT + WAIT) + SLACK
        assert server.n_requests <= healthy.n_requests * (RETRIES + 1)
        if error is None:
            assert found == healthy.figures or (name == "changed" and found == healthy.turned)
            return True
        check_error(error, server, prepared)
        if name != "down" and rng.random() < 0.5:
            is_replaced = "replaced" in str(error)
            switch.fault = rng.choice([None, turned]) if is_replaced else None
            is_another = switch.fault is turned or "nothing was measured" in str(error)
            again(prepared, healthy, root, server, switch, 0 if is_another else n_kept(root))
    return False


def again(prepared: Prepared, healthy: Healthy, root: Path, server: Server, switch: Switch, n_kept: int) -> None:
    """Audit again where nothing fails any more: as ever, and what was answered is not asked again."""
    server.n_rows = 0
    found = audit(prepared, root, server.url, timeout=20, **({"ca": server.ca} if server.ca else {}))
    assert found == (healthy.turned if switch.fault is turned else healthy.figures)
    assert server.n_rows == healthy.n_rows - n_kept


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_right_figures_or_a_clear_error(prepared: Prepared, healthy: Healthy, chunk: int) -> None:
    def one(i: int) -> bool:
        rng = random.Random(1000 * chunk + i)
        name = rng.choice(rng.choice([FOR_EVER, [*RANDOM]]))
        root = fresh(prepared, f"run-{chunk}-{i}")
        try:
            return run(prepared, healthy, root, name, rng)
        except AssertionError as error:
            raise AssertionError(f"run {i}, {name}: {error}") from error
        finally:
            shutil.rmtree(root)

    with ThreadPoolExecutor(4) as threads:  # most of the time passes in waiting
        ends = list(threads.map(one, range(RUNS)))
    assert 2 < sum(ends) < RUNS - 2


def test_the_announced_queries_are_enough(prepared: Prepared, healthy: Healthy) -> None:
    # 120 records, and 3 calls for 120 changed ones: each call sends requests of 98 and 22, both with 2 more
    with serve(prepared.model) as server:
        with pytest.raises(TargetError, match=r"target\.budget=527: the audit needs up to 512 more queries .* 16 were"):
            audit(prepared, fresh(prepared, "less"), server.url, batch_size=100, budget=527)
        server.n_rows = 0
        assert audit(prepared, fresh(prepared, "enough"), server.url, batch_size=100, budget=528) == healthy.figures
        assert server.n_rows <= 528


def test_an_interrupted_audit_goes_on_with_the_same_budget(prepared: Prepared, healthy: Healthy) -> None:
    root, switch = fresh(prepared, "interrupted"), Switch(lambda e: e.number >= 12 and status(400)(e))
    budget = 16 + 548 + 20 + 16  # all that is needed, the request that fails, and the canaries of a second run
    with serve(prepared.model, switch) as server:
        with pytest.raises(TargetError, match="answered 400"):
            audit(prepared, root, server.url, budget=budget, concurrency=1)
        switch.fault = None
        with pytest.raises(TargetError, match=r"up to 336 more queries .*; of these 80 were answered before\)"):
            audit(prepared, shutil.copytree(root, f"{root}-less"), server.url, budget=budget - 1)
        server.n_rows = 0
        assert audit(prepared, root, server.url, budget=budget) == healthy.figures
        assert server.n_rows <= 16 + 336


def test_a_model_that_was_there_for_a_while_leaves_no_answer(prepared: Prepared, healthy: Healthy) -> None:
    def fault(exchange: Exchange) -> object:
        if exchange.number >= 12:
            return status(400)(exchange)
        return turned(exchange) if exchange.number >= 3 else None

    root, switch = fresh(prepared, "replaced"), Switch(fault)
    with serve(prepared.model, switch) as server:
        with pytest.raises(TargetError, match="replaced by another model"):
            audit(prepared, root, server.url)
        switch.fault = None
        assert audit(prepared, root, server.url) == healthy.figures
