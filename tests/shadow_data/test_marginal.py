"""Marginal shadow data: each feature keeps its distribution, and correlations are lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binom, ks_2samp

from umbrameter.errors import DataError
from umbrameter.records.reader import Records
from umbrameter.shadow_data import Drawing, Marginal, Marginals, base
from umbrameter.shadow_data.marginal import MOST_DISTINCT, QUANTILES, Feature
from umbrameter.typing import Floats, Ints

N = 20_000
POOL = np.arange(500, 3000)
NOBODY = np.empty(0, dtype=np.int64)

Ask = Callable[[Floats], Floats]


def drawn(
    data: Marginal, records: Records, pool: Ints = POOL, n: int = N, seed: int = 0, ask: Ask | None = None
) -> tuple[Floats, Ints]:
    parts = [*data.draw(Drawing(records, pool, n, seed, ask))]
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])


def assert_share(hits: int, n: int, share: float) -> None:
    low, high = binom.interval(1 - 1e-6, n, share)
    assert low <= hits <= high


def assert_marginals(some: Floats, like: Floats) -> None:
    """Hold each value's frequency against that of the pool."""
    for made, real in zip(some.T, like.T, strict=True):
        assert {*np.unique(made)} <= {*np.unique(real)}
        for value in np.unique(real):
            assert_share((made == value).sum(), len(made), (real == value).mean())


def test_each_class_has_its_own_frequencies_and_no_correlations(bits: Records) -> None:
    real, labels = bits.take(POOL)
    X, y = drawn(Marginal(), bits)
    assert X.dtype == real.dtype and len(X) == N
    for label in range(3):
        assert_marginals(X[y == label], real[labels == label])
        assert np.array_equal(real[:, 0], real[:, 1])
        off = np.corrcoef(X[y == label], rowvar=False)[np.triu_indices(12, 1)]
        assert abs(off).max() < 5 / np.sqrt((y == label).sum())


def test_the_counts_of_classes_are_the_shares(bits: Records) -> None:
    shares = np.bincount(bits.take(POOL)[1]) / len(POOL)
    assert (abs(np.bincount(drawn(Marginal(), bits)[1]) - N * shares) <= 1).all()
    assert [len(drawn(Marginal(), bits, n=n)[1]) for n in (1, 2, 10, 101)] == [1, 2, 10, 101]


def by_first_bit(X: Floats) -> Floats:
    return np.column_stack([0.3 * np.ones(len(X)), 0.6 * X[:, 0], 0.6 * (1 - X[:, 0])])


def test_without_classes_the_target_says_the_labels(bits: Records) -> None:
    X, y = drawn(Marginal(by_class=False), bits, ask=by_first_bit)
    assert_marginals(X, bits.take(POOL)[0])
    assert np.array_equal(y, np.where(X[:, 0] == 1, 1, 2))
    assert abs(np.corrcoef(X, rowvar=False)[np.triu_indices(12, 1)]).max() < 5 / np.sqrt(N)
    with pytest.raises(ValueError, match="records without labels need a target to ask"):
        drawn(Marginal(by_class=False), bits)


def test_what_it_says_of_itself() -> None:
    for by_class, label in ((True, "marginal"), (False, "marginal(of all classes)")):
        data = Marginal(by_class=by_class)
        assert (data.label, data.asks, data.needs_pool, data.digest()) == (label, not by_class, True, None)
        assert (data.most_queries(50), data.n_drawn(50, 7)) == (0 if by_class else 50, 50)
        assert ("labelled by the target" in data.assumption) == (not by_class)
    assert not Marginal(file="m.json").needs_pool


