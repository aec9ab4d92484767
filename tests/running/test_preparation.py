"""What comes before the work: where records lie, the splits, the connection, and a plan that may be impossible."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from data import catalogue
from data.generated import DEFAULTS
from tasks import audits
from tests.running.inline import NOWHERE, InlineGraph, opened, people
from umbrameter.errors import DataError, PlanError, TargetError
from umbrameter.records.reader import Records
from umbrameter.records.sources import GeneratedData, ParquetData
from umbrameter.running import preparation
from umbrameter.running.jobs import job
from umbrameter.spec.audit import AuditSpec
from umbrameter.steps.split import SplitMetadata
from umbrameter.steps.target import TargetMetadata
from umbrameter.targets.connection import N_CANARIES, N_CANARIES_COARSE, Connection

TRAINED = """
name: people
data: {kind: parquet, path: FOLDER/people.parquet, label: y}
split: {members: 60, nonmembers: 60}
target: {kind: train, estimator: {kind: logistic_regression}}
shadows: {count: 2}
"""
GIVEN = """
name: people
data:
  kind: sides
  members: FOLDER/people.parquet
  nonmembers: FOLDER/others.parquet
  pool: FOLDER/pool.parquet
  label: y
target: {kind: object, name: forest}
shadows: {count: 2, size: 50, estimator: {kind: logistic_regression}}
attacks: [{kind: loss}, {kind: label_only, noise: {copies: 3}}]
"""


def spec(folder: Path, text: str = TRAINED, *settings: str) -> AuditSpec:
    path = people(folder / "people.parquet")
    table = pq.read_table(path)
    for name in ("others", "pool"):
        moved = table["height"].to_numpy() + {"others": 0.25, "pool": 0.5}[name]
        pq.write_table(table.set_column(0, "height", [moved]), folder / f"{name}.parquet")
    return AuditSpec.from_yaml(text.replace("FOLDER", str(folder)), settings)


class Fitted(LogisticRegression):
    """A classifier of the people's numbers, which counts what it is asked about."""

    n_asked = 0

    def predict_proba(self, X: Any) -> Any:
        self.n_asked += len(X)
        return super().predict_proba(X)


@pytest.fixture
def model(tmp_path: Path) -> Fitted:
    table = pq.read_table(people(tmp_path / "training.parquet")).to_pandas()
    return Fitted(max_iter=2000).fit(table[["height", "year"]], table["y"])


# Where records lie


def test_generated_records_are_written_once_and_are_as_many_as_said(tmp_path: Path) -> None:
    data = GeneratedData(records=50, features=7, classes=3, seed=1)
    first, second = (catalogue.source_of(data, str(tmp_path)) for _ in range(2))
    other = catalogue.source_of(data.model_copy(update={"seed": 2}), str(tmp_path))
    assert isinstance(first, ParquetData) and first == second != other
    table = pq.read_table(first.path)
    assert table.num_rows == 50 and first.label in table.column_names
    assert first.duplicates == "drop"  # records that are drawn may meet by chance


@pytest.mark.parametrize("like", DEFAULTS)
def test_every_data_set_that_is_imitated_has_records(tmp_path: Path, like: str) -> None:
    data = GeneratedData(like=like, records=20, features=9, classes=2)  # type: ignore[arg-type]
    source = catalogue.source_of(data, str(tmp_path))
    assert isinstance(source, ParquetData) and pq.read_table(source.path).num_rows == 20


@pytest.mark.parametrize("kind", ["text", "file name", "mapping", "spec"])
def test_a_flow_run_is_called_by_its_spec_however_that_is_given(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__).parents[1] / "flows" / "small.yaml"
    loaded = AuditSpec.load(path)
    spec = {"text": str(path), "file name": "small.yaml", "mapping": loaded.model_dump(mode="json"), "spec": loaded}
    monkeypatch.setattr(audits, "flow_run", SimpleNamespace(parameters={"spec": spec[kind], "root": "runs"}))
    assert audits.run_name() == "small"


# Records and splits


def test_records_are_prepared_once_and_the_second_run_reuses_them(tmp_path: Path) -> None:
    for made, reused in ((1, 0), (0, 1)):
        session, graph = opened(spec(tmp_path), tmp_path / "root")
        path = preparation.prepare_records(session)
        assert (len(session.made), len(session.reused)) == (made, reused)
        assert Records.open(session.store, path).n_records == 240
        assert [run.name for run in graph.runs] == ["prepare_records"]
        session.wait()


