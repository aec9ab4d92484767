"""Performing steps: each made once, in order, on one thread, with what it cost."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError
from threadpoolctl import threadpool_info

from umbrameter.errors import StoreError
from umbrameter.store.artefacts import Draft, Recipe, Store
from umbrameter.store.metadata import Cost, Metadata
from umbrameter.store.steps import ensure, key_of, kind_of, paths_of, peak_rss_mb, perform

MADE: list[str] = []


class Note(Metadata):
    """What the steps below say of what they make."""

    text: str
    n_read: int = 0


@dataclass(frozen=True)
class Write:
    """Write a note; one of "broken" cannot be written."""

    text: str
    inputs: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        return Recipe("notes", {"text": self.text, "inputs": [key_of(path) for path in self.inputs]})

    def make(self, store: Store, draft: Draft) -> None:
        read = [Note.read(store.open(path)).text for path in self.inputs]
        draft.data("note.txt", "; ".join([*read, self.text]).encode())
        if self.text == "broken":
            raise ValueError("no ink")
        MADE.append(self.text)
        Note(text=self.text, n_read=len(read)).write(draft)


@dataclass(frozen=True)
class Together(Write):
    """Notes whose costly parts are made side by side."""

    asked: ClassVar[list[list[str]]] = []
    extra: str = field(default="", compare=False)

    @staticmethod
    def together(store: Store, steps: Sequence["Together"]) -> Iterator["Together"]:
        Together.asked.append([step.text for step in steps])
        yield from steps


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    MADE.clear()
    Together.asked.clear()


def text(store: Store, step: Write) -> str:
    return store.open(step.recipe.path).data("note.txt").decode()


def test_a_step_is_made_once(tmp_path: Path) -> None:
    store, step = Store(tmp_path), Write("a")
    assert ensure(store, step) == ensure(store, Write("a")) == step.recipe.path
    assert MADE == ["a"] and text(store, step) == "a"


def test_steps_are_made_in_order_and_what_is_there_is_left_out(tmp_path: Path) -> None:
    store, first = Store(tmp_path), Write("a")
    second = Write("b", (first.recipe.path,))
    third = Write("c", (second.recipe.path, first.recipe.path))
    ensure(store, first)
    assert perform(store.root, [first, second, third, second]) == [
        *paths_of([first, second, third]),
        second.recipe.path,
    ]
    assert MADE == ["a", "b", "c"] and text(store, third) == "b; a; c"
    assert perform(store.root, []) == []


def test_a_step_before_its_input_is_refused(tmp_path: Path) -> None:
    first = Write("a")
    with pytest.raises(StoreError, match="no finished artefact there; run the audit again"):
        perform(str(tmp_path), [Write("b", (first.recipe.path,)), first])
    assert MADE == []


def test_what_was_finished_before_an_error_is_kept_and_the_rest_can_be_made_later(tmp_path: Path) -> None:
    store, steps = Store(tmp_path), [Write("a"), Write("broken"), Write("b")]
    with pytest.raises(ValueError, match="no ink"):
        perform(store.root, steps)
    assert [store.find(step.recipe) is not None for step in steps] == [True, False, False]
    assert not [*Path(store.root, steps[1].recipe.path).iterdir()]
    perform(store.root, [steps[0], steps[2]])
    assert MADE == ["a", "b"]


def test_a_damaged_artefact_is_made_again(tmp_path: Path) -> None:
    store, step = Store(tmp_path), Write("a")
    artefact = store.open(ensure(store, step))
    Path(store.root, artefact.file("note.txt")).write_bytes(b"")
    assert perform(store.root, [step]) == [step.recipe.path] and MADE == ["a", "a"]
    assert text(store, step) == "a"


def test_of_two_who_make_the_same_at_once_the_first_to_finish_stays(tmp_path: Path) -> None:
    """Steps that read the first one may have begun, and a target with secret noise is another one each time."""
    store = Store(tmp_path)

    @dataclass(frozen=True)
    class Slow(Write):
        is_first: bool = True

        def make(self, store: Store, draft: Draft) -> None:
            draft.data("note.txt", b"slow" if self.is_first else b"quick")
            if self.is_first:
                ensure(store, replace(self, is_first=False))

    path = ensure(store, Slow("same"))
    assert store.open(path).data("note.txt") == b"quick"
    assert len([*(tmp_path / path).glob("note*")]) == 1


def test_steps_that_are_made_side_by_side_are_asked_for_once_and_those_missing_alone(tmp_path: Path) -> None:
    steps = [Together(name) for name in "abc"]
    ensure(Store(tmp_path), steps[1])
    perform(str(tmp_path), steps)
    assert Together.asked == [["a", "c"]] and MADE == ["b", "a", "c"]
    perform(str(tmp_path), steps)
    assert Together.asked == [["a", "c"]]  # nothing is missing, so nobody is asked


def test_steps_are_made_on_one_thread(tmp_path: Path) -> None:
    threads: list[int] = []

    class Watching(Write):
        def make(self, store: Store, draft: Draft) -> None:
            threads.extend(pool["num_threads"] for pool in threadpool_info())
            super().make(store, draft)

    perform(str(tmp_path), [Watching("a")])
    assert set(threads) == {1}


def test_a_manifest_says_what_the_making_took(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artefact = store.open(ensure(store, Write("a")))
    cost, note = Cost.read(artefact), Note.read(artefact)
    assert cost.seconds > 0 <= cost.cpu_seconds and 1 < cost.peak_rss_mb <= peak_rss_mb()
    assert note == Note(text="a", n_read=0) and set(artefact.meta) == {*Cost.model_fields, *Note.model_fields}


def test_costs_that_were_not_noted_are_none(tmp_path: Path) -> None:
    store, recipe = Store(tmp_path), Recipe("notes", {})
    with store.write(recipe) as draft:
        Note(text="by hand").write(draft)
    assert Cost.read(store.open(recipe.path)) == Cost(seconds=0, cpu_seconds=0, peak_rss_mb=0)


def test_metadata_are_frozen_and_what_is_missing_is_named(tmp_path: Path) -> None:
    store, recipe = Store(tmp_path), Recipe("notes", {})
    with store.write(recipe) as draft:
        Cost(seconds=1).write(draft)
    with pytest.raises(ValidationError, match=r"text\n.*Field required"):
        Note.read(store.open(recipe.path))
    note = Note(text="a")
    with pytest.raises(ValidationError, match="frozen"):
        note.text = "b"


def test_paths_are_taken_apart_as_they_are_put_together() -> None:
    recipe = Recipe("notes", {"a": 1})
    assert (kind_of(recipe.path), key_of(recipe.path)) == ("notes", recipe.key)
    assert kind_of(f"s3://bucket/folder/{recipe.path}") == "notes"
    assert paths_of([]) == () and paths_of([Write("a"), Write("a")]) == (Write("a").recipe.path,) * 2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory at hand")
def test_the_peak_of_memory_stays_when_memory_is_given_back() -> None:
    def resident() -> float:
        line = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert line is not None
        return int(line[1]) / 1024

    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    with_block, peak = resident(), peak_rss_mb()
    del block
    assert resident() < with_block - 32 and peak > with_block - 1
    assert peak_rss_mb() > peak - 1  # the kernel counts pages of several threads now and then
