"""An audit of stored predictions: the same report, without a model, a cluster or an orchestrator.

Belongs here: from scores of stored predictions to a report. Does not belong here: reading predictions
(`predictions.parquet`), scoring them (`scoring`), or showing the report (`report`).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from umbrameter import __version__
from umbrameter.attacks import Attack, ReferenceLogits
from umbrameter.attacks.inputs import of_kind
from umbrameter.errors import DataError
from umbrameter.evaluation import controls
from umbrameter.evaluation.attack import AttackFigures, auc_change, measure_attack
from umbrameter.evaluation.controls import Control, failures, of_scores
from umbrameter.evaluation.likeness import Likeness, compare, of_shadows, unchecked
from umbrameter.evaluation.utility import accuracies, utility_and_change
from umbrameter.evaluation.verdict import decide
from umbrameter.mitigations import answered
from umbrameter.mitigations.plan import Attacker, MitigationPlan
from umbrameter.predictions.checks import PREDICTIONS
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.predictions.probabilities import class_index, listed, place_of
from umbrameter.records.parquet import refuse
from umbrameter.report import figures
from umbrameter.report.html import page_and_figures
from umbrameter.report.model import AS_STORED, AuditInfo, DataInfo, Ledger, Report, Result, ShadowInfo, TargetInfo
from umbrameter.report.recommendation import recommend
from umbrameter.report.selection import strongest
from umbrameter.seeds import generator, integer
from umbrameter.spec.limits import expand
from umbrameter.spec.score import ScoreSpec
from umbrameter.statistics.estimates import Metric, NotMeasured
from umbrameter.statistics.metrics import METRICS, roc_curve
from umbrameter.store.artefacts import digest
from umbrameter.store.steps import peak_rss_mb
from umbrameter.stored_predictions.scoring import Audited, Shadows, missing, read_shadows, score_rows
from umbrameter.typing import Floats

DISTINCT = 0.95
"""Share of distinct answers from which on equal answers are taken for copies of one record."""


def score_stored(
    predictions: StoredPredictions, shadow: StoredPredictions | None, spec: ScoreSpec
) -> tuple[Report, dict[str, tuple[Floats, Floats]]]:
    """Attack stored predictions and measure the attacks.

    Parameters
    ----------
    predictions
        The target's answers.
    shadow
        Shadow models' answers, where `is_member` marks IN records; without them, attacks that need them are not
        measured.
    spec
        The attacks, mitigations and limits.

    Returns
    -------
    report
        The same report as an audit's.
    curves
        FPR and TPR of each measured attack, on the unmitigated answers.

    Raises
    ------
    DataError
        When the predictions cannot be audited; the message says which rows and why, with all that is wrong.
    """
    if shadow is not None and shadow.n_classes != predictions.n_classes:
        raise DataError(
            f"{shadow.name}={shadow.path!r} has {shadow.n_classes} confidences per record, and {predictions.path!r} "
            f"has {predictions.n_classes}; both must be of the same classes"
        )
    try:
        return _measured(predictions, shadow, spec)
    except DataError:
        refuse([*predictions.faults(), *([] if shadow is None else shadow.faults())], PREDICTIONS)
        raise


def _measured(
    predictions: StoredPredictions, shadow: StoredPredictions | None, spec: ScoreSpec
) -> tuple[Report, dict[str, tuple[Floats, Floats]]]:
    started, clock = datetime.now(UTC), time.perf_counter()
    if shadow is not None and not _are_alike(shadow.classes, predictions.classes):
        raise DataError(
            f"{shadow.name}={shadow.path!r} has labels of the classes {listed(shadow.classes)}, and "
            f"{predictions.path!r} of {listed(predictions.classes)}; store the labels of both as integers 0 .. "
            f"{predictions.n_classes - 1}, by the order of the confidences"
        )
    logits = (entry for attack in spec.required_attacks for entry in of_kind(attack.inputs, ReferenceLogits))
    temperatures = sorted({1.0, *(entry.temperature for entry in logits)})
    known = None if shadow is None else read_shadows(predictions, shadow, temperatures, spec.seed)
    unmitigated = _Scored(predictions, known, spec, temperatures)
    results = unmitigated.results(MitigationPlan(), None, unmitigated)
    for plan in map(MitigationPlan, spec.mitigations):
        results += _mitigated(plan, unmitigated, shadow)
    audited = unmitigated.audited
    likeness = _likeness(audited, known)
    outcomes = _controls(audited, predictions, spec.seed) | _of_shadows(audited, known, likeness, spec.seed)
    limits = expand(spec.limits)
    report = Report(
        audit=AuditInfo(
            name=spec.name,
            spec_digest=digest(spec.model_dump(mode="json")),
            seed=spec.seed,
            version=__version__,
            started=started.isoformat(timespec="seconds"),
            seconds=time.perf_counter() - clock,
        ),
        data=DataInfo(
            name=Path(predictions.path).name,
            n_records=predictions.n_records,
            n_features=0,
            n_classes=predictions.n_classes,
            files={f.name: f.format for f in (predictions, shadow) if f is not None},
            warnings=[*predictions.notes, *_warnings(audited)],
        ),
        target=_target(audited, predictions.n_classes),
        shadows=_shadow_info(known, shadow, likeness),
        results=results,
        controls=outcomes,
        recommendation=recommend(results, limits, spec.accepted_loss),
        verdict=decide(limits, [(r.attack, r.metrics) for r in results if r.mitigation is None], failures(outcomes)),
        ledger=Ledger(queries=0, fits=0, reused=0, peak_rss_mb=peak_rss_mb(), driver_peak_rss_mb=peak_rss_mb()),
    )
    return report, {name: roc_curve(values, audited.is_member)[:2] for name, values in audited.scores.items()}


def report_files(report: Report, curves: Mapping[str, tuple[Floats, Floats]]) -> dict[str, bytes]:
    """Return a report's files by name: `report.json`, `report.html` and figures."""
    classes = {result.attack: result.by_class for result in strongest(report.results)}
    drawn = {
        "roc": figures.png(figures.roc(curves, report.target.n_nonmembers, f"{report.audit.name}: attacks")),
        "class_precision": figures.png(figures.class_precision(classes)),
    }
    if any(result.mitigation for result in report.results):
        drawn["mitigations"] = figures.png(figures.mitigations(report))
    return {"report.json": report.model_dump_json(indent=1).encode(), **page_and_figures(report, drawn)}


