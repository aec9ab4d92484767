"""Scores of single records: stored on request only, under pseudonyms."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from umbrameter.errors import SpecError
from umbrameter.report.record_scores import KEY, exposure, pseudonym, record_key
from umbrameter.report.run_artefacts import FILE, MeasurementPaths, ModelPaths, RunArtefacts
from umbrameter.store.artefacts import Recipe, Store
from umbrameter.store.schemas import SCORES

SECRET = "a secret of some length"


@pytest.fixture
def run(tmp_path: Path) -> Store:
    """Return a store with a run that has two attacks, a mitigation and a second repeat."""
    store = Store(tmp_path)
    entries = []
    for i, (attack, mitigation) in enumerate([("loss", None), ("gap", None), ("loss", "top_k(1)"), ("loss", None)]):
        recipe = Recipe("scores", {"i": i})
        columns = [np.arange(4), np.array([0, 1, 0, 1]), np.arange(4) < 2, np.arange(4) + 10.0 * i, np.arange(4) < 2]
        with store.write(recipe) as draft:
            draft.table("scores.parquet", pa.table(columns, schema=SCORES))
        who = None if mitigation is None else "adaptive"
        shared = {"attacker": who, "attack_models": (), "evaluation": ""}
        entries.append(MeasurementPaths(attack=attack, mitigation=mitigation, scores=recipe.path, **shared))
    others = {name: () for name, field in RunArtefacts.model_fields.items() if field.annotation is not str}
    artefacts = RunArtefacts(**others | {"records": "", "split": "", "measurements": entries})
    store.put("runs/x", {FILE: artefacts.model_dump_json().encode()})
    return store


def test_scores_of_the_target_as_it_is_in_the_first_repeat_under_pseudonyms(run: Store) -> None:
    table = pq.read_table(BytesIO(exposure(run, "runs/x", SECRET)))
    assert table.column_names == ["record", "label", "is_member", "score_loss", "score_gap"]
    names = [pseudonym(i, SECRET) for i in range(4)]
    assert table["record"].to_pylist() == sorted(names)
    scores = dict(zip(table["record"].to_pylist(), table["score_loss"].to_pylist(), strict=True))
    assert [scores[name] for name in names] == [0, 1, 2, 3]
    other = pq.read_table(BytesIO(exposure(run, "runs/x", "another secret, as long")))
    assert not set(other["record"].to_pylist()) & set(names)


def test_without_a_secret_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(SpecError, match=rf"{KEY} has 0 characters \(needs 16\)"):
        record_key()
    monkeypatch.setenv(KEY, "short")
    with pytest.raises(SpecError, match="has 5 characters"):
        record_key()
    monkeypatch.setenv(KEY, SECRET)
    assert record_key() == SECRET


def test_of_repeats_and_mitigations_the_first_unmitigated_measurement_of_each_attack_counts() -> None:
    def measured(attack: str, mitigation: str | None, scores: str) -> MeasurementPaths:
        who = "adaptive" if mitigation else None
        shared = {"attack_models": (), "evaluation": "e"}
        return MeasurementPaths(attack=attack, mitigation=mitigation, attacker=who, scores=scores, **shared)

    entries = [measured("a", "m", "0"), measured("a", None, "1"), measured("b", None, "2"), measured("a", None, "3")]
    others = {name: () for name, field in RunArtefacts.model_fields.items() if field.annotation is not str}
    models = (ModelPaths(mitigation=None, target="t", guard=None), ModelPaths(mitigation="m", target="t", guard="g"))
    run = RunArtefacts(**others | {"records": "r", "split": "s", "measurements": tuple(entries), "models": models})
    assert {attack: paths.scores for attack, paths in run.without_mitigation().items()} == {"a": "1", "b": "2"}
    assert RunArtefacts.model_validate_json(run.model_dump_json()) == run