def test_numbers_of_many_values_have_the_pools_quantiles_and_its_range(mixed: Records) -> None:
    real, labels = mixed.take(POOL)
    X, y = drawn(Marginal(), mixed)
    height, year = (mixed.feature_names.index(name) for name in ("height", "year"))
    for label in (0, 1):
        some, like = X[y == label], real[labels == label]
        assert like[:, height].min() <= some[:, height].min() and some[:, height].max() <= like[:, height].max()
        assert ks_2samp(some[:, height], like[:, height]).statistic < 0.02  # 257 quantiles of 1,250; 5 errors of 10,000
        np.testing.assert_allclose(*(np.quantile(part[:, height], [0.1, 0.5, 0.9]) for part in (some, like)), atol=0.6)
        assert_marginals(some[:, [year]], like[:, [year]])
        colour = mixed.feature_names.index("colour")
        assert_marginals(some[:, [colour]], like[:, [colour]])


def test_statistics_are_counts_of_few_values_and_quantiles_of_many(mixed: Records) -> None:
    (entry,) = Marginals.of(mixed, POOL, by_class=False, rng=np.random.default_rng(0)).classes
    by_name, real = {f.name: f for f in entry.features}, mixed.take(POOL)[0]
    height, year, colour = (by_name[name] for name in ("height", "year", "colour"))
    assert len(height.quantiles) == QUANTILES and (height.quantiles[0], height.quantiles[-1]) == (
        real[:, mixed.feature_names.index("height")].min(),
        real[:, mixed.feature_names.index("height")].max(),
    )
    assert year.values == tuple(range(1950, 2000)) and len(year.values) < MOST_DISTINCT
    assert colour.values == ("blue", "green", "red") and sum(colour.shares) == pytest.approx(1)
    assert colour.shares[1] == pytest.approx((real[:, mixed.feature_names.index("colour")] == 1).mean())


