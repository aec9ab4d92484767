"""What a session begins early, which work it does itself, and what it has counted in the end."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from tasks import audits
from tasks.cluster import Compute
from tests.note_step import Word
from tests.running.inline import Here, driver
from umbrameter.errors import TargetError
from umbrameter.running.session import WORKERS, Session, free_folder
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.target_answers import QueryMetadata, QueryStep
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.steps import Step
from umbrameter.targets.connection import Connection

SPEC = AuditSpec.load(Path(__file__).parents[1] / "flows" / "small.yaml")
STARTED = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)


class Noting(Here):
    """A cluster that keeps which steps it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[list[str]] = []

    def perform(self, root: str, steps: Sequence[Step]) -> list[str]:
        self.given.append([step.name for step in steps])  # type: ignore[attr-defined]
        return super().perform(root, steps)


class Asked(Connection):
    """A connection that notes under which purpose it is asked."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__({}, "asked", self)
        self.fails = fails
        self.purpose: str | None = None
        self.noted: list[tuple[str | None, str]] = []

    @contextmanager
    def querying(self, purpose: str) -> Iterator[None]:  # type: ignore[override]
        assert self.purpose is None, "two purposes at once"
        self.purpose = purpose
        try:
            yield
        finally:
            self.purpose = None

    def answer(self, name: str) -> None:
        self.noted.append((self.purpose, name))
        if self.fails:
            raise TargetError("target.url='x' does not answer")


@dataclass(frozen=True)
class Question(QueryStep):
    """A step that asks the connection."""

    purpose: ClassVar[str] = "questions"
    name: str = ""

    @property
    def recipe(self) -> Recipe:
        return Recipe("questions", {"name": self.name})

    def make(self, store: Store, draft: Draft) -> None:
        assert isinstance(self.connection, Asked)
        self.connection.answer(self.name)
        QueryMetadata(queries=1).write(draft)

    def n_queries(self, store: Store) -> int:
        return 1


def question(name: str) -> Question:
    return Question("target", "records", name=name)


@pytest.fixture
def cluster() -> Noting:
    return Noting()


@pytest.fixture
def session(tmp_path: Path, cluster: Noting) -> Session:
    return Session(SPEC, str(tmp_path), driver(cluster))


# Who does the work


def test_questions_are_asked_in_this_process_and_the_rest_is_the_cluster_s(session: Session, cluster: Noting) -> None:
    connection = Asked()
    assert not session.make([Word("a"), question("b"), Word("c"), question("d")], connection)
    assert connection.noted == [("questions", "b"), ("questions", "d")]
    assert cluster.given == [["a", "c"]]
    assert session.make([question("b"), Word("c")], connection) and len(connection.noted) == 2


def test_without_a_connection_every_step_is_the_cluster_s(session: Session, cluster: Noting) -> None:
    with pytest.raises(AssertionError):
        session.make([Word("a"), question("b")])  # which needs one
    assert cluster.given == [["a", "b"]]


def test_a_chunk_that_is_there_goes_nowhere(session: Session, cluster: Noting) -> None:
    session.make([Word("a")])
    assert session.make([Word("a")]) and cluster.given == [["a"]]


def test_only_what_is_missing_is_made(session: Session, cluster: Noting) -> None:
    session.make([Word("b")])
    assert not session.make([Word("a"), Word("b"), Word("c")])
    assert cluster.given == [["b"], ["a", "c"]]


def test_what_a_failed_question_left_is_kept_and_not_counted(session: Session) -> None:
    connection = Asked()
    session.make([question("a")], connection)
    failing = Asked(fails=True)
    with pytest.raises(TargetError, match="does not answer"):
        session.make([question("a"), question("b")], failing)
    assert failing.purpose is None and [name for _, name in failing.noted] == ["b"]
    assert session.made == {question("a").recipe.path} and session.reused == set()


def test_tasks_side_by_side_ask_one_after_the_other(session: Session) -> None:
    connection, names = Asked(), [f"{i}" for i in range(12)]
    threads = [threading.Thread(target=session.make, args=([question(name)], connection)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for _, name in connection.noted) == sorted(names)
    assert len(session.made) == 12


# What is begun early


def test_what_fails_early_says_nothing_and_may_be_tried_again(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", logger="umbrameter.audit"):
        session.begin("MLflow", lambda: 1 / 0)
        session.wait()
    assert [record.levelname for record in caplog.records] == ["DEBUG"] and "MLflow" in caplog.text


def test_what_was_begun_is_waited_for_by_name_or_all_of_it(session: Session) -> None:
    gates = {name: threading.Event() for name in ("one", "two")}
    done: list[str] = []

    def run(name: str) -> None:
        gates[name].wait(10)
        done.append(name)

    for name in gates:
        session.begin(name, lambda name=name: run(name))  # type: ignore[misc]
    gates["one"].set()
    session.wait("one", "nobody")
    assert done == ["one"]
    gates["two"].set()
    session.wait()
    assert done == ["one", "two"]


def test_what_is_begun_belongs_to_the_run_that_began_it(session: Session) -> None:
    run: ContextVar[str] = ContextVar("run", default="none")
    run.set("this one")
    seen: list[str] = []
    session.begin("looking", lambda: seen.append(run.get()))
    session.wait()
    assert seen == ["this one"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_session_closes_its_cluster_and_waits_only_for_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    events: list[str] = []
    later = threading.Event()

    class Closing(Here):
        def __enter__(self) -> "Closing":
            return self

        def __exit__(self, *_: object) -> None:
            events.append("closed")

    monkeypatch.setattr(audits, "Cluster", lambda _: Closing())

    def run() -> None:
        with audits.session(SPEC, str(tmp_path), Compute(workers=0)) as opened:
            opened.begin(WORKERS, lambda: events.append("cluster"))
            opened.begin("MLflow", lambda: later.wait(10) and events.append("MLflow"))
            if fails:
                raise KeyError("no such thing")
            later.set()

    if fails:
        with pytest.raises(KeyError, match="no such thing"):
            run()
        assert events == ["cluster", "closed"]
        later.set()
    else:
        run()
        assert events[-1] == "closed" and set(events) == {"cluster", "MLflow", "closed"}


# What was counted


def test_the_cost_tells_what_was_made_from_what_was_there_by_stage(session: Session) -> None:
    session.make([Word("before")])
    with session.stage("first", 2):
        session.make([Word("before"), Word("a")])
    with session.stage("second", 1):
        session.make([Word("b")])
    cost = session.cost(n_sent=7)
    paths = {name: Word(name).recipe.path for name in ("before", "a", "b")}
    assert cost.made == {*paths.values()} and cost.reused == set()
    assert {name: stage.made for name, stage in cost.stages.items()} == {
        "first": {paths["a"]},
        "second": {paths["b"]},
    }
    assert cost.n_sent == 7 and cost.made_here == set()
    assert all(0 <= stage.seconds <= cost.seconds for stage in cost.stages.values())
    assert cost.peak_rss_mb > 10 and datetime.fromisoformat(cost.started).tzinfo is not None


def test_what_was_there_is_reused_however_often_it_is_looked_at(tmp_path: Path) -> None:
    Session(SPEC, str(tmp_path), driver(Noting())).make([Word("a")])
    later = Session(SPEC, str(tmp_path), driver(Noting()))
    for _ in range(3):
        later.make([Word("a")])
    assert later.cost().reused == {Word("a").recipe.path} and later.cost().made == set()


def test_a_stage_that_fails_has_its_seconds_all_the_same(session: Session) -> None:
    with pytest.raises(ZeroDivisionError), session.stage("failing", 3):
        raise ZeroDivisionError
    seconds = session.cost().stages["failing"].seconds
    assert session.cost().stages["failing"].seconds == seconds
    session.make([Word("a")])  # outside any stage, which counts for none
    assert session.cost().stages["failing"].made == set()


# Folders of runs


def test_folders_are_numbered_where_a_second_run_begins_in_the_same_second(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = [free_folder(store, "demo", STARTED) for _ in range(3)]
    first = "runs/demo-20240203T040506"
    assert names == [first, f"{first}-2", f"{first}-3"]
    assert free_folder(store, "other", STARTED) == "runs/other-20240203T040506"
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {name.split("/")[1] for name in names} | {
        "other-20240203T040506"
    }


def test_a_folder_that_somebody_removed_is_free_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / free_folder(store, "demo", STARTED)).rmdir()
    assert free_folder(store, "demo", STARTED) == "runs/demo-20240203T040506"
