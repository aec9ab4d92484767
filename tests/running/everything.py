"""Finished audits that several files look at, each run once a session."""

import pytest

from tests.running.inline import Finished, audited, people
from umbrameter.dotted_paths import PREFIXES_VARIABLE
from umbrameter.spec.audit import AuditSpec

EVERYTHING = """
name: Every.thing_1
repeats: 2
data: {kind: parquet, path: people.parquet, label: y}
split: {members: 60, nonmembers: 60}
target: {kind: train, estimator: {kind: logistic_regression, params: {max_iter: 500}}}
shadows: {count: 3, records: 90, data: {kind: marginal, by_class: false}}
attacks:
  - {kind: shokri, model: {kind: decision_tree, params: {max_depth: 3}}}
  - {kind: loss}
  - {kind: lira, mode: offline}
  - {kind: quantile}
  - {kind: label_only, noise: {copies: 2}}
  - {kind: tests.outside.Stretch}
mitigations:
  - {kind: rounding, decimals: 1}
  - {kind: params, params: {C: 0.01}}
  - {kind: tests.outside.Blend}
"""
"""An audit in which every stage has something to do, but for those that ask for networks."""


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return an audit with every kind of task, two repeats of it."""
    folder = tmp_path_factory.mktemp("everything")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PREFIXES_VARIABLE, "tests.")
        spec = AuditSpec.from_yaml(EVERYTHING, [f"data.path={people(folder / 'people.parquet')}"])
        return audited(spec, folder / "root")
