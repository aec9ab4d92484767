"""What Prefect's server knows of a run: names, edges, states, retries and how far a stage is."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.task_runners import ThreadPoolTaskRunner

from tasks import progress
from tasks.external_targets.handover import ModelHandle
from tasks.prefect_graph import RunGraph, as_task
from tasks.server import temporary_server
from tests.note_step import Word
from tests.running.inline import driver
from umbrameter.errors import ComputeError, SpecError
from umbrameter.running.session import Chunk, Session
from umbrameter.running.stage_jobs import split_records
from umbrameter.running.stages import run_stage
from umbrameter.spec.audit import AuditSpec
from umbrameter.store.artefacts import Store

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default")]

SPEC = Path(__file__).parents[1] / "flows" / "small.yaml"
RUNNER = ThreadPoolTaskRunner(max_workers=16)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with temporary_server() as when_it_answers, when_it_answers():
        yield


@flow(name="words", task_runner=RUNNER)  # type: ignore[arg-type]
def words(root: str) -> str:
    """Make a, b and c of a; then d of a and c; then all of them a second time as one."""
    session = Session(AuditSpec.load(SPEC), root, driver(graph=RunGraph(), display=progress.display))
    a, b = Word("a"), Word("b")
    c = Word("c", (a.recipe.path,))
    d = Word("d", (a.recipe.path, c.recipe.path))
    task = split_records
    run_stage(session, "first words", [(task, Chunk("a and b", [a, b]))])
    run_stage(session, "next words", [(task, Chunk("c of a", [c]))])
    run_stage(session, "last words", [(task, Chunk("d of a and c", [d])), (task, Chunk("a again", [a]))])
    return d.recipe.path


@dataclass(frozen=True)
class Seen:
    """What the server knows of a flow run."""

    runs: dict[str, TaskRun]
    artefacts: dict[str, Any]

    def edges(self, name: str) -> set[str]:
        """Return the names of the runs that one waited for."""
        by_id = {run.id: run.name for run in self.runs.values()}
        return {by_id[entry.id] for entry in self.runs[name].task_inputs.get("wait_for", ())}  # type: ignore[union-attr]


def known_of(flow_run: UUID) -> Seen:
    with get_client(sync_client=True) as client:
        filters = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
        runs = {run.name: run for run in client.read_task_runs(flow_run_filter=filters)}
        artefacts = client.read_artifacts(flow_run_filter=filters)
    return Seen(runs, {str(artefact.key): artefact for artefact in artefacts})


@pytest.fixture(scope="module")
def seen(server: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seen]:
    root = tmp_path_factory.mktemp("words")
    state = words(str(root), return_state=True)
    path = state.result()
    assert Store(root).open(path).data("word.txt") == b"a a c d"
    assert state.state_details.flow_run_id is not None
    return root, until_seen(state.state_details.flow_run_id)


def until_seen(flow_run: UUID, n_runs: int = 4) -> Seen:
    """Return what is known of a flow run once the server has taken in the events that runs send behind it."""
    for _ in range(100):
        known = known_of(flow_run)
        if len(known.runs) >= n_runs and all(run.state and run.state.is_final() for run in known.runs.values()):
            return known
        time.sleep(0.1)
    raise AssertionError("the server has not heard of all runs")


# Names, edges, states


def test_a_task_run_is_called_by_its_chunk_s_title(seen: tuple[Path, Seen]) -> None:
    assert {*seen[1].runs} == {"a and b", "c of a", "d of a and c", "a again"}


def test_the_page_shows_the_edges_of_the_graph_and_no_others(seen: tuple[Path, Seen]) -> None:
    edges = {name: seen[1].edges(name) for name in seen[1].runs}
    assert edges == {"a and b": set(), "c of a": {"a and b"}, "d of a and c": {"c of a"}, "a again": set()}


def test_states_tell_what_was_made_from_what_was_there(seen: tuple[Path, Seen]) -> None:
    states = {name: (run.state.name, run.state.message) for name, run in seen[1].runs.items() if run.state}
    assert states.pop("a again")[0] == "Cached"
    assert states == {
        "a and b": ("Completed", "2 made"),
        "c of a": ("Completed", "1 made"),
        "d of a and c": ("Completed", "1 made"),
    }


def test_each_stage_has_an_artefact_that_ends_at_all_of_it(seen: tuple[Path, Seen]) -> None:
    artefacts = seen[1].artefacts
    assert {*artefacts} == {"progress-first-words", "progress-next-words", "progress-last-words"}
    assert {artefact.data for artefact in artefacts.values()} == {100.0}
    assert artefacts["progress-first-words"].description.startswith("first words: 2 of 2 done (2 made, 0 reused)")
    assert artefacts["progress-last-words"].description.startswith("last words: 2 of 2 done (1 made, 1 reused)")


# Failures


def failing(root: str, error: type[Exception]) -> Seen:
    """Run a flow of one task that fails, without the waits between its tries, and return what is known of it."""
    graph = RunGraph(lambda job: as_task(job).with_options(retry_delay_seconds=0))

    @flow(name="failing", task_runner=RUNNER)  # type: ignore[arg-type]
    def words() -> None:
        session = Session(AuditSpec.load(SPEC), root, driver(graph=graph))
        run_stage(session, "failing", [(split_records, Chunk("a", [Word("a", error=error)]))])

    state = words(return_state=True)
    with pytest.raises(error, match=r"target\.url='x' is wrong"):
        state.result()
    assert state.state_details.flow_run_id is not None
    return until_seen(state.state_details.flow_run_id, 1)


@pytest.mark.parametrize(("error", "n_tries"), [(SpecError, 1), (ComputeError, 3)])
def test_only_what_may_pass_is_tried_again_and_the_error_comes_out_as_it_is(
    tmp_path: Path, error: type[Exception], n_tries: int
) -> None:
    known = failing(str(tmp_path), error)
    assert known.runs["a"].run_count == n_tries
    assert known.runs["a"].state is not None and known.runs["a"].state.is_failed()


def test_progress_that_the_server_refuses_fails_no_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def refused(*_: object, **settings: Any) -> UUID:
        calls.append(settings["description"])
        raise ConnectionError("the server is gone")

    monkeypatch.setattr(progress, "update_progress_artifact", refused)
    path = words(str(tmp_path))
    assert Store(tmp_path).open(path).data("word.txt") == b"a a c d"
    assert len(calls) == 3  # once for each stage, and then no more


# Runs and their parameters


def test_a_model_on_its_way_to_a_flow_is_not_written_down() -> None:
    class Model:
        secret = "s3cret-weights"

        def __init__(self) -> None:
            self.weights = [self.secret]

    @flow(name="handed", validate_parameters=False)
    def handed(model: ModelHandle) -> str:
        return str(model.model.weights[0])

    written = handed.serialize_parameters({"model": ModelHandle(Model())})
    assert Model.secret not in str(written)
    state = handed(ModelHandle(Model()), return_state=True)
    assert state.result() == Model.secret
    with get_client(sync_client=True) as client:
        assert Model.secret not in str(client.read_flow_run(state.state_details.flow_run_id).parameters)
