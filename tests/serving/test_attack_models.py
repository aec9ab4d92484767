"""Attack models in files are loaded when they are needed, and no earlier."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from umbrameter.bundles import AttackModelBundle
from umbrameter.bundles.lazy_models import LazyModels
from umbrameter.persistence import dump_model
from umbrameter.serving.attack_models import _load_pyfunc, write_bundle


def test_a_model_is_loaded_when_it_is_asked_for() -> None:
    loaded: list[int] = []
    models = LazyModels([3, 1], lambda label: loaded.append(label) or label)  # type: ignore[func-returns-value, arg-type, return-value]
    assert [*models] == [3, 1] and len(models) == 2 and 3 in models and 2 not in models
    assert loaded == [] and models[3] == 3 and models[3] == 3 and loaded == [3, 3]  # type: ignore[comparison-overlap]
    with pytest.raises(KeyError):
        models[2]


def test_a_folder_answers_as_the_models_do_and_reads_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X, is_in = np.column_stack([rng.dirichlet([1, 1, 1], 90), np.arange(90) % 3]), rng.random(90) < 0.5
    bundle = AttackModelBundle(LogisticRegression, 3).fit(X, is_in.astype(int))
    write_bundle(tmp_path, 3, {label: dump_model(model) for label, model in bundle.models_.items() if label != 1})
    served = _load_pyfunc(str(tmp_path))
    (tmp_path / "label=2.skops").rename(tmp_path / "away")
    some = X[X[:, 3] < 2]
    expected = np.where(some[:, 3:] == 1, 0.5, bundle.predict_proba(some))
    for _ in range(2):
        np.testing.assert_array_equal(served.predict(some), expected)
        (tmp_path / "label=0.skops").unlink(missing_ok=True)
