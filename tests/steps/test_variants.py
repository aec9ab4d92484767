"""Variants of a target: what each is called, what it shares with others, and what becomes of its measurements."""

from dataclasses import replace

import pytest

from tests.outside import Blend, Stretch, StretchedQuery
from tests.steps.audits import Audit, Claimed, steps_of
from umbrameter.attacks import Loss, Shokri
from umbrameter.errors import PlanError
from umbrameter.mitigations import Params, Rounding
from umbrameter.mitigations.composition import Composition
from umbrameter.mitigations.plan import MitigationPlan
from umbrameter.shadow_data import Marginal
from umbrameter.spec.audit import AuditSpec, ShadowSpec
from umbrameter.steps.attack_models import AttackFit
from umbrameter.steps.feasibility import AuditInputs
from umbrameter.steps.layout import lay_out
from umbrameter.steps.target_answers import StoredQuery, TargetQuery
from umbrameter.steps.variants import Measurement, TrainedVariant
from umbrameter.store.steps import paths_of


def titles(measurements: tuple[Measurement, ...]) -> list[str]:
    return [measurement.title for measurement in measurements]


def relaid(audit: Audit, repeat: int = 0, **settings: object) -> tuple[TrainedVariant, ...]:
    """Return the layout of an audit of the same records with other settings of its spec."""
    plain = audit.variants[0]
    usual = {
        "name": "tiny",
        "seed": 3,
        "data": {"kind": "catalogue", "name": "adult"},  # the records are given
        "split": {"members": 60},
        "target": {"kind": "train", "estimator": plain.training.estimator},
        "shadows": ShadowSpec(count=4),
        "attacks": (Loss(), Shokri()),
    }
    return lay_out(AuditInputs(AuditSpec(**usual | settings), audit.records, audit.split, repeat=repeat))


def test_variants_are_named_by_what_trains_or_guards_them(trained: Audit) -> None:
    assert [variant.title for variant in trained.variants] == [
        "the target",
        "the target with params(max_depth=2)",
        "the target with blend(0.5)",
        "the target with claimed",
    ]
    assert [variant.has_own_models for variant in trained.variants] == [True, True, False, True]


def test_a_variant_with_both_is_named_by_both_and_by_its_repeat(trained: Audit) -> None:
    both = Composition((Params({"max_depth": 2}), Blend(), Rounding(1)))
    *_, last = relaid(trained, repeat=2, mitigations=(both,))
    assert last.title == "the target with params(max_depth=2), blend(0.5), repeat 2"
    assert [m.mitigation for m in last.measurements if m.attack.label == "gap"] == [both.label] * 2


def test_a_guarded_variant_shares_the_models_of_the_unguarded_one(trained: Audit) -> None:
    plain, _, guarded, claimed = trained.variants
    assert guarded.target == plain.target and guarded.trained == plain.trained
    assert not set(paths_of(guarded.shadows)) & set(paths_of(plain.shadows))
    assert guarded.query.recipe.path != plain.query.recipe.path
    assert not set(paths_of(claimed.trained)) & set(paths_of(plain.trained))
    assert guarded.noisy == plain.noisy  # a guard changes no label


def test_controls_are_of_the_unmitigated_target_alone(trained: Audit) -> None:
    assert [len(variant.controls) for variant in trained.variants] == [1, 0, 0, 0]
    assert trained.variants[0].controls[0].answers == trained.variants[0].query.recipe.path


def test_titles_of_measurements_say_attack_mitigation_and_attacker(trained: Audit) -> None:
    plain, shallow, *_ = trained.variants
    assert titles(plain.measurements)[:2] == [
        "shokri(logistic_regression) on the unmitigated target",
        "loss on the unmitigated target",
    ]
    assert "loss on rounding(1)" in titles(plain.measurements)
    assert "loss on params(max_depth=2) by a static attacker" in titles(shallow.measurements)
    everything = [title for variant in trained.variants for title in titles(variant.measurements)]
    assert len(set(everything)) == len(everything)


def test_attackers_differ_only_where_shadow_models_teach_something(trained: Audit) -> None:
    for variant in trained.variants:
        by_attack: dict[tuple[str, str | None], set[str | None]] = {}
        for m in variant.measurements:
            by_attack.setdefault((m.attack.label, m.mitigation), set()).add(m.attacker)
        for (label, mitigation), attackers in by_attack.items():
            alone = {"quantile", "stretch(1.5)"}
            both = {"adaptive"} if label in alone else {"adaptive", "static"}
            assert attackers == ({None} if mitigation is None else both)


def test_steps_of_single_attacks_are_their_models_or_their_own(trained: Audit) -> None:
    for variant in trained.variants:
        for measurement in variant.measurements:
            own = {Shokri: AttackFit, Stretch: StretchedQuery}.get(type(measurement.attack), type(None))
            assert all(isinstance(step, own) for step in measurement.input_steps)
            assert measurement.attack_models == (measurement.input_steps if own is AttackFit else ())
            assert bool(measurement.input_steps) == (own is not type(None))
        assert set(variant.input_steps) == {s.recipe.path for m in variant.measurements for s in m.input_steps}


