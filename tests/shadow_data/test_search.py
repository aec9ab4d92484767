"""Searches side by side equal Algorithm 1 run one by one: the same records, outcomes and queries, bit for bit."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tests.shadow_data.oracle import SplitMix64, one_at_a_time
from umbrameter.records.reader import Domain
from umbrameter.shadow_data import kernels
from umbrameter.shadow_data.search import Search, search
from umbrameter.typing import Array, Floats, Ints

Ask = Callable[[Floats], Floats]
Ends = tuple[Floats, list[bool], list[int]]

HOW = Search(iter_max=60, conf_min=0.2, rej_max=2, k_max=6, k_min=2)
BITS = Domain(np.zeros(12), np.ones(12), np.ones(12, dtype=bool), np.ones(12, dtype=bool))
KINDS = ((0.0, 1.0, True), (0.0, 4.0, True), (-3.0, 250.0, True), (-1.5, 2.5, False), (7.0, 7.0, True))
"""Least and largest value, and whether whole: of bits, categories, whole and continuous numbers, and a constant."""


def mixed(n_features: int) -> Domain:
    low, high, whole = zip(*(KINDS[i % len(KINDS)] for i in range(n_features)), strict=True)
    is_bit = [(a, b) == (0, 1) for a, b in zip(low, high, strict=True)]
    return Domain(np.array(low), np.array(high), np.array(whole), np.array(is_bit))


def answering(domain: Domain, n_classes: int, seed: int = 0) -> Ask:
    """Return a classifier whose answers are exact, and so the same in every batch: votes in steps of 1/1024."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 4, (n_classes, len(domain.low)))
    likes = rng.uniform(domain.low, domain.high + 1e-9, (n_classes, len(domain.low)))

    def ask(X: Floats) -> Floats:
        assert X.dtype == np.float32 and X.shape[1] == len(domain.low)
        width = np.maximum(domain.high - domain.low, 1)
        near = (abs(X[:, None, :] - likes) < width / 3) * weights
        votes = near.sum(axis=2) ** 3 + 1
        return (votes * 1024 // votes.sum(axis=1, keepdims=True) / 1024).astype(np.float32)

    return ask


def seeds_of(n: int, seed: int = 0) -> Array:
    return np.random.SeedSequence(seed).generate_state(n, np.uint64)


def searched(ask: Ask, classes: Ints, seeds: Array, domain: Domain, how: Search, side_by_side: int) -> Ends:
    found = [*search(ask, classes, seeds, domain, how, side_by_side)]
    places = np.concatenate([part.searches for part in found])
    assert sorted(places.tolist()) == list(range(len(classes)))
    order = np.argsort(places)
    records, is_found, queries = (
        np.concatenate([getattr(part, name) for part in found])[order] for name in ("records", "is_found", "queries")
    )
    assert records.dtype == np.float32
    return records, is_found.tolist(), queries.tolist()


def assert_equal(some: Ends, others: Ends) -> None:
    assert some[1:] == others[1:]
    assert np.array_equal(some[0], others[0])


SETTINGS = {
    "as usual": HOW,
    "no proposal is turned down twice": replace(HOW, rej_max=0),
    "always as many features": replace(HOW, k_min=5, k_max=5),
    "more features than there are": replace(HOW, k_max=1000),
    "more features than there are, at last too": replace(HOW, k_max=1000, k_min=100, rej_max=0),
    "one query": replace(HOW, iter_max=1),
    "any confidence": replace(HOW, conf_min=0.0),
    "hardly any": replace(HOW, conf_min=0.9),
    "one feature": replace(HOW, k_max=1, k_min=1),
    "halves round up": replace(HOW, k_max=11, k_min=1, rej_max=0, conf_min=0.8),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("domain", [BITS, mixed(15)], ids=["bits", "mixed"])
def test_side_by_side_is_algorithm_1_one_by_one(name: str, domain: Domain) -> None:
    ask, classes, seeds = answering(domain, 4), np.repeat(np.arange(4), 6), seeds_of(24)
    expected = one_at_a_time(ask, classes, seeds, domain, SETTINGS[name])
    assert_equal(searched(ask, classes, seeds, domain, SETTINGS[name], 5), expected)


def test_the_comparison_sees_searches_that_end_in_either_way_and_change_their_step() -> None:
    _, is_found, queries = one_at_a_time(answering(BITS, 4), np.repeat(np.arange(4), 6), seeds_of(24), BITS, HOW)
    assert len(set(queries)) > 8
    _, few, _ = one_at_a_time(
        answering(BITS, 4), np.repeat(np.arange(4), 6), seeds_of(24), BITS, SETTINGS["hardly any"]
    )
    assert any(is_found) and not all(few)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 30),
    st.integers(1, 40),
    st.builds(
        lambda iter_max, conf_min, rej_max, k: Search(iter_max, conf_min, rej_max, max(k), min(k)),
        st.integers(1, 40),
        st.sampled_from([0.0, 0.2, 0.5, 0.9]),
        st.integers(0, 4),
        st.tuples(st.integers(1, 25), st.integers(1, 25)),
    ),
    st.integers(0, 2**32 - 1),
)
def test_whatever_the_parameters(
    n_features: int, n_classes: int, n: int, side_by_side: int, how: Search, seed: int
) -> None:
    domain = mixed(n_features)
    ask, classes, seeds = answering(domain, n_classes, seed), np.arange(n) % n_classes, seeds_of(n, seed)
    found = searched(ask, classes, seeds, domain, how, side_by_side)
    assert_equal(found, one_at_a_time(ask, classes, seeds, domain, how))
    records = found[0]
    assert (records >= domain.low.astype(np.float32)).all() and (records <= domain.high.astype(np.float32)).all()
    assert (records == np.rint(records))[:, domain.is_whole].all()


