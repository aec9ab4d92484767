"""skorch's classifiers of torch, where they are installed: audited as objects, and as recipes of shadow models."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from umbrameter import audit
from umbrameter.errors import PlanError, TargetError
from umbrameter.estimators import Estimator, global_seed, recipe_of

skorch = pytest.importorskip("skorch", reason="skorch is not installed: pip install 'umbrameter[torch]'")
torch = pytest.importorskip("torch")

from tests.estimators.modules import Layers  # noqa: E402  # needs torch

N = 200
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6 * N, 6)).astype(np.float32)
Y = (X[:, 0] + RNG.normal(size=6 * N) > 0).astype(np.int64)
IN, OUT, POOL = slice(0, N), slice(N, 2 * N), slice(2 * N, None)
SIDES = {"members": (X[IN], Y[IN]), "nonmembers": (X[OUT], Y[OUT]), "pool": (X[POOL], Y[POOL])}


def network(module: Any = Layers, **params: Any) -> Any:
    return skorch.NeuralNetClassifier(module, max_epochs=20, lr=0.5, train_split=None, **params)


def fitted(module: Any = Layers, **params: Any) -> Any:
    torch.manual_seed(3)
    return network(module, verbose=0, **params).fit(X[IN], Y[IN])


@pytest.fixture(scope="module")
def net() -> Any:
    return fitted()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_object_is_audited_with_shadow_models_of_its_own_kind(
    net: Any, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    results = [audit(net, **SIDES, shadows=4, workers=workers, progress=False).report for _ in range(2)]
    report = results[0]
    assert report.shadows.recipe == "NeuralNetClassifier" and report.shadows.n_models == 4
    assert report.shadows.train_accuracy > 0.6  # type: ignore[operator]
    # Seeded, though skorch has no random_state.
    assert results[0].results_json() == results[1].results_json()
    assert capfd.readouterr().out == ""  # no table of epochs


def test_what_was_fitted_is_left_behind_and_the_seed_decides_the_rest(net: Any) -> None:
    recipe = recipe_of(net)
    assert recipe.form == "array" and recipe.answers_probabilities and recipe.versions["torch"] == torch.__version__
    assert not hasattr(recipe.make(), "module_")
    answers, state = [], torch.get_rng_state()
    for seed in (1, 1, 2):
        model = recipe.build(seed)
        with global_seed(model, seed):
            answers.append(model.fit(X[OUT], Y[OUT]).predict_proba(X[:9]))
        assert torch.equal(torch.get_rng_state(), state)  # the caller's own random numbers go on as they were
    assert np.array_equal(answers[0], answers[1]) and not np.array_equal(answers[0], answers[2])


def test_without_a_seed_nobody_can_draw_the_weights_again(net: Any) -> None:
    answers = []
    for _ in range(2):
        model = recipe_of(net).build(None)
        torch.manual_seed(0)
        with global_seed(model, None):
            answers.append(model.fit(X[OUT], Y[OUT]).predict_proba(X[:9]))
    assert not np.array_equal(*answers)


def test_a_network_that_was_built_would_hand_on_its_weights() -> None:
    sequential = torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.Softmax(-1))
    net = fitted(sequential)
    again = network(sequential, verbose=0).initialize()  # begins where the first ended, which shadow models must not
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    with pytest.raises(PlanError, match=r"module of NeuralNetClassifier holds weights, .* give its class, importable"):
        audit(net, **SIDES, shadows=4, progress=False)
    assert audit(net, **SIDES, progress=False).report.target.train_accuracy > 0.6
    own = audit(net, **SIDES, shadows=2, estimator=Estimator(kind="decision_tree"), workers=1, progress=False)
    assert own.report.shadows.n_models == 2


def test_numbers_of_another_type_are_named_with_what_to_do(net: Any) -> None:
    sides = {name: (features.astype(np.float64), y) for name, (features, y) in SIDES.items()}
    with pytest.raises(TargetError, match="give numbers as float32, which networks of torch read"):
        audit(net, **sides, progress=False)


def test_an_unfitted_network_is_a_recipe_for_another_target() -> None:
    net = fitted()
    report = audit(net, **SIDES, shadows=2, estimator=network(module__n_hidden=4), workers=1, progress=False).report
    assert report.shadows.n_models == 2 and report.shadows.train_accuracy > 0.6  # type: ignore[operator]


def test_a_frame_is_no_set_of_arguments() -> None:
    frames = {name: (pd.DataFrame(features, columns=[*"abcdef"]), y) for name, (features, y) in SIDES.items()}
    report = audit(fitted(), **frames, shadows=2, workers=1, progress=False).report
    assert report.shadows.n_models == 2 and report.target.train_accuracy > 0.6
