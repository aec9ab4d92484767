"""What holds of every attack: how it is written down, what it asks for, and that a score belongs to its record."""

import pickle
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.special import expit, softmax

from umbrameter.attacks import (
    AnyAttack,
    Attack,
    AttackModels,
    Combined,
    Confidence,
    Entropy,
    Gap,
    Input,
    LabelOnly,
    Lira,
    Loss,
    ModifiedEntropy,
    NoisyLabels,
    Population,
    Quantile,
    ReferenceLogits,
    References,
    Rmia,
    ShadowVectors,
    Shokri,
    Signals,
    Vectors,
)
from umbrameter.attacks.inputs import of_kind
from umbrameter.estimators import Estimator
from umbrameter.records.noise import Noise
from umbrameter.typing import Bools, Floats, Ints

NOISE = Noise(copies=5)
LOGISTIC = Estimator(kind="logistic_regression")
SINGLE: list[Attack] = [
    Gap(),
    Loss(),
    Confidence(),
    Confidence(per_class=False),
    Entropy(),
    ModifiedEntropy(),
    ModifiedEntropy(per_class=False),
    Shokri(model=LOGISTIC),
    Shokri(model=LOGISTIC, features="sorted", label_known=False),
    Lira(mode="online"),
    Lira(mode="offline", variance="record"),
    Rmia(mode="online", temperature=1.0),
    Rmia(mode="offline", gamma=2.0),
    Quantile(),
    LabelOnly(noise=NOISE),
]
ATTACKS: list[Attack] = [*SINGLE, Combined(attacks=(Loss(), Lira(mode="online"))), Combined(attacks=(Gap(), Entropy()))]
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.label + str(getattr(a, "variance", "")))


def drawn_vectors(rng: np.random.Generator, n: int, n_classes: int = 4) -> Vectors:
    labels, is_in = rng.integers(0, n_classes, n), rng.permutation(n) % 2 == 0
    raw = rng.normal(size=(n, n_classes))
    raw[np.arange(n), labels] += 1 + 1.5 * is_in
    return Vectors(softmax(raw, axis=1), labels, is_in)


def all_signals(n: int = 120, seed: int = 0) -> Signals:
    """Return signals in which every attack finds what it asks for."""
    rng = np.random.default_rng(seed)
    is_in = np.array([rng.permutation(12) < 6 for _ in range(n)]).T
    known = {t: References(rng.normal(2.0 * is_in, 1.0) / t, is_in) for t in (1.0, 2.0)}
    return Signals(
        target=drawn_vectors(rng, n),
        shadow=drawn_vectors(rng, 400),
        seed=3,
        references=known,
        features=rng.normal(size=(n, 3)),
        population=drawn_vectors(rng, 200),
        population_features=rng.normal(size=(200, 3)),
        robustness={NOISE: rng.random(n)},
        shadow_robustness={NOISE: (rng.random(300), rng.random(300) < 0.5)},
    )


SIGNALS = all_signals()


# As a spec and the store write it


@every_attack
def test_an_attack_is_read_again_from_its_settings_and_travels(attack: Attack) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyAttack)
    written = adapter.dump_json(attack)
    again = adapter.validate_json(written)
    assert again == attack and type(again) is type(attack) and adapter.dump_json(again) == written
    assert pickle.loads(pickle.dumps(attack)) == attack


@every_attack
def test_settings_are_closed_and_frozen(attack: Attack) -> None:
    with pytest.raises(ValidationError, match="surprise"):
        type(attack).model_validate({**attack.model_dump(), "surprise": 1})
    with pytest.raises(ValidationError, match="frozen"):
        attack.kind = "other"  # type: ignore[attr-defined]


def test_every_kind_is_an_attack_with_a_name_an_assumption_and_a_description() -> None:
    union = get_args(get_args(AnyAttack)[0])
    assert {type(attack) for attack in ATTACKS} == set(union)
    kinds = [member.model_fields["kind"] for member in union]
    assert len({field.default for field in kinds}) == len(kinds) and all(field.description for field in kinds)
    assert all(field.description for member in union for field in member.model_fields.values())


def test_labels_tell_attacks_with_other_settings_apart() -> None:
    labels = [attack.label for attack in SINGLE]
    assert len(set(labels)) == len(labels)
    assert Shokri(model=Estimator(kind="sklearn.tree.DecisionTreeClassifier")).label == "shokri(DecisionTreeClassifier)"


