"""Models taken out of a finished audit: they answer as the audit measured, and say what they are."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from tasks.mlflow_client.export import NONE, export
from tasks.mlflow_client.inputs import inputs
from tests.running.inline import Finished, audited
from umbrameter.dotted_paths import PREFIXES_VARIABLE
from umbrameter.errors import SpecError, StoreError
from umbrameter.records.parts import audited_rows
from umbrameter.records.reader import Records
from umbrameter.report import Report
from umbrameter.report.model import Recommendation
from umbrameter.report.run_artefacts import FILE
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.target_answers import read_answers
from umbrameter.targets.columns import Columns, frame
from umbrameter.typing import Floats

MITIGATIONS = [NONE, "rounding(1)", "params(C=0.01)", "blend(0.5)"]


@pytest.fixture(autouse=True)
def prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIXES_VARIABLE, "tests.")


@pytest.fixture(scope="module")
def exported(everything: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Return the folder of each mitigation's model."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PREFIXES_VARIABLE, "tests.")
        for i, name in enumerate(MITIGATIONS):
            assert export(everything.root, everything.folder, name, str(folder / str(i))) == name
    yield {name: folder / str(i) for i, name in enumerate(MITIGATIONS)}


def answers(path: Path, records: Any) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(mlflow.pyfunc.load_model(str(path)).predict(records))


def audited_people(everything: Finished) -> Any:
    """Return the audited records of the first repeat, as a data frame."""
    training = everything.variants[0].training
    records = Records.open(everything.session.store, training.records)
    X, _ = records.take(audited_rows(everything.session.store.open(training.split)))
    return frame(X, Columns.of(records)).astype({"height": "float64", "year": "float64"})


# What a model answers


@pytest.mark.parametrize("name", MITIGATIONS)
def test_a_model_answers_what_the_audit_measured(everything: Finished, exported: dict[str, Path], name: str) -> None:
    variant, measurement = next(
        (v, m) for v in everything.variants for m in v.measurements if (m.mitigation or NONE) == name
    )
    artefact = everything.session.store.open(variant.query.recipe.path)
    measured = read_answers(artefact, measurement.plan.answers).vectors.predictions
    found = answers(exported[name], audited_people(everything))
    assert found.shape == measured.shape == (120, 3)
    assert np.allclose(found, measured, atol=1e-5)


def test_mitigations_change_the_answers(everything: Finished, exported: dict[str, Path]) -> None:
    people = audited_people(everything)
    found = [answers(exported[name], people) for name in MITIGATIONS]
    pairs = [(a, b) for a in range(4) for b in range(a)]
    assert [(MITIGATIONS[a], MITIGATIONS[b]) for a, b in pairs if np.allclose(found[a], found[b], atol=1e-3)] == []


def test_columns_may_come_in_any_order_and_records_one_by_one(everything: Finished, exported: dict[str, Path]) -> None:
    people = audited_people(everything)
    whole = answers(exported[NONE], people)
    assert np.allclose(answers(exported[NONE], people[["year", "colour", "height"]]), whole)
    assert np.allclose(np.concatenate([answers(exported[NONE], people[i : i + 1]) for i in range(5)]), whole[:5])


# What a model says of itself


@pytest.mark.parametrize("name", MITIGATIONS)
def test_a_model_s_folder_names_mitigation_classes_and_columns(
    everything: Finished, exported: dict[str, Path], name: str
) -> None:
    content = yaml.safe_load((exported[name] / "MLmodel").read_text())
    digest = everything.report.audit.spec_digest
    assert content["metadata"] == {"mitigation": name, "classes": ["low", "middle", "top"], "spec_digest": digest}
    assert all(column in content["signature"]["inputs"] for column in ("height", "year", "colour"))
    requirements = (exported[name] / "requirements.txt").read_text()
    assert "scikit-learn==" in requirements and "umbrameter==" in requirements


@pytest.mark.parametrize("name", MITIGATIONS)
def test_the_card_is_of_this_audit(everything: Finished, exported: dict[str, Path], name: str) -> None:
    card = (exported[name] / "MODEL_CARD.md").read_text(encoding="utf8")
    assert everything.report.audit.name in card
    assert "logistic_regression" in card and (name == NONE or name in card)


def test_no_record_is_in_a_model_s_folder(everything: Finished, exported: dict[str, Path]) -> None:
    heights = audited_people(everything)["height"].to_numpy()
    written = [file.read_bytes() for path in exported.values() for file in path.rglob("*") if file.is_file()]
    needles = [h.tobytes() for h in (heights, heights.astype(np.float32))] + [repr(float(heights[0])).encode()]
    assert [needle for needle in needles if any(needle in content for content in written)] == []


# What is chosen


def rewritten(everything: Finished, **changed: Any) -> str:
    """Return a folder like the run's, whose report says something else."""
    store, folder = everything.session.store, f"{everything.folder}-{'-'.join(changed)}"
    report = everything.report.model_copy(update=changed)
    files = {name: store.read(f"{everything.folder}/{name}") for name in ("spec.yaml", FILE)}
    store.put(folder, files | {"report.json": report.model_dump_json().encode()})
    return folder


