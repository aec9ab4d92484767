"""Local workers: what they make, and what happens when one dies."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import loky
import numpy as np
import pytest

from tests.note_step import Note
from umbrameter.errors import ComputeError, DataError
from umbrameter.local.workers import LocalWorkers
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.steps import Step


def elsewhere(workers: LocalWorkers, root: Path, step: Step) -> list[str]:
    """Perform a step from another thread than the one that made the workers."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(workers.perform, str(root), [step]).result()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_the_first_worker_is_this_process_and_more_are_others(tmp_path: Path, n: int) -> None:
    with closing(LocalWorkers(n)) as workers:
        workers.start()
        (mine,) = workers.perform(str(tmp_path), [Note("a")])
        (other,) = elsewhere(workers, tmp_path, Note("b"))
    made_by = {path: int(Store(tmp_path).open(path).meta["pid"]) for path in (mine, other)}
    assert made_by[mine] == os.getpid()
    assert (made_by[other] == os.getpid()) == (n < 2)
    assert workers.made_here == {path for path, process in made_by.items() if process == os.getpid()}
    assert workers.n_workers() == max(1, n)


@pytest.mark.parametrize("n", [1, 2])
def test_a_step_s_error_comes_out_as_it_is(tmp_path: Path, n: int) -> None:
    with closing(LocalWorkers(n)) as workers:
        for perform in (
            lambda: workers.perform(str(tmp_path), [Note("wrong", fate="refuse")]),
            partial(elsewhere, workers, tmp_path, Note("wrong", fate="refuse")),
        ):
            with pytest.raises(DataError, match=r"data\.label='x' is not a column"):
                perform()


def test_a_process_that_dies_is_named_with_what_to_do_and_finished_work_is_kept(tmp_path: Path) -> None:
    with closing(LocalWorkers(2)) as workers:
        (path,) = elsewhere(workers, tmp_path, Note("a"))
        with pytest.raises(ComputeError, match=r"a worker process died, .* use fewer workers"):
            elsewhere(workers, tmp_path, Note("killed", str(tmp_path), "die"))
    assert Store(tmp_path).find(Note("a").recipe) is not None and path == Note("a").recipe.path


def test_there_is_a_worker_for_each_core_unless_said_otherwise() -> None:
    given = os.sched_getaffinity(0)
    assert LocalWorkers().n_workers() == loky.cpu_count() <= len(given)
    try:
        os.sched_setaffinity(0, {min(given)})
        assert LocalWorkers().n_workers() == 1
    finally:
        os.sched_setaffinity(0, given)


@dataclass(frozen=True)
class Grown:
    """A step after which its process keeps 400 MB more, up to 800, a moment after loky last looked."""

    name: str

    @property
    def recipe(self) -> Recipe:
        return Recipe("words", {"name": self.name})

    def make(self, store: Store, draft: Draft) -> None:
        if len(KEPT) < 2:
            KEPT.append(np.ones(50 * 2**20))
        time.sleep(1.1)
        draft.meta["pid"] = os.getpid()


KEPT: list[object] = []


@pytest.mark.slow
def test_a_process_that_keeps_much_goes_on(tmp_path: Path) -> None:
    with closing(LocalWorkers(2)) as workers:
        paths = [elsewhere(workers, tmp_path, Grown(name))[0] for name in "abcd"]
    assert len({Store(tmp_path).open(path).meta["pid"] for path in paths}) == 1
