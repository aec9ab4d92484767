"""What holds of every kind of shadow data: values that features can have, labels, numbers, seeds, and what is asked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from umbrameter.errors import DataError
from umbrameter.records.reader import Records
from umbrameter.seeds import generator
from umbrameter.shadow_data import (
    AnyShadowData,
    Drawing,
    Marginal,
    Marginals,
    ModelBased,
    Noisy,
    Real,
    ShadowData,
    base,
)
from umbrameter.shadow_data.marginal import MOST_DISTINCT, QUANTILES, Feature
from umbrameter.typing import Floats, Ints

POOL = np.arange(400, 1400)
SEARCH = ModelBased(iter_max=30, k_max=6, k_min=2, rej_max=3)
KINDS: list[ShadowData] = [Real(), Noisy(rate=0.2), Marginal(), Marginal(by_class=False), SEARCH]
DRAWN = [data for data in KINDS if data.is_drawn]


def label(data: ShadowData) -> str:
    return data.label


class Asked:
    """A target that is surest where the first feature is large; keeps what it was asked about."""

    def __init__(self, n_classes: int):
        self.n_classes = n_classes
        self.n_asked = 0

    def __call__(self, X: Floats) -> Floats:
        self.n_asked += len(X)
        score = X[:, :1].astype(np.float64) @ np.linspace(-1, 1, self.n_classes)[None, :]
        exp = np.exp(np.clip(score, -20, 20))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True), dtype=np.float32)


def drawing(records: Records, pool: Ints = POOL, n: int = 300, seed: int = 0, ask: Any = None) -> Drawing:
    return Drawing(records, pool, n, seed, ask or Asked(len(records.classes)))


def drawn(data: ShadowData, what: Drawing) -> tuple[Floats, Ints]:
    parts = [*data.draw(what)]
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])


@pytest.fixture(params=["bits", "mixed"])
def records(request: pytest.FixtureRequest) -> Records:
    found: Records = request.getfixturevalue(request.param)
    return found


# What is drawn


@pytest.mark.parametrize("data", KINDS, ids=label)
def test_every_value_is_one_that_its_feature_can_have(records: Records, data: ShadowData) -> None:
    X, _ = drawn(data, drawing(records))
    domain = records.domain
    assert ((domain.low <= X) & (domain.high >= X)).all()
    assert (X[:, domain.is_whole] == np.rint(X[:, domain.is_whole])).all()
    assert X.dtype == np.dtype(records.precision)


@pytest.mark.parametrize("data", KINDS, ids=label)
def test_every_label_is_a_class_and_every_record_has_one(records: Records, data: ShadowData) -> None:
    X, y = drawn(data, drawing(records))
    assert len(X) == len(y) and set(y.tolist()) <= set(range(len(records.classes)))


@pytest.mark.parametrize("data", KINDS, ids=label)
def test_as_many_are_drawn_as_are_said_at_most(records: Records, data: ShadowData) -> None:
    X, _ = drawn(data, drawing(records, n=301))
    most = data.n_drawn(301, len(POOL))
    assert len(X) <= most and (data is SEARCH or len(X) == most)


@pytest.mark.parametrize("data", KINDS, ids=label)
def test_the_target_is_asked_as_said_and_not_otherwise(records: Records, data: ShadowData) -> None:
    ask = Asked(len(records.classes))
    drawn(data, drawing(records, n=200, ask=ask))
    assert (ask.n_asked > 0) == data.asks
    assert ask.n_asked <= data.most_queries(data.n_drawn(200, len(POOL)))


@pytest.mark.parametrize("data", [data for data in KINDS if data.needs_pool], ids=label)
def test_the_audited_records_are_not_looked_at(bits: Records, data: ShadowData) -> None:
    """What is drawn comes of the pool: other records beside it change nothing."""

    class Spy(Records):
        taken: Ints = np.empty(0, np.int64)

        def take(self, rows: Any) -> tuple[Floats, Ints]:
            type(self).taken = np.union1d(type(self).taken, np.asarray(rows))
            return super().take(rows)

    spy = Spy(bits.artefact)
    drawn(data, drawing(spy))
    assert len(Spy.taken) and set(Spy.taken.tolist()) <= set(POOL.tolist())


@pytest.mark.parametrize("data", [data for data in KINDS if not data.needs_pool], ids=label)
def test_what_needs_no_pool_is_drawn_without_one(records: Records, data: ShadowData) -> None:
    nobody = np.empty(0, np.int64)
    assert len(drawn(data, drawing(records, nobody, n=60))[0]) > 0


@pytest.mark.parametrize("data", DRAWN, ids=label)
def test_the_same_seed_draws_the_same_and_another_one_others(records: Records, data: ShadowData) -> None:
    one, two, other = (drawn(data, drawing(records, seed=seed)) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert one[0].shape != other[0].shape or not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("data", [Marginal(by_class=False), SEARCH], ids=label)
def test_without_a_target_to_ask_nothing_is_drawn(bits: Records, data: ShadowData) -> None:
    with pytest.raises(ValueError, match="target"):
        drawn(data, Drawing(bits, POOL, 30, 0))


@pytest.mark.parametrize("n_values", [1, 2**22])
@pytest.mark.parametrize("data", [Real(), Noisy(rate=0.2)], ids=label)
def test_the_pool_comes_once_in_its_order_however_it_is_read(
    bits: Records, monkeypatch: pytest.MonkeyPatch, data: ShadowData, n_values: int
) -> None:
    monkeypatch.setattr(base, "BLOCK_VALUES", n_values * 40)
    _, y = drawn(data, drawing(bits, POOL[:50]))
    assert np.array_equal(y, bits.take(POOL[:50])[1])


# What it says of itself


@pytest.mark.parametrize("data", KINDS, ids=label)
def test_shadow_data_come_back_from_what_a_spec_holds(data: ShadowData) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyShadowData)
    assert adapter.validate_python(adapter.dump_python(data, mode="json")) == data


def test_labels_tell_kinds_and_settings_apart() -> None:
    others = [Noisy(rate=0.1), ModelBased(), ModelBased(conf_min=0.9)]
    labels = [data.label for data in [*KINDS, *others]]
    assert len(labels) == len({*labels})
    assert ModelBased(side_by_side=7).label == ModelBased().label  # which decides no figure


@pytest.mark.parametrize("data", KINDS, ids=label)
def test_an_assumption_says_what_the_attacker_has(data: ShadowData) -> None:
    assert len(data.assumption.split()) > 5 and not data.assumption.endswith(".")
    assert data.digest() is None


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"kind": "noisy"}, "rate"),
        ({"kind": "noisy", "rate": 0}, "rate"),
        ({"kind": "model_based", "k_min": 9, "k_max": 8}, "k_min=9"),
        ({"kind": "model_based", "conf_min": 1}, "conf_min"),
        ({"kind": "model_based", "iter_max": 0}, "iter_max"),
        ({"kind": "real", "rate": 0.1}, "rate"),
        ({"kind": "umbrameter.attacks.Loss"}, "ShadowData"),
        ({"kind": "os.path.join"}, "'os.path.join'"),
    ],
)
def test_settings_that_are_none_are_refused_by_name(settings: dict[str, Any], name: str) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyShadowData)
    with pytest.raises(ValidationError, match=name):
        adapter.validate_python(settings)


# Drawings


def test_a_drawing_knows_classes_categories_and_how_much_fits_at_once(mixed: Records) -> None:
    what = drawing(mixed)
    assert what.n_classes == 2 and what.block == base.BLOCK_VALUES // mixed.n_features
    names = [name for name, is_category in zip(mixed.feature_names, what.is_category, strict=True) if is_category]
    assert names == ["colour"]


def test_wide_records_are_drawn_one_at_a_time_at_least(bits: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BLOCK_VALUES", 1)
    assert drawing(bits).block == 1


def test_roles_have_random_numbers_of_their_own(bits: Records) -> None:
    what = drawing(bits, seed=3)
    numbers = [what.rng(*role).random() for role in (("a",), ("b",), ("a", 1), ("a", 2), ("a", 1, 2))]
    assert len({*numbers}) == 5
    assert what.rng("a", 1).random() == generator(3, "a", 1).random() == numbers[2]


# Marginals as statistics


def statistics(records: Records, by_class: bool = True, rows: Ints = POOL) -> Marginals:
    return Marginals.of(records, rows, by_class, np.random.default_rng(0))


@pytest.mark.parametrize("by_class", [True, False])
def test_statistics_come_back_from_their_file(records: Records, tmp_path: Path, by_class: bool) -> None:
    found = statistics(records, by_class)
    (tmp_path / "marginals.json").write_text(found.model_dump_json())
    again = Marginals.load(str(tmp_path / "marginals.json"))
    assert again == found and again.is_by_class == by_class
    again.check(records, "marginals.json")


def test_statistics_do_not_depend_on_the_order_of_the_records(records: Records) -> None:
    shuffled = np.random.default_rng(7).permutation(POOL)
    for a, b in zip(statistics(records).classes, statistics(records, rows=shuffled).classes, strict=True):
        assert (a.label, a.share) == (b.label, b.share)
        for one, other in zip(a.features, b.features, strict=True):
            assert one.values == other.values and np.allclose(one.shares, other.shares)
            assert np.allclose(one.quantiles, other.quantiles)


def test_shares_are_those_of_a_plain_count(bits: Records) -> None:
    X, y = bits.take(POOL)
    for entry in statistics(bits).classes:
        of_class = X[y == bits.classes.index(entry.label)]
        assert entry.share == pytest.approx(len(of_class) / len(X))
        for i, feature in enumerate(entry.features):
            counted = {value: (of_class[:, i] == value).mean() for value in sorted({*of_class[:, i].tolist()})}
            assert dict(zip(feature.values, feature.shares, strict=True)) == pytest.approx(counted)


def test_numbers_of_many_values_are_told_by_quantiles_and_others_by_counts(mixed: Records) -> None:
    (entry,) = statistics(mixed, by_class=False).classes
    forms = {feature.name: (len(feature.values), len(feature.quantiles)) for feature in entry.features}
    assert forms["height"] == (0, QUANTILES) and forms["colour"] == (3, 0)
    assert 0 < forms["year"][0] <= MOST_DISTINCT


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=9),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8),
)
def test_what_quantiles_draw_rises_with_the_random_number_and_stays_between_them(
    quantiles: list[float], uniform: list[float]
) -> None:
    feature = Feature(name="a", quantiles=tuple(sorted(quantiles)))
    values = feature.draw(np.array(sorted(uniform)), None)
    assert (np.diff(values) >= 0).all()
    assert min(quantiles) <= values.min() and values.max() <= max(quantiles)


@pytest.mark.parametrize(
    ("feature", "codes", "fault"),
    [
        ({"values": [1, 2.5], "shares": [1, 1]}, None, None),
        ({"values": ["1"], "shares": [1]}, None, "'1'"),
        ({"values": ["red", "blue"], "shares": [1, 2]}, ["blue", "red"], None),
        ({"values": [7], "shares": [1]}, ["7"], None),  # a category is its text
        ({"values": ["pink"], "shares": [1]}, ["blue", "red"], "'pink'"),
        ({"quantiles": [0, 1]}, None, None),
        ({"quantiles": [0, 1]}, ["blue"], "quantiles"),
    ],
)
def test_what_no_record_can_be_drawn_from_is_said(
    feature: dict[str, Any], codes: list[str] | None, fault: str | None
) -> None:
    found = Feature(name="a", **feature).fault(codes)
    assert found is None if fault is None else fault in str(found)


def test_a_file_of_another_data_set_is_refused_with_what_is_missing(
    bits: Records, mixed: Records, tmp_path: Path
) -> None:
    path = tmp_path / "marginals.json"
    path.write_text(statistics(mixed).model_dump_json())
    with pytest.raises(DataError) as caught:
        drawn(Marginal(file=str(path)), drawing(bits))
    assert str(path) in str(caught.value) and "class" in str(caught.value)


def test_a_file_that_is_written_otherwise_but_says_the_same_is_the_same_data(bits: Records, tmp_path: Path) -> None:
    content = json.loads(statistics(bits).model_dump_json())
    paths = [tmp_path / name for name in ("one.json", "two.json")]
    paths[0].write_text(json.dumps(content))
    paths[1].write_text(json.dumps(content, indent=4, sort_keys=True))
    one, two = (Marginal(file=str(path)) for path in paths)
    assert one.digest() == two.digest() is not None
    assert np.array_equal(drawn(one, drawing(bits))[0], drawn(two, drawing(bits))[0])


# Searches


def test_searches_are_dealt_evenly_and_end_one_by_one(bits: Records) -> None:
    ask = Asked(3)
    found = SEARCH.synthesise(drawing(bits, n=20, ask=ask), np.arange(3))
    assert [int((found.classes == c).sum()) for c in range(3)] == [7, 7, 6]
    assert len(found.records) == len(found.labels) == found.is_found.sum()
    assert np.array_equal(found.labels, found.classes[found.is_found])
    assert ask.n_asked == found.queries.sum() and found.queries.min() >= 1 and found.queries.max() <= SEARCH.iter_max


def test_a_record_that_is_found_is_one_that_the_target_is_sure_of(bits: Records) -> None:
    found = SEARCH.synthesise(drawing(bits, n=60), np.arange(3))
    answers = Asked(3)(found.records)
    assert (answers.argmax(axis=1) == found.labels).all()
    assert (answers[np.arange(len(found.labels)), found.labels] > SEARCH.conf_min).all()


@pytest.mark.parametrize("classes", [[0], [2], [1, 2], [2, 0]])
def test_a_class_s_searches_are_the_same_whichever_are_made_with_them(bits: Records, classes: list[int]) -> None:
    whole = SEARCH.synthesise(drawing(bits, n=30), np.arange(3))
    part = SEARCH.synthesise(drawing(bits, n=30), np.array(classes))
    for c in classes:
        assert np.array_equal(part.queries[part.classes == c], whole.queries[whole.classes == c])
        assert np.array_equal(part.records[part.labels == c], whole.records[whole.labels == c])