def test_the_recommended_mitigation_is_the_one_without_a_name(everything: Finished, tmp_path: Path) -> None:
    chosen = Recommendation(accepted_loss=0.01, mitigation="rounding(1)", reason="It costs least.")
    folder = rewritten(everything, recommendation=chosen)
    assert export(everything.root, folder, None, str(tmp_path / "model")) == "rounding(1)"


@pytest.mark.parametrize("is_there", [True, False])
def test_where_none_is_recommended_one_has_to_be_named(everything: Finished, tmp_path: Path, is_there: bool) -> None:
    none = Recommendation(accepted_loss=0.01, mitigation=None, reason="Each costs too much.") if is_there else None
    folder = rewritten(everything, recommendation=none)
    with pytest.raises(SpecError, match=r"--mitigation none or rounding\(1\) or ") as caught:
        export(everything.root, folder, None, str(tmp_path / "model"))
    assert none is None or none.reason in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_a_mitigation_that_was_not_audited_is_refused_with_those_that_were(
    everything: Finished, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"--mitigation='top_k\(1\)'.*none, rounding\(1\), params\(C=0\.01\), blend"):
        export(everything.root, everything.folder, "top_k(1)", str(tmp_path / "model"))
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_there_is_left_alone(everything: Finished, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="--to="):
        export(everything.root, everything.folder, NONE, str(tmp_path / "model"))
    assert [file.name for file in (tmp_path / "model").iterdir()] == ["mine.txt"]


def test_a_run_that_is_not_there_is_named(everything: Finished, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"runs/none/report\.json"):
        export(everything.root, "runs/none", NONE, str(tmp_path / "model"))


def test_a_model_that_was_trained_elsewhere_is_not_ours_to_export(everything: Finished, tmp_path: Path) -> None:
    folder = rewritten(everything, audit=everything.report.audit)
    spec = yaml.safe_load(everything.session.store.read(f"{folder}/spec.yaml"))
    spec |= {
        "target": {"kind": "object", "name": "theirs"},
        "data": {"kind": "sides", "members": "m", "nonmembers": "n", "pool": "p", "label": "y"},
        "mitigations": [],
        "shadows": {"estimator": {"kind": "decision_tree"}},
    }
    everything.session.store.put(folder, {"spec.yaml": yaml.safe_dump(spec).encode()})
    with pytest.raises(SpecError, match=r"RUN='runs/.*object"):
        export(everything.root, folder, NONE, str(tmp_path / "model"))
    assert not (tmp_path / "model").exists()


# The records of a run, as MLflow lists them


def test_a_run_s_inputs_are_its_record_sets_with_sizes_and_one_digest(everything: Finished) -> None:
    found = inputs(everything.session.store, everything.folder, everything.report)
    by_context = {entry.tags[0].value: entry.dataset for entry in found}
    assert {context: data.name for context, data in by_context.items()} == {
        "members": "people.parquet members (60)",
        "non-members": "people.parquet non-members (60)",
        "pool": "people.parquet pool (120)",
    }
    assert {data.digest for data in by_context.values()} == {everything.variants[0].training.records.split("/")[-1][:8]}


def test_inputs_hold_neither_paths_nor_records(everything: Finished) -> None:
    found = inputs(everything.session.store, everything.folder, everything.report)
    said = " ".join(f"{entry.dataset.source} {entry.dataset.schema} {entry.dataset.profile}" for entry in found)
    assert everything.root not in said and "/" not in said.replace('"', "")
    assert isinstance(everything.report, Report)


# Models that take records as their source has them

