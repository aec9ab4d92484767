"""Tiny audits, each performed once a session; tests leave their stores as they found them."""

import pytest

from tests.steps import audits
from tests.steps.audits import Audit, Perform


@pytest.fixture(scope="session")
def perform(tmp_path_factory: pytest.TempPathFactory) -> Perform:
    """Perform an audit in a store of its own, by the name of the function that lays it out."""
    return lambda name: getattr(audits, name)(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def trained(perform: Perform) -> Audit:
    return perform("trained")


@pytest.fixture(scope="session")
def drawn(perform: Perform) -> Audit:
    return perform("drawn")


@pytest.fixture(scope="session")
def marginal(perform: Perform) -> Audit:
    return perform("marginal")


@pytest.fixture(scope="session")
def external(perform: Perform) -> Audit:
    return perform("external")


@pytest.fixture(scope="session")
def stored(perform: Perform) -> Audit:
    return perform("stored")
