"""Noisy shadow data: as many features change as requested, each according to its type."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import binom

from umbrameter.records.reader import Records
from umbrameter.shadow_data import Drawing, Noisy, Real, base
from umbrameter.shadow_data.noisy import _spread
from umbrameter.typing import Floats, Ints

POOL = np.arange(2, 2900)  # the first two hold the extremes


def drawn(data: Noisy | Real, records: Records, pool: Ints = POOL, seed: int = 0) -> tuple[Floats, Ints]:
    parts = [*data.draw(Drawing(records, pool, len(pool), seed))]
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])


def assert_share(hits: int, n: int, share: float) -> None:
    low, high = binom.interval(1 - 1e-6, n, share)
    assert low <= hits <= high


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.75])
def test_the_share_of_bits_flipped_is_the_rate(bits: Records, rate: float) -> None:
    X, y = bits.take(POOL)
    changed, labels = drawn(Noisy(rate=rate), bits)
    flipped = changed != X
    assert np.array_equal(labels, y) and changed.dtype == X.dtype and {*np.unique(changed)} == {0, 1}
    assert_share(flipped.sum(), flipped.size, rate)
    for column in flipped.T:
        assert_share(column.sum(), len(column), rate)
    by_value = [flipped[np.equal(X, value)] for value in (0, 1)]
    for side in by_value:
        assert_share(side.sum(), side.size, rate)
    both = (flipped[:, 0] & flipped[:, 1]).sum()
    assert_share(both, len(flipped), rate**2)


def test_rate_1_flips_every_bit(bits: Records) -> None:
    assert np.array_equal(drawn(Noisy(rate=1), bits)[0], 1 - bits.take(POOL)[0])


def test_the_seed_decides(bits: Records) -> None:
    one, again, other = (drawn(Noisy(rate=0.1), bits, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def column(records: Records, name: str) -> int:
    return records.feature_names.index(name)


def test_categories_are_those_of_other_records(mixed: Records) -> None:
    place = column(mixed, "colour")
    X, y = mixed.take(POOL)
    changed, _ = drawn(Noisy(rate=1), mixed)
    before, after = X[:, place], changed[:, place]
    for code in np.unique(before):
        assert_share((after == code).sum(), len(after), (before == code).mean())
    # whose colour it is no longer goes with the class
    is_red = after == mixed.artefact.meta["categories"]["colour"].index("red")
    assert abs(is_red[y == 0].mean() - is_red[y == 1].mean()) < 5 * np.sqrt(0.5 / len(y))


def test_a_category_that_is_drawn_anew_may_stay_as_it_is(mixed: Records) -> None:
    place = column(mixed, "colour")
    before = mixed.take(POOL)[0][:, place]
    after = drawn(Noisy(rate=0.3), mixed)[0][:, place]
    shares = np.bincount(before.astype(int)) / len(before)
    assert_share((before != after).sum(), len(before), 0.3 * (1 - (shares**2).sum()))


@pytest.mark.parametrize("name", ["height", "year"])
def test_numbers_move_by_their_spread(mixed: Records, name: str) -> None:
    place = column(mixed, name)
    X, _ = mixed.take(POOL)
    moves = (drawn(Noisy(rate=1), mixed)[0] - X)[:, place]
    spread = X[:, place].std(dtype=np.float64)
    assert moves.std() == pytest.approx(spread, rel=0.06)  # 4 standard errors
    assert abs(moves.mean()) < 5 * spread / np.sqrt(len(moves))
    assert np.corrcoef(moves, X[:, place])[0, 1] == pytest.approx(0, abs=0.1)
    unmoved = (drawn(Noisy(rate=0.25), mixed)[0] == X)[:, column(mixed, "height")]
    assert_share(unmoved.sum(), len(unmoved), 0.75)


def test_numbers_stay_in_their_range_and_whole_ones_whole(mixed: Records) -> None:
    extremes = np.arange(2).repeat(500)
    X, changed = mixed.take(extremes)[0], drawn(Noisy(rate=1), mixed, extremes)[0]
    assert (changed >= mixed.domain.low).all() and (changed <= mixed.domain.high).all()
    assert (changed[:, column(mixed, "height")] != X[:, column(mixed, "height")]).any()
    assert np.array_equal(changed[:, mixed.domain.is_whole], np.rint(changed[:, mixed.domain.is_whole]))
    at_the_end = np.isin(changed[:, column(mixed, "height")], [0, 1000]).mean()
    assert 0.4 < at_the_end < 0.6  # half of the moves would leave the range


def test_block_by_block_the_pool_is_changed_once_and_its_spread_is_numpys(
    mixed: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BLOCK_VALUES", 7 * mixed.n_features)
    of = Drawing(mixed, POOL, len(POOL), 0)
    assert of.block == 7
    X, y = mixed.take(POOL)
    np.testing.assert_allclose(_spread(of), X.std(axis=0, dtype=np.float64), rtol=1e-6)
    parts = [*Noisy(rate=0.2).draw(of)]
    assert len(parts) == 414 and np.array_equal(np.concatenate([labels for _, labels in parts]), y)
    hits = [(changed[:, 2] != X[7 * i : 7 * i + 7, 2]).sum() for i, (changed, _) in enumerate(parts)]
    assert_share(sum(hits), len(POOL), 0.2)
    assert len({*hits}) > 2  # blocks have noise of their own


def test_real_is_the_pool_as_it_is(mixed: Records) -> None:
    X, y = drawn(Real(), mixed)
    assert np.array_equal(X, mixed.take(POOL)[0]) and np.array_equal(y, mixed.take(POOL)[1])


@pytest.mark.parametrize("rate", [0, -0.1, 1.01, float("nan")])
def test_a_rate_out_of_range(rate: float) -> None:
    with pytest.raises(ValidationError, match=r"rate\n.*(greater than 0|less than or equal to 1)"):
        Noisy(rate=rate)


def test_what_it_says_of_itself() -> None:
    data = Noisy(rate=0.25)
    assert (data.label, data.n_drawn(10, 77), data.asks, data.needs_pool) == ("noisy(0.25)", 77, False, True)
    assert data.most_queries(10) == 0 and "25%" in data.assumption and data.digest() is None
