"""Random numbers by role and index: the same wherever and in whatever order they are drawn, and apart from others."""

import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umbrameter.seeds import generator, integer, integers

repeatable = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
roles = st.text(max_size=12)
indices = st.lists(st.integers(0, 10_000), max_size=3).map(tuple)


@repeatable
@given(seeds, roles, indices)
def test_numbers_are_numpy_s_of_the_role_s_checksum(seed: int, role: str, index: tuple[int, ...]) -> None:
    sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(role.encode()), *index))
    expected = np.random.default_rng(sequence).integers(2**63, size=4)
    assert np.array_equal(generator(seed, role, *index).integers(2**63, size=4), expected)
    assert integer(seed, role, *index) == sequence.generate_state(1)[0]
    assert np.array_equal(integers(seed, role, 3, *index), sequence.generate_state(3, np.uint64))


@repeatable
@given(seeds, roles, indices, st.data())
def test_another_seed_role_or_index_gives_other_numbers(
    seed: int, role: str, index: tuple[int, ...], data: st.DataObject
) -> None:
    other = data.draw(st.tuples(seeds, roles, indices).filter(lambda key: key != (seed, role, index)))
    one, two = (integers(s, r, 4, *i).tolist() for s, r, i in ((seed, role, index), other))
    assert one != two


@repeatable
@given(seeds, st.integers(0, 20), st.integers(0, 20))
def test_the_first_seeds_do_not_depend_on_how_many_are_asked_for(seed: int, few: int, many: int) -> None:
    few, many = sorted((few, many))
    assert integers(seed, "a", few).tolist() == integers(seed, "a", many)[:few].tolist()
    assert len(set(integers(seed, "a", many).tolist())) == many


def test_what_was_drawn_before_decides_nothing() -> None:
    first = [generator(0, "a", i).random() for i in range(5)]
    generator(0, "b").random(1000)
    np.random.default_rng(0).random(1000)
    assert [generator(0, "a", i).random() for i in reversed(range(5))] == first[::-1]


def test_index_and_role_cannot_be_taken_for_one_another() -> None:
    keys = [("a", 1, 1), ("a", 11), ("a1", 1), ("a", 1), ("a",), ("a", 0), ("a", 0, 0), ("", 0)]
    assert len({integer(0, *key) for key in keys}) == len(keys)


def test_integers_fit_what_takes_them() -> None:
    values = [integer(seed, "model", i) for seed in range(20) for i in range(50)]
    assert all(isinstance(value, int) and 0 <= value < 2**32 for value in values)
    assert len(set(values)) == len(values) and max(values) > 2**31  # all 32 bits are used
    assert integers(0, "a", 2).dtype == np.uint64 and integers(0, "a", 0).shape == (0,)


def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    code = "from umbrameter.seeds import integer; print(integer(7, 'split', 3))"
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
        )
        assert int(done.stdout) == integer(7, "split", 3)


@pytest.mark.parametrize("seed", [-1, 0.5, "1"])
def test_a_seed_that_is_none_is_refused(seed: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        generator(seed, "a")  # type: ignore[arg-type]


def test_draws_of_two_roles_are_not_correlated() -> None:
    one, two = (generator(0, role).standard_normal(20_000) for role in ("shadow-rows", "audited-rows"))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03  # four standard deviations
