"""Controls as a step: each looks at the artefacts that it should, and finds what was planted there."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

from tests.outside import Threshold
from tests.steps.audits import LINEAR, TREE, Audit, _spec, performed
from tests.steps.test_scores import Placed, plainly
from umbrameter.attacks import Gap, Loss, Shokri
from umbrameter.estimators import Estimator
from umbrameter.evaluation.controls import Control, failures, of_scores
from umbrameter.mitigations import LabelOnly
from umbrameter.predictions.vectors import Vectors
from umbrameter.records.parts import audited_rows
from umbrameter.records.sources import SidesData
from umbrameter.spec.audit import AuditSpec, ShadowSpec
from umbrameter.steps.controls import (
    CheckControls,
    _likeness,
    _scaled,
    _shadow_answers,
    read_controls,
    read_likeness,
)
from umbrameter.steps.scores import read_scores
from umbrameter.steps.shadow_models import COMPARED
from umbrameter.steps.target_answers import PREDICTIONS, read_answers, write_answers
from umbrameter.store.artefacts import Recipe
from umbrameter.store.steps import ensure

Columns = dict[str, Any]
ALL = {
    "permuted_labels",
    "planted_leak",
    "swapped_sides",
    "row_order",
    "orientation",
    "answers_fit_labels",
    "blind_baseline",
    "copies",
    "near_copies",
    "label_drift",
    "unseen_nonmembers",
}
RNG = np.random.default_rng(2)


def sides(n: int = 100, seed: int = 0) -> tuple[Columns, Columns, Columns]:
    """Return members, non-members and pool of one distribution, in numbers, a category and a class."""
    rng, parts = np.random.default_rng(seed), []
    for size in (n, n, n):
        a = rng.normal(0, 1, size)
        columns = {
            "a": a,
            "b": rng.normal(50, 20, size),
            "c": rng.choice(["x", "y", "z"], size),
            "y": (a + rng.normal(0, 0.3, size) > 0).astype(int),
        }
        parts.append(columns)
    return parts[0], parts[1], parts[2]


def checked(folder: Path, parts: tuple[Columns, Columns, Columns], with_pool: bool = False) -> dict[str, Control]:
    """Return the controls of an audit of a target that looks at one feature and has seen no record."""
    paths = {name: str(folder / f"{name}.parquet") for name in ("members", "nonmembers", "pool")}
    for path, columns in zip(paths.values(), parts, strict=True):
        pq.write_table(pa.table(columns), path)
    known = paths if with_pool else {name: paths[name] for name in ("members", "nonmembers")}
    data = SidesData(label="y", duplicates="keep", **known)
    shadows = ShadowSpec(count=2, estimator=TREE, size=20)
    attack = Shokri(model=Estimator(kind="logistic_regression")) if with_pool else Loss()
    spec = AuditSpec(name="sides", data=data, target=Threshold(), shadows=shadows, attacks=(attack,))
    audit = performed(folder, spec)
    (step,) = audit.of(CheckControls)
    return read_controls(audit.made(step))


def status(folder: Path, parts: tuple[Columns, Columns, Columns], name: str, with_pool: bool = False) -> str:
    return checked(folder, parts, with_pool)[name].status


def test_every_control_is_there_and_those_of_a_pool_where_there_is_one(
    tmp_path: Path, trained: Audit, stored: Audit
) -> None:
    (step,), (looked_up,) = trained.of(CheckControls), stored.of(CheckControls)
    assert set(read_controls(trained.made(step))) == {*ALL, "near_copies_in_pool"}
    assert set(read_controls(stored.made(looked_up))) == {*ALL, "near_copies_in_pool"}
    assert set(checked(tmp_path, sides())) == ALL


def test_a_sound_audit_fails_no_control(tmp_path: Path) -> None:
    assert failures(checked(tmp_path, sides(), with_pool=True)) == []


def test_what_was_written_is_read_again(trained: Audit) -> None:
    artefact = trained.made(trained.of(CheckControls)[0])
    content = {name: control.model_dump(mode="json") for name, control in read_controls(artefact).items()}
    assert content == json.loads(artefact.data("controls.json"))


def test_controls_of_scores_are_those_of_every_attack_on_the_unmitigated_target(trained: Audit) -> None:
    (step,) = trained.of(CheckControls)
    scores = [read_scores(trained.store.open(path)) for path in step.scores]
    plain = [m.scoring.recipe.path for m in trained.variants[0].measurements if m.mitigation is None]
    assert [*step.scores] == plain and len(plain) == 7 + 1  # and one that every mitigation has to face
    outcomes = read_controls(trained.made(step))
    for name, control in of_scores([s.scores for s in scores], scores[0].is_member, step.seed).items():
        assert outcomes[name] == control


def test_the_seed_of_the_audit_decides_what_is_drawn(trained: Audit) -> None:
    (step,) = trained.of(CheckControls)
    few = replace(step, scores=step.scores[:1])
    one, again, other = (read_controls(trained.remade(replace(few, seed=seed))) for seed in (3, 3, 4))
    assert one == again != other
    drawn = {"permuted_labels", "planted_leak", "blind_baseline", "label_drift"}
    assert {name for name in one if one[name] != other[name]} <= drawn


# What was planted is found


@pytest.mark.parametrize(("n_copies", "expected"), [(0, "pass"), (1, "pass"), (2, "fail"), (40, "fail")])
def test_non_members_that_are_members_are_counted(tmp_path: Path, n_copies: int, expected: str) -> None:
    members, others, pool = sides()
    for name in others:
        others[name][:n_copies] = members[name][:n_copies]
    control = checked(tmp_path, (members, others, pool))["copies"]
    assert control.figures["share"] == n_copies / 100 and control.status == expected


def test_a_copy_of_another_class_is_no_copy(tmp_path: Path) -> None:
    members, others, pool = sides()
    for name in others:
        others[name][:40] = members[name][:40]
    others["y"][:40] = 1 - members["y"][:40]
    assert checked(tmp_path, (members, others, pool))["copies"].figures["share"] == 0


def test_small_changes_hide_no_copy_among_non_members_or_in_the_pool(tmp_path: Path) -> None:
    for place, name in ((1, "near_copies"), (2, "near_copies_in_pool")):
        parts = sides()
        for column in parts[0]:
            parts[place][column][:40] = parts[0][column][:40]
        parts[place]["b"] = parts[place]["b"] + 1e-3
        folder = tmp_path / name
        folder.mkdir()
        outcomes = checked(folder, parts, with_pool=True)
        assert failures(outcomes) == [sentence for sentence in failures(outcomes) if name in sentence]
        assert outcomes[name].status == "fail" and outcomes["copies"].status == "pass"


def test_another_category_is_no_small_change(tmp_path: Path) -> None:
    members, others, pool = sides()
    for name in members:
        others[name][:40] = members[name][:40]
    others["c"][:40] = np.where(members["c"][:40] == "x", "y", "x")
    assert status(tmp_path, (members, others, pool), "near_copies") == "pass"


def test_sides_of_two_distributions_are_told_apart_without_the_target(tmp_path: Path) -> None:
    members, others, pool = sides()
    others["b"] = others["b"] + 60
    assert status(tmp_path, (members, others, pool), "blind_baseline") == "fail"


def test_sides_of_two_mixtures_of_classes_are_told_apart(tmp_path: Path) -> None:
    members, others, pool = sides()
    for columns, label in ((members, 0), (others, 1)):
        columns["a"], columns["y"] = RNG.normal(0, 1, 100), np.where(np.arange(100) < 90, label, 1 - label)
    assert status(tmp_path, (members, others, pool), "blind_baseline") == "fail"


def rewritten(audit: Audit, change: Callable[[Any], Any], number: int = 0) -> CheckControls:
    """Return the controls' step on the same answers with one thing changed about them."""
    (step,) = audit.of(CheckControls)
    answers = change(read_answers(audit.store.open(step.answers)))
    recipe = Recipe("target_predictions", {"changed": step.answers, "number": number})
    with audit.store.write(recipe) as draft:
        write_answers(draft, answers.rows, answers.vectors.labels, answers.is_member, answers.vectors.predictions)
    return replace(step, answers=recipe.path)