def _are_alike(classes: Sequence[Any], others: Sequence[Any]) -> bool:
    """Return whether two files' classes are the same in one order, however their labels are written."""
    index = class_index(others)
    return [place_of(label, index) for label in classes] == [*range(len(others))]


@dataclass(frozen=True)
class _Scored:
    """Stored predictions, unmitigated or mitigated, with the scores of all attacks that can be measured."""

    predictions: StoredPredictions
    known: Shadows | None
    spec: ScoreSpec
    temperatures: Sequence[float]

    @cached_property
    def lacking(self) -> dict[str, str | None]:
        """Why each attack cannot be measured; None for one that can."""
        return {attack.label: missing(attack, self.known) for attack in self.spec.required_attacks}

    @cached_property
    def audited(self) -> Audited:
        """The audited records' scores and all else that is kept of them."""
        measurable = [attack for attack in self.spec.required_attacks if not self.lacking[attack.label]]
        return score_rows(self.predictions, self.known, measurable, self.temperatures, self.spec.seed)

    def results(self, plan: MitigationPlan, attacker: Attacker | None, unmitigated: "_Scored") -> list[Result]:
        """Return one result per attack.

        Parameters
        ----------
        plan
            The mitigation that the predictions went through, if any.
        attacker
            None without a mitigation.
        unmitigated
            The unmitigated predictions, to compare with.
        """
        audited, before = self.audited, None if plan.mitigation is None else unmitigated.audited
        compared = (None, None) if before is None else (before.quality, audited.distances)
        quality = utility_and_change(audited.quality, audited.is_member, *compared)
        return [self._result(attack, plan, attacker, before, quality) for attack in self.spec.required_attacks]

    def _result(
        self,
        attack: Attack,
        plan: MitigationPlan,
        attacker: Attacker | None,
        before: Audited | None,
        quality: Mapping[str, dict[str, Metric]],
    ) -> Result:
        reason, audited = self.lacking[attack.label], self.audited
        figures = AttackFigures(metrics=dict.fromkeys(METRICS, NotMeasured(not_measured=reason or "")))
        change = dict(quality["change"])
        if reason is None:
            scores, decisions = audited.scores[attack.label], audited.is_predicted_member[attack.label]
            classes = list(map(str, self.predictions.classes))
            figures = measure_attack(scores, audited.is_member, decisions, audited.labels, classes, audited.slices)
            if before is not None and attack.label in before.scores:
                change["auc"] = auc_change(before.scores[attack.label], scores, audited.is_member)
        return Result(
            attack=attack.label,
            mitigation=plan.label,
            attacker=attacker,
            params={"attack": attack.model_dump(mode="json")} | plan.params,
            assumption=attack.assumption,
            chosen=audited.chosen.get(attack.label),
            n_queries=attack.n_queries,
            utility=quality["utility"],
            change=change,
            **dict(figures),
        )