def test_a_kind_from_outside_has_to_be_an_attack_below_an_allowed_prefix() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyAttack)
    with pytest.raises(ValidationError, match=r"kind='os\.system' .*allowed prefixes"):
        adapter.validate_python({"kind": "os.system"})
    with pytest.raises(ValidationError, match=r"kind='sklearn\.dummy\.DummyClassifier' .*Attack"):
        adapter.validate_python({"kind": "sklearn.dummy.DummyClassifier"})
    with pytest.raises(ValidationError, match=r"'umbrameter\.attacks\.nowhere\.Magic'"):
        adapter.validate_python({"kind": "umbrameter.attacks.nowhere.Magic"})


# What it asks for


@pytest.mark.parametrize(
    ("attack", "inputs", "needs_shadows"),
    [
        (Gap(), {ShadowVectors(is_required=False)}, False),
        (Loss(), {ShadowVectors(is_required=False)}, False),
        (Confidence(), {ShadowVectors()}, True),
        (Shokri(), {AttackModels()}, True),
        (Shokri(label_known=False), {ShadowVectors()}, True),
        (Lira(mode="online"), {ReferenceLogits(1.0, "IN and OUT")}, True),
        (Lira(mode="offline"), {ReferenceLogits(1.0, "OUT")}, True),
        (Rmia(temperature=3.0), {ReferenceLogits(3.0, "OUT")}, True),
        (Quantile(), {Population()}, False),
        (LabelOnly(noise=NOISE), {NoisyLabels(NOISE)}, True),
        (Combined(attacks=(Gap(), Shokri())), {ShadowVectors()}, True),
        (Combined(attacks=(Rmia(), Quantile())), {ShadowVectors(), ReferenceLogits(2.0, "OUT"), Population()}, True),
    ],
)
def test_what_an_attack_looks_at(attack: Attack, inputs: set[Input], needs_shadows: bool) -> None:
    assert attack.inputs == inputs and attack.needs_shadows is needs_shadows


def test_inputs_of_equal_settings_are_one_and_their_order_is_that_of_their_settings() -> None:
    assert len({ReferenceLogits(), ReferenceLogits(1.0, "OUT"), NoisyLabels(NOISE), NoisyLabels(Noise(copies=5))}) == 2
    entries = [ReferenceLogits(t, sides) for t in (2.0, 1.0) for sides in ("OUT", "IN and OUT")]
    found = of_kind([Population(), *entries], ReferenceLogits)
    assert found == of_kind([*reversed(entries)], ReferenceLogits) and set(found) == set(entries)
    assert of_kind(entries, Population) == []


def test_only_inputs_that_ask_about_more_records_cost_queries() -> None:
    asking = {type(entry) for attack in ATTACKS for entry in attack.inputs if entry.asks_target}
    assert asking == {Population, NoisyLabels}
    assert [a.n_queries for a in (Loss(), Lira(), LabelOnly(noise=NOISE))] == [1, 1, 6]
    assert Combined(attacks=(Loss(), LabelOnly(noise=NOISE), Gap())).n_queries == 6


def test_attacks_on_labels_alone_say_so() -> None:
    on_labels = {attack.label for attack in SINGLE if not attack.uses_confidences}
    assert on_labels == {"gap", "label_only"}
    assert not Combined(attacks=(Gap(), LabelOnly())).uses_confidences
    assert Combined(attacks=(Gap(), Loss())).uses_confidences


# What it answers


@every_attack
def test_scores_are_one_finite_number_a_record_and_the_same_each_time(attack: Attack) -> None:
    scores = attack.score(SIGNALS)
    assert scores.shape == (120,) and np.isfinite(scores).all()
    assert np.array_equal(attack.score(SIGNALS), scores)
    on_shadows = attack.on_shadows(SIGNALS)
    if on_shadows is not None:
        assert on_shadows[0].shape == on_shadows[1].shape and on_shadows[1].dtype == np.bool_
        assert np.isfinite(on_shadows[0]).all()


@every_attack
def test_records_in_another_order_keep_their_scores(attack: Attack) -> None:
    order = np.random.default_rng(1).permutation(120)
    scores = attack.score(SIGNALS)
    assert attack.keeps_scores(SIGNALS, scores, order)
    assert not attack.keeps_scores(SIGNALS, np.arange(120.0) + scores, order)


@pytest.mark.parametrize("attack", [a for a in ATTACKS if not a.compares_records], ids=lambda a: a.label)
def test_a_record_among_fewer_others_keeps_its_score(attack: Attack) -> None:
    some = np.arange(0, 120, 3)
    assert np.allclose(attack.score(SIGNALS.where(some)), attack.score(SIGNALS)[some], rtol=1e-6)


