"""How alike shadow models and target are: figures by hand, alarms as rare as promised, and wrong audits caught."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import t as student
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from umbrameter.evaluation.controls import FEWEST, STRICT, Control
from umbrameter.evaluation.likeness import (
    Comparison,
    Likeness,
    ShadowAnswers,
    compare,
    label_drift,
    of_shadows,
    overlap,
    unchecked,
    unseen_nonmembers,
)
from umbrameter.predictions.vectors import Vectors
from umbrameter.typing import Bools, Floats, Ints

N_CLASSES = 4
LEARNERS: dict[str, Any] = {
    "tree": lambda seed: DecisionTreeClassifier(random_state=seed),
    "neighbours": lambda seed: KNeighborsClassifier(5),
    "linear": lambda seed: LogisticRegression(),
}


def answers(model: Any, X: Floats, y: Ints) -> Vectors:
    predictions = np.zeros((len(X), N_CLASSES), np.float32)
    predictions[:, model.classes_] = model.predict_proba(X)
    return Vectors(predictions, y)


def audit(
    target: str, shadow: str, seed: int, wrong: str = "", n: int = 200, n_models: int = 8, design: str = "disjoint"
) -> tuple[Likeness, ShadowAnswers, Bools]:
    """Return an audit of n members, n non-members and a pool of 3 n, sound or wrong on purpose."""
    rng = np.random.default_rng(seed)
    X, y = make_classification(5 * n, 12, n_informative=8, n_classes=N_CLASSES, flip_y=0.1, random_state=seed)
    member = np.arange(2 * n) < n
    if wrong == "drift":
        changed = n + np.flatnonzero(rng.random(n) < 0.4)
        y[changed] = rng.integers(0, N_CLASSES, len(changed))
    trained = {"both": np.arange(2 * n), "half": np.arange(3 * n // 2), "unseen": np.arange(2 * n, 3 * n)}
    rows = trained.get(wrong, np.arange(n))
    mine = answers(LEARNERS[target](seed).fit(X[rows], y[rows]), X[: 2 * n], y[: 2 * n])
    parts, is_in, figures = [], [], []
    order = rng.permutation(2 * n)
    for model in range(n_models):
        if model % 2 == 0:
            order = rng.permutation(2 * n)
        halves = order[:n], order[n:]
        rows = halves[model % 2] if design == "audit" else 2 * n + rng.permutation(3 * n)[:n]
        fitted = LEARNERS[shadow](1000 + model).fit(X[rows], y[rows])
        parts.append(answers(fitted, X[: 2 * n], y[: 2 * n]))
        is_in.append(np.isin(np.arange(2 * n), rows))
        own = answers(fitted, X[rows], y[rows])
        figures.append(((own.predictions.argmax(axis=1) == y[rows]).mean(), expit(own.logit()).mean(), rows))
    accuracy, confidence, ids = zip(*figures, strict=True)
    shadows = ShadowAnswers(
        logits=np.array([part.logit() for part in parts]),
        predicted=np.array([part.predictions.argmax(axis=1) for part in parts]),
        is_in=np.array(is_in),
        trained={"accuracy": np.array(accuracy), "confidence": np.array(confidence)},
        n_in=n,
        overlap=overlap(np.unique(np.concatenate(ids), return_counts=True)[1], n_models),
    )
    likeness = compare(mine.logit(), mine.predictions.argmax(axis=1), y[: 2 * n], member, shadows)
    return likeness, shadows, member


def all_of(likeness: Likeness) -> list[Comparison]:
    agreement = [] if likeness.agreement is None else [likeness.agreement]
    return [*likeness.nonmembers.values(), *likeness.members.values(), *agreement]


# Figures by hand


@pytest.mark.parametrize("seed", range(5))
def test_every_figure_is_that_of_a_loop_over_models_and_records(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_models, n = int(rng.integers(2, 7)), 40
    labels, member = rng.integers(0, 3, n), rng.random(n) < 0.5
    logits, predicted = rng.normal(size=n), rng.integers(0, 3, n)
    is_in = rng.random((n_models, n)) < 0.4
    trained = {"accuracy": rng.random(n_models), "confidence": rng.random(n_models)}
    shadows = ShadowAnswers(
        rng.normal(size=(n_models, n)), rng.integers(0, 3, (n_models, n)), is_in, trained, 30, overlap=0.25
    )
    found = compare(logits, predicted, labels, member, shadows)
    gaps: dict[str, list[float]] = {"accuracy": [], "confidence": []}
    agreed = []
    for j in range(n_models):
        rows = [i for i in range(n) if not member[i] and not is_in[j, i]]
        right = [float(predicted[i] == labels[i]) - float(shadows.predicted[j, i] == labels[i]) for i in rows]
        gaps["accuracy"].append(float(np.mean(right)))
        gaps["confidence"].append(float(np.mean([expit(logits[i]) - expit(shadows.logits[j, i]) for i in rows])))
        agreed.append(np.mean([predicted[i] == shadows.predicted[j, i] for i in rows]))
    quantile = student.ppf((1 + STRICT) / 2, n_models - 1)
    for name, values in gaps.items():
        comparison = found.nonmembers[name]  # type: ignore[index]
        assert comparison.target - comparison.shadows == pytest.approx(np.mean(values))
        if n_models < 4:
            assert comparison.reach is None and comparison.is_alike is None
        else:
            factor = 1.25 / 0.75 + 1 / n_models
            assert comparison.reach == pytest.approx(quantile * np.std(values, ddof=1) * np.sqrt(factor))
    assert found.members["accuracy"].target == pytest.approx(np.mean((predicted == labels)[member]))
    assert found.members["confidence"].shadows == pytest.approx(trained["confidence"].mean())
    assert found.agreement is not None and found.agreement.target == pytest.approx(np.mean(agreed))
    pairs = []
    for j in range(n_models):
        others = []
        for k in set(range(n_models)) - {j}:
            rows = [i for i in range(n) if not member[i] and not is_in[j, i] and not is_in[k, i]]
            others.append(np.mean([shadows.predicted[j, i] == shadows.predicted[k, i] for i in rows]))
        pairs.append(np.mean(others))
    assert found.agreement.shadows == pytest.approx(np.mean(pairs))


def test_the_overlap_is_that_of_pairs() -> None:
    sets = [{0, 1, 2, 3}, {2, 3, 4, 5}, {0, 2, 6, 7}]
    counts = np.bincount([i for rows in sets for i in rows])
    pairs = [len(a & b) / 4 for i, a in enumerate(sets) for b in sets[i + 1 :]]
    assert overlap(counts[counts > 0], 3) == pytest.approx(np.mean(pairs))
    assert overlap(np.ones(4, int), 1) == 0


# Alarms


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("design", ["disjoint", "audit"])
def test_models_of_one_kind_are_alike_and_fail_no_control(learner: str, design: str) -> None:
    outcomes = []
    for seed in range(30):
        likeness, shadows, member = audit(learner, learner, seed, design=design)
        controls = of_shadows(likeness, shadows, member, 0).values()
        outcomes.append((any(c.is_alike is False for c in all_of(likeness)), any(c.status == "fail" for c in controls)))
    unlike, failed = np.sum(outcomes, axis=0)
    assert unlike <= 3 and failed <= 1  # of 30; next to none are expected


@pytest.mark.slow
def test_drift_is_seen_in_two_of_a_thousand_audits_without_any() -> None:
    alarms, n_audits = 0, 400
    for seed in range(n_audits):
        rng = np.random.default_rng(seed)
        hardness = rng.standard_t(3, 150)
        logits = 1 + hardness + rng.normal(size=(3, 150))
        alarms += drift(logits, np.zeros((3, 150), bool), np.arange(150) < 50, seed).status == "fail"
    assert alarms <= (1 - STRICT) * n_audits + 4 * np.sqrt((1 - STRICT) * n_audits)


def drift(logits: Floats, is_in: Bools, member: Bools, seed: int = 0) -> Control:
    return label_drift(logits, is_in, member, np.random.default_rng(seed))


def sides_without_drift(rng: np.random.Generator, sides: tuple[int, int], rare: float) -> tuple[Floats, Bools]:
    """Return logits of models that are nearly sure of all records but a few, which they get wrong."""
    n = sum(sides)
    hardness = np.where(rng.random(n) < rare, rng.normal(-2, 2, n), rng.normal(4, 1, n))
    return hardness + rng.normal(size=(4, n)) / 2, np.arange(n) < sides[0]


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(300, 60), (60, 300), (300, 25)])
@pytest.mark.parametrize("rare", [0.03, 0.1])
def test_few_hard_records_on_unequal_sides_are_no_drift(sides: tuple[int, int], rare: float) -> None:
    """Welch's interval alarmed in 1 to 16 % of these."""
    alarms, n_audits = 0, 100
    for seed in range(n_audits):
        logits, member = sides_without_drift(np.random.default_rng(seed), sides, rare)
        alarms += drift(logits, np.zeros_like(logits, bool), member, seed).status == "fail"
    assert alarms <= (1 - STRICT) * n_audits + 4 * np.sqrt((1 - STRICT) * n_audits)


