"""The report's data model: the frozen pydantic models behind `report.json`.

Belongs here: names, types and meaning of every field, and the canonical bytes of the results. Does not belong here:
how a figure is computed (`statistics`) or how a report looks (`html`, `terminal`, `figures`).
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from umbrameter.errors import StoreError, brief
from umbrameter.evaluation.controls import Control
from umbrameter.evaluation.guarantees import Guarantee
from umbrameter.evaluation.likeness import Likeness
from umbrameter.evaluation.verdict import LimitOutcome, Status, Verdict
from umbrameter.statistics.estimates import Interval, Metric, NotMeasured
from umbrameter.statistics.metrics import ClassMetrics
from umbrameter.statistics.repeats import Repeated
from umbrameter.statistics.subgroups import Excess

SCHEMA_VERSION = 3
"""Increased with every change of the report that an old reader would not understand."""

AS_STORED = "as stored"
"""The `design` of shadow models that were trained elsewhere, of which there are stored predictions."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AuditInfo(_Part):
    """Which audit this is, and when it ran."""

    name: str = Field(description="The audit's name, from the spec.")
    spec_digest: str = Field(description="The SHA-256 of the spec, in hexadecimal digits.")
    seed: int = Field(description="The seed from which every random choice is derived.")
    version: str = Field(description="The version of umbrameter.")
    started: str = Field(description="When the audit started: ISO 8601, UTC.")
    seconds: float = Field(description="How long it took, in seconds.")
    n_repeats: int = Field(default=1, description="Number of repeats of the whole audit; `results` are the first's.")


class DataInfo(_Part):
    """The data set that the audit used."""

    name: str = Field(description="The data set's name.")
    n_records: int = Field(description="Number of records.")
    n_features: int = Field(description="Number of features, before any encoding.")
    n_classes: int = Field(description="Number of classes.")
    files: dict[str, str] = Field(
        default={}, description="The format of the files, with the dialect of CSV, by the setting that names them."
    )
    columns: dict[str, str] = Field(
        default={}, description="The type of each column that models may read, and what it becomes, by name."
    )
    warnings: list[str] = Field(default=[], description="Oddities of the data that did not stop the audit.")


class TargetInfo(_Part):
    """The audited model."""

    kind: str = Field(description="Where the target comes from, such as train.")
    description: str = Field(description="A description of the target in a line.")
    train_accuracy: float = Field(description="Its accuracy on the members; a fraction.")
    test_accuracy: float = Field(description="Its accuracy on the non-members; a fraction.")
    n_members: int = Field(description="Number of audited records in its training set.")
    n_nonmembers: int = Field(description="Number of audited records not in its training set.")
    n_classes: int = Field(description="Number of classes.")
    is_trained_here: bool = Field(default=False, description="Whether the audit trained it, in each repeat anew.")


class DrawnClass(_Part):
    """The outcome of the searches for records of one class."""

    label: str = Field(description="The class.")
    n_found: int = Field(description="Number of records found.")
    n_failed: int = Field(description="Number of searches that ended without a record.")
    queries: int = Field(description="Number of queries to the target that the searches took, failed ones included.")
    seconds: float = Field(description="The searches' share of the time, in seconds.")


class DrawnInfo(_Part):
    """Shadow data that were drawn rather than real."""

    kind: str = Field(description="The kind of shadow data, such as noisy(0.1).")
    n_wanted: int = Field(description="Number of records requested.")
    n_records: int = Field(description="Number of records drawn.")
    queries: int = Field(description="Number of queries to the target to draw them, in this run or an earlier one.")
    by_class: list[DrawnClass] = Field(default=[], description="The searches by class; empty if there were none.")


class ShadowInfo(_Part):
    """The shadow models."""

    n_models: int = Field(description="Number of shadow models; 0 when no attack needs any.")
    n_trained: int = Field(description="How many of them this run trained, without mitigated ones.")
    n_reused: int = Field(description="How many of them were reused from the store.")
    design: str = Field(description="How IN and OUT records were chosen.")
    data: str = Field(description="Where the shadow models' records come from.")
    recipe: str | None = Field(
        default=None, description="Their estimator, if it was read off the target; null if the spec gives one."
    )
    drawn: DrawnInfo | None = Field(default=None, description="How the records were drawn; null for real ones.")
    size: int = Field(description="Number of IN records of a shadow model.")
    train_accuracy: float | None = Field(default=None, description="Mean accuracy on their IN records; a fraction.")
    test_accuracy: float | None = Field(default=None, description="Mean accuracy on their OUT records; a fraction.")
    likeness: Likeness | None = Field(
        default=None, description="How alike they and the target are; null without their answers on audited records."
    )


