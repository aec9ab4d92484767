"""Generated records: the same whatever their number, as hard as the paper's, and fast to generate."""

import inspect
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest

from data import generated as module
from data.generated import DEFAULTS, generated, parameters, purchase_like, texas_like
from umbrameter.errors import SpecError
from umbrameter.networks import MLPClassifier
from umbrameter.store.arrow import vectors

KINDS = {"purchase": purchase_like, "texas": texas_like}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_records_do_not_depend_on_how_many_there_are(make):
    few, many = (list(make(n, 21, 4, seed=1)) for n in (1500, 2500))
    assert [b.num_rows for b in many] == [1000, 1000, 500]
    assert few[0] == many[0] and few[1] == many[1].slice(0, 500)
    assert few[0] != many[1] and few[0] != next(make(1000, 21, 4, seed=2))


@pytest.mark.parametrize("like", KINDS)
def test_a_kind_s_defaults_are_those_of_its_function(like):
    signature = inspect.signature(KINDS[like]).parameters
    defaults = {name: p.default for name, p in signature.items() if p.default is not p.empty}
    assert asdict(DEFAULTS[like]) == defaults | {"n_records": DEFAULTS[like].n_records}
    assert next(generated(like, 30)) == next(KINDS[like](30))
    assert next(generated(like, 30, 5, 3, 0.2, 0.3, 4)) == next(KINDS[like](30, 5, 3, 0.2, 0.3, 4))


def test_bits_are_as_frequent_as_their_chances():
    settings = parameters("purchase", 200_000, 5, 3)
    table = pa.Table.from_batches(list(module.batches(settings)))
    X, y = vectors(table["x"]), np.asarray(table["y"])
    chances = module._chances(settings) / 2**16
    for label in range(3):
        some = X[y == label]
        assert (np.abs(some.mean(axis=0) - chances[label]) < 4 * np.sqrt(0.25 / len(some))).all()
    again = np.corrcoef(X[y == 0].T)
    assert np.abs(again - np.eye(5)).max() < 0.02  # features are independent within a class


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"like": "buyer"}, "like='buyer' is not a kind of generated records; expected one of purchase, texas"),
        ({"n_records": 0}, "n_records=0 of generated records must be 1 or more"),
        ({"n_features": 0}, "n_features=0"),
        ({"n_classes": 40_000}, "n_classes=40000 of generated records must be 1 to 32768"),
        ({"density": 1.0}, "density=1.0"),
        ({"distinctness": -0.1}, "distinctness=-0.1"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_parameters_out_of_range_are_refused(change, text):
    with pytest.raises(SpecError, match=text):
        generated(**{"like": "purchase", "n_records": 5} | change)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "density", "epochs"), [(purchase_like, (0.12, 0.18), 50), (texas_like, (0.03, 0.06), 30)]
)
def test_the_papers_network_overfits_generated_records_as_it_does_the_papers(make, density, epochs):
    table = pa.Table.from_batches(list(make(15_000)))
    X, y = vectors(table["x"]).astype(np.float32), np.asarray(table["y"])
    network = MLPClassifier((128,), epochs=epochs, batch_size=100, random_state=0).fit(X[:10_000], y[:10_000])
    assert density[0] < X.mean() < density[1] and len(np.unique(y)) == 100
    assert network.score(X[:10_000], y[:10_000]) > 0.99 and 0.6 < network.score(X[10_000:], y[10_000:]) < 0.7