@pytest.mark.parametrize("side_by_side", [1, 3, 24, 1000])
def test_how_many_run_side_by_side_decides_nothing(side_by_side: int) -> None:
    domain = mixed(15)
    ask, classes, seeds = answering(domain, 4), np.repeat(np.arange(4), 6), seeds_of(24)
    expected = searched(ask, classes, seeds, domain, HOW, 7)
    sizes: list[int] = []

    def counted(X: Floats) -> Floats:
        sizes.append(len(X))
        return ask(X)

    assert_equal(searched(counted, classes, seeds, domain, HOW, side_by_side), expected)
    assert sizes[0] == min(side_by_side, 24) and all(a >= b for a, b in pairwise(sizes))
    assert sum(sizes) == sum(expected[2])


def test_a_search_does_not_depend_on_the_others() -> None:
    ask, classes, seeds = answering(BITS, 4), np.repeat(np.arange(4), 6), seeds_of(24)
    records, is_found, queries = searched(ask, classes, seeds, BITS, HOW, 10)
    some = np.array([20, 3, 11])
    alone = searched(ask, classes[some], seeds[some], BITS, HOW, 10)
    assert_equal(alone, (records[some], [is_found[i] for i in some], [queries[i] for i in some]))


def test_the_seed_decides() -> None:
    ask, classes = answering(BITS, 4), np.repeat(np.arange(4), 6)
    one, again, other = (searched(ask, classes, seeds_of(24, seed), BITS, HOW, 10) for seed in (1, 1, 2))
    assert_equal(one, again)
    assert not np.array_equal(one[0], other[0]) and one[2] != other[2]


def test_no_searches_ask_nothing() -> None:
    assert [*search(answering(BITS, 2), np.arange(0), seeds_of(0), BITS, HOW, 10)] == []


@pytest.mark.parametrize("iter_max", [1, 17])
def test_a_class_that_nobody_can_reach_fails_and_the_others_do_not_notice(iter_max: int) -> None:
    how, seeds = replace(HOW, iter_max=iter_max), seeds_of(24)
    three, classes = answering(BITS, 3), np.repeat(np.arange(4), 6)

    def never_3(X: Floats) -> Floats:
        return np.column_stack([three(X), np.zeros(len(X), dtype=np.float32)])

    records, is_found, queries = searched(never_3, classes, seeds, BITS, how, 7)
    assert is_found[18:] == [False] * 6 and queries[18:] == [iter_max] * 6
    assert_equal(searched(three, classes[:18], seeds[:18], BITS, how, 7), (records[:18], is_found[:18], queries[:18]))


def test_a_tie_goes_to_the_first_class() -> None:
    def ask(X: Floats) -> Floats:
        return np.full((len(X), 2), 0.5, dtype=np.float32)

    _, is_found, queries = searched(ask, np.array([0, 1] * 20), seeds_of(40), BITS, HOW, 8)
    assert is_found == [True, False] * 20
    assert np.mean(queries[::2]) == pytest.approx(2, abs=1.5)  # each is returned with chance 0.5


def test_confidence_of_exactly_the_least_is_not_enough() -> None:
    def ask(X: Floats) -> Floats:
        return np.tile(np.float32([0.2, 0.1]), (len(X), 1))

    assert not any(searched(ask, np.zeros(9, dtype=int), seeds_of(9), BITS, HOW, 8)[1])
    assert all(searched(ask, np.zeros(9, dtype=int), seeds_of(9), BITS, replace(HOW, conf_min=0.199), 8)[1])