N = 240
FRAME_SPEC = """
name: frames
data: {kind: table, path: PATH, label: y, missing: {label: drop}}
split: {members: 80, nonmembers: 80}
target:
  kind: train
  estimator:
    steps:
      - kind: columns
        params:
          transformers:
            - [numbers, {steps: [imputer, scaler]}, [height, count, flag, gaps]]
            - [texts, {kind: one_hot, params: {handle_unknown: ignore}}, [plan, size]]
      - {kind: logistic_regression}
attacks: [{kind: loss}]
shadows: {count: 0}
mitigations: [{kind: rounding, decimals: 1}]
"""


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, pd.DataFrame]:
    """Return an audit of a target that takes the frame as it is, and the frame."""
    folder, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    y = np.arange(N) % 3
    size = pd.Categorical(np.array(["S", "M", "L"])[y], categories=["S", "M", "L", "XL"], ordered=True)
    table = pd.DataFrame(
        {
            "height": rng.normal(170 + 10 * y, 8).astype(np.float32),
            "count": rng.integers(0, 9, N),
            "flag": rng.random(N) < 0.5,
            "gaps": np.where(rng.random(N) < 0.2, np.nan, rng.normal(size=N) + y),
            "plan": np.where(rng.random(N) < 0.1, None, np.array(["basic", "plus"])[rng.integers(0, 2, N)]),
            "size": size,
            "since": pd.Timestamp("2020-01-01 06:00") + pd.to_timedelta(rng.integers(0, 900, N), unit="D"),
            "constant": 7,
            "y": np.array(["low", "middle", "top"])[y],
        }
    )
    table.to_parquet(folder / "people.parquet")
    spec = AuditSpec.from_yaml(FRAME_SPEC.replace("PATH", str(folder / "people.parquet")))
    return audited(spec, folder / "root"), table


@pytest.mark.parametrize("name", [NONE, "rounding(1)"])
def test_a_model_of_frames_answers_frames_as_the_audit_measured(
    frames: tuple[Finished, pd.DataFrame], tmp_path: Path, name: str
) -> None:
    finished, table = frames
    assert export(finished.root, finished.folder, name, str(tmp_path / "model")) == name
    variant = finished.variants[0]
    measurement = next(m for m in variant.measurements if (m.mitigation or NONE) == name)
    store = finished.session.store
    measured = read_answers(store.open(variant.query.recipe.path), measurement.plan.answers).vectors.predictions
    rows = audited_rows(store.open(variant.training.split))
    asked = table.drop(columns="y").iloc[rows]
    found = answers(tmp_path / "model", asked)
    assert found.shape == measured.shape == (160, 3) and np.allclose(found, measured, atol=1e-6)
    # In any order, as text, one by one, and without what the audit left out.
    turned = asked[asked.columns[::-1]].drop(columns="constant").assign(size=asked["size"].astype(str))
    assert np.allclose(answers(tmp_path / "model", turned), measured, atol=1e-6)
    assert np.allclose(answers(tmp_path / "model", asked[:1]), measured[:1], atol=1e-6)
    with pytest.raises(Exception, match="gaps"):
        answers(tmp_path / "model", asked.drop(columns="gaps"))


def test_a_model_of_frames_says_its_columns_types_and_an_example(
    frames: tuple[Finished, pd.DataFrame], tmp_path: Path
) -> None:
    finished, table = frames
    export(finished.root, finished.folder, NONE, str(tmp_path / "model"))
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    columns = {
        spec.name: (getattr(spec.type, "name", "any"), spec.required) for spec in model.metadata.get_input_schema()
    }
    assert columns == {
        "height": ("double", True),
        "count": ("long", True),
        "flag": ("boolean", True),
        "gaps": ("double", True),
        "plan": ("string", True),
        "size": ("any", True),
        "since": ("datetime", True),
        "constant": ("long", False),
    }
    example = model.input_example
    assert answers(tmp_path / "model", example).shape == (1, 3)
    numbers = table[["height", "gaps"]].to_numpy()
    assert not (np.abs(numbers - example[["height", "gaps"]].to_numpy()) < 1e-9).any()  # it is nobody's record


def test_a_matrix_model_has_an_example_too(exported: dict[str, Path]) -> None:
    model = mlflow.pyfunc.load_model(str(exported[NONE]))
    assert answers(exported[NONE], model.input_example).shape == (1, 3)