@pytest.mark.parametrize(("sides", "rare"), [((300, 60), 0.1), ((60, 300), 0.3), ((100, 100), 0.3)])
def test_the_chance_of_drift_is_that_of_records_dealt_at_random(sides: tuple[int, int], rare: float) -> None:
    rng = np.random.default_rng(1)
    logits, member = sides_without_drift(rng, sides, rare)
    logits[:, member] += 0.3
    confidence = expit(logits).mean(axis=0)
    gap, gaps = confidence[member].mean() - confidence[~member].mean(), []
    for _ in range(4000):
        dealt = rng.permutation(confidence)
        gaps.append(dealt[member].mean() - dealt[~member].mean())
    expected = 2 * min(np.mean(np.array(gaps) >= gap), np.mean(np.array(gaps) <= gap))
    assert drift(logits, np.zeros_like(logits, bool), member).figures["chance"] == pytest.approx(expected, abs=0.05)


def test_models_that_answer_one_thing_per_side_show_drift() -> None:
    member = np.arange(100) < 50
    assert drift(np.tile(np.where(member, 2.0, 1.0), (4, 1)), np.zeros((4, 100), bool), member).status == "fail"


# Wrong audits


@pytest.mark.parametrize("wrong", ["both", "half"])
def test_non_members_that_were_trained_on_are_caught(wrong: str) -> None:
    for seed in range(3):
        likeness, shadows, member = audit("tree", "tree", seed, wrong, n=400, n_models=16)
        control = unseen_nonmembers(likeness)
        assert control.status == "fail" and "may have been trained on non-members" in control.reason
        assert drift(shadows.logits, shadows.is_in, member).status == "pass"


