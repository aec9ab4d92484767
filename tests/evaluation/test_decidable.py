"""Which limits an audit can decide: compared with trying every size, and with drawing whole audits."""

import numpy as np
import pytest

from umbrameter.evaluation.decidable import SIZES, at_worst, chance_of_pass, decidable, sentence, sentences
from umbrameter.evaluation.verdict import decide
from umbrameter.spec.limits import Limit, Preset, expand
from umbrameter.statistics.metrics import METRICS, measure


def limit(metric: str, value: float, **more: object) -> Limit:
    return Limit.model_validate({"metric": metric, "limit": value, "source": "us"} | more)


def status(asked: Limit, scores: np.ndarray, is_member: np.ndarray, called: np.ndarray) -> str:
    """Return how a limit comes out on scores, by everything that an audit does with them."""
    return decide([asked], [("an attack", measure(scores, is_member, called))]).status


def perfect(asked: Limit, n: int) -> str:
    is_member = np.arange(2 * n) >= n
    return status(asked, np.arange(2.0 * n), is_member, is_member)


def share_of_passes(asked: Limit, n_members: int, n_nonmembers: int, n_audits: int) -> float:
    rng, is_member = np.random.default_rng(1), np.arange(n_members + n_nonmembers) < n_members
    drawn = [rng.normal(size=n_members + n_nonmembers) for _ in range(n_audits)]
    return float(np.mean([status(asked, scores, is_member, scores > 0) == "pass" for scores in drawn]))


EVERY = [limit(metric, 0.03 if "0.01" in metric else 0.6) for metric in METRICS if "0.001" not in metric]


@pytest.mark.parametrize("asked", EVERY, ids=lambda asked: asked.metric)
def test_the_smallest_size_that_can_fail_is_found_by_trying_every_size(asked: Limit) -> None:
    found = decidable(asked).fails_from
    expected = next((n for n in range(2, 600) if perfect(asked, n) == "fail"), None)
    assert found == expected and expected is not None
    assert [at_worst(asked, n, n) == "fail" for n in (expected - 1, expected, 10 * expected)] == [False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "n_members", "n_nonmembers"),
    [
        (limit("auc", 0.55), 500, 500),
        (limit("auc", 0.6), 60, 300),
        (limit("accuracy", 0.55, warn=0.52), 900, 900),
        (limit("precision", 0.55), 700, 700),
        (limit("tpr_at_fpr_0.1", 0.2), 450, 450),
        (limit("tpr_at_fpr_0.01", 0.05), 900, 900),
    ],
    ids=str,
)
def test_the_chance_of_a_pass_is_the_share_of_audits_without_a_leak_that_pass(
    asked: Limit, n_members: int, n_nonmembers: int
) -> None:
    expected = share_of_passes(asked, n_members, n_nonmembers, 300)
    error = np.sqrt(expected * (1 - expected) * (1 / 300 + 1 / 20))  # an estimate may end after 20 draws
    assert 0.1 < expected < 0.995
    assert abs(chance_of_pass(asked, n_members, n_nonmembers) - expected) < 4 * error + 0.02


@pytest.mark.slow
def test_the_sizes_that_the_published_limits_need() -> None:
    """With 1,000 non-members, TPR at 0.1 % FPR cannot fail and hardly ever passes."""
    auc, at_1, at_01 = (decidable(asked, (1000, 1000)) for asked in expand([Preset(preset="owasp_aisvs")]))
    assert (auc.at_worst, at_1.at_worst, at_01.at_worst) == ("fail", "fail", "warn")
    assert at_01.fails_from == next(n for n in range(2, 10_000) if 0.999**n < 0.0125) == 4380
    assert auc.passes_from in (400, 500, 600) and at_1.passes_from in (4000, 5000, 6000)
    assert at_01.passes_from in (40_000, 50_000, 60_000)
    assert auc.chance > 0.8 and at_1.chance < 0.3 and at_01.chance < 0.05  # type: ignore[operator]


@pytest.mark.parametrize(
    ("asked", "fails", "passes"),
    [
        (limit("auc", 1.0), None, 10),  # no lower bound lies above 1
        (limit("auc", 0.4), 5, None),
        (limit("epsilon_lower_bound", 0.5), 14, None),  # only bounded from below
    ],
    ids=lambda value: value.metric if isinstance(value, Limit) else None,
)
def test_a_limit_that_never_comes_out_so_has_no_size(asked: Limit, fails: int | None, passes: int | None) -> None:
    found = decidable(asked)
    assert (found.fails_from is None, found.passes_from is None) == (fails is None, passes is None)
    assert (found.at_worst, found.chance) == (None, None)


def test_the_sizes_of_both_sides_count() -> None:
    few_members, few_others = (chance_of_pass(limit("auc", 0.58), *sizes) for sizes in ((30, 3000), (3000, 30)))
    assert max(few_members, few_others) < 0.5 < 0.9 < chance_of_pass(limit("auc", 0.58), 3000, 3000)
    found = [at_worst(limit("tpr_at_fpr_0.01", 0.02), *sizes) for sizes in ((5000, 50), (5000, 100), (100, 5000))]
    assert found == ["not_measured", "warn", "fail"]


def test_it_is_said_in_a_line_and_without_sizes_as_the_sizes_that_would_do() -> None:
    asked = limit("tpr_at_fpr_0.1", 0.2, attack="loss")
    small, large, unknown = (sentence(decidable(asked, sizes)) for sizes in ((20, 30), (5000, 5000), None))
    assert small.startswith(
        "tpr_at_fpr_0.1 at most 0.2, attack loss: with 20 members and 30 non-members it CANNOT FAIL"
    )
    assert "(it can fail from about 42 of each side on)" in small and "(0.8 from about 500 of each side on)" in small
    assert "it can fail; without any leak it passes with a chance of about 1.00" in large and "from" not in large
    assert "can fail from about 42 of each side on" in unknown and "0.8 from about 500 of each side on" in unknown
    unmeasured = sentence(decidable(limit("tpr_at_fpr_0.1", 0.2), (9, 9)))
    assert "it CANNOT BE MEASURED (it can fail from about 42 of each side on)" in unmeasured
    never = sentence(decidable(limit("auc", 1.0), (20, 20)))
    assert f"(it can fail from more than {SIZES[-1]:,} of each side on)" in never
    assert len(sentences([asked, asked], (20, 30))) == 2 and sentences([]) == []
