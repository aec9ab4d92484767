"""Who is member, non-member and pool, and what each shadow model is trained on: from the seed and its number alone."""

import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.errors import DataError, PlanError, SpecError
from umbrameter.mitigations import Rounding
from umbrameter.records.build import build
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.seeds import generator, integer
from umbrameter.shadow_plan import Design, ShadowPlan
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.layout import AuditInputs, TrainedVariant, lay_out
from umbrameter.steps.split import PARTS, Split
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import ensure

N = 200
SPEC = """
name: demo
data: {kind: parquet, path: data.parquet, label: y}
split: {members: 40}
target: {kind: train, estimator: {kind: random_forest}}
shadows: {count: 3}
attacks: [{kind: shokri, model: {kind: logistic_regression}}, {kind: loss}]
mitigations: [{kind: rounding, decimals: 1}, {kind: params, params: {min_samples_leaf: 9}}]
"""


@pytest.fixture
def records(tmp_path: Path) -> Records:
    rare = np.arange(N) % 50 == 0
    table = pa.table({"a": np.arange(N) + 0.5, "y": np.where(rare, 2, np.arange(N) % 2)})
    pq.write_table(table, tmp_path / "data.parquet")
    store = Store(tmp_path / "root")
    return Records.open(store, build(ParquetData(path=str(tmp_path / "data.parquet"), label="y"), store).path)


def parts(records: Records, n_members: int, n_nonmembers: int, seed: int) -> list[list[int]]:
    store = records.artefact.store
    split = store.open(ensure(store, Split(records.artefact.path, n_members, n_nonmembers, seed)))
    return [rows_of(split, part).tolist() for part in PARTS]


def test_every_record_is_in_one_part(records: Records) -> None:
    dealt = parts(records, 80, 60, 1)
    assert [len(rows) for rows in dealt] == [80, 60, 60, 0]
    assert sorted(row for rows in dealt for row in rows) == list(range(N))


def test_the_seed_decides_the_split(records: Records) -> None:
    first = parts(records, 80, 60, 1)
    assert parts(records, 80, 60, 2) != first
    order = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(zlib.crc32(b"split"),)))
    assert sorted(order.permutation(N)[:80].tolist()) == first[0]


def test_more_than_there_is(records: Records) -> None:
    with pytest.raises(
        PlanError, match=r"150 members \+ 51 non-members = 201 records, but there are 200; lower split\."
    ):
        parts(records, 150, 51, 0)
    with pytest.raises(
        DataError, match=r"class 2 has 4 records, too few .* no \w+ among them; raise split\.(non)?members"
    ):
        parts(records, 2, 2, 0)


AUDITED, POOL = np.arange(80), np.arange(1000, 1300)


@pytest.mark.parametrize("design", ["disjoint", "audit", "mixed"])
@pytest.mark.parametrize("compared", [False, True])
def test_a_shadow_model_s_records_depend_on_its_number_alone(design: Design, compared: bool) -> None:
    few, many = (ShadowPlan.of(design, n, 100, 80, 300, 7, compared) for n in (4, 50))
    for model_id in (3, 1, 0, 2):
        asked, again = few.rows(AUDITED, POOL, model_id), many.rows(AUDITED, POOL, model_id)
        assert all(np.array_equal(getattr(asked, f), getattr(again, f)) for f in ("rows_in", "rows_out", "besides"))
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
        known = {*asked.besides, *asked.rows_in, *asked.rows_out} if plan.on_audited(i) else set(asked.besides)
        assert known == set(AUDITED)


def test_models_of_the_pool_are_compared_on_the_audited_records_and_on_the_same_others() -> None:
    plan = ShadowPlan.of("disjoint", 3, 100, 80, 300, 7, compared=True)
    first, second = (plan.rows(AUDITED, POOL, i).besides for i in (0, 1))
    assert np.array_equal(first, second) and np.array_equal(first[:80], AUDITED)
    assert set(first[80:]) == set(POOL) and np.array_equal(plan.compared(AUDITED, POOL), first)
    assert len(ShadowPlan.of("disjoint", 3, 100, 80, 300, 7).rows(AUDITED, POOL, 0).besides) == 0


def test_a_small_pool_gives_fewer_out_records_and_too_small_a_one_says_what_to_lower() -> None:
    assert ShadowPlan.of("disjoint", 2, 100, 10, 130, 0).n_out == 30
    text = r"shadows\.size=100 is more than the pool can give: 100 records .* lower shadows\.size to at most 50"
    with pytest.raises(PlanError, match=text):
        ShadowPlan.of("disjoint", 2, 100, 10, 100, 0)
    assert ShadowPlan.of("audit", 2, 100, 10, 0, 0).size == 5


