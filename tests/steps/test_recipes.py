"""Audits whose models read records as their source has them, and those whose recipe is read off the target."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tests.outside import Logistic
from tests.steps.audits import N_MEMBERS, TREE, Audit, performed, table
from umbrameter.attacks import Gap, LabelOnly, Lira, Loss
from umbrameter.errors import DataError, PlanError
from umbrameter.estimators import Estimator
from umbrameter.mitigations import Params
from umbrameter.records.noise import Noise
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.shadow_data import Noisy
from umbrameter.spec.audit import AuditSpec, ShadowSpec, SplitSpec
from umbrameter.steps.feasibility import AuditInputs
from umbrameter.steps.layout import lay_out
from umbrameter.steps.scores import Scoring, read_scores
from umbrameter.steps.shadow_models import ShadowFit
from umbrameter.steps.target import TargetFit, TargetIdentity, TargetMetadata
from umbrameter.steps.target_answers import TargetQuery, read_answers
from umbrameter.store.steps import paths_of
from umbrameter.targets import FileTarget, GivenTarget, TrainedTarget
from umbrameter.targets.connection import Connection

COLUMNS = ColumnTransformer(
    [
        ("numbers", StandardScaler(), make_column_selector(dtype_include="number")),
        ("texts", OneHotEncoder(handle_unknown="ignore"), ["colour"]),
    ]
)
PIPELINE = Estimator.model_validate(make_pipeline(COLUMNS, DecisionTreeClassifier(min_samples_leaf=2)))
NOISE = Noise(copies=2)


def spec_of(folder: Path, **settings: Any) -> AuditSpec:
    pq.write_table(table(), folder / "data.parquet")
    usual = {
        "name": "tiny",
        "data": ParquetData(path=str(folder / "data.parquet"), label="y", id="person", ignore=("site",)),
        "split": SplitSpec(members=N_MEMBERS),
        "target": TrainedTarget(estimator=PIPELINE),
        "shadows": ShadowSpec(count=4),
        "attacks": (Loss(), Lira(), LabelOnly(noise=NOISE)),
    }
    return AuditSpec(**usual | settings)


def answers(audit: Audit) -> Any:
    (step,) = audit.of(TargetQuery)
    return read_answers(audit.made(step))


def test_a_pipeline_reads_the_file_s_own_columns(tmp_path: Path) -> None:
    """The target is the pipeline fitted in pandas on the members' rows of the file."""
    audit = performed(tmp_path, spec_of(tmp_path))
    frame = table().to_pandas()[["height", "colour", "flag"]]
    labels = table()["y"].to_numpy(zero_copy_only=False)
    given = answers(audit)
    members, (target,) = given.rows[given.is_member], audit.of(TargetFit)
    seed = audit.made(target).facts["seed"]
    assert TargetMetadata.read(audit.made(target)).form == "frame"
    model = PIPELINE.build(_target_seed(seed)).fit(frame.iloc[members], labels[members])
    places = [model.classes_.tolist().index(name) for name in audit.records.classes]
    expected = model.predict_proba(frame.iloc[given.rows])[:, places]
    assert np.array_equal(given.vectors.predictions, expected.astype(np.float32))


def _target_seed(seed: int) -> int:
    from umbrameter.seeds import integer

    return integer(seed, "target")


def test_shadow_models_and_noise_read_them_too(tmp_path: Path) -> None:
    audit = performed(tmp_path, spec_of(tmp_path, mitigations=(Params({"max_depth": 2}),)))
    labels = {m.attack.label for v in audit.variants for m in v.measurements}
    assert len(audit.of(ShadowFit)) == 8 and {"lira(offline)", "label_only", "loss"} <= labels
    scores = [read_scores(audit.made(step)).scores for step in audit.of(Scoring)]
    assert all(np.isfinite(values).all() for values in scores)


