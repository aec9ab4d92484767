"""What Prefect's page shows while a stage goes on, and that it could stop no work."""

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from tasks import progress

LOGGER = "umbrameter.audit"


class Prefect:
    """What a stage asks of Prefect: takes artefacts, or refuses them from some call on."""

    def __init__(self, refuses_from: int | None = None):
        self.refuses_from = refuses_from
        self.calls: list[dict[str, Any]] = []

    def create(self, **settings: Any) -> UUID:
        return self._called(settings)

    def update(self, artefact: UUID, **settings: Any) -> UUID:
        assert isinstance(artefact, UUID)
        return self._called(settings)

    def _called(self, settings: dict[str, Any]) -> UUID:
        self.calls.append(settings)
        if self.refuses_from is not None and len(self.calls) > self.refuses_from:
            raise ConnectionError("All connection attempts failed")
        return uuid4()


@pytest.fixture
def in_flow(monkeypatch: pytest.MonkeyPatch) -> Callable[[Prefect], Prefect]:
    """Let stages believe that they are in a flow run, whose server is the one given."""

    def given(prefect: Prefect) -> Prefect:
        monkeypatch.setattr(progress.FlowRunContext, "get", lambda: object())
        monkeypatch.setattr(progress, "create_progress_artifact", prefect.create)
        monkeypatch.setattr(progress, "update_progress_artifact", prefect.update)
        return prefect

    return given


def test_outside_a_flow_prefect_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect = Prefect()
    monkeypatch.setattr(progress, "create_progress_artifact", prefect.create)
    monkeypatch.setattr(progress, "update_progress_artifact", prefect.update)
    assert progress.display("fit", 2) is None
    assert prefect.calls == []


def test_a_stage_without_steps_has_no_artefact(in_flow: Callable[[Prefect], Prefect]) -> None:
    prefect = in_flow(Prefect())
    assert progress.display("report", 0) is None
    assert prefect.calls == []


@pytest.mark.parametrize(
    ("name", "key"),
    [("fit shadow models", "progress-fit-shadow-models"), ("Query 2, again!", "progress-query-2-again-")],
)
def test_the_artefact_is_named_by_the_stage(in_flow: Callable[[Prefect], Prefect], name: str, key: str) -> None:
    prefect = in_flow(Prefect())
    progress.display(name, 3)
    assert prefect.calls == [{"progress": 0.0, "key": key, "description": f"{name}: 0 of 3 done"}]


@pytest.mark.parametrize("refuses_from", [0, 1, 2])
def test_an_artefact_that_prefect_refuses_stops_no_work_and_is_not_tried_again(
    in_flow: Callable[[Prefect], Prefect], caplog: pytest.LogCaptureFixture, refuses_from: int
) -> None:
    prefect = in_flow(Prefect(refuses_from))
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        show = progress.display("fit", 6)
        assert (show is None) == (refuses_from == 0)
        for i in range(6 if show else 0):
            show(i, f"fit: {i} of 6 done")  # type: ignore[misc]
    assert len(prefect.calls) == refuses_from + 1
    assert [record.levelname for record in caplog.records if record.exc_info] == ["DEBUG"]
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 0