def test_every_record_of_the_pool_is_as_often_in() -> None:
    pool, n_models = np.arange(40), 2000
    plan = ShadowPlan.of("disjoint", n_models, 10, 5, 40, 3)
    counts = np.bincount(np.concatenate([plan.rows(pool, pool, i).rows_in for i in range(n_models)]), minlength=40)
    assert np.abs(counts - n_models / 4).max() < 5 * np.sqrt(n_models * 0.25 * 0.75)


def test_roles_and_numbers_have_streams_of_their_own() -> None:
    keys = [("a",), ("b",), ("a", 0), ("a", 1), ("a", 0, 0)]
    assert len({integer(0, *key) for key in keys} | {integer(1, *key) for key in keys}) == 10
    assert generator(0, "a").integers(2**60) == generator(0, "a").integers(2**60)


# Every step laid out at once


def laid_out(records: Records, *settings: str) -> tuple[TrainedVariant, ...]:
    spec = AuditSpec.from_yaml(SPEC, settings)
    split = Split(records.artefact.path, spec.split.members, spec.n_nonmembers, spec.seed)
    n_members, n_nonmembers = spec.split.members, spec.n_nonmembers
    sizes = {"n_member": n_members, "n_nonmember": n_nonmembers, "n_pool": records.n_records - n_members - n_nonmembers}
    dealt = Artefact(records.artefact.store, "split", split.recipe.key, {}, {}, sizes)
    return lay_out(AuditInputs(spec, records, dealt))


def keys(found: tuple[TrainedVariant, ...]) -> tuple[set[str], set[str]]:
    """Return the keys of targets and shadow models, and of all that follows."""
    training = {step.recipe.key for v in found for step in (v.target, v.query, *v.shadows)}
    after = {w.recipe.key for v in found for c in v.measurements for w in (*c.fits, c.scoring, c.evaluation)}
    return training, after | {w.recipe.key for v in found for w in v.merges}


def test_what_an_audit_makes(records: Records) -> None:
    plain, trained = laid_out(records)
    assert [len(v.shadows) for v in (plain, trained)] == [3, 3]
    attacks = ["shokri(logistic_regression)", "loss", "confidence", "gap"]  # the last two face every mitigation
    whole = [(attack, None, None) for attack in attacks]
    for mitigation in ("rounding(1)", "params(min_samples_leaf=9)"):
        whole += [(attack, mitigation, attacker) for attack in attacks for attacker in ("adaptive", "static")]
    assert [(c.attack.label, c.mitigation, c.attacker) for c in (*plain.measurements, *trained.measurements)] == whole
    assert [len(c.fits) for c in plain.measurements] == [3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]
    training, after = keys((plain, trained))
    assert len(training) == 2 * (2 + 3) and len(after) == 3 * 3 + 2 * len(whole) + 2


def test_who_does_not_know_of_a_mitigation_attacks_shadow_models_without_it(records: Records) -> None:
    plain, trained = laid_out(records)
    bare = {c.attack.label: c for c in plain.measurements if c.mitigation is None}
    for measurement in (*plain.measurements, *trained.measurements):
        sources, base = measurement.scoring.sources, bare[measurement.attack.label].scoring
        if measurement.attacker == "static":
            assert (sources, measurement.scoring.known) == (base.sources, ()) and measurement.fits == ()
            assert (measurement.scoring.mitigations, measurement.scoring.answers) != (base.mitigations, base.answers)
        if measurement.mitigation is not None:
            assert (
                measurement.evaluation.base == base.recipe.path and measurement.costing.base == plain.query.recipe.path
            )
    adaptive = {c.mitigation: c for c in (*plain.measurements, *trained.measurements) if c.attacker == "adaptive"}
    assert adaptive["rounding(1)"].scoring.known == (Rounding(1),)
    assert adaptive["params(min_samples_leaf=9)"].scoring.sources.data == tuple(w.recipe.path for w in trained.merges)


