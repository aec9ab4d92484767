"""The plan of an audit: which steps serve which attack and mitigation, and what decides their keys."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.attacks import Population, ReferenceLogits
from umbrameter.errors import PlanError, SpecError
from umbrameter.mitigations import Rounding
from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.records.sources import ParquetData
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.feasibility import AuditInputs
from umbrameter.steps.layout import lay_out
from umbrameter.steps.split import Split, SplitMetadata
from umbrameter.steps.target import TargetIdentity
from umbrameter.steps.variants import Measurement, TrainedVariant
from umbrameter.store.artefacts import Artefact, Store
from umbrameter.store.steps import paths_of

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


def laid_out(records: Records, *settings: str) -> tuple[TrainedVariant, ...]:
    spec = AuditSpec.from_yaml(SPEC, settings)
    split = Split(records.artefact.path, spec.split.members, spec.n_nonmembers, spec.seed)
    n_members, n_nonmembers = spec.split.members, spec.n_nonmembers
    n_pool = records.n_records - n_members - n_nonmembers
    sizes = SplitMetadata(n_members=n_members, n_nonmembers=n_nonmembers, n_pool=n_pool, n_unused=0)
    dealt = Artefact(records.artefact.store, "split", split.recipe.key, {}, {}, sizes.model_dump())
    return lay_out(AuditInputs(spec, records, dealt))


def test_classes_that_the_target_alone_knows_widen_every_vector(records: Records) -> None:
    spec = AuditSpec.from_yaml(SPEC, [])
    split = Split(records.artefact.path, spec.split.members, spec.n_nonmembers, spec.seed)
    sizes = SplitMetadata(n_members=50, n_nonmembers=50, n_pool=records.n_records - 100, n_unused=0)
    dealt = Artefact(records.artefact.store, "split", split.recipe.key, {}, {}, sizes.model_dump())
    plain, same, wide = (
        lay_out(AuditInputs(spec, records, dealt, TargetIdentity(facts, "")))[0]
        for facts in ({}, {"a": 1}, {"other_classes": ["never", "3"]})
    )
    assert [step.n_classes for step in plain.trained] == [None] * len(plain.trained)
    assert {step.n_classes for step in wide.trained} == {5} == {merge.n_classes for merge in wide.merges}
    assert paths_of(plain.trained) == paths_of(same.trained)
    assert not {*paths_of(plain.trained)} & {*paths_of(wide.trained)}


def keys(variants: tuple[TrainedVariant, ...]) -> tuple[set[str], set[str]]:
    """Return the keys of targets and shadow models, and of all that follows."""
    training = {step.recipe.key for v in variants for step in (v.target, v.query, *v.shadows)}
    measurements = [m for v in variants for m in v.measurements]
    after = {step.recipe.key for m in measurements for step in (*m.attack_models, m.scoring, m.evaluation)}
    return training, after | {step.recipe.key for v in variants for step in v.merges}


def inputs_of(measurement: Measurement, kind: type) -> list[str]:
    """Return the paths that a measurement reads one kind of its inputs from."""
    return [path for entry, paths in measurement.scoring.sources if isinstance(entry, kind) for path in paths]


def test_what_an_audit_makes(records: Records) -> None:
    plain, trained = laid_out(records)
    assert [len(v.shadows) for v in (plain, trained)] == [3, 3]
    attacks = ["shokri(logistic_regression)", "loss", "confidence", "gap"]  # the last two face every mitigation
    whole = [(attack, None, None) for attack in attacks]
    for mitigation in ("rounding(1)", "params(min_samples_leaf=9)"):
        whole += [(attack, mitigation, attacker) for attack in attacks for attacker in ("adaptive", "static")]
    assert [(m.attack.label, m.mitigation, m.attacker) for m in (*plain.measurements, *trained.measurements)] == whole
    n_models = [len(m.attack_models) for m in plain.measurements if m.attacker != "static"]
    assert n_models == [3, 0, 0, 0, 3, 0, 0, 0]
    training, after = keys((plain, trained))
    assert len(training) == 2 * (2 + 3) and len(after) == 3 * 3 + 2 * len(whole) + 2


def test_a_static_attacker_has_the_shadow_models_of_the_unmitigated_target(records: Records) -> None:
    plain, trained = laid_out(records)
    unmitigated = {m.attack.label: m for m in plain.measurements if m.mitigation is None}
    for measurement in (*plain.measurements, *trained.measurements):
        scoring, before = measurement.scoring, unmitigated[measurement.attack.label].scoring
        if measurement.attacker == "static":
            assert (scoring.sources, scoring.through) == (before.sources, ())
            assert (scoring.mitigations, scoring.answers) != (before.mitigations, before.answers)
        if measurement.mitigation is not None:
            assert measurement.evaluation.unmitigated == before.recipe.path
            assert measurement.utility.unmitigated == plain.query.recipe.path
    static = {step.recipe.path for v in (plain, trained) for step in v.input_steps.values()}
    assert static == {step.recipe.path for m in (*plain.measurements, *trained.measurements) for step in m.input_steps}
    adaptive = {m.mitigation: m for m in (*plain.measurements, *trained.measurements) if m.attacker == "adaptive"}
    assert adaptive["rounding(1)"].scoring.through == (Rounding(1),)
    gap = [m for m in trained.measurements if m.attack.label == "loss" and m.attacker == "adaptive"]
    assert [path for _, paths in gap[0].scoring.sources for path in paths] == [*paths_of(trained.merges)]


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
    assert [sorted({str(m.mitigation) for m in v.measurements}) for v in found] == [
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
    one = laid_out(records)[0]
    other = laid_out(records, "name=other", "mitigations=[]", "attacks.0.features=sorted")[0]
    assert keys((one,))[0] == keys((other,))[0]
    assert one.measurements[1].scoring.recipe.key == other.measurements[1].scoring.recipe.key
    assert one.measurements[0].scoring.recipe.key != other.measurements[0].scoring.recipe.key


def test_a_mitigation_that_does_not_fit_the_classes(records: Records) -> None:
    with pytest.raises(SpecError, match=r"top_k\.k=4 is more than the 3 classes"):
        laid_out(records, "mitigations=[{kind: top_k, k: 4}]")


def test_what_attacks_on_single_records_make_besides(records: Records) -> None:
    attacks = "attacks=[{kind: lira}, {kind: rmia}, {kind: quantile}]"
    plain, trained = laid_out(records, attacks)
    assert len(plain.references) == 4 and len(trained.references) == 2  # as it is, rounded
    plainly, rounded = ([m for m in plain.measurements if m.attacker == who] for who in (None, "adaptive"))
    for measurements in (plainly, rounded):
        assert [len(inputs_of(m, ReferenceLogits)) for m in measurements] == [1, 1, 0, 0, 0]
        assert [len(inputs_of(m, Population)) for m in measurements] == [0, 0, 1, 0, 0]
    assert inputs_of(plainly[0], ReferenceLogits) != inputs_of(rounded[0], ReferenceLogits)
    static = [m.attack.label for m in plain.measurements if m.attacker == "static"]
    assert static[2:] == ["confidence", "gap"]  # quantile learns nothing from shadow models
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
