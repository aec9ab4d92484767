"""Local workers: what they make, and what happens when one dies."""

import os
from contextlib import closing
from pathlib import Path

import loky
import pytest

from tests.note_step import Note
from umbrameter.errors import ComputeError, DataError
from umbrameter.local.workers import LocalWorkers
from umbrameter.store.artefacts import Store


@pytest.mark.parametrize("n", [0, 1, 2])
def test_one_worker_is_this_process_and_more_are_others(tmp_path: Path, n: int) -> None:
    with closing(LocalWorkers(n)) as workers:
        workers.start()
        (path,) = workers.perform(str(tmp_path), [Note("a")])
    made_by = int(Store(tmp_path).open(path).meta["pid"])
    assert (made_by == os.getpid()) == (n < 2) == workers.are_here
    assert workers.n_workers() == max(1, n)


@pytest.mark.parametrize("n", [1, 2])
def test_a_step_s_error_comes_out_as_it_is(tmp_path: Path, n: int) -> None:
    with closing(LocalWorkers(n)) as workers, pytest.raises(DataError, match=r"data\.label='x' is not a column"):
        workers.perform(str(tmp_path), [Note("wrong", fate="refuse")])


def test_a_process_that_dies_is_named_with_what_to_do_and_finished_work_is_kept(tmp_path: Path) -> None:
    with closing(LocalWorkers(2)) as workers:
        (path,) = workers.perform(str(tmp_path), [Note("a")])
        with pytest.raises(ComputeError, match=r"a worker process died, .* use fewer workers"):
            workers.perform(str(tmp_path), [Note("killed", str(tmp_path), "die")])
    assert Store(tmp_path).find(Note("a").recipe) is not None and path == Note("a").recipe.path


def test_there_is_a_worker_for_each_core_unless_said_otherwise() -> None:
    given = os.sched_getaffinity(0)
    assert LocalWorkers().n_workers() == loky.cpu_count() <= len(given)
    try:
        os.sched_setaffinity(0, {min(given)})
        assert LocalWorkers().n_workers() == 1
    finally:
        os.sched_setaffinity(0, given)