class Result(_Part):
    """The figures of one attack on the target, under one mitigation or none."""

    attack: str = Field(description="The attack's name.")
    mitigation: str | None = Field(default=None, description="The mitigation, such as rounding(1); null for none.")
    attacker: Literal["adaptive", "static"] | None = Field(
        default=None,
        description="adaptive: knows the mitigation and applies it to the shadow models; static: does not; null "
        "without a mitigation.",
    )
    params: dict[str, Any] = Field(default={}, description="The attack's and the mitigation's settings.")
    assumption: str = Field(description="The knowledge that the attack assumes.")
    chosen: str | None = Field(default=None, description="The attack that `combined` chose on shadow models.")
    n_queries: int = Field(default=1, description="Queries to the target per record.")
    metrics: dict[str, Metric] = Field(
        description="The figures by name, each with its interval or the reason for none."
    )
    utility: dict[str, Metric] = Field(
        default={},
        description="Utility of the mitigated target: train_accuracy, test_accuracy, log_loss (nats), "
        "calibration_error; and closeness to the unmitigated target: label_agreement, distortion (mean L1 distance).",
    )
    change: dict[str, Metric] = Field(
        default={},
        description="Differences from the unmitigated target on the same records: auc, test_accuracy, log_loss, "
        "calibration_error; positive where the mitigated target is higher.",
    )
    notes: list[str] = Field(default=[], description="What to know when reading the mitigation's figures.")
    by_class: list[ClassMetrics] = Field(default=[], description="The figures by class; empty for a static attacker.")
    worst_class: Excess | None = Field(
        default=None, description="The class that leaks most, compared with all records."
    )
    by_slice: dict[str, list[ClassMetrics]] = Field(default={}, description="The figures by slice, for each column.")
    worst_slice: dict[str, Excess] = Field(default={}, description="The slice that leaks most, for each column.")


class Recommendation(_Part):
    """Which mitigation to deploy."""

    accepted_loss: float = Field(description="The accepted loss of test accuracy; a fraction.")
    mitigation: str | None = Field(default=None, description="The recommended mitigation; null when none suffices.")
    reason: str = Field(description="The reason, in a sentence.")


class Ledger(_Part):
    """The cost of the audit."""

    queries: int = Field(description="Number of records that this run sent to targets.")
    fits: int = Field(description="Number of target and shadow models that this run trained.")
    reused_fits: int = Field(default=0, description="Number of target and shadow models taken from the store instead.")
    reused: int = Field(description="Number of artefacts taken from the store instead of made.")
    seconds: dict[str, float] = Field(default={}, description="Wall-clock seconds by stage.")
    cpu_seconds: dict[str, float] = Field(
        default={},
        description="CPU seconds of the work by stage, and of the coordinating process (orchestration).",
    )
    driver_peak_rss_mb: float = Field(
        default=0.0, description="The largest resident memory of the coordinating process, in MB."
    )
    worker_peak_rss_mb: float = Field(
        default=0.0, description="The largest resident memory of a working process, in MB; 0 if no work was done."
    )
    peak_rss_mb: float = Field(description="The largest resident memory of any one process, in MB.")


class Report(_Part):
    """A whole audit, as `report.json` holds it."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="The version of this schema.")
    audit: AuditInfo = Field(description="Which audit this is.")
    data: DataInfo = Field(description="The records.")
    target: TargetInfo = Field(description="The model that was audited.")
    shadows: ShadowInfo = Field(description="The auditor's own models.")
    results: list[Result] = Field(description="One entry per attack, mitigation and attacker.")
    repeats: list[Repeated] = Field(default=[], description="Agreement between repeats; empty without repeats.")
    controls: dict[str, Control] = Field(default={}, description="Checks of the audit itself, by name.")
    guarantees: list[Guarantee] = Field(default=[], description="Claimed privacy guarantees, and what attacks prove.")
    recommendation: Recommendation | None = Field(default=None, description="The mitigation to deploy, by rule.")
    verdict: Verdict = Field(description="The verdict on the limits.")
    ledger: Ledger = Field(description="Queries, trainings, time and memory that the audit took.")

    def results_json(self) -> bytes:
        """Return the canonical bytes of `results` alone: equal bytes for equal results, whatever the cost of the run.

        Returns
        -------
        bytes
            UTF-8 JSON with sorted keys and no white space; floats in their shortest exact form.
        """
        results = [result.model_dump(mode="json") for result in self.results]
        text = json.dumps(results, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()


def exit_code(report: Report) -> int:
    """Return the exit code of a command: 0 if no limit is exceeded or set, 2 if one is, 3 if nothing can be decided."""
    return {"fail": 2, "not_measured": 3}.get(report.verdict.status, 0)


def read_report(content: bytes) -> Report:
    """Return a stored report.

    Raises
    ------
    StoreError
        When it is damaged or was written by another version.
    """
    try:
        # Read by itself, since a report of another version does not fit the model.
        version = json.loads(content)["schema_version"]
        if version == SCHEMA_VERSION:
            return Report.model_validate_json(content)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"report.json is damaged ({brief(error)}); run the audit again, which reuses its work"
        ) from None
    raise StoreError(
        f"report.json has schema_version {version}, and this version reads {SCHEMA_VERSION}; run the audit again"
    )


def schema() -> dict[str, Any]:
    """Return the JSON schema of `report.json`."""
    return Report.model_json_schema()


__all__ = [
    "AS_STORED",
    "SCHEMA_VERSION",
    "AuditInfo",
    "ClassMetrics",
    "Control",
    "DataInfo",
    "DrawnClass",
    "DrawnInfo",
    "Guarantee",
    "Interval",
    "Ledger",
    "Likeness",
    "LimitOutcome",
    "Metric",
    "NotMeasured",
    "Recommendation",
    "Report",
    "Result",
    "ShadowInfo",
    "Status",
    "TargetInfo",
    "Verdict",
    "read_report",
    "schema",
]
