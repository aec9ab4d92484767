"""The records of each shadow model depend on the seed and the model's number alone."""

import numpy as np
import pytest

from umbrameter.errors import PlanError
from umbrameter.seeds import generator, integer
from umbrameter.shadow_plan import Design, ShadowPlan

AUDITED, POOL = np.arange(80), np.arange(1000, 1300)


@pytest.mark.parametrize("design", ["disjoint", "audit", "mixed"])
@pytest.mark.parametrize("compared", [False, True])
def test_a_shadow_model_s_records_depend_on_its_number_alone(design: Design, compared: bool) -> None:
    few, many = (ShadowPlan.of(design, n, 100, 80, 300, 7, compared) for n in (4, 50))
    for model_id in (3, 1, 0, 2):
        asked, again = few.rows(AUDITED, POOL, model_id), many.rows(AUDITED, POOL, model_id)
        assert all(
            np.array_equal(getattr(asked, f), getattr(again, f)) for f in ("rows_in", "rows_out", "compared_rows")
        )
        on_audited = few.on_audited(model_id)
        size = 40 if on_audited else 100
        assert len(set(asked.rows_in)) == len(set(asked.rows_out)) == size
        assert not set(asked.rows_in) & set(asked.rows_out)
        assert set(asked.rows_in) | set(asked.rows_out) <= set(AUDITED if on_audited else POOL)
        assert few.facts(model_id) == many.facts(model_id)
    assert not np.array_equal(many.rows(AUDITED, POOL, 4).rows_in, many.rows(AUDITED, POOL, 0).rows_in)


@pytest.mark.parametrize("n_audited", [80, 81])
def test_every_audited_record_is_in_exactly_half_of_the_models(n_audited: int) -> None:
    plan = ShadowPlan.of("audit", 10, 40, n_audited, 0, 3)
    audited = np.arange(n_audited)
    counts = np.bincount(np.concatenate([plan.rows(audited, POOL, i).rows_in for i in range(10)]), minlength=n_audited)
    assert (counts == 5).all()
    with pytest.raises(PlanError, match=r"shadows.count=9 is odd, .* set shadows.count to 10"):
        ShadowPlan.of("audit", 9, 40, 80, 0, 3)


def test_mixed_models_take_turns_and_every_model_is_asked_about_the_audited_records() -> None:
    plan = ShadowPlan.of("mixed", 8, 100, 80, 300, 7, compared=True)
    assert [plan.on_audited(i) for i in range(8)] == [True, True, False, False] * 2
    for i in range(8):
        asked = plan.rows(AUDITED, POOL, i)
        known = (
            {*asked.compared_rows, *asked.rows_in, *asked.rows_out} if plan.on_audited(i) else set(asked.compared_rows)
        )
        assert known == set(AUDITED)


def test_models_of_the_pool_are_compared_on_the_audited_records_and_on_the_same_others() -> None:
    plan = ShadowPlan.of("disjoint", 3, 100, 80, 300, 7, compared=True)
    first, second = (plan.rows(AUDITED, POOL, i).compared_rows for i in (0, 1))
    assert np.array_equal(first, second) and np.array_equal(first[:80], AUDITED)
    assert set(first[80:]) == set(POOL) and np.array_equal(plan.compared(AUDITED, POOL), first)
    alone = ShadowPlan.of("disjoint", 3, 100, 80, 300, 7).rows(AUDITED, POOL, 0).compared_rows
    assert np.array_equal(alone, AUDITED)  # controls compare them there, whatever the attacks


def test_a_small_pool_gives_fewer_out_records_and_too_small_a_one_says_what_to_lower() -> None:
    assert ShadowPlan.of("disjoint", 2, 100, 10, 130, 0).n_out == 30
    text = r"shadows\.size=100 is more than the pool can give: 100 records .* lower shadows\.size to at most 50"
    with pytest.raises(PlanError, match=text):
        ShadowPlan.of("disjoint", 2, 100, 10, 100, 0)
    assert ShadowPlan.of("audit", 2, 100, 10, 0, 0).size == 5


def test_pool_records_are_in_equally_often() -> None:
    pool, n_models = np.arange(40), 2000
    plan = ShadowPlan.of("disjoint", n_models, 10, 5, 40, 3)
    counts = np.bincount(np.concatenate([plan.rows(pool, pool, i).rows_in for i in range(n_models)]), minlength=40)
    assert np.abs(counts - n_models / 4).max() < 5 * np.sqrt(n_models * 0.25 * 0.75)


def test_roles_and_numbers_have_streams_of_their_own() -> None:
    keys = [("a",), ("b",), ("a", 0), ("a", 1), ("a", 0, 0)]
    assert len({integer(0, *key) for key in keys} | {integer(1, *key) for key in keys}) == 10
    assert generator(0, "a").integers(2**60) == generator(0, "a").integers(2**60)
