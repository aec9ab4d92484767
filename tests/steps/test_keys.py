"""What decides a key: each field of each step that decides what is made, and no other."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest

from tests.outside import Blend, Logistic
from tests.steps.audits import LINEAR, NOISE, TREE
from tests.steps.test_contracts import METADATA
from umbrameter.attacks import Lira, Loss, NoisyLabels, ReferenceLogits, ShadowVectors, Shokri
from umbrameter.mitigations import LabelOnly, Params, Rounding
from umbrameter.records.noise import Noise
from umbrameter.shadow_data import Marginal, ModelBased, Noisy
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.steps.attack_data import AttackData
from umbrameter.steps.attack_models import AttackFit
from umbrameter.steps.controls import CheckControls
from umbrameter.steps.evaluations import EvaluateAttack
from umbrameter.steps.guarantees import CheckGuarantee
from umbrameter.steps.guards import GuardedAnswers, GuardFit
from umbrameter.steps.reference_answers import ReferenceData
from umbrameter.steps.scores import Scoring
from umbrameter.steps.shadow_models import ShadowFit
from umbrameter.steps.shadow_records import ShadowRecords, Synthesis
from umbrameter.steps.split import Split
from umbrameter.steps.target import TargetFit, TargetIdentity
from umbrameter.steps.target_answers import NoisyQuery, PopulationQuery, StoredQuery, TargetQuery
from umbrameter.steps.training import Training
from umbrameter.steps.utility import MeasureUtility
from umbrameter.store.schemas import VERSIONS
from umbrameter.store.steps import Step
from umbrameter.targets.connection import Connection


def at(kind: str, name: str = "one") -> str:
    """Return the path of an artefact, of which a recipe takes the key alone."""
    return f"store/{kind}/{name}"


RECORDS, SPLIT, TARGET, ANSWERS = at("records"), at("split"), at("targets"), at("target_predictions")
SHADOWS, SCORES = (
    (at("shadow_predictions", "s0"), at("shadow_predictions", "s1")),
    (at("scores", "a"), at("scores", "b")),
)
TRAINING = Training(RECORDS, SPLIT, TREE, (Params({"max_depth": 2}),), 0)
PLAN = ShadowPlan("disjoint", 4, 60, 50, 0, 40)
GUARD = GuardFit(Blend(), (at("attack_data"),), 0)
SEARCH = ModelBased(iter_max=9, k_max=6, k_min=2)
CONNECTION = Connection({}, "some model", Logistic(1.0))
QUERIED = {"target": at("targets", "two"), "records": at("records", "two"), "split": at("split", "two")}


@dataclass(frozen=True)
class Case:
    """A step, other values of the fields that decide its key, and of those that do not."""

    step: Step
    deciding: dict[str, Any]
    other: dict[str, Any]


CASES = [
    Case(
        Split(RECORDS, 10, 20, 0),
        {"records": at("records", "two"), "n_members": 11, "n_nonmembers": None, "seed": 1},
        {},
    ),
    Case(TargetFit(TRAINING), {"training": replace(TRAINING, seed=1)}, {}),
    Case(
        TargetIdentity({"kind": "x"}, "a model"),
        {"facts": {"kind": "y"}},
        {"description": "the same model", "estimator": LINEAR, "why_not": "no reason"},
    ),
    Case(TargetQuery(TARGET, RECORDS, SPLIT), QUERIED, {"connection": CONNECTION}),
    Case(StoredQuery(TARGET, RECORDS, SPLIT), QUERIED, {"connection": CONNECTION}),
    Case(PopulationQuery(TARGET, RECORDS, SPLIT, 0), QUERIED | {"seed": 1}, {"connection": CONNECTION}),
    Case(
        NoisyQuery(TARGET, RECORDS, SPLIT, NOISE, 0),
        QUERIED | {"noise": Noise(copies=3), "seed": 1},
        {"connection": CONNECTION},
    ),
    Case(
        Synthesis(TARGET, RECORDS, SEARCH, 30, (0, 1), 0),
        {
            "target": at("targets", "two"),
            "records": at("records", "two"),
            "data": SEARCH.model_copy(update={"iter_max": 8}),
            "n_records": 31,
            "labels": (1, 0),
            "seed": 1,
        },
        {"connection": CONNECTION},
    ),
    Case(
        ShadowRecords(TARGET, RECORDS, Marginal(by_class=False), SPLIT, 30, 0),
        QUERIED
        | {"data": Marginal(), "n_records": 31, "seed": 1, "parts": (at("synthesised"),), "file": "the file's digest"},
        {"connection": CONNECTION},
    ),
    Case(
        ShadowFit(TRAINING, PLAN, 2, (NOISE,), None),
        {
            "training": replace(TRAINING, seed=1),
            "plan": replace(PLAN, size=61),
            "model_id": 3,
            "noises": (NOISE, Noise(copies=3)),
            "drawn": at("shadow_records"),
            "n_classes": 5,
        },
        {"model": Logistic(1.0)},
    ),
    Case(
        AttackData(SHADOWS, (0, 1), 3),
        {"shadows": SHADOWS[::-1], "labels": (0, 1, 2)},
        {"n_classes": 4},  # of shadow models that have as many anyway
    ),
    Case(
        ReferenceData(SHADOWS, (Rounding(1),), 1.0, SPLIT, PLAN),
        {
            "shadows": SHADOWS[:1],
            "mitigations": (Rounding(2),),
            "temperature": 2.0,
            "split": at("split", "two"),
        },
        {"plan": replace(PLAN, n_models=5), "drawn": at("shadow_records")},  # the shadow models' keys hold these
    ),
    Case(
        AttackFit(Shokri(model=LINEAR), (Rounding(1),), at("attack_data"), (0, 1), 0),
        {
            "attack": Shokri(model=LINEAR, features="log"),
            "mitigations": (),
            "data": at("attack_data", "two"),
            "labels": (0,),
            "seed": 1,
        },
        {},
    ),
    Case(GUARD, {"mitigation": Blend(0.25), "data": (at("attack_data", "two"),), "seed": 1}, {}),
    Case(
        GuardedAnswers(GUARD, ANSWERS),
        {"guard": replace(GUARD, seed=1), "answers": at("target_predictions", "two")},
        {},
    ),
    Case(
        Scoring(Loss(), (Rounding(1),), (Rounding(1),), ANSWERS, ((ShadowVectors(), SHADOWS),), RECORDS, 0),
        {
            "attack": Lira(),
            "mitigations": (),
            "through": (),
            "answers": at("target_predictions", "two"),
            "sources": ((ShadowVectors(), SHADOWS[:1]),),
            "seed": 1,
        },
        {"records": at("records", "two")},  # the answers' key holds them
    ),
    Case(
        EvaluateAttack(SCORES[0], SCORES[1], RECORDS),
        {"scores": SCORES[1], "unmitigated": None, "in_groups": False},
        {"records": at("records", "two")},
    ),
    Case(
        MeasureUtility(ANSWERS, (Rounding(1),), ANSWERS),
        {"answers": at("guarded_answers", "two"), "mitigations": (LabelOnly(),), "unmitigated": None},
        {},
    ),
    Case(
        CheckControls(SCORES, ANSWERS, RECORDS, SPLIT, 0),
        {
            "scores": SCORES[::-1],
            "answers": at("target_predictions", "two"),
            "seed": 1,
            "shadows": SHADOWS,
            "mitigations": (LabelOnly(),),
            "learn_from_target": True,
        },
        {"records": at("records", "two"), "split": at("split", "two")},
    ),
    Case(
        CheckGuarantee("dp_sgd", TARGET, (("loss", SCORES[0]),)),
        {"label": "other", "target": at("targets", "two"), "scores": (("lira", SCORES[0]),)},
        {},
    ),
]


def named(deciding: bool) -> list[Any]:
    """Return each field of each case, with another value."""
    pairs = [(case, (case.deciding if deciding else case.other).items()) for case in CASES]
    return [
        pytest.param(case.step, {name: value}, id=f"{type(case.step).__name__}-{name}")
        for case, items in pairs
        for name, value in items
    ]


def key(step: Step, **changes: Any) -> str:
    return replace(step, **changes).recipe.key  # type: ignore[type-var]


def test_every_field_of_every_step_is_a_case() -> None:
    assert {type(case.step) for case in CASES} == set(METADATA)
    for case in CASES:
        names = {field.name for field in fields(case.step)}  # type: ignore[arg-type]
        assert names == {*case.deciding, *case.other} and not {*case.deciding} & {*case.other}


@pytest.mark.parametrize(("step", "change"), named(deciding=True))
def test_what_decides_what_is_made_changes_the_key(step: Step, change: dict[str, Any]) -> None:
    assert key(step, **change) != step.recipe.key == key(step)


@pytest.mark.parametrize(("step", "change"), named(deciding=False))
def test_what_decides_nothing_keeps_the_key(step: Step, change: dict[str, Any]) -> None:
    assert key(step, **change) == step.recipe.key


def test_changes_of_different_fields_never_meet() -> None:
    keys = [key(case.step, **{name: value}) for case in CASES for name, value in case.deciding.items()]
    alike = {key(case.step) for case in CASES if isinstance(case.step, TargetQuery | StoredQuery)}
    assert len(alike) == 1  # a target is asked or looked up, and its own key tells which
    assert len(set(keys)) == len(keys) - len(QUERIED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case.step).__name__)
def test_where_an_input_lies_decides_nothing_but_its_key(case: Case) -> None:
    moved = {
        field.name: value.replace("store/", "elsewhere/store/")
        for field in fields(case.step)  # type: ignore[arg-type]
        if isinstance(value := getattr(case.step, field.name), str) and value.startswith("store/")
    }
    assert key(case.step, **moved) == case.step.recipe.key


@pytest.mark.parametrize("step", [TargetFit(TRAINING), ShadowFit(TRAINING, PLAN, 0)], ids=["target", "shadow model"])
@pytest.mark.parametrize(
    "change",
    [
        {"records": at("records", "two")},
        {"split": at("split", "two")},
        {"estimator": LINEAR},
        {"mitigations": ()},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_all_of_the_training_decides(step: TargetFit | ShadowFit, change: dict[str, Any]) -> None:
    assert key(step, training=replace(TRAINING, **change)) != step.recipe.key
    assert {field.name for field in fields(TRAINING)} == {"records", "split", "estimator", "mitigations", "seed"}


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ({"size": 61}, True),
        ({"n_out": 51}, True),
        ({"n_calibration": None}, True),
        ({"design": "audit"}, True),
        ({"n_models": 99}, False),
        ({"design": "mixed"}, False),  # the third model of a mixed design is one of the pool, too
        ({"seed": 9}, False),  # the training's seed is the audit's, and in the key
    ],
)
def test_a_shadow_model_is_decided_by_its_own_share_of_the_plan(change: dict[str, Any], decides: bool) -> None:
    step = ShadowFit(TRAINING, PLAN, 2)
    assert (key(step, plan=replace(PLAN, **change)) != step.recipe.key) == decides


def test_sizes_of_pool_models_do_not_decide_those_of_the_audited_records() -> None:
    step = ShadowFit(TRAINING, replace(PLAN, design="audit"), 0)
    assert key(step, plan=ShadowPlan("audit", 9, 1, 1, 0)) == step.recipe.key
    assert key(step, plan=replace(PLAN, design="mixed")) == step.recipe.key


def test_searches_side_by_side_and_a_file_s_name_decide_by_what_they_change() -> None:
    one, other = (Marginal(file=name) for name in ("a.json", "b.json"))
    drawn = ShadowRecords(TARGET, RECORDS, one, SPLIT, 30, 0, file="digest")
    assert key(drawn, data=other) == drawn.recipe.key != key(drawn, file="another digest")
    search = Synthesis(TARGET, RECORDS, SEARCH, 30, (0,), 0)
    wider = SEARCH.model_copy(update={"side_by_side": 7})
    assert key(search, data=wider) != search.recipe.key  # batches of another size may answer another last bit


def test_records_put_together_from_searches_are_decided_by_these_alone() -> None:
    whole = ShadowRecords(TARGET, RECORDS, SEARCH, SPLIT, 30, 0, (at("synthesised"),))
    assert key(whole, seed=1, n_records=9, **QUERIED) == whole.recipe.key
    assert key(whole, parts=(at("synthesised", "two"),)) != whole.recipe.key


def test_data_that_ask_nobody_do_not_depend_on_the_target() -> None:
    drawn = ShadowRecords(TARGET, RECORDS, Noisy(rate=0.1), SPLIT, 30, 0)
    assert key(drawn, target=at("targets", "two")) == drawn.recipe.key and TARGET not in drawn.inputs
    asking = replace(drawn, data=Marginal(by_class=False))
    assert TARGET in asking.inputs


def test_an_input_without_artefacts_is_as_if_it_were_not_there() -> None:
    step = Scoring(Loss(), (), (), ANSWERS, (), RECORDS, 0)
    empty = ((ShadowVectors(is_required=False), ()), (NoisyLabels(NOISE), ()))
    assert key(step, sources=empty) == step.recipe.key
    known = ((ReferenceLogits(), (at("references"),)),)
    assert key(step, sources=known) != step.recipe.key != key(step, sources=(*empty, *known))


def test_a_raised_version_changes_the_key_of_its_kind_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from umbrameter.store import artefacts

    before = {type(case.step): (case.step.recipe.kind, case.step.recipe.key) for case in CASES}
    monkeypatch.setattr(artefacts, "VERSIONS", {**VERSIONS, "targets": VERSIONS["targets"] + 1})
    for case in CASES:
        kind, old = before[type(case.step)]
        assert (case.step.recipe.key != old) == (kind == "targets")


def test_a_recipe_holds_plain_values() -> None:
    with pytest.raises(TypeError, match="int64 is not JSON serializable"):
        _ = Split(RECORDS, 10, 20, np.int64(3)).recipe.key  # type: ignore[arg-type]
