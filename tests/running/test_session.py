"""Sessions: how work is divided into chunks, what is counted, and what is logged."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.audits import read_spec
from tasks.cluster import Cluster, Compute
from tests.running.inline import driver
from umbrameter.errors import SpecError
from umbrameter.running.progress import Stage, ticks
from umbrameter.running.session import TASK_SECONDS, Session
from umbrameter.spec.audit import AuditSpec
from umbrameter.store.steps import perform

sys.path.insert(0, str(Path(__file__).parents[1]))
from note_step import Note

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default")]

SPEC = AuditSpec.load(Path(__file__).parents[1] / "flows" / "small.yaml")
STEPS = [Note(f"work {i}") for i in range(20)]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(SPEC, str(tmp_path), driver(Cluster(Compute(workers=2))))


@pytest.mark.parametrize("seconds", [None, 0.0, 0.001, 1.0, 100.0])
def test_pieces_hold_every_work_once(session: Session, seconds: float | None) -> None:
    perform(session.store.root, STEPS[:3])
    there, *chunks = session.chunks(STEPS, seconds)
    assert there == tuple(STEPS[:3])
    assert [step for chunk in chunks for step in chunk] == STEPS[3:]


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        (None, [5, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1]),
        (0.001, [5, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1]),
        (TASK_SECONDS / 2, [2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]),
        (100 * TASK_SECONDS, [1] * 20),
    ],
)
def test_pieces_become_smaller_so_that_all_workers_end_together(
    session: Session, seconds: float | None, sizes: list[int]
) -> None:
    assert [len(chunk) for chunk in session.chunks(STEPS, seconds)] == sizes


def test_models_of_a_task_may_be_given(tmp_path: Path) -> None:
    session = Session(SPEC, str(tmp_path), driver(Cluster(Compute(workers=2, models_a_task=8))))
    assert [len(chunk) for chunk in session.chunks(STEPS, 1.0)] == [8, 8, 4]


def test_workers_with_a_gpu_train_their_share_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(Compute(dask="tcp://somewhere:1", resources={"GPU": 1}))
    monkeypatch.setattr(cluster, "n_workers", lambda: 3)
    session = Session(SPEC, str(tmp_path), driver(cluster))
    assert [len(chunk) for chunk in session.chunks(STEPS, 1.0)] == [7, 7, 6]
    assert len(session.chunks(STEPS)) > 3


def test_what_was_made_and_what_was_there_is_counted_once(session: Session) -> None:
    perform(session.store.root, STEPS[:3])
    with session.stage("notes", 5), session.workers:  # type: ignore[attr-defined]
        assert not session.make(STEPS[:5])
        assert session.make(STEPS[:5])
    cost = session.cost()
    assert cost.made == {step.recipe.path for step in STEPS[3:5]}
    assert cost.reused == {step.recipe.path for step in STEPS[:3]} and list(cost.stages) == ["notes"]


def test_progress_says_how_many_of_all_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    monkeypatch.setattr("umbrameter.running.progress.time.perf_counter", lambda: now[0])
    stage = Stage("fit", 10)
    with caplog.at_level("INFO", logger="umbrameter.audit"):
        for now[0], finished, made in ((101, "ab", "ab"), (104, "cdef", "cd"), (105, "ghij", "ghij")):
            stage.step(set(finished), set(made))
    assert [
        message for name, _, message in caplog.record_tuples if name == "umbrameter.audit"
    ] == [  # the first step came too soon for a line
        "fit: 6 of 10 done (4 made, 2 reused), about 4 s left",
        "fit: 10 of 10 done (8 made, 2 reused), 5.0 s",
    ]
    assert stage.made == set("abcdghij")


def test_a_terminal_gets_every_step(session: Session) -> None:
    bars: list[str] = []

    class Bars(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            bars.append(record.stage.line)  # type: ignore[attr-defined]

    handler = Bars()
    ticks.addHandler(handler)
    with session.stage("notes", 2), session.workers:  # type: ignore[attr-defined]
        for step in STEPS[:2]:
            session.make([step])
    ticks.removeHandler(handler)
    assert [bar.partition(" (")[0] for bar in bars] == ["notes: 1 of 2 done", "notes: 2 of 2 done"]


def test_each_run_has_a_folder_of_its_own(session: Session) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = [*pool.map(lambda _: session.run_folder(), range(8))]
    first = min(folders)
    assert sorted(folders) == [first, *(f"{first}-{n}" for n in range(2, 9))] and first.startswith("runs/small-")


def test_a_spec_or_the_path_of_one() -> None:
    assert read_spec(SPEC) is SPEC
    assert read_spec(str(Path(__file__).parents[1] / "flows" / "small.yaml")) == SPEC
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec("none.yaml")