def test_the_seed_decides_and_blocks_differ(bits: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    one, again, other = (drawn(Marginal(), bits, n=500, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    monkeypatch.setattr(base, "BLOCK_VALUES", 100 * bits.n_features)
    parts = [X for X, _ in Marginal().draw(Drawing(bits, POOL, 1000, 0))]
    assert {len(X) for X in parts[:5]} == {100} and not np.array_equal(parts[0], parts[1])
    assert_marginals(np.concatenate(parts[:5]), bits.take(POOL[bits.take(POOL)[1] == 0])[0])


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30),
    st.lists(st.floats(0, 5), min_size=1, max_size=9).filter(sum),
)
def test_values_are_drawn_by_the_inverse_of_their_distribution(uniform: list[float], shares: list[float]) -> None:
    feature = Feature(name="a", values=tuple(range(len(shares))), shares=tuple(shares))
    for u, value in zip(uniform, feature.draw(np.array(uniform), None).astype(int), strict=True):
        assert sum(shares[:value]) <= u * sum(shares) + 1e-9 and u * sum(shares) <= sum(shares[: value + 1]) + 1e-9


def test_a_value_without_a_share_is_never_drawn() -> None:
    feature = Feature(name="a", values=(7, 8, 9, 10), shares=(0, 1, 1, 0))
    assert feature.draw(np.array([0.0, 0.49, 0.5, 1 - 2**-53]), None).tolist() == [8, 8, 9, 9]


# From a file


def written(folder: Path, marginals: Marginals | dict[str, Any]) -> str:
    content = marginals if isinstance(marginals, dict) else marginals.model_dump(mode="json")
    (folder / "marginals.json").write_text(json.dumps(content), encoding="utf8")
    return str(folder / "marginals.json")


def of_pool(records: Records, by_class: bool = True) -> dict[str, Any]:
    found = Marginals.of(records, POOL, by_class, np.random.default_rng(0))
    loaded: dict[str, Any] = json.loads(found.model_dump_json())
    return loaded


@pytest.mark.parametrize("by_class", [True, False])
@pytest.mark.parametrize("name", ["bits", "mixed"])
def test_a_file_alone_gives_what_the_pool_gives(
    name: str, by_class: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    records: Records = request.getfixturevalue(name)
    data = Marginal(by_class=by_class, file=written(tmp_path, of_pool(records, by_class)))
    X, y = drawn(data, records, NOBODY, ask=by_first_bit)
    like, labels = drawn(Marginal(by_class=by_class), records, ask=by_first_bit)
    np.testing.assert_allclose(X, like, rtol=1e-6)
    assert np.array_equal(y, labels)
    assert not data.needs_pool and Marginals.load(str(data.file)).is_by_class == by_class


def test_another_file_is_other_data_and_the_same_content_is_not(bits: Records, tmp_path: Path) -> None:
    content = of_pool(bits)
    data = Marginal(file=written(tmp_path, content))
    first = data.digest()
    (tmp_path / "marginals.json").write_text(json.dumps(content, indent=3), encoding="utf8")
    assert data.digest() == first
    content["classes"][0]["share"] += 0.1
    written(tmp_path, content)
    assert data.digest() != first


def test_classes_of_one_distribution_are_drawn_apart(bits: Records, tmp_path: Path) -> None:
    content = of_pool(bits)
    content["classes"] = [content["classes"][0] | {"label": label, "share": 1} for label in range(3)]
    X, y = drawn(Marginal(file=written(tmp_path, content)), bits, NOBODY, n=300)
    assert np.bincount(y).tolist() == [100, 100, 100]
    assert len({X[y == label].tobytes() for label in range(3)}) == 3


def test_numbers_beyond_those_of_the_data_are_taken_for_the_nearest(bits: Records, tmp_path: Path) -> None:
    """Of 300, which no byte holds, 44 was kept."""
    content = of_pool(bits)
    content["classes"][0]["features"][3] = {"name": "b3", "values": [-5, 0.4, 300], "shares": [0.25, 0.25, 0.5]}
    X, y = drawn(Marginal(file=written(tmp_path, content)), bits, NOBODY)
    assert {*np.unique(X)} == {0, 1}
    assert_share((X[y == 0, 3] == 1).sum(), (y == 0).sum(), 0.5)


def test_a_whole_number_by_quantiles_is_rounded(mixed: Records, tmp_path: Path) -> None:
    content = of_pool(mixed)
    year = mixed.feature_names.index("year")
    for entry in content["classes"]:
        entry["features"][year] = {"name": "year", "quantiles": [1950, 1960.5, 2000]}
    values = drawn(Marginal(file=written(tmp_path, content)), mixed, NOBODY)[0][:, year]
    assert np.array_equal(values, np.rint(values)) and (values.min(), values.max()) == (1950, 2000)
    assert_share((values <= 1960).sum(), N, 0.5)


def refused(content: dict[str, Any], records: Records, folder: Path, by_class: bool = True) -> str:
    """Return what is said of a file, without its path."""
    path = written(folder, content)
    with pytest.raises(DataError) as caught:
        drawn(Marginal(by_class=by_class, file=path), records, NOBODY)
    assert f"shadows.data.file={path!r}" in str(caught.value)
    return str(caught.value).replace(f"shadows.data.file={path!r}", "FILE")


Change = Callable[[list[dict[str, Any]]], object]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda classes: classes[1]["features"].pop(2), "FILE lacks 1 feature in class 1: b2; correct the file"),
        (
            lambda classes: classes[1].update(features=classes[1]["features"][:3]),
            "FILE lacks 9 features in class 1: b10, b11, b3, b4, b5; correct the file",
        ),
        (
            lambda classes: classes[0]["features"][0].update(name="z"),
            "FILE lacks 1 feature in class 0: b0 and unexpectedly has 1 feature in class 0: z; correct the file",
        ),
        (
            lambda classes: classes[2]["features"].append(classes[2]["features"][5]),
            "FILE has twice 1 feature in class 2: b5; correct the file",
        ),
        (lambda classes: classes.pop(), "FILE lacks 1 class: 2; correct the file"),
        (
            lambda classes: [entry.update(label=f"x{i}") for i, entry in enumerate(classes)],
            "FILE lacks 3 classes: 0, 1, 2 and unexpectedly has 3 classes: x0, x1, x2; correct the file",
        ),
        (lambda classes: classes.append(classes[1]), "FILE has twice 1 class: 1; correct the file"),
        (
            lambda classes: classes[1].pop("label"),
            "FILE has 3 entries, not all with a label; label each with its class, or give one for all classes",
        ),
        (
            lambda classes: classes[1]["features"][4].update(values=["yes", 1]),
            "FILE, feature 'b4' in class 1: 'yes' is not a number; correct the file",
        ),
    ],
)
def test_a_file_that_does_not_fit_the_data(bits: Records, tmp_path: Path, change: Change, text: str) -> None:
    content = of_pool(bits)
    change(content["classes"])
    assert refused(content, bits, tmp_path) == text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"values": ["red", "pink"], "shares": [1, 1]}, "the data have no category 'pink'"),
        ({"quantiles": [0, 2]}, "a category has values with shares, not quantiles"),
    ],
)
def test_a_category_that_the_data_have_not(mixed: Records, tmp_path: Path, change: dict[str, Any], text: str) -> None:
    content = of_pool(mixed)
    content["classes"][0]["features"][mixed.feature_names.index("colour")] = {"name": "colour", **change}
    assert refused(content, mixed, tmp_path) == f"FILE, feature 'colour' in class 'no': {text}; correct the file"