def test_what_was_found_in_the_files_is_said_whether_they_are_read_or_were_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"{i},5;{'äb'[i % 2]};0{i % 7};{i % 2}" for i in range(40)]
    (tmp_path / "people.csv").write_text("\n".join(["pay;town;zip;y", *rows]) + "\n", encoding="cp1252")
    text = TRAINED.replace("kind: parquet", "kind: table").replace("people.parquet", "people.csv")
    spec = AuditSpec.from_yaml(text.replace("FOLDER", str(tmp_path)), ["split.members=9"])
    said = []
    for _ in range(2):
        session, _ = opened(spec, tmp_path / "root")
        with caplog.at_level(logging.INFO, "umbrameter.audit"):
            preparation.prepare_records(session)
        session.wait()
        said.append(next(line for line in reversed(caplog.messages) if line.startswith("Files")))
        caplog.clear()
    assert (
        said
        == [
            "Files: path: CSV, delimiter ';', header, cp1252, decimal comma. "
            "Columns: pay (double), town (text, 2 categories), zip (text, 7 categories)"
        ]
        * 2
    )


def test_every_repeat_has_a_split_of_its_own(tmp_path: Path) -> None:
    session, graph = opened(spec(tmp_path, TRAINED, "repeats=3"), tmp_path / "root")
    records = preparation.prepare_records(session)
    splits = preparation.split_records(session, records)
    assert len({*splits}) == 3
    parts = [session.store.open(path).table("split.parquet")["part"].to_pylist() for path in splits]
    assert parts[0] != parts[1] != parts[2] != parts[0]
    for path in splits:
        sizes = SplitMetadata.read(session.store.open(path))
        assert (sizes.n_members, sizes.n_nonmembers, sizes.n_pool) == (60, 60, 120)
    (prepared, *dealt) = graph.runs
    assert [run.waited_for for run in dealt] == [(prepared.task_run_id,)] * 3


def test_the_first_split_is_the_one_without_repeats(tmp_path: Path) -> None:
    paths = []
    for repeats in (1, 4):
        session, _ = opened(spec(tmp_path, TRAINED, f"repeats={repeats}"), tmp_path / "root")
        paths.append(preparation.split_records(session, preparation.prepare_records(session)))
    assert paths[1][0] == paths[0][0] and len(paths[1]) == 4


def test_data_that_cannot_be_audited_end_before_anything_is_made(tmp_path: Path) -> None:
    session, _ = opened(spec(tmp_path, TRAINED, "data.label=shoe_size"), tmp_path / "root")
    with pytest.raises(DataError, match=r"data\.label='shoe_size'"):
        preparation.prepare_records(session)
    assert session.made == set()


def test_limits_that_cannot_be_decided_are_said_before_anything_is_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = "limits=[{preset: owasp_aisvs}]"
    session, _ = opened(spec(tmp_path, TRAINED, limits), tmp_path / "root")
    splits = preparation.split_records(session, preparation.prepare_records(session))
    with caplog.at_level(logging.INFO, "umbrameter.audit"):
        preparation.announce_limits(session, splits)
    notices = [record for record in caplog.records if getattr(record, "is_notice", False)]
    lines = [line for record in notices if (line := record.getMessage()).startswith("Limit ")]
    assert len(lines) == 3 and all("with 60 members and 60 non-members" in line for line in lines)
    assert "it can fail" in lines[0] and "CANNOT BE MEASURED" in lines[1] and "CANNOT BE MEASURED" in lines[2]


# The plan


def test_an_impossible_plan_ends_before_any_training(tmp_path: Path) -> None:
    session, _ = opened(spec(tmp_path, TRAINED, "shadows.size=5000"), tmp_path / "root")
    records = preparation.prepare_records(session)
    splits = preparation.split_records(session, records)
    with pytest.raises(PlanError, match=r"shadows\.size"):
        preparation.plan_audit(session, records, splits, None)
    assert {path.split("/")[1] for path in session.made} == {"records", "split"}


def test_each_repeat_is_laid_out_and_whatever_reads_the_records_comes_after_the_plan(tmp_path: Path) -> None:
    session, graph = opened(spec(tmp_path, TRAINED, "repeats=2"), tmp_path / "root")
    records = preparation.prepare_records(session)
    splits = preparation.split_records(session, records)
    variants = preparation.plan_audit(session, records, splits, None)
    assert [(v.repeat, v.training.split) for v in variants] == [(0, splits[0]), (1, splits[1])]
    plan = graph.runs[-1]
    assert plan.name == "plan_audit" and len(plan.waited_for) == 2
    (first, second) = (graph.submit(_nothing, [path]) for path in (records, splits[1]))
    assert first.waited_for == second.waited_for == (plan.task_run_id,)


@job("do nothing")
def _nothing() -> None:
    """Do nothing."""


# The connection