def test_mitigations_that_train_or_guard_alike_share_that(records: Records) -> None:
    l9, guard = "{kind: params, params: {min_samples_leaf: 9}}", "{kind: memguard}"
    rows = f"[{l9}, [{l9}, {guard}], [{l9}, {guard}, {{kind: top_k, k: 1}}], {guard}, {{kind: top_k, k: 2}}]"
    found = laid_out(records, f"mitigations={rows}")
    assert [v.title for v in found] == [
        "the target",
        "the target with params(min_samples_leaf=9)",
        "the target with params(min_samples_leaf=9), memguard(1)",
        "the target with memguard(1)",
    ]
    assert [sorted({str(c.mitigation) for c in v.measurements}) for v in found] == [
        ["None", "top_k(2)"],
        ["params(min_samples_leaf=9)"],
        [f"params(min_samples_leaf=9) + memguard(1){more}" for more in ("", " + top_k(1)")],
        ["memguard(1)"],
    ]
    assert found[2].target == found[1].target and found[2].trained == found[1].trained
    assert found[2].guard != found[3].guard


def test_an_audit_without_need_of_shadow_models_has_none(records: Records) -> None:
    (plain,) = laid_out(records, "attacks=[{kind: loss}]", "mitigations=[]")
    assert plain.shadows == () and plain.merges == ()


def test_more_shadow_models_keep_the_first(records: Records) -> None:
    few, many = laid_out(records)[0], laid_out(records, "shadows.count=5")[0]
    assert [w.recipe.key for w in many.shadows[:3]] == [w.recipe.key for w in few.shadows]
    assert few.merges[0].recipe.key != many.merges[0].recipe.key


@pytest.mark.parametrize(
    "setting",
    ["seed=1", "split.members=41", "target.estimator.params.n_estimators=7", "target.estimator.kind=extra_trees"],
)
def test_what_decides_a_model_changes_every_key(records: Records, setting: str) -> None:
    before, after = keys(laid_out(records)), keys(laid_out(records, setting))
    assert not before[0] & after[0] and not before[1] & after[1]


def test_what_does_not_decide_a_model_keeps_its_key(records: Records) -> None:
    base, other = (
        laid_out(records)[0],
        laid_out(records, "name=other", "mitigations=[]", "attacks.0.features=sorted")[0],
    )
    assert keys((base,))[0] == keys((other,))[0]
    assert base.measurements[1].scoring.recipe.key == other.measurements[1].scoring.recipe.key
    assert base.measurements[0].scoring.recipe.key != other.measurements[0].scoring.recipe.key


def test_a_mitigation_that_does_not_fit_the_classes(records: Records) -> None:
    with pytest.raises(SpecError, match=r"top_k\.k=4 is more than the 3 classes"):
        laid_out(records, "mitigations=[{kind: top_k, k: 4}]")


def test_what_attacks_on_single_records_make_besides(records: Records) -> None:
    attacks = "attacks=[{kind: lira}, {kind: rmia}, {kind: quantile}]"
    plain, trained = laid_out(records, attacks)
    assert len(plain.references) == 4 and len(trained.references) == 2  # as it is, rounded
    bare, rounded = ([c for c in plain.measurements[:] if c.attacker == who] for who in (None, "adaptive"))
    for measurements in (bare, rounded):
        assert [len(measurement.scoring.sources.references) for measurement in measurements] == [1, 1, 0, 0, 0]
        assert [bool(measurement.scoring.sources.population) for measurement in measurements] == [
            False,
            False,
            True,
            False,
            False,
        ]
    assert bare[0].scoring.sources.references != rounded[0].scoring.sources.references
    assert [c.attack.label for c in plain.measurements if c.attacker == "static"][2:] == [
        "confidence",
        "gap",
    ]  # no quantile
    without = laid_out(records)[0]
    assert not without.references and not without.population
    assert without.shadows[0].recipe.key != plain.shadows[0].recipe.key  # it answers more


def test_online_attacks_ask_for_a_design_that_has_them(records: Records) -> None:
    attacks = "attacks=[{kind: lira, mode: online}]"
    with pytest.raises(SpecError, match=r"lira\(online\) needs shadow models that were trained on audited records"):
        laid_out(records, attacks)
    plain, _ = laid_out(records, attacks, "shadows.design=audit", "shadows.count=4", "shadows.size=null")
    assert len(plain.shadows) == 4 and len(plain.references) == 2
    with pytest.raises(SpecError, match=r"shadows.size=20: with shadows.design audit .* leave shadows.size out"):
        laid_out(records, attacks, "shadows.design=audit", "shadows.count=4", "shadows.size=20")


def test_quantile_needs_a_pool(records: Records) -> None:
    with pytest.raises(
        PlanError, match=r"learns from non-members of the pool, and 40 records are left .* \(needs 100\)"
    ):
        laid_out(records, "attacks=[{kind: quantile}]", "split.members=80", "split.nonmembers=80")
