"""Jobs without an orchestrator: where chunks run, in which order, and what becomes of errors."""

import threading
import time
from contextlib import closing

import pytest

from umbrameter.running.jobs import LocalGraph, chunk_job, job


def test_another_job_runs_at_once_and_a_chunk_when_it_is_waited_for() -> None:
    ran: list[str] = []
    with closing(LocalGraph()) as graph:
        at_once = graph.submit(job("now")(ran.append), [], "now")
        later = graph.submit(chunk_job(lambda name: not ran.append(name)), [], "later")
        assert ran == ["now"] and at_once.result() is None
        assert later.result() is True and ran == ["now", "later"]


def test_a_single_chunk_runs_in_the_thread_that_waits() -> None:
    with closing(LocalGraph(3)) as graph:
        for _ in range(50):
            where = graph.submit(chunk_job(threading.get_ident), [])
            assert where.result() == threading.get_ident()


@pytest.mark.parametrize("n_threads", [0, 1, 3])
def test_each_chunk_runs_once_on_as_many_threads_as_there_are(n_threads: int) -> None:
    lock, now, most, ran = threading.Lock(), set(), [0], []

    def work(i: int) -> int:
        with lock:
            now.add(i)
            most[0] = max(most[0], len(now))
        time.sleep(0.01)
        with lock:
            now.remove(i)
            ran.append(i)
        return i * i

    with closing(LocalGraph(n_threads)) as graph:
        for _ in range(2):  # a second stage, after the first
            runs = [graph.submit(chunk_job(work), [], i) for i in range(20)]
            assert [run.result() for run in runs] == [i * i for i in range(20)]
    assert sorted(ran) == sorted([*range(20)] * 2)
    assert most[0] == n_threads + 1


def test_a_chunk_s_error_is_raised_where_it_is_waited_for_and_the_others_are_given_up() -> None:
    ran: list[int] = []

    def work(i: int) -> bool:
        ran.append(i)
        if i == 1:
            raise ZeroDivisionError
        return True

    with pytest.raises(ZeroDivisionError), closing(LocalGraph()) as graph:
        for run in [graph.submit(chunk_job(work), [], i) for i in range(9)]:
            run.result()
    assert ran == [0, 1]


def test_ctrl_c_interrupts_what_runs_here() -> None:
    def work() -> bool:
        raise KeyboardInterrupt

    with closing(LocalGraph()) as graph, pytest.raises(KeyboardInterrupt):
        graph.submit(chunk_job(work), []).result()
