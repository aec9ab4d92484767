"""Shadow models' logits on the audited records, against a loop over models and records."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.steps.audits import N_SHADOWS, TREE, Audit
from umbrameter.mitigations import LabelOnly, PostHoc, Rounding, Temperature
from umbrameter.records.parts import audited_rows
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.steps.reference_answers import ReferenceData, ReferenceMetadata, read_references
from umbrameter.steps.shadow_models import ShadowFit
from umbrameter.steps.training import Training
from umbrameter.store.artefacts import Artefact
from umbrameter.store.steps import ensure, paths_of

TINY = float(np.finfo(np.float32).tiny)


def naive_logit(prediction: list[float], label: int, temperature: float) -> float:
    """Return the scaled logit of one answer, in plain floats."""
    powers = [float(p) ** (1 / temperature) for p in prediction]
    others = sum(power for i, power in enumerate(powers) if i != label)
    return float(np.log(max(powers[label], TINY)) - np.log(max(others, TINY)))


def naive_references(step: ReferenceData, audit: Audit) -> dict[tuple[int, int], tuple[float, bool]]:
    """Return logit and IN by model and record, gathered answer by answer from all that each model answered."""
    known = {}
    for model, path in enumerate(step.shadows):
        artefact = audit.store.open(path)
        for name in artefact.files:
            if not name.startswith("noisy"):
                for row in artefact.table(name).to_pylist():
                    prediction = np.array([row["prediction"]], dtype=np.float32)
                    for mitigation in step.mitigations:
                        prediction = mitigation.transform(prediction)
                    logit = naive_logit(prediction[0].tolist(), row["label"], step.temperature)
                    known[model, row["record_id"]] = logit, row["is_in"]
    return known


@pytest.fixture(scope="module")
def halves(trained: Audit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, ReferenceData]:
    """Return an audit whose shadow models are trained on halves of the audited records, and its references."""
    audit = trained.copied(tmp_path_factory.mktemp("halves"))
    training = Training(audit.records.artefact.path, audit.split.path, TREE, (), 3)
    plan = ShadowPlan.of("audit", 4, 60, 120, 0, 3, compared=True)
    steps = [ShadowFit(training, plan, i) for i in range(4)]
    for step in steps:
        ensure(audit.store, step)
    return audit, ReferenceData(paths_of(steps), (), 1.0, audit.split.path, plan)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize(
    "mitigations", [(), (Rounding(1),), (Temperature(3), LabelOnly())], ids=["plain", "rounded", "labels"]
)
def test_logits_are_those_of_each_model_on_each_record(
    trained: Audit, mitigations: tuple[PostHoc, ...], temperature: float
) -> None:
    step = replace(trained.of(ReferenceData)[0], mitigations=mitigations, temperature=temperature)
    known, (audited, others) = naive_references(step, trained), read_references(trained.remade(step))
    assert others is not None
    rows = step.plan.compared(audited_rows(trained.split), np.flatnonzero(parts(trained) == "pool"))
    logits, is_in = np.hstack([audited.logits, others.logits]), np.hstack([audited.is_in, others.is_in])
    assert logits.shape == is_in.shape == (N_SHADOWS, len(rows)) and logits.dtype == np.float32
    for model in range(N_SHADOWS):
        expected = [known[model, row] for row in rows]
        assert logits[model] == pytest.approx([logit for logit, _ in expected], rel=1e-5, abs=1e-6)
        assert is_in[model].tolist() == [marked for _, marked in expected]


def parts(audit: Audit) -> Any:
    return np.array(audit.split.table("split.parquet")["part"].to_pylist())


def test_no_audited_record_is_in_a_model_of_the_pool_and_some_others_are(trained: Audit) -> None:
    for step in trained.of(ReferenceData):
        audited, others = read_references(trained.made(step))
        assert others is not None
        assert not audited.is_in.any() and others.is_in.any(axis=1).all() and not others.is_in.all(axis=0).any()


def test_models_of_the_audited_records_have_each_in_half_of_them(halves: tuple[Audit, ReferenceData]) -> None:
    audit, step = halves
    known, (audited, others) = naive_references(step, audit), read_references(audit.remade(step))
    assert others is None and (audited.is_in.sum(axis=0) == 2).all()
    rows = audited_rows(audit.split)
    for model in range(4):
        assert audited.logits[model] == pytest.approx([known[model, row][0] for row in rows], rel=1e-5, abs=1e-6)
        assert audited.is_in[model].tolist() == [known[model, row][1] for row in rows]


def test_the_order_of_models_is_that_of_the_paths(halves: tuple[Audit, ReferenceData]) -> None:
    audit, step = halves
    there, _ = read_references(audit.remade(step))
    back, _ = read_references(audit.remade(replace(step, shadows=step.shadows[::-1])))
    assert np.array_equal(there.logits[::-1], back.logits) and np.array_equal(there.is_in[::-1], back.is_in)


def test_what_is_stored_says_how_many_are_audited_and_at_which_temperature(trained: Audit) -> None:
    for step in trained.of(ReferenceData):
        metadata = ReferenceMetadata.read(trained.made(step))
        assert (metadata.n_audited, metadata.temperature) == (120, step.temperature)
        audited, others = read_references(trained.made(step))
        assert audited.logits.shape[1] == 120 and others is not None
        assert others.logits.shape[1] == step.plan.n_calibration


def test_references_without_others_to_choose_thresholds_on_are_all_audited(trained: Audit) -> None:
    artefact = trained.made(trained.of(ReferenceData)[0])
    n_rows = artefact.table("references.parquet").num_rows
    everything = Artefact(
        artefact.store, artefact.kind, artefact.key, {}, artefact.files, {**artefact.meta, "n_audited": n_rows}
    )
    audited, others = read_references(everything)
    assert audited.logits.shape[1] == n_rows and others is None


def test_records_that_were_drawn_are_numbered_after_the_others(drawn: Audit) -> None:
    (step,) = drawn.of(ReferenceData)
    assert step.drawn is not None and step.drawn in step.inputs
    ids = np.asarray(drawn.made(step).table("references.parquet")["record_id"])
    n_drawn = drawn.store.open(step.drawn).meta["n_records"]
    assert ids[:120].tolist() == audited_rows(drawn.split).tolist()
    assert set(ids[120:]) <= set(range(drawn.records.n_records, drawn.records.n_records + n_drawn))


@pytest.mark.parametrize(
    ("mitigations", "temperature", "title"),
    [
        ((), 1.0, "unmitigated at temperature 1"),
        ((Rounding(2), LabelOnly()), 2.5, "rounding(2) + label_only at temperature 2.5"),
    ],
)
def test_titles_tell_references_apart(
    trained: Audit, mitigations: tuple[PostHoc, ...], temperature: float, title: str
) -> None:
    step = replace(trained.of(ReferenceData)[0], mitigations=mitigations, temperature=temperature)
    assert step.title == title
