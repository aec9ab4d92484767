"""Local workers: what they make, and what happens when one dies."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from umbrameter.errors import ComputeError, DataError
from umbrameter.local.workers import LocalWorkers
from umbrameter.store.artefacts import Draft, Recipe, Store


@dataclass(frozen=True)
class Word:
    """A step that writes its process's id, fails, or kills its process."""

    name: str
    inputs: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        return Recipe("words", {"name": self.name})

    def make(self, store: Store, draft: Draft) -> None:
        if self.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "wrong":
            raise DataError("data.path='x' is wrong; correct it")
        draft.data("word.txt", str(os.getpid()).encode())


def elsewhere(workers: LocalWorkers, root: Path, word: Word) -> list[str]:
    """Perform a step from another thread than the one that made the workers."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(workers.perform, str(root), [word]).result()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_the_first_worker_is_this_process_and_more_are_others(tmp_path: Path, n: int) -> None:
    with closing(LocalWorkers(n)) as workers:
        workers.start()
        (mine,) = workers.perform(str(tmp_path), [Word("a")])
        (other,) = elsewhere(workers, tmp_path, Word("b"))
    made_by = {path: int(Store(tmp_path).open(path).data("word.txt")) for path in (mine, other)}
    assert made_by[mine] == os.getpid()
    assert (made_by[other] == os.getpid()) == (n < 2)
    assert workers.made_here == {path for path, process in made_by.items() if process == os.getpid()}
    assert workers.n_workers() == max(1, n)


@pytest.mark.parametrize("n", [1, 2])
def test_a_step_s_error_comes_out_as_it_is(tmp_path: Path, n: int) -> None:
    with closing(LocalWorkers(n)) as workers:
        for perform in (
            lambda: workers.perform(str(tmp_path), [Word("wrong")]),
            partial(elsewhere, workers, tmp_path, Word("wrong")),
        ):
            with pytest.raises(DataError, match=r"data\.path='x' is wrong"):
                perform()


def test_a_process_that_dies_is_named_with_what_to_do_and_finished_work_is_kept(tmp_path: Path) -> None:
    with closing(LocalWorkers(2)) as workers:
        (path,) = elsewhere(workers, tmp_path, Word("a"))
        with pytest.raises(ComputeError, match=r"a worker process died, .* use fewer workers"):
            elsewhere(workers, tmp_path, Word("killed"))
    assert Store(tmp_path).find(Word("a").recipe) is not None and path == Word("a").recipe.path


def test_there_is_a_worker_for_each_core_unless_said_otherwise() -> None:
    assert LocalWorkers().n_workers() == len(os.sched_getaffinity(0))