def test_entries_of_a_report_are_what_was_measured_and_what_was_not(trained: Audit, stored: Audit) -> None:
    for variant in (*trained.variants, *stored.variants):
        assert variant.entries == (*variant.measurements, *variant.unmeasurable)
    assert not trained.variants[0].unmeasurable


def test_every_attack_meets_every_mitigation_once_for_each_attacker(trained: Audit) -> None:
    cells = [(m.attack.label, m.plan.label, m.attacker) for v in trained.variants for m in v.measurements]
    assert len(set(cells)) == len(cells)
    mitigations = {plan for _, plan, _ in cells}
    assert mitigations == {None, "rounding(1)", "params(max_depth=2)", "blend(0.5)", "claimed"}
    for plan in mitigations:
        assert len({attack for attack, other, _ in cells if other == plan}) == 8


def test_a_change_of_utility_is_from_the_unmitigated_answers(trained: Audit) -> None:
    base = trained.variants[0].query.recipe.path
    for variant in trained.variants:
        for entry in variant.entries:
            assert entry.utility.unmitigated == (None if entry.plan.mitigation is None else base)
            assert entry.utility.answers == variant.query.recipe.path


def test_what_an_audit_shares_with_another_it_does_not_make_again(trained: Audit) -> None:
    variants = relaid(trained, attacks=(Loss(),), mitigations=(Params({"max_depth": 2}),))
    made = {step.recipe.path for step in trained.steps}
    paths = [step.recipe.path for step in (variants[0].target, variants[1].target, variants[0].query)]
    assert set(paths) <= made
    assert variants[1].training.mitigations == (Params({"max_depth": 2}),)


def test_a_target_that_cannot_be_asked_is_looked_up(trained: Audit, stored: Audit) -> None:
    assert all(isinstance(v.query, StoredQuery) and not v.population and not v.noisy for v in stored.variants)
    assert isinstance(trained.variants[0].query, TargetQuery)


# Plans that do not work


def test_shadow_data_of_which_too_few_were_drawn_leave_attacks_unmeasured(drawn: Audit) -> None:
    (variant,) = drawn.variants
    assert variant.drawn is not None and variant.unmeasurable == ()
    spec = AuditSpec(
        name="tiny",
        data={"kind": "catalogue", "name": "adult"},
        split={"members": 60},
        target={"kind": "train", "estimator": variant.training.estimator},
        shadows=ShadowSpec(count=4, data=variant.drawn.data),
        attacks=(Shokri(), Loss()),
        mitigations=(Blend(),),
        seed=3,
    )
    inputs = AuditInputs(spec, drawn.records, drawn.split)
    reasons = {lay_out(inputs)[0].drawn.recipe.path: "too few"}  # type: ignore[union-attr]
    plain, guarded = lay_out(replace(inputs, unusable_shadow_data=reasons))
    assert plain.shadows == plain.merges == guarded.shadows == () and guarded.guard is None
    assert [(entry.attack.label, entry.reason) for entry in plain.unmeasurable] == [
        ("shokri(mlp)", "too few"),
        ("confidence", "too few"),  # its thresholds for each class are learnt
    ]
    assert [m.attack.label for m in plain.measurements] == ["loss", "gap"]
    assert {entry.reason for entry in guarded.unmeasurable} == {"too few"} and not guarded.measurements
    assert [entry.plan for entry in guarded.unmeasurable] == [MitigationPlan(Blend())] * 4


def test_drawing_is_planned_once_for_all_variants(drawn: Audit) -> None:
    variants = relaid(drawn, shadows=ShadowSpec(count=2, data=Marginal()), mitigations=(Claimed(),))
    first, second = (variant.drawn for variant in variants)
    assert first is not None and first.recipe.key == second.recipe.key  # type: ignore[union-attr]
    assert {shadow.drawn for variant in variants for shadow in variant.trained} == {first.recipe.path}
    n_steps = [step.recipe.path for step in steps_of(variants)].count(first.recipe.path)
    assert n_steps == 2


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"shadows": ShadowSpec(count=4, size=301)}, r"shadows\.size=301 is more than the pool can give: 300 records"),
        (
            {"shadows": ShadowSpec(count=3, design="audit")},
            r"shadows\.count=3 is odd.* set shadows\.count to 4",
        ),
    ],
)
def test_a_plan_that_asks_for_too_much_says_what_to_lower(
    trained: Audit, settings: dict[str, object], text: str
) -> None:
    with pytest.raises(PlanError, match=text):
        relaid(trained, **settings)


def test_shadow_models_need_records_that_nobody_audits(stored: Audit) -> None:
    everything = replace(stored.split, meta={**stored.split.meta, "n_pool": 0})
    variant = stored.variants[0]
    spec = AuditSpec(
        name="tiny",
        data={"kind": "catalogue", "name": "adult"},
        split={"members": 45},
        target={"kind": "train", "estimator": variant.training.estimator},
        attacks=(Shokri(),),
    )
    with pytest.raises(PlanError, match=r"shadows\.data\.kind=real needs records that are neither members nor"):
        lay_out(AuditInputs(spec, stored.records, everything))