def connected(folder: Path, model: Any, *settings: str, root: str = "root") -> Any:
    """Return session, graph, records and splits, and the connection's context."""
    session, graph = opened(spec(folder, GIVEN, *settings), folder / root)
    records = preparation.prepare_records(session)
    splits = preparation.split_records(session, records)
    return session, graph, records, splits, preparation.connect_target(session, records, splits, model, NOWHERE)


def test_a_target_that_is_trained_here_needs_no_connection(tmp_path: Path) -> None:
    session, graph = opened(spec(tmp_path), tmp_path / "root")
    with preparation.connect_target(session, "records", ["split"], None, None) as connection:
        assert connection is None
        preparation.verify_unchanged(session, [], connection)
        preparation.announce_queries(session, [], connection)
    assert graph.runs == []


def test_a_model_is_asked_about_canaries_and_its_identity_is_an_artefact(tmp_path: Path, model: Fitted) -> None:
    session, graph, *_, context = connected(tmp_path, model)
    with context as connection:
        assert isinstance(connection, Connection) and model.n_asked == N_CANARIES
        (identity,) = (path for path in session.made if path.startswith("store/targets/"))
        known = TargetMetadata.read(session.store.open(identity))
        assert (known.description, known.is_trained_here) == ("forest", False)
        assert graph.submit(_nothing, [identity]).waited_for == (graph.of("connect_target")[0].task_run_id,)


@pytest.mark.parametrize(("answers", "n"), [("[]", N_CANARIES), ("[{kind: rounding, decimals: 1}]", N_CANARIES_COARSE)])
def test_coarse_answers_take_more_canaries(tmp_path: Path, model: Fitted, answers: str, n: int) -> None:
    *_, context = connected(tmp_path, model, f"target.answers={answers}")
    with context as connection:
        assert len(connection.canaries) == min(n, 240)  # one a non-member, at most


def test_the_connection_is_closed_however_the_audit_ends(
    tmp_path: Path, model: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Connection] = []
    monkeypatch.setattr(Connection, "close", lambda connection: closed.append(connection))
    *_, context = connected(tmp_path, model)
    with pytest.raises(ZeroDivisionError), context as connection:
        raise ZeroDivisionError
    assert closed == [connection]


def test_without_an_object_there_is_nothing_to_connect_to(tmp_path: Path) -> None:
    *_, context = connected(tmp_path, None)
    with pytest.raises(TargetError, match=r"target\.kind=object"), context:
        pass


def planned(session: Any, records: str, splits: Sequence[str], connection: Connection) -> Any:
    return preparation.plan_audit(session, records, splits, connection)


def test_the_queries_are_announced_before_any_is_made(
    tmp_path: Path, model: Fitted, caplog: pytest.LogCaptureFixture
) -> None:
    session, _, records, splits, context = connected(tmp_path, model)
    with context as connection, caplog.at_level(logging.INFO, logger="umbrameter.audit"):
        variants = planned(session, records, splits, connection)
        asked = model.n_asked
        preparation.announce_queries(session, variants, connection)
    notice = [record for record in caplog.records if getattr(record, "is_notice", False)][-1]
    assert model.n_asked == asked
    counts = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", notice.getMessage())}
    assert {480, 1920, 480 + 1920} <= counts  # each record, its label and those of 3 copies, and both together


def test_a_model_that_changed_meanwhile_is_seen_after_all_queries(tmp_path: Path, model: Fitted) -> None:
    session, graph, records, splits, context = connected(tmp_path, model)
    with context as connection:
        variants = planned(session, records, splits, connection)
        preparation.verify_unchanged(session, variants, connection)
        assert graph.runs[-1].name == "verify_unchanged"
        queries = {step.recipe.path for v in variants for step in (v.query, *v.noisy)}
        assert queries <= {*graph.runs[-1].reads}
        model.coef_ = -model.coef_
        with pytest.raises(TargetError, match=f"forest .* {N_CANARIES} records"):
            preparation.verify_unchanged(session, variants, connection)


def test_two_audits_of_one_object_are_of_two_targets(tmp_path: Path, model: Fitted) -> None:
    paths = []
    for _ in range(2):
        session, graph, records, splits, context = connected(tmp_path, model)
        with context as connection:
            paths += [v.target.recipe.path for v in planned(session, records, splits, connection)]
        assert isinstance(graph, InlineGraph)
    assert len({*paths}) == 2


def test_answers_over_other_classes_are_refused_before_anything_is_planned(tmp_path: Path) -> None:
    class Other:
        classes_ = np.array(["low", "middle", "enormous"])

        def predict_proba(self, X: Any) -> Any:
            return np.full((len(X), 3), 1 / 3)

    *_, context = connected(tmp_path, Other())
    with (
        pytest.raises(DataError, match=r"does not know the class top, .* it knows low, middle, enormous"),
        context,
    ):
        pass