@pytest.mark.parametrize("attack", [Rmia(), Lira(mode="online"), Combined(attacks=(Rmia(), Lira(mode="online")))])
def test_attacks_whose_scores_depend_on_the_other_records_say_so(attack: Attack) -> None:
    some = np.arange(0, 120, 3)
    assert attack.compares_records
    assert not np.allclose(attack.score(SIGNALS.where(some)), attack.score(SIGNALS)[some], rtol=1e-6)


@every_attack
def test_a_threshold_is_of_shadow_data_and_not_of_the_audited_answers(attack: Attack) -> None:
    chosen = attack.chosen(SIGNALS)
    other = all_signals(seed=9)
    turned = Signals(**{**vars(SIGNALS), "target": other.target})
    assert chosen.threshold(turned) == chosen.threshold(SIGNALS)


@every_attack
def test_what_was_prepared_scores_the_same(attack: Attack) -> None:
    assert np.array_equal(attack.score(attack.prepared(SIGNALS)), attack.score(SIGNALS))


def test_an_attack_whose_score_is_of_the_place_does_not_keep_scores() -> None:
    class Placed(Loss):
        """An attack with a mistake: the score follows the row number."""

        def signal(self, vectors: Vectors) -> Floats:
            return np.arange(len(vectors.labels), dtype=np.float64)

    placed = Placed()
    assert not placed.keeps_scores(SIGNALS, placed.score(SIGNALS), np.arange(120)[::-1])
    assert placed.keeps_scores(SIGNALS, placed.score(SIGNALS), np.arange(120))


def test_without_a_side_there_is_no_threshold() -> None:
    shadow = SIGNALS.shadow
    assert shadow is not None
    for is_in in (np.ones(400, bool), np.zeros(400, bool), None):
        one_sided = Signals(SIGNALS.target, Vectors(shadow.predictions, shadow.labels, is_in))
        assert Loss().threshold(one_sided) is None


# The signals themselves


@pytest.mark.parametrize("rows", [np.arange(120) % 5 == 0, np.array([7, 3, 3, 100])], ids=["mask", "places"])
def test_all_that_is_of_audited_records_is_taken_together(rows: Bools | Ints) -> None:
    extra = {Population(): np.arange(120)}
    whole = Signals(**{**vars(SIGNALS), "extra": extra, "target_logits": {1.0: SIGNALS.target.logit()}})
    some = whole.where(rows)
    assert np.array_equal(some.target.labels, whole.target.labels[rows])
    assert np.array_equal(some.features, np.asarray(whole.features)[rows])
    assert np.array_equal(some.robustness[NOISE], whole.robustness[NOISE][rows])
    assert np.array_equal(some.extra[Population()], extra[Population()][rows])
    assert np.array_equal(some.logit(1.0), whole.target.logit()[rows])
    for t, known in whole.references.items():
        assert np.array_equal(some.references[t].logits, known.logits[:, rows])
        assert np.array_equal(some.references[t].is_in, known.is_in[:, rows])
    assert some.shadow is whole.shadow and some.population is whole.population and some.seed == whole.seed


def test_logits_that_were_kept_stand_for_vectors_that_were_not() -> None:
    nothing = Vectors(np.empty((0, 4)), np.empty(0, int))
    kept = {t: SIGNALS.target.logit(t) for t in (1.0, 2.0)}
    alone = Signals(nothing, references=SIGNALS.references, target_logits=kept)
    for attack in (Lira(mode="online"), Rmia(mode="offline")):
        assert np.array_equal(attack.score(alone), attack.score(SIGNALS))


@pytest.mark.parametrize("model", [0, 5, 11])
def test_references_without_a_model_are_all_the_others(model: int) -> None:
    known = SIGNALS.references[1.0]
    rest = known.without(model)
    others = [i for i in range(12) if i != model]
    assert np.array_equal(rest.logits, known.logits[others]) and np.array_equal(rest.is_in, known.is_in[others])


def test_the_scaled_logit_at_a_temperature_is_that_of_a_softmax_at_it() -> None:
    raw = np.random.default_rng(0).normal(size=(30, 5))
    labels = np.arange(30) % 5
    for temperature in (0.5, 2.0, 7.0):
        softened = Vectors(softmax(raw / temperature, axis=1), labels)
        assert np.allclose(Vectors(softmax(raw, axis=1), labels).logit(temperature), softened.logit())
    two = Vectors(np.column_stack([expit(raw[:, 0]), expit(-raw[:, 0])]), np.zeros(30, int))
    assert np.allclose(two.logit(), raw[:, 0]) and np.allclose(two.logit(4.0), raw[:, 0] / 4)
