"""Steps that draw shadow records: ordinary records as artefacts, the same however the work is divided."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from umbrameter.estimators import Estimator
from umbrameter.persistence import load_model
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records, with_drawn
from umbrameter.shadow_data import AnyShadowData, Drawing, Marginal, ModelBased, Noisy, ShadowData
from umbrameter.shadow_plan import ShadowPlan
from umbrameter.steps import shadow_records
from umbrameter.steps.shadow_models import ShadowFit, unusable_shadow_data
from umbrameter.steps.shadow_records import DrawnMetadata, ShadowRecords, Synthesis, drawing_steps
from umbrameter.steps.split import Split
from umbrameter.steps.target import TargetFit
from umbrameter.steps.training import Training
from umbrameter.store.artefacts import Artefact, Recipe
from umbrameter.store.steps import ensure
from umbrameter.targets.connection import Connection
from umbrameter.targets.querying import aligned_answers
from umbrameter.typing import Floats, Ints

SEARCH = ModelBased(iter_max=50, k_max=6, k_min=2, rej_max=3, side_by_side=100)
TREE = Estimator(kind="sklearn.tree.DecisionTreeClassifier", params={"max_depth": 5})  # answers alike in any batch


class Never1:
    """A target that is never sure of class 1, and reached from the first bit else."""

    classes_ = np.arange(3)

    def predict_proba(self, X: Floats) -> Floats:
        one = X[:, 0] * 0.9
        return np.column_stack([one, np.zeros(len(X)), 1 - one])


def given(records: Records) -> tuple[str, str]:
    """Return the paths of a target and of a split, made now unless they are there."""
    store, path = records.artefact.store, records.artefact.path
    split = ensure(store, Split(path, 500, 500, 0))
    return ensure(store, TargetFit(Training(path, split, TREE, (), 0))), split


def drawn(records: Records, data: AnyShadowData, n: int = 600, seed: int = 0, apart: bool = False) -> Artefact:
    target, split = given(records)
    store, path = records.artefact.store, records.artefact.path
    searches, whole = drawing_steps(data, target, path, split, n, len(records.classes), seed, apart)
    for step in searches:
        ensure(store, step)
    return store.open(ensure(store, whole))


def taken(artefact: Artefact) -> tuple[Floats, Ints]:
    found = Records.open(artefact.store, artefact.path)
    return found.take(np.arange(found.n_records))


KINDS = [Noisy(rate=0.1), Marginal(), Marginal(by_class=False), SEARCH]


@pytest.mark.parametrize("name", ["bits", "mixed"])
@pytest.mark.parametrize("data", KINDS, ids=lambda data: data.label)
def test_what_is_drawn_is_records(name: str, data: AnyShadowData, request: pytest.FixtureRequest) -> None:
    records: Records = request.getfixturevalue(name)
    artefact = drawn(records, data)
    found = Records.open(artefact.store, artefact.path)
    X, y = taken(artefact)
    assert len(X) == found.n_records == artefact.meta["n_records"] > 300
    assert np.bincount(y, minlength=len(records.classes)).tolist() == artefact.meta["label_counts"]
    assert (found.classes, found.feature_names, found.categorical, found.precision, found.slices) == (
        records.classes,
        records.feature_names,
        records.categorical,
        records.precision,
        (),
    )
    ids = artefact.table("records.parquet", ["record_id"])["record_id"]
    assert ids.to_pylist() == list(range(len(X)))
    low, high = (bound.astype(records.precision) for bound in (records.domain.low, records.domain.high))
    assert (X.min(axis=0) >= low).all() and (X.max(axis=0) <= high).all()
    assert np.array_equal(X[:, records.domain.is_whole], np.rint(X[:, records.domain.is_whole]))
    kinds = []
    for part in (artefact, records.artefact):
        with part.parquet("records.parquet") as file:
            kinds.append(file.schema_arrow.field("x").type)
    assert kinds[0] == kinds[1] and pa.types.is_fixed_size_binary(kinds[0]) == (name == "bits")
    assert "warnings" not in artefact.meta and artefact.meta["n_wanted"] == 600
    assert unusable_shadow_data(artefact.store, artefact.path, shadows(records, artefact.path, 100)) is None
    both = with_drawn(artefact.store, records.artefact.path, artefact.path)
    last = both.take([records.n_records - 1, records.n_records, records.n_records + len(X) - 1])
    expected = [records.take([records.n_records - 1])[0], X[:1], X[-1:]]
    assert np.array_equal(last[0], np.concatenate(expected)) and last[1][1:].tolist() == [y[0], y[-1]]


def test_noise_is_on_the_pool_alone(bits: Records) -> None:
    artefact = drawn(bits, Noisy(rate=0.1))
    pool = rows_of(artefact.store.open(given(bits)[1]), "pool")
    X, y = taken(artefact)
    assert np.array_equal(y, bits.take(pool)[1]) and np.not_equal(X, bits.take(pool)[0]).mean() == pytest.approx(
        0.1, abs=0.01
    )
    assert artefact.meta["queries"] == 0 and artefact.meta["by_class"] == []


def test_records_are_synthesised_for_what_the_target_is_sure_of(bits: Records) -> None:
    artefact = drawn(bits, SEARCH)
    target = Synthesis(given(bits)[0], bits.artefact.path, SEARCH, 600, (0,), 0).model(artefact.store)
    X, y = taken(artefact)
    answers = target.predict_proba(X)
    assert np.array_equal(answers.argmax(axis=1), y) and (answers.max(axis=1) > SEARCH.conf_min).all()
    assert [row["label"] for row in artefact.meta["by_class"]] == [0, 1, 2]
    for row, n in zip(artefact.meta["by_class"], artefact.meta["label_counts"], strict=True):
        assert row["n_found"] == n and row["n_found"] + row["n_failed"] == 200
        assert row["queries"] >= row["n_found"] + SEARCH.iter_max * row["n_failed"] and row["seconds"] > 0
    assert artefact.meta["queries"] == 0  # the searches have asked, and say so


def test_labels_are_asked_for_where_marginals_are_of_all_classes(bits: Records) -> None:
    artefact = drawn(bits, Marginal(by_class=False))
    target = Synthesis(given(bits)[0], bits.artefact.path, SEARCH, 600, (0,), 0).model(artefact.store)
    X, y = taken(artefact)
    assert np.array_equal(target.predict_proba(X).argmax(axis=1), y) and artefact.meta["queries"] == 600


@pytest.mark.parametrize("side_by_side", [1, 3, 1000])
def test_parts_and_searches_side_by_side_decide_nothing(
    bits: Records, side_by_side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = drawn(bits, SEARCH, n=302)
    monkeypatch.setattr(shadow_records, "SEARCHES", 100)
    target, split = given(bits)
    steps, _ = drawing_steps(SEARCH, target, bits.artefact.path, split, 302, 3, 0, apart=True)
    assert [step.labels for step in steps] == [(0,), (1,), (2,)]
    of = Drawing(bits, rows_of(whole.store.open(split), "pool"), 302, 0, ask=None)
    answers = steps[0].model(whole.store)

    def ask(X: Floats) -> Floats:
        return np.asarray(answers.predict_proba(X.astype(np.float32)), dtype=np.float32)

    own = SEARCH.model_copy(update={"side_by_side": side_by_side})
    parts = [own.synthesise(replace(of, ask=ask), np.array(step.labels)) for step in steps]
    X, y = taken(whole)
    assert np.array_equal(np.concatenate([part.records for part in parts]), X)
    assert np.array_equal(np.concatenate([part.labels for part in parts]), y)
    assert [len(part.queries) for part in parts] == [101, 101, 100]
    ((one, labels),) = own.draw(replace(of, ask=ask))
    assert np.array_equal(one, X) and np.array_equal(labels, y)


def test_the_artefact_is_the_same_in_one_part_or_several(bits: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(bits, SEARCH, n=302)
    monkeypatch.setattr(shadow_records, "SEARCHES", 100)
    cut = drawn(bits, SEARCH, n=302, apart=True)
    assert cut.key != whole.key and all(np.array_equal(*both) for both in zip(taken(cut), taken(whole), strict=True))
    for name in ("label_counts", "n_records", "n_wanted"):
        assert cut.meta[name] == whole.meta[name]
    without_time = [[{**row, "seconds": 0} for row in part.meta["by_class"]] for part in (cut, whole)]
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize("data", KINDS, ids=lambda data: data.label)
def test_the_seed_decides(bits: Records, data: AnyShadowData) -> None:
    one, other = (taken(drawn(bits, data, seed=seed))[0] for seed in (0, 1))
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_every_search_of_every_class_has_random_numbers_of_its_own(mixed: Records) -> None:
    asked: list[Floats] = []

    def ask(X: Floats) -> Floats:
        asked.append(X.copy())
        return np.full((len(X), 2), 0.5, dtype=np.float32)

    of = Drawing(mixed, np.empty(0, dtype=np.int64), 40, 0, ask)
    SEARCH.model_copy(update={"iter_max": 1}).synthesise(of, np.arange(2))
    assert len(asked) == 1 and len(np.unique(asked[0], axis=0)) == 40


def test_all_that_decides_what_is_found_is_in_the_recipe() -> None:
    one, other = (Synthesis("t", "r", SEARCH.model_copy(update={"side_by_side": n}), 9, (0,), 0) for n in (1, 9))
    more = [replace(one, seed=1), replace(one, n_records=8), replace(one, labels=(1,)), replace(one, target="u")]
    assert len({step.recipe.key for step in (one, other, *more)}) == 6


def test_fewer_searches_than_classes_and_none_for_some(bits: Records) -> None:
    of = Drawing(bits, np.empty(0, dtype=np.int64), 2, 0, ask=Never1().predict_proba)
    found = SEARCH.synthesise(of, np.array([2]))
    assert (len(found.labels), found.records.shape, len(found.queries)) == (0, (0, bits.n_features), 0)
    assert SEARCH.synthesise(of, np.array([0, 1, 2])).classes.tolist() == [0, 1]
    with pytest.raises(ValueError, match="model_based needs a target to ask"):
        SEARCH.synthesise(replace(of, ask=None), np.array([0]))


def test_classes_that_cannot_be_reached_are_told(bits: Records) -> None:
    store, path, (target, split) = bits.artefact.store, bits.artefact.path, given(bits)
    step = Synthesis(
        "targets/never", path, SEARCH, 300, (0, 1, 2), 5, connection=Connection({}, "never sure of class 1", Never1())
    )
    ensure(store, step)
    whole = ShadowRecords(target, path, SEARCH, split, 300, 5, (step.recipe.path,))
    artefact = store.open(ensure(store, whole))
    rows = {row["label"]: row for row in artefact.meta["by_class"]}
    assert (rows[1]["n_found"], rows[1]["n_failed"], rows[1]["queries"]) == (0, 100, 100 * SEARCH.iter_max)
    assert rows[0]["n_found"] == rows[2]["n_found"] == 100 and artefact.meta["label_counts"] == [100, 0, 100]
    assert unusable_shadow_data(store, artefact.path, shadows(bits, artefact.path, 100)) is None
    assert step.n_queries(store) == 300 * SEARCH.iter_max and whole.n_queries(store) == 0


def shadows(records: Records, drawn: str, size: int, n_models: int = 4) -> list[ShadowFit]:
    training = Training(records.artefact.path, given(records)[1], TREE, (), 0)
    plan = ShadowPlan("disjoint", n_models, size, size, 0)
    return [ShadowFit(training, plan, i, (), drawn) for i in range(n_models)]


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([0, 0, 0], "only 0 of 9 records of shadow data could be drawn; shadow models need two classes"),
        ([2, 1, 0], "only 3 of 9 records of shadow data could be drawn; shadow models need two classes, IN and OUT"),
        ([40, 0, 0], "could be drawn, of so few classes that shadow model 0 would be trained on a single one"),
        ([39, 1, 0], "could be drawn, of so few classes that shadow model"),
        ([20, 20, 0], None),
    ],
)
def test_too_little_to_train_on(bits: Records, counts: list[int], text: str | None) -> None:
    store, labels = bits.artefact.store, np.repeat(np.arange(3), counts)
    recipe = Recipe("shadow_records", {"counts": counts})
    known = bits.metadata.model_dump() | {"n_records": len(labels), "label_counts": tuple(counts)}
    with store.write(recipe) as draft:
        columns = {"record_id": np.arange(len(labels)), "label": labels.astype(np.int32)}
        draft.table("records.parquet", pa.table(columns))
        DrawnMetadata(**known, queries=0, n_wanted=9, by_class=()).write(draft)
    reason = unusable_shadow_data(store, recipe.path, shadows(bits, recipe.path, 20))
    assert reason is None if text is None else text in str(reason)


def test_a_file_of_marginals_decides_by_its_content(bits: Records, tmp_path: Path) -> None:
    from umbrameter.shadow_data import Marginals

    found = Marginals.of(bits, np.arange(3000), True, np.random.default_rng(0)).model_dump_json()
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(found, encoding="utf8")
    one, two = (drawn(bits, Marginal(file=str(tmp_path / name))) for name in ("a.json", "b.json"))
    assert one.key == two.key and one.meta["n_records"] == 600


# Specs

SPECS = TypeAdapter[ShadowData](AnyShadowData)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"kind": "model_based", "k_min": 5, "k_max": 4},
            r"k_min=5 is more than k_max=4; proposals change k_max features at first and k_min at last",
        ),
        ({"kind": "model_based", "conf_min": 1}, r"conf_min\n.*less than 1"),
        ({"kind": "model_based", "conf_min": -0.1}, r"conf_min\n.*greater than or equal to 0"),
        ({"kind": "model_based", "iter_max": 0}, r"iter_max\n.*greater than or equal to 1"),
        ({"kind": "model_based", "rej_max": -1}, r"rej_max\n.*greater than or equal to 0"),
        ({"kind": "model_based", "side_by_side": 0}, r"side_by_side\n.*greater than or equal to 1"),
        ({"kind": "model_based", "rate": 0.1}, r"rate\n.*Extra inputs are not permitted"),
        ({"kind": "noisy"}, r"rate\n.*Field required"),
        ({"kind": "noisy", "rate": 1.5}, r"rate\n.*less than or equal to 1"),
        ({"kind": "imagined"}, r"'imagined' .*'real', 'noisy', 'marginal', 'model_based'"),
    ],
)
def test_specs_that_are_none(spec: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        SPECS.validate_python(spec)


def test_model_based_says_what_it_costs() -> None:
    data = SPECS.validate_python({"kind": "model_based", "iter_max": 7})
    assert (data.label, data.asks, data.needs_pool, data.digest()) == ("model_based(iter_max=7)", True, False, None)
    assert (data.n_drawn(50, 9), data.most_queries(50)) == (50, 350) and "algorithm 1" in data.assumption


def test_searches_that_ask_a_network_can_be_repeated(bits: Records) -> None:
    store, path = bits.artefact.store, bits.artefact.path
    split = ensure(store, Split(path, 500, 500, 0))
    network = Estimator(kind="mlp", params={"hidden": [64], "activation": "tanh", "epochs": 30})
    target = ensure(store, TargetFit(Training(path, split, network, (), 0)))
    data = ModelBased(iter_max=60, k_max=8, k_min=2, rej_max=3, side_by_side=7)
    found = []
    for _ in range(2):
        model = load_model(store.open(target).data("model.skops"))
        of = Drawing(bits, np.empty(0, dtype=np.int64), 300, 0, aligned_answers(model, len(bits.classes)))
        found.append(data.synthesise(of, np.arange(len(bits.classes))))
    assert np.array_equal(found[0].queries, found[1].queries) and np.array_equal(found[0].records, found[1].records)
    assert found[0].is_found.any()
