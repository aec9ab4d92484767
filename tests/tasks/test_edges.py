"""Who waits for whom: the edges between task runs against the transitive reduction of what reads what."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.prefect_graph import RunGraph
from umbrameter.running.jobs import job


@dataclass(frozen=True, eq=False)
class Run:
    """What Prefect gives back for a submitted task."""

    waited_for: tuple["Run", ...] = ()
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    task_run_id: UUID = field(default_factory=uuid4)


class Submitting:
    """A task that only notes how it was submitted."""

    def submit(self, *arguments: Any, return_state: bool, wait_for: Sequence[Run], **options: Any) -> Run:
        assert not return_state
        return Run(tuple(wait_for), arguments, options)


@job("do nothing")
def nothing() -> None:
    """Do nothing."""


def new_graph() -> RunGraph:
    """Return a graph whose tasks only note how they were submitted."""
    return RunGraph(lambda _: Submitting())  # type: ignore[arg-type,return-value]


def reading(graph: RunGraph, *paths: str) -> Run:
    """Submit a task run that reads some paths."""
    return graph.submit(nothing, paths)  # type: ignore[return-value,arg-type]


def making(graph: RunGraph, reads: Sequence[str], *makes: str) -> Run:
    """Submit a task run that reads some paths and makes others."""
    run = reading(graph, *reads)
    graph.note(run, makes)  # type: ignore[arg-type]
    return run


def reachable(edges: Sequence[set[int]], start: int) -> set[int]:
    """Return all that a node comes after, by any number of edges."""
    return edges[start].union(*(reachable(edges, node) for node in edges[start]))


def reduced(edges: Sequence[set[int]]) -> list[set[int]]:
    """Return each node's edges without those that a longer path implies: the slow, obvious transitive reduction."""
    return [{to for to in node if not any(to in reachable(edges, other) for other in node)} for node in edges]


graphs = st.integers(1, 9).flatmap(
    lambda n: st.tuples(*(st.sets(st.integers(0, i - 1)) if i else st.just(set[int]()) for i in range(n)))
)


def submitted(edges: Sequence[set[int]], n_artefacts: int = 1) -> list[Run]:
    """Submit a run for each node, which reads all that the runs before it made."""
    graph, runs = new_graph(), list[Run]()
    for i, node in enumerate(edges):
        reads = [f"{maker}/{artefact}" for maker in sorted(node) for artefact in range(n_artefacts)]
        runs.append(making(graph, reads, *(f"{i}/{artefact}" for artefact in range(n_artefacts))))
    return runs


@settings(deadline=None, derandomize=True, max_examples=80)
@given(graphs)
def test_edges_are_the_transitive_reduction_of_what_reads_what(edges: tuple[set[int], ...]) -> None:
    runs = submitted(edges)
    assert [{runs.index(run) for run in made.waited_for} for made in runs] == reduced(edges)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(graphs)
def test_whatever_is_read_is_waited_for_by_some_path(edges: tuple[set[int], ...]) -> None:
    runs = submitted(edges)
    kept = [{runs.index(run) for run in made.waited_for} for made in runs]
    for node in range(len(edges)):
        assert reachable(kept, node) == reachable(edges, node)


def test_a_run_that_made_several_of_the_artefacts_is_waited_for_once() -> None:
    edges = [set[int](), {0}, {0, 1}]
    assert [len(run.waited_for) for run in submitted(edges, n_artefacts=3)] == [0, 1, 1]


def test_what_no_run_of_this_flow_made_is_not_waited_for() -> None:
    graph = new_graph()
    maker = making(graph, ["store/records/of-another-run"], "store/split/1")
    assert maker.waited_for == ()
    assert reading(graph, "store/split/1", "store/targets/of-another-run").waited_for == (maker,)


def test_the_last_run_that_stands_for_a_path_is_the_one_that_is_waited_for() -> None:
    graph = new_graph()
    records = making(graph, [], "records")
    plan = making(graph, ["records"], "records")  # as of the plan, which whatever reads the records has to follow
    assert reading(graph, "records").waited_for == (plan,)
    assert plan.waited_for == (records,)


def test_runs_are_waited_for_in_the_order_in_which_paths_are_read() -> None:
    graph = new_graph()
    a, b, c = (making(graph, [], name) for name in "abc")
    assert reading(graph, "c", "a", "b", "a").waited_for == (c, a, b)


@pytest.mark.parametrize("paths", [iter(["a", "b"]), ("a", "b"), {"a": 1, "b": 2}])
def test_paths_may_be_any_iterable(paths: Any) -> None:
    graph = new_graph()
    makers = {making(graph, [], "a"), making(graph, [], "b")}
    assert {*graph.submit(nothing, paths).waited_for} == makers  # type: ignore[arg-type,attr-defined]


def test_a_task_gets_its_arguments_quoted_so_that_nobody_looks_for_futures_inside() -> None:
    run = new_graph().submit(nothing, [], 1, ("two",))
    assert [argument.unwrap() for argument in run.arguments] == [1, ("two",)]  # type: ignore[attr-defined]
