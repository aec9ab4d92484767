"""Whole audits of Python objects: what they may answer, and that each run asks them anew."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from flows.audit import audit
from tasks.cluster import Compute
from tasks.external_targets.handover import ModelHandle
from tests.flows.people import NAMES, N, forest, run, spec, write_people
from umbrameter.errors import TargetError
from umbrameter.predictions.vectors import TINY
from umbrameter.report import Report
from umbrameter.spec.audit import AuditSpec

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("server")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return forest(folder)


def test_an_object_is_asked_anew_in_every_run(folder: Path, model: Any, tmp_path: Path) -> None:
    class Other:
        classes_ = model.classes_

        def predict_proba(self, X: Any) -> Any:
            return np.round(model.predict_proba(X)[:, ::-1], 3)

    content = spec(folder, {"kind": "object", "name": "forest"}, attacks=[{"kind": "loss"}])
    first, other, again = (run(tmp_path, content, model=m) for m in (model, Other(), model))
    assert first.ledger.queries == other.ledger.queries == again.ledger.queries == 2 * N
    assert again.results_json() == first.results_json() != other.results_json()


def test_a_model_that_changes_meanwhile_fails_the_audit(folder: Path, model: Any, tmp_path: Path) -> None:
    class Changing:
        classes_, n = model.classes_, 0

        def predict_proba(self, X: Any) -> Any:
            self.n += 1
            found = model.predict_proba(X)
            return found if self.n < 2 else found[:, ::-1]

    content = spec(folder, {"kind": "object", "name": "forest"}, attacks=[{"kind": "loss"}])
    with pytest.raises(TargetError, match="replaced by another model meanwhile, or its answers are random"):
        run(tmp_path, content, model=Changing())
    assert run(tmp_path, content, model=model).ledger.queries == 2 * N


def test_a_class_that_no_record_has_is_measured(folder: Path, model: Any, tmp_path: Path) -> None:
    class Wider:
        """Knows "unsure", too, which it answers more of for older people."""

        classes_ = np.array(["no", "unsure", "yes"])

        def predict_proba(self, X: Any) -> Any:
            rest, known = np.asarray(X["age"], float)[:, None] / 100, model.predict_proba(X)
            return np.column_stack([known[:, :1] * (1 - rest), rest, known[:, 1:] * (1 - rest)])

    attacks = [{"kind": "loss"}, {"kind": "shokri", "model": {"kind": "logistic_regression"}}]
    more = {"attacks": attacks, "mitigations": [{"kind": "memguard"}, {"kind": "top_k", "k": 3}]}
    found = run(tmp_path, spec(folder, {"kind": "object"}, **more), model=Wider())
    sides = []
    for name in ("members", "nonmembers"):
        table = pq.read_table(folder / f"{name}.parquet").to_pandas()
        answers = Wider().predict_proba(table[list(NAMES)].astype({"pay": np.float32}))
        p = np.where(table["label"] == "no", answers[:, 0], answers[:, 2])
        sides.append(np.log(np.maximum(p, TINY)))
    by_hand = roc_auc_score(np.repeat([1, 0], N), np.concatenate(sides))
    aucs = {(r.attack, r.mitigation, r.attacker): r.metrics["auc"].value for r in found.results}  # type: ignore[union-attr]
    assert aucs["loss", None, None] == pytest.approx(by_hand, abs=1e-3)
    assert aucs["shokri(logistic_regression)", None, None] > 0.5
    assert aucs["loss", "top_k(3)", "adaptive"] == aucs["loss", None, None]
    assert found.target.n_classes == 2


def test_labels_alone(folder: Path, model: Any, tmp_path: Path) -> None:
    class Labels:
        classes_ = model.classes_

        def predict(self, X: Any) -> Any:
            return model.predict(X)

    target = {"kind": "object", "answers": [{"kind": "label_only"}]}
    attacks = [{"kind": "gap"}, {"kind": "loss"}, {"kind": "label_only", "noise": {"copies": 2}}]
    found = run(tmp_path, spec(folder, target, attacks=attacks), model=Labels())
    by_attack = {result.attack: result.metrics["auc"] for result in found.results}
    assert "the target answers labels alone" in by_attack["loss"].not_measured  # type: ignore[union-attr]
    assert by_attack["gap"].value > 0.5 and by_attack["label_only"].value > 0.5  # type: ignore[union-attr]
    assert "labels alone" in found.results[0].utility["log_loss"].not_measured  # type: ignore[union-attr]


def test_nothing_of_an_object_goes_into_prefects_database() -> None:
    class Client:
        def __init__(self) -> None:
            self.api_key, self.records = "s3cret", [[1, 2, 3]]

    parameters = audit.serialize_parameters({"model": ModelHandle(Client())})
    assert "s3cret" not in str(parameters) and "[1, 2, 3]" not in str(parameters)


def test_an_audit_of_which_no_attack_can_be_measured_says_so(folder: Path, model: Any, tmp_path: Path) -> None:
    target = {"kind": "object", "answers": [{"kind": "label_only"}]}
    found = run(tmp_path, spec(folder, target, attacks=[{"kind": "loss"}]), model=model)
    assert [r.attack for r in found.results] == ["loss"]
    assert found.controls["permuted_labels"].status == "not_measured"


def test_a_recipe_read_off_the_object_is_the_one_that_a_spec_gives(folder: Path, model: Any, tmp_path: Path) -> None:
    """Shadow models are clones of the pipeline, by the object or by its parts in the spec, and by processes too."""
    target = {"kind": "object", "name": "forest"}
    content = spec(folder, target, attacks=[{"kind": "lira"}], shadows={"count": 4})
    encoder = [["onehotencoder", {"kind": "one_hot"}, ["colour"]]]
    columns = {"kind": "columns", "params": {"transformers": encoder, "remainder": "passthrough"}}
    steps = [["columntransformer", columns], ["f", {"kind": "random_forest", "params": {"n_estimators": 20}}]]
    by_spec = content | {"shadows": {"count": 4, "estimator": {"steps": steps}}}
    read = run(tmp_path / "read", content, model)
    told = run(tmp_path / "told", by_spec, model)
    assert read.results == told.results
    assert told.shadows.recipe is None and read.shadows.recipe is not None
    assert read.shadows.recipe.startswith("Pipeline(ColumnTransformer(")
    checked = AuditSpec.from_yaml(yaml.safe_dump(content))
    place = audit(
        checked, root=str(tmp_path / "two"), compute=Compute(workers=2), tracked=False, model=ModelHandle(model)
    )
    both = Report.model_validate_json((tmp_path / "two" / place / "report.json").read_bytes())
    assert both.results == read.results
