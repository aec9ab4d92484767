"""Claims of privacy held against all attacks on the target that makes them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.steps.audits import CLAIM, Audit
from umbrameter.statistics.epsilon import epsilon_lower_bound, gaussian_epsilon_lower_bound
from umbrameter.statistics.estimates import LowerBound
from umbrameter.statistics.one_run import one_run_epsilon_lower_bound
from umbrameter.steps.guarantees import CheckGuarantee, read_guarantee
from umbrameter.steps.scores import read_scores
from umbrameter.steps.target import TargetFit


@pytest.fixture
def step(trained: Audit) -> CheckGuarantee:
    (found,) = trained.of(CheckGuarantee)
    return found


def bound(
    audit: Audit, path: str, n_attacks: int, of: Callable[..., LowerBound] = one_run_epsilon_lower_bound
) -> float:
    """Return what one attack of several proves epsilon to be at least, each at its share of the risk."""
    scores = read_scores(audit.store.open(path))
    sides = scores.scores[scores.is_member], scores.scores[~scores.is_member]
    return of(*sides, CLAIM.delta, 1 - 0.05 / n_attacks).value


def test_the_attack_that_proves_most_is_held_against_the_claim(trained: Audit, step: CheckGuarantee) -> None:
    guarantee = read_guarantee(trained.made(step))
    bounds = {name: bound(trained, path, len(step.scores)) for name, path in step.scores}
    assert guarantee.one_run_epsilon_lower_bound == max(bounds.values()) == bounds[guarantee.attack]
    for of in (epsilon_lower_bound, gaussian_epsilon_lower_bound):
        most = max(bound(trained, path, len(step.scores), of) for _, path in step.scores)
        assert getattr(guarantee, of.__name__) == most
    assert guarantee.n_attacks == len(step.scores) and guarantee.mitigation == "claimed"
    assert {name: getattr(guarantee, name) for name in type(CLAIM).model_fields} == CLAIM.model_dump()


def test_a_false_claim_is_broken(trained: Audit, step: CheckGuarantee) -> None:
    assert read_guarantee(trained.made(step)).is_broken  # trees that know each record by heart, at epsilon 0.01


def test_all_attacks_on_the_target_that_claims_are_held_against_it(trained: Audit, step: CheckGuarantee) -> None:
    (variant,) = [variant for variant in trained.variants if variant.guarantees]
    assert step.target == variant.target.recipe.path
    assert [*step.scores] == [(m.title, m.scoring.recipe.path) for m in variant.measurements]
    assert len({name for name, _ in step.scores}) == len(step.scores)


def test_more_attacks_prove_no_more_by_chance(trained: Audit, step: CheckGuarantee) -> None:
    one = replace(step, scores=step.scores[:1])
    many = replace(step, scores=step.scores[:1] * 20)
    alone, among = (read_guarantee(trained.remade(s)).one_run_epsilon_lower_bound for s in (one, many))
    assert among <= alone and (alone == 0 or among < alone)
    assert alone == bound(trained, step.scores[0][1], 1)


def test_of_attacks_that_prove_as_much_the_first_is_named(trained: Audit, step: CheckGuarantee) -> None:
    twice = replace(step, scores=(("one", step.scores[0][1]), ("other", step.scores[0][1])))
    assert read_guarantee(trained.remade(twice)).attack == "one"


def test_a_target_without_a_claim_has_none_to_check(trained: Audit, step: CheckGuarantee) -> None:
    plain = trained.of(TargetFit)[0].recipe.path
    with pytest.raises(ValueError, match=rf"{plain} makes no claim of privacy"):
        trained.remade(replace(step, target=plain))


def test_only_what_claims_privacy_is_checked(trained: Audit, drawn: Audit, external: Audit) -> None:
    assert [len(v.guarantees) for v in trained.variants] == [
        int(any(m.claims_privacy for m in v.training.mitigations)) for v in trained.variants
    ]
    assert not drawn.of(CheckGuarantee) and not external.of(CheckGuarantee)
    assert np.isfinite(read_guarantee(trained.made(trained.of(CheckGuarantee)[0])).epsilon_lower_bound)