def test_exchanged_members_are_caught(trained: Audit, tmp_path: Path) -> None:
    audit = trained.copied(tmp_path)
    (step,) = audit.of(CheckControls)
    assert read_controls(audit.made(step))["orientation"].status == "pass"
    outcomes = read_controls(audit.remade(rewritten(audit, lambda a: replace(a, is_member=~a.is_member))))
    assert outcomes["orientation"].status == "fail" and outcomes["swapped_sides"].status == "pass"


def test_answers_of_other_records_are_caught_where_there_are_enough_of_them(trained: Audit, tmp_path: Path) -> None:
    audit = trained.copied(tmp_path)
    (step,) = audit.of(CheckControls)
    assert read_controls(audit.made(step))["answers_fit_labels"].status == "pass"
    for times, expected in ((1, {"not_measured", "fail"}), (10, {"fail"})):
        rows = np.tile(np.arange(120), times)
        order = RNG.permutation(rows)

        def shuffled(answers: Any, rows: Any = rows, order: Any = order) -> Any:
            vectors = Vectors(answers.vectors.predictions[order], answers.vectors.labels[rows])
            return replace(answers, vectors=vectors, is_member=answers.is_member[rows], rows=answers.rows[rows])

        outcomes = read_controls(audit.remade(replace(rewritten(audit, shuffled, times), scores=())))
        assert outcomes["answers_fit_labels"].status in expected


def test_one_attack_that_scores_by_place_is_caught_among_others(trained: Audit, tmp_path: Path) -> None:
    audit = trained.copied(tmp_path)
    (step,) = audit.of(CheckControls)
    placed, gap = plainly(audit, Placed()), plainly(audit, Gap())
    paths = [ensure(audit.store, scoring) for scoring in (gap, placed)]
    for scores, expected in (((paths[0],), "pass"), ((paths[0], paths[1]), "fail")):
        outcomes = read_controls(audit.remade(replace(step, scores=scores)))
        assert outcomes["row_order"].status == expected