@pytest.mark.parametrize(("target", "shadow"), [("tree", "linear"), ("linear", "tree"), ("neighbours", "tree")])
def test_another_kind_of_model_voids_nothing_and_is_not_alike(target: str, shadow: str) -> None:
    for seed in range(5):
        likeness, _, _ = audit(target, shadow, seed)
        assert unseen_nonmembers(likeness).status != "fail"
        assert any(comparison.is_alike is False for comparison in all_of(likeness))


def test_members_that_were_not_trained_on_are_not_alike() -> None:
    likeness, _, _ = audit("tree", "tree", 0, "unseen")
    assert likeness.members["accuracy"].is_alike is False and likeness.nonmembers["accuracy"].is_alike


def test_noisier_labels_of_non_members_are_drift() -> None:
    audits = [audit("linear", "linear", seed, "drift", n=400) for seed in range(4)]
    assert sum(drift(s.logits, s.is_in, m).status == "fail" for _, s, m in audits) >= 3
    _, shadows, member = audits[0]
    assert drift(shadows.logits, shadows.is_in, ~member).status == "fail"  # the other way round, too


# What cannot be checked is said


def test_what_cannot_be_checked_is_not_measured() -> None:
    rng = np.random.default_rng(0)
    logits, member = rng.normal(size=(4, 100)), np.arange(100) < 50
    out, few = np.zeros((4, 100), bool), np.arange(100) < FEWEST - 1
    everywhere = [
        drift(logits, ~out, member),
        drift(logits, out, few),
        drift(np.ones((4, 100)), out, member),
        unseen_nonmembers(audit("tree", "tree", 0, n_models=2)[0]),
        unseen_nonmembers(audit("tree", "tree", 0)[0].model_copy(update={"members": {}})),
        *unchecked("nothing is there").values(),
    ]
    for control in everywhere:
        assert control.status == "not_measured" and control.reason.startswith("not checked: ")
    assert drift(logits, out, member).status == "pass"