# The random numbers


def test_the_stream_is_splitmix64() -> None:
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    streams, slow = np.array([0, 1234567], dtype=np.uint64), SplitMix64(1234567)
    assert [int(kernels.bits(streams, 1)) for _ in known] == known == [slow.bits() for _ in known]
    assert streams[0] == 0


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_uniform_numbers_are_its_upper_53_bits(seed: int) -> None:
    streams, slow = np.array([seed], dtype=np.uint64), SplitMix64(seed)
    assert [kernels.uniform(streams, 0) for _ in range(3)] == [(slow.bits() >> 11) / 2**53 for _ in range(3)]


def test_the_largest_number_stays_below_1_and_values_in_their_range() -> None:
    """The seed whose first 53 bits are all ones: with low + floor(u * span) as one sum, 255 became 256."""
    z = 2**64 - 1
    z ^= (z >> 31) ^ (z >> 62)
    z = z * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
    z ^= (z >> 27) ^ (z >> 54)
    z = z * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
    z ^= (z >> 30) ^ (z >> 60)
    before = (z - 0x9E3779B97F4A7C15) % 2**64  # the next number is the largest
    assert kernels.uniform(np.array([before], dtype=np.uint64), 0) == 1 - 2**-53
    values = kernels.Values(np.array([255.0]), np.array([1.0]), np.array([True]))
    rows = changing(1, 1, before - 0x9E3779B97F4A7C15)
    kernels.change(rows, 0, 1, values)
    assert rows.proposed[0, 0] == 255


def changing(n: int, n_features: int, seed: int = 0) -> kernels.Rows:
    """Return state to change, each row's stream begun by its number."""
    counts = np.zeros((5, n), dtype=np.int64)
    streams = np.array([(seed + i) % 2**64 for i in range(n)], dtype=np.uint64)
    order = np.tile(np.arange(n_features, dtype=np.int32), (n, 1))
    records = np.full((2, n, n_features), -1, dtype=np.float32)
    return kernels.Rows(*counts, streams, np.zeros(n, dtype=np.float32), order, *records)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_exactly_k_features_change_each_as_often_and_to_each_value_as_often(k: int, times: int) -> None:
    n, width = 20_000, 10
    rows = changing(n, width)
    values = kernels.Values(np.zeros(width), np.full(width, 4.0), np.ones(width, dtype=bool))
    for _ in range(times):  # the order stays shuffled, which must not show
        rows.proposed[:] = -1
        for row in range(n):
            kernels.change(rows, row, k, values)
    hit = rows.proposed >= 0
    assert (hit.sum(axis=1) == k).all()
    assert k == width or chisquare(hit.sum(axis=0)).pvalue > 1e-4
    assert chisquare(np.bincount(rows.proposed[hit].astype(int), minlength=4)).pvalue > 1e-4
    assert (np.sort(rows.order, axis=1) == np.arange(width)).all()


def test_continuous_numbers_fill_their_range_evenly() -> None:
    rows = changing(20_000, 1)
    for row in range(20_000):
        kernels.change(rows, row, 1, kernels.Values(np.array([-2.0]), np.array([5.0]), np.array([False])))
    counts, _ = np.histogram(rows.proposed, bins=20, range=(-2, 3))
    assert counts.sum() == 20_000 and chisquare(counts).pvalue > 1e-4


def test_a_proposal_differs_from_the_best_in_k_features_at_most() -> None:
    asked: list[Floats] = []

    def ask(X: Floats) -> Floats:  # the first record is the best; all others are turned down
        asked.append(X.copy())
        sure = 0.5 if len(asked) == 1 else 0.1
        return np.tile(np.float32([sure, 0.9]), (len(X), 1))

    domain = Domain(np.zeros(40), np.ones(40), np.zeros(40, dtype=bool), np.zeros(40, dtype=bool))
    how = Search(iter_max=30, conf_min=0.2, rej_max=3, k_max=17, k_min=3)
    records, _, _ = searched(ask, np.zeros(5, dtype=int), seeds_of(5), domain, how, 5)
    assert np.array_equal(records, asked[0])
    n_changed = [(proposed != asked[0]).sum(axis=1).tolist() for proposed in asked[1:]]
    assert n_changed == [[17] * 5] * 4 + [[9] * 5] * 4 + [[5] * 5] * 4 + [[3] * 5] * 17