# Shadow models beside the target


def naive_shadows(audit: Audit, step: CheckControls) -> list[dict[str, Any]]:
    """Return each shadow model's answers by record, row by row, and its figures on its IN records."""
    models = []
    for path in step.shadows:
        artefact = audit.store.open(path)
        own = artefact.table(PREDICTIONS).to_pylist()
        rows = artefact.table(COMPARED).to_pylist() if COMPARED in artefact.files else own
        known = {row["record_id"]: row for row in rows}
        trained = [row for row in own if row["is_in"]]
        right = [int(np.argmax(row["prediction"])) == row["label"] for row in trained]
        confidence = [row["prediction"][row["label"]] / sum(row["prediction"]) for row in trained]
        ids = {row["record_id"] for row in trained}
        models.append({"known": known, "accuracy": np.mean(right), "confidence": np.mean(confidence), "ids": ids})
    return models


@pytest.mark.parametrize("design", ["disjoint", "audit", "mixed"])
def test_shadow_models_answers_are_those_of_the_audited_records(tmp_path: Path, design: str) -> None:
    shadows = {"count": 4, "design": design, "estimator": TREE}
    audit = performed(tmp_path, _spec(tmp_path, shadows=shadows, attacks=(Shokri(model=LINEAR),)))  # compares nothing
    (step,) = audit.of(CheckControls)
    rows, models = audited_rows(audit.split), naive_shadows(audit, step)
    found = _shadow_answers([audit.store.open(path) for path in step.shadows], rows, ())
    assert len(models) == 4 and found.n_in == min(len(model["ids"]) for model in models)
    pairs = [len(a["ids"] & b["ids"]) / len(a["ids"]) for a, b in combinations(models, 2)]
    assert found.overlap == pytest.approx(np.mean(pairs), abs=0.01)
    for i, model in enumerate(models):
        assert found.predicted[i].tolist() == [int(np.argmax(model["known"][row]["prediction"])) for row in rows]
        assert found.is_in[i].tolist() == [row in model["ids"] for row in rows]
        confidence = [model["known"][row]["prediction"][model["known"][row]["label"]] for row in rows]
        assert expit(found.logits[i]) == pytest.approx(confidence, abs=1e-5)
        assert found.trained["accuracy"][i] == pytest.approx(model["accuracy"])
        assert found.trained["confidence"][i] == pytest.approx(model["confidence"], abs=1e-6)
    artefact = audit.made(step)
    likeness, answers = read_likeness(artefact), read_answers(audit.store.open(step.answers))
    assert likeness == _likeness(answers, found) and likeness is not None and likeness.n_models == 4
    outcomes = read_controls(artefact)
    assert outcomes["label_drift"].status == "pass" and outcomes["unseen_nonmembers"].status != "fail"


def test_without_shadow_models_their_controls_say_that_nothing_was_checked(tmp_path: Path, stored: Audit) -> None:
    (step,) = stored.of(CheckControls)
    assert step.shadows == () and read_likeness(stored.made(step)) is None
    for name in ("label_drift", "unseen_nonmembers"):
        control = read_controls(stored.made(step))[name]
        assert control.status == "not_measured" and control.reason == "not checked: the audit has no shadow models"


def test_shadow_models_that_the_target_taught_are_no_yardstick(trained: Audit) -> None:
    (step,) = trained.of(CheckControls)
    taught = trained.remade(replace(step, learn_from_target=True))
    assert step.shadows and not step.learn_from_target and read_likeness(taught) == read_likeness(trained.made(step))
    for name in ("label_drift", "unseen_nonmembers"):
        control = read_controls(taught)[name]
        assert control.status == "not_measured" and "the target labelled the shadow models' records" in control.reason


def test_what_a_target_hides_is_hidden_in_shadow_models_too(trained: Audit) -> None:
    (step,) = trained.of(CheckControls)
    shown, hidden = (read_likeness(trained.remade(replace(step, mitigations=m))) for m in ((), (LabelOnly(),)))
    assert shown is not None and hidden is not None
    assert shown.nonmembers["accuracy"] == hidden.nonmembers["accuracy"]
    for comparison in (*hidden.nonmembers.values(), *hidden.members.values()):
        assert comparison.target in (hidden.nonmembers["accuracy"].target, hidden.members["accuracy"].target)


# Records as distances


def test_distances_are_of_features_on_one_scale_and_categories_that_differ(trained: Audit) -> None:
    records = trained.records
    X, _ = records.take(RNG.permutation(records.n_records)[:40])
    scaled, width = _scaled(records, X), records.domain.high - records.domain.low
    for i, j in ((0, 1), (2, 3), (4, 4), (5, 39)):
        numbers = [k for k in range(records.n_features) if k not in records.categorical]
        squares = sum(((X[i, k] - X[j, k]) / width[k]) ** 2 for k in numbers)
        squares += sum(X[i, k] != X[j, k] for k in records.categorical)
        assert np.sum((scaled[i] - scaled[j]) ** 2) == pytest.approx(squares, abs=1e-6)