def _mitigated(plan: MitigationPlan, unmitigated: _Scored, shadow: StoredPredictions | None) -> list[Result]:
    """Return the results under one mitigation, of an adaptive and of a static attacker."""
    known, spec, temperatures = unmitigated.known, unmitigated.spec, unmitigated.temperatures
    lacks_shadows = plan.learned is not None and known is None
    if plan.training or lacks_shadows:
        reason = (
            "the mitigation needs shadow models' predictions (--shadow) to learn from"
            if lacks_shadows
            else "the mitigation acts in the training, and stored predictions cannot be retrained; audit the model"
        )
        return [_not_measured(attack, plan, reason) for attack in spec.required_attacks]
    steps: list[Any] = list(plan.answers)
    if plan.learned is not None and known is not None:
        steps.insert(0, plan.learned.fit(known.vectors, integer(spec.seed, "guard")))
    through = partial(answered, mitigations=steps)
    predictions = unmitigated.predictions.through(through)
    mitigated = None
    if shadow is not None:
        mitigated = read_shadows(predictions, shadow.through(through), temperatures, spec.seed)
    adaptive = _Scored(predictions, mitigated, spec, temperatures).results(plan, "adaptive", unmitigated)
    if shadow is None:  # the two attackers differ in their shadow models alone
        return adaptive
    return adaptive + _Scored(predictions, known, spec, temperatures).results(plan, "static", unmitigated)


def _not_measured(attack: Attack, plan: MitigationPlan, reason: str) -> Result:
    return Result(
        attack=attack.label,
        mitigation=plan.label,
        attacker="adaptive",
        params={"attack": attack.model_dump(mode="json")} | plan.params,
        assumption=attack.assumption,
        metrics=dict.fromkeys(METRICS, NotMeasured(not_measured=reason)),
    )


def _warnings(audited: Audited) -> list[str]:
    """Return which columns of the predictions are not used, in a sentence, if there are any."""
    reasons = [f"{name} ({reason})" for name, reason in audited.no_slices.items()]
    return [f"columns of the predictions that make no slices: {', '.join(reasons)}"] if reasons else []


def _target(audited: Audited, n_classes: int) -> TargetInfo:
    return TargetInfo(
        kind="stored predictions",
        description="a model whose answers were stored",
        **accuracies(audited.quality.is_correct, audited.is_member),
        n_members=int(audited.is_member.sum()),
        n_nonmembers=int((~audited.is_member).sum()),
        n_classes=n_classes,
    )


def _likeness(audited: Audited, known: Shadows | None) -> Likeness | None:
    if known is None or known.answers is None or known.answers.is_in[:, ~audited.is_member].all():
        return None
    quality = audited.quality
    return compare(audited.logits[1.0], quality.predicted, audited.labels, audited.is_member, known.answers)


def _of_shadows(audited: Audited, known: Shadows | None, likeness: Likeness | None, seed: int) -> dict[str, Control]:
    """Return the controls that need shadow models' answers on the audited records."""
    if known is not None and known.answers is not None and likeness is not None:
        return of_shadows(likeness, known.answers, audited.is_member, seed)
    if known is None:
        return unchecked("there are no shadow models' predictions (--shadow)")
    none_out = "the shadow predictions have no non-member with is_member false (OUT)"
    return unchecked(known.references if isinstance(known.references, str) else none_out)


def _shadow_info(known: Shadows | None, shadow: StoredPredictions | None, likeness: Likeness | None) -> ShadowInfo:
    n = 0 if known is None else known.n_models
    return ShadowInfo(
        n_models=n,
        n_trained=0,
        n_reused=n,
        design=AS_STORED if known is not None else "none",
        data="none" if shadow is None else f"{shadow.n_records:,} stored predictions",
        size=0,
        likeness=likeness,
    )


def _controls(audited: Audited, predictions: StoredPredictions, seed: int) -> dict[str, Control]:
    """Return the controls that do not need the records' features."""
    member = audited.is_member
    of_attacks = of_scores([*audited.scores.values()], member, seed) if audited.scores else {}
    features = [audited.labels, *(np.unique(v, return_inverse=True)[1] for v in audited.slices.values())]
    distinct = len(np.unique(audited.logits[1.0])) / len(audited.labels)
    # without ids the logit stands for the record, unless many records get the same answer
    keys = audited.record_ids if predictions.has_ids else audited.logits[1.0]
    copies = controls.copies(keys, member) if predictions.has_ids or distinct >= DISTINCT else None
    return of_attacks | {
        "row_order": controls.row_order(audited.follows),
        "orientation": controls.orientation(audited.confidence, member),
        "answers_fit_labels": controls.answers_fit_labels(audited.sample),
        "blind_baseline": controls.blind_baseline(np.column_stack(features), member, generator(seed, "blind-baseline")),
        "copies": copies
        or Control(status="not_measured", reason="without record_id, equal answers may be coincidence"),
    }