def test_a_second_audit_gives_the_same_to_the_last_bit(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    pair = [performed(tmp_path / name, spec_of(tmp_path)) for name in "ab"]
    first, second = ([read_scores(audit.made(s)).scores.tobytes() for s in audit.of(Scoring)] for audit in pair)
    assert first == second


def test_drawn_records_reach_it_as_the_source_would_have_them(tmp_path: Path) -> None:
    shadows = ShadowSpec(count=2, data=Noisy(rate=0.2))
    audit = performed(tmp_path, spec_of(tmp_path, shadows=shadows, attacks=(Lira(),)))
    assert len(audit.of(ShadowFit)) == 2


def test_other_recipes_train_the_same_models_on_a_matrix(tmp_path: Path) -> None:
    """The matrix of numbers and the frame hold equal values here, so a tree of either answers alike."""
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    numbers = {"ignore": ("site", "colour")}
    given = []
    for name, takes in (("a", "matrix"), ("b", "frame")):
        spec = spec_of(tmp_path / name, target=TrainedTarget(estimator=TREE.model_copy(update={"takes": takes})))
        spec = spec.model_copy(update={"data": spec.data.model_copy(update=numbers), "attacks": (Loss(),)})
        given.append(answers(performed(tmp_path / name, spec)).vectors.predictions)
    assert np.array_equal(*given)


def test_text_that_the_recipe_cannot_read_is_said_with_what_to_do(tmp_path: Path) -> None:
    bare = Estimator(kind="calibrated", params={"estimator": DecisionTreeClassifier()})
    with pytest.raises(DataError, match="takes to matrix"):
        performed(tmp_path, spec_of(tmp_path, target=TrainedTarget(estimator=bare)))
    encoded = bare.model_copy(update={"takes": "matrix"})
    audit = performed(tmp_path, spec_of(tmp_path, target=TrainedTarget(estimator=encoded), attacks=(Loss(),)))
    assert len(audit.of(TargetQuery)) == 1


def test_class_weights_are_for_the_data_s_own_classes(tmp_path: Path) -> None:
    given = []
    for name, weights in (("a", None), ("b", {"low": 1, "middle": 1, "high": 50})):
        (tmp_path / name).mkdir()
        model = make_pipeline(COLUMNS, LogisticRegression(class_weight=weights))
        spec = spec_of(tmp_path / name, target=TrainedTarget(estimator=model), attacks=(Loss(),))
        audit = performed(tmp_path / name, spec)
        given.append(answers(audit).vectors.predictions.mean(axis=0)[audit.records.classes.index("high")])
    assert given[1] > 2 * given[0]


def test_a_recipe_without_probabilities_is_audited_by_its_labels(tmp_path: Path) -> None:
    recipe = Estimator(steps=[COLUMNS, {"kind": "sklearn.svm.LinearSVC"}])
    target = TrainedTarget(estimator=recipe, answers=({"kind": "label_only"},))
    audit = performed(tmp_path, spec_of(tmp_path, target=target, attacks=(Gap(), LabelOnly(noise=NOISE), Loss())))
    assert {*np.unique(answers(audit).vectors.predictions)} == {0, 1}
    (variant,) = audit.variants
    assert [m.attack.label.partition("(")[0] for m in variant.measurements] == ["gap", "label_only"]
    assert [entry.attack.label for entry in variant.unmeasurable] == ["loss"]


# Read off the target


def sides(folder: Path) -> SidesData:
    parts = {"members": (0, 120), "nonmembers": (120, 240), "pool": (240, 420)}
    whole = table().select(["height", "colour", "y"])
    for name, (start, end) in parts.items():
        pq.write_table(whole.slice(start, end - start), folder / f"{name}.parquet")
    return SidesData(label="y", **{name: str(folder / f"{name}.parquet") for name in parts})


def external(folder: Path, model: Any, **settings: Any) -> AuditSpec:
    data = sides(folder)
    members = pq.read_table(folder / "members.parquet").to_pandas()
    skops.io.dump(model.fit(members[["height", "colour"]], members["y"]), folder / "model.skops")
    target = FileTarget(path=str(folder / "model.skops"))
    usual = {"name": "x", "data": data, "target": target, "shadows": ShadowSpec(count=4), "attacks": (Lira(),)}
    return AuditSpec(**usual | settings)


def test_shadow_models_have_the_target_s_recipe(tmp_path: Path) -> None:
    model = make_pipeline(COLUMNS, DecisionTreeClassifier(min_samples_leaf=2))
    audit = performed(tmp_path, external(tmp_path, model))
    recipes = [audit.made(step).facts["estimator"] for step in audit.of(ShadowFit)]
    expected = {"takes": "frame", "columns": ["height", "colour"]}
    assert len(recipes) == 4 and all(recipe == PIPELINE.facts | expected for recipe in recipes)


def test_a_given_recipe_comes_before_the_target_s(tmp_path: Path) -> None:
    model = make_pipeline(COLUMNS, DecisionTreeClassifier())
    audit = performed(tmp_path, external(tmp_path, model, shadows=ShadowSpec(count=2, estimator=TREE)))
    assert {step.training.estimator.kind for step in audit.of(ShadowFit) if step.training.estimator} == {TREE.kind}


def test_the_target_s_answers_decide_whether_its_recipe_must_answer_probabilities(tmp_path: Path) -> None:
    model = make_pipeline(COLUMNS, DecisionTreeClassifier())
    audit = performed(tmp_path, external(tmp_path, model))
    recipe = Estimator(steps=[COLUMNS, {"kind": "sklearn.svm.LinearSVC"}])
    identity = replace(TargetIdentity({}, ""), estimator=recipe)
    spec = external(tmp_path, model)
    with pytest.raises(PlanError, match=r"LinearSVC.*calibrated.*label_only"):
        lay_out(AuditInputs(spec, audit.records, audit.split, identity))
    labels = FileTarget(path=str(tmp_path / "model.skops"), answers=({"kind": "label_only"},))
    hidden = external(tmp_path, model, target=labels)
    assert lay_out(AuditInputs(hidden, audit.records, audit.split, identity))[0].trained


@pytest.mark.parametrize("model", [Logistic(1.0), None])
def test_a_target_without_a_recipe_says_what_to_give(tmp_path: Path, model: Any) -> None:
    audit = performed(tmp_path, external(tmp_path, make_pipeline(COLUMNS, DecisionTreeClassifier())))
    identity = TargetIdentity.of(Connection({}, "", model))
    spec = AuditSpec(name="x", data=sides(tmp_path), target=GivenTarget(), attacks=(Lira(),))
    with pytest.raises(PlanError, match=r"shadows\.estimator is missing.* none that could be read off it.*similar"):
        lay_out(AuditInputs(spec, audit.records, audit.split, identity))
    loss = spec.model_copy(update={"attacks": (Loss(),), "mitigations": ()})
    if not loss.n_shadows:
        assert not lay_out(AuditInputs(loss, audit.records, audit.split, identity))[0].trained


def test_the_recipe_travels_small_and_without_the_file(tmp_path: Path) -> None:
    import pickle

    spec = external(tmp_path, make_pipeline(COLUMNS, DecisionTreeClassifier()))
    audit = performed(tmp_path, spec)
    step = audit.of(ShadowFit)[0]
    (tmp_path / "model.skops").unlink()
    assert len(pickle.dumps(step)) < 10_000
    again = pickle.loads(pickle.dumps(step))
    assert again.recipe.path == step.recipe.path == paths_of([step])[0]
    assert isinstance(pa.table(audit.remade(again).table("predictions.parquet").to_pydict()), pa.Table)
