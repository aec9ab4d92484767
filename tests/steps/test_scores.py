"""Scores: what an attack gives each record, whatever the order of records, and what it decides."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.outside import Stretch
from tests.steps.audits import Audit
from tests.steps.test_inputs import scoring_of, signals_of
from umbrameter.attacks import Attack, Combined, Gap, Input, LabelOnly, Lira, Loss, Quantile, Shokri, Signals
from umbrameter.mitigations import Rounding
from umbrameter.records.parts import audited_rows
from umbrameter.steps import scores as scores_module
from umbrameter.steps.scores import ScoresMetadata, Scoring, read_scores
from umbrameter.store.schemas import SCORES
from umbrameter.typing import Bools, Floats

ATTACKS = [Shokri, Loss, Lira, Quantile, LabelOnly, Combined, Stretch]


class Placed(Attack):
    """Scores by the place in the list, which an attack must not do."""

    kind: str = "placed"
    alike: int = 0

    @property
    def inputs(self) -> frozenset[Input]:
        return frozenset()

    @property
    def assumption(self) -> str:
        return ""

    def score(self, signals: Signals) -> Floats:
        places = np.arange(len(signals.target.labels), dtype=np.float64)
        places[: self.alike] = 0
        return places

    def on_shadows(self, signals: Signals) -> tuple[Floats, Bools] | None:
        return None


class Ranked(Placed):
    """Scores by the rank of the confidence among the records that are scored together."""

    kind: str = "ranked"
    says_so: bool = True

    @property
    def compares_records(self) -> bool:
        return self.says_so

    def score(self, signals: Signals) -> Floats:
        confidence = signals.target.confidence()
        return np.searchsorted(np.sort(confidence), confidence).astype(np.float64)


def plainly(audit: Audit, attack: Attack) -> Any:
    """Return the step that scores the unmitigated target by an attack without inputs."""
    return replace(scoring_of(audit, Loss), attack=attack, sources=())


@pytest.mark.parametrize("kind", ATTACKS, ids=lambda kind: kind.__name__)
def test_scores_are_the_attack_s_own_of_the_audited_records(trained: Audit, kind: type[Attack]) -> None:
    step = scoring_of(trained, kind)
    scores, signals = read_scores(trained.made(step)), signals_of(trained, step)
    assert np.array_equal(scores.scores, step.attack.score(signals))
    assert scores.rows.tolist() == audited_rows(trained.split).tolist()
    assert scores.is_member.tolist() == [True] * 60 + [False] * 60
    assert np.array_equal(scores.labels, trained.records.labels()[scores.rows])


@pytest.mark.parametrize("kind", ATTACKS, ids=lambda kind: kind.__name__)
def test_an_attack_calls_a_record_a_member_from_its_threshold_on(trained: Audit, kind: type[Attack]) -> None:
    step = scoring_of(trained, kind)
    scores, threshold = read_scores(trained.made(step)), step.attack.threshold(signals_of(trained, step))
    if threshold is None:
        assert scores.is_predicted_member is None
    else:
        assert scores.is_predicted_member is not None
        assert np.array_equal(scores.is_predicted_member, scores.scores >= threshold)


def test_an_attack_without_a_threshold_decides_nothing(trained: Audit, stored: Audit) -> None:
    assert read_scores(trained.made(scoring_of(trained, Stretch))).is_predicted_member is None
    (loss,) = stored.of(Scoring)  # nothing to set a threshold by
    table = stored.made(loss).table("scores.parquet")
    assert table["is_predicted_member"].null_count == table.num_rows == 90


def test_a_score_of_exactly_the_threshold_is_called_a_member(trained: Audit) -> None:
    step = plainly(trained, Gap())
    scores = read_scores(trained.remade(step))
    assert scores.is_predicted_member is not None and step.attack.threshold(Signals(None)) == 1.0  # type: ignore[arg-type]
    assert np.array_equal(scores.is_predicted_member, scores.scores == 1)


def test_scores_are_stored_in_their_schema(trained: Audit) -> None:
    for step in trained.of(Scoring):
        artefact = trained.made(step)
        assert pq.read_schema(artefact.store.fs.open_input_file(artefact.file("scores.parquet"))) == SCORES


def test_members_score_higher_where_the_target_knows_records_by_heart(trained: Audit) -> None:
    for kind in (Shokri, Loss, Lira, LabelOnly):
        scores = read_scores(trained.made(scoring_of(trained, kind)))
        assert scores.scores[scores.is_member].mean() > scores.scores[~scores.is_member].mean()


def test_the_attack_that_was_chosen_is_named_and_scores(trained: Audit) -> None:
    for step in trained.of(Scoring):
        metadata = ScoresMetadata.read(trained.made(step))
        if isinstance(step.attack, Combined):
            chosen = step.attack.chosen(signals_of(trained, step))
            assert metadata.chosen == chosen.label in {"loss", "confidence"}
            alone = read_scores(trained.remade(replace(step, attack=chosen)))
            assert np.array_equal(alone.scores, read_scores(trained.made(step)).scores)
        else:
            assert metadata.chosen is None


# Whether records keep their scores in another order


def test_every_attack_gives_records_the_scores_that_they_have_in_another_order(trained: Audit) -> None:
    assert all(ScoresMetadata.read(trained.made(step)).follows_rows for step in trained.of(Scoring))


@pytest.mark.parametrize("alike", [0, 60, 118])
def test_an_attack_that_scores_by_place_is_found_out(trained: Audit, alike: int) -> None:
    artefact = trained.remade(plainly(trained, Placed(alike=alike)))
    assert not ScoresMetadata.read(artefact).follows_rows


def test_an_attack_whose_scores_are_all_alike_keeps_them_in_any_order(trained: Audit) -> None:
    assert ScoresMetadata.read(trained.remade(plainly(trained, Placed(alike=120)))).follows_rows


@pytest.mark.parametrize(("says_so", "follows"), [(True, True), (False, False)])
def test_attacks_that_compare_records_are_scored_again_with_all_of_them(
    trained: Audit, says_so: bool, follows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores_module, "SAMPLE", 40)
    artefact = trained.remade(plainly(trained, Ranked(says_so=says_so)))
    assert ScoresMetadata.read(artefact).follows_rows == follows


# Mitigations


def test_an_attack_on_mitigated_answers_scores_those(trained: Audit) -> None:
    plain, rounded = (read_scores(trained.made(scoring_of(trained, Loss, m))) for m in ((), (Rounding(1),)))
    assert np.array_equal(plain.rows, rounded.rows) and not np.array_equal(plain.scores, rounded.scores)
    assert len(np.unique(rounded.scores)) <= 11 * 3  # of ten steps of confidence, less three classes' thresholds


def test_adaptive_and_static_attackers_differ_in_what_they_learnt_from(trained: Audit) -> None:
    plain = trained.variants[0]
    pairs: dict[str, list[Scoring]] = {m.attack.label: [] for m in plain.measurements if m.attacker == "static"}
    for measurement in plain.measurements:
        if measurement.mitigation == "rounding(1)" and measurement.attack.label in pairs:
            pairs[measurement.attack.label].append(measurement.scoring)
    assert pairs
    for adaptive, static in pairs.values():
        assert adaptive.through == adaptive.mitigations == static.mitigations != static.through == ()
        one, two = (read_scores(trained.made(step)) for step in (adaptive, static))
        assert np.array_equal(one.rows, two.rows)