@pytest.mark.parametrize("by_class", [True, False])
def test_a_file_of_the_other_form(bits: Records, tmp_path: Path, by_class: bool) -> None:
    has = "all records" if by_class else "each class"
    text = refused(of_pool(bits, not by_class), bits, tmp_path, by_class)
    assert text == (
        f"shadows.data.by_class={by_class}, but FILE has distributions of {has}; change the setting or the file"
    )


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        ({"values": [0, 1], "shares": [1]}, "give values with one share each, or quantiles in rising order"),
        ({"values": [0, 1], "shares": [0, 0]}, "give values with one share each, or quantiles in rising order"),
        ({"quantiles": [0, 3, 1]}, "give values with one share each, or quantiles in rising order"),
        ({}, "give values with one share each, or quantiles in rising order"),
        (
            {"values": [0], "shares": [1], "quantiles": [0, 1]},
            "give values with one share each, or quantiles in rising order",
        ),
        ({"values": [0, 1], "shares": [2, -1]}, "greater than or equal to 0"),
        ({"values": [0, 1], "shares": [float("inf"), 1]}, "finite number"),
        ({"vals": [0, 1]}, "Extra inputs are not permitted"),
    ],
)
def test_a_feature_that_is_no_distribution(bits: Records, tmp_path: Path, feature: dict[str, Any], text: str) -> None:
    content = of_pool(bits)
    content["classes"][0]["features"][1] = {"name": "b1", **feature}
    said = refused(content, bits, tmp_path)
    assert said.startswith("FILE is not a file of marginals (classes.0.features.1") and text in said
    assert said.endswith("); see docs/targets.md for its form")


def test_a_file_that_is_not_there_or_is_no_json(bits: Records, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.json")
    with pytest.raises(DataError, match=r"gone\.json' cannot be read \(.*No such file.*\); give a JSON file"):
        drawn(Marginal(file=gone), bits, NOBODY)
    (tmp_path / "text.json").write_text("share;name", encoding="utf8")
    with pytest.raises(DataError, match=r"text\.json' is not a file of marginals \(Invalid JSON: .*\); see docs"):
        Marginal(file=str(tmp_path / "text.json")).digest()
    with pytest.raises(DataError, match=r"is not a file of marginals \(classes: .* at least 1 item.*\); see docs"):
        Marginal(file=written(tmp_path, {"classes": []})).digest()


def test_settings_that_are_none() -> None:
    with pytest.raises(ValidationError, match=r"rate\n.*Extra inputs"):
        Marginal(rate=0.1)  # type: ignore[call-arg]
