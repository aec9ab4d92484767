"""Stage tasks: one for each stage, what their states say, and which failures are worth another try."""

import inspect
from pathlib import Path

import pytest
from prefect.states import Failed

from tasks.prefect_graph import as_task
from tests.note_step import Word
from tests.running.inline import driver
from umbrameter import errors
from umbrameter.errors import ComputeError, UmbrameterError
from umbrameter.running import stage_jobs
from umbrameter.running.jobs import Job
from umbrameter.running.session import Chunk, Session
from umbrameter.spec.audit import AuditSpec

TASKS = {name: as_task(value) for name, value in vars(stage_jobs).items() if isinstance(value, Job)}
SPEC = AuditSpec.load(Path(__file__).parents[1] / "flows" / "small.yaml")
KNOWN = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, UmbrameterError)]


def is_worth_retrying(error: Exception) -> bool:
    condition = TASKS["train_target"].retry_condition_fn
    assert condition is not None
    return bool(condition(TASKS["train_target"], None, Failed(data=error)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TASKS)
def test_a_stage_s_task_is_called_as_its_function_and_says_what_it_does(name: str) -> None:
    task = TASKS[name]
    assert task.name == task.fn.__name__ == name
    assert task.description is not None and task.description.endswith(".") and "\n" not in task.description
    assert task.task_run_name == "{chunk.title}"
    assert [*inspect.signature(task.fn).parameters] == ["session", "chunk", "connection"]


def test_descriptions_tell_stages_apart() -> None:
    descriptions = {task.description for task in TASKS.values()}
    assert len(descriptions) == len(TASKS) > 10


@pytest.mark.parametrize("name", TASKS)
def test_a_task_s_result_is_never_taken_from_prefect_s_cache(name: str) -> None:
    assert TASKS[name].cache_policy is not None
    assert TASKS[name].cache_policy.compute_key(task_ctx=None, inputs={"a": 1}, flow_parameters={}) is None  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize("error", KNOWN, ids=lambda error: error.__name__)
def test_of_errors_that_a_user_can_mend_only_the_cluster_s_may_pass(error: type[UmbrameterError]) -> None:
    assert is_worth_retrying(error("no")) == issubclass(error, ComputeError)


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("odd"), MemoryError(), TimeoutError()])
def test_what_nobody_foresaw_is_tried_again(error: Exception) -> None:
    assert is_worth_retrying(error)


@pytest.mark.parametrize("name", ["split_records", "evaluate_attacks"])
def test_states_tell_what_was_made_from_what_was_there(tmp_path: Path, name: str) -> None:
    session, task = Session(SPEC, str(tmp_path), driver()), TASKS[name]
    first = task.fn(session, Chunk("two words", [Word("a"), Word("b")]), None)
    second = task.fn(session, Chunk("two words", [Word("a"), Word("b")]), None)
    third = task.fn(session, Chunk("three words", [Word("a"), Word("b"), Word("c")]), None)
    assert [(state.name, state.message) for state in (first, second, third)] == [
        ("Completed", "2 made"),
        ("Cached", "2 in the store already"),
        ("Completed", "3 made"),  # some were there, and the chunk was made all the same
    ]
    assert all(state.is_completed() for state in (first, second, third))
    assert {path.rpartition("/")[2] for path in session.made} == {Word(name).recipe.key for name in "abc"}


def test_a_chunk_is_opaque_so_that_nobody_looks_for_futures_inside() -> None:
    from prefect.utilities.collections import visit_collection

    seen: list[object] = []
    visit_collection(Chunk("words", [Word("a")]), visit_fn=seen.append, max_depth=5)
    assert [type(value) for value in seen] == [Chunk]
