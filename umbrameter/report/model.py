"""What an audit found: the frozen models behind `report.json`.

Belongs here: names, types and meaning of every field, and the canonical bytes of the results. Does not belong here:
how a figure is computed (`metrics`) or how a report looks (`html`, `terminal`, `figures`).
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from umbrameter.errors import StoreError, brief
from umbrameter.evaluation.controls import Control, failures
from umbrameter.evaluation.guarantees import Guarantee
from umbrameter.evaluation.verdict import LimitOutcome, Status, Verdict
from umbrameter.statistics.estimates import Interval, Metric, NotMeasured
from umbrameter.statistics.metrics import ClassMetrics
from umbrameter.statistics.repeats import Repeated
from umbrameter.statistics.subgroups import Excess

SCHEMA_VERSION = 2
"""Raised with every change of the report that an old reader would not understand."""


AS_STORED = "as stored"
"""The design of shadow models that somebody else trained."""


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
    n_repeats: int = Field(default=1, description="How often the whole audit was done; results are the first's.")


class DataInfo(_Part):
    """The records that the audit drew from."""

    name: str = Field(description="The data set's name.")
    n_records: int = Field(description="Number of records.")
    n_features: int = Field(description="Number of features, before any encoding.")
    n_classes: int = Field(description="Number of classes.")
    warnings: list[str] = Field(default=[], description="What is odd about the data but did not stop the audit.")


class TargetInfo(_Part):
    """The audited model."""

    kind: str = Field(description="Where the target comes from, such as train.")
    description: str = Field(description="What the target is, in a line.")
    train_accuracy: float = Field(description="Its accuracy on the members; a fraction.")
    test_accuracy: float = Field(description="Its accuracy on the non-members; a fraction.")
    n_members: int = Field(description="Number of audited records in its training set.")
    n_nonmembers: int = Field(description="Number of audited records not in its training set.")
    n_classes: int = Field(description="Number of classes it tells apart.")


class DrawnClass(_Part):
    """How the search for records of one class ended."""

    label: str = Field(description="The class.")
    n_found: int = Field(description="Records that were found.")
    n_failed: int = Field(description="Searches that ended without a record.")
    queries: int = Field(description="Queries to the target that the searches took, failed ones too.")
    seconds: float = Field(description="The searches' share of the time, in seconds.")


class DrawnInfo(_Part):
    """Shadow data that were made, not found."""

    kind: str = Field(description="How, such as noisy(0.1).")
    n_wanted: int = Field(description="Records that were to be drawn.")
    n_records: int = Field(description="Records that were.")
    queries: int = Field(description="Queries to the target that drawing them took, now or in an earlier run.")
    by_class: list[DrawnClass] = Field(default=[], description="Class by class, where records were searched for.")


class ShadowInfo(_Part):
    """The models trained by the auditor with known IN and OUT."""

    n_models: int = Field(description="Number of shadow models; 0 when no attack needs any.")
    n_trained: int = Field(description="How many of them this run trained, mitigated ones not counted.")
    n_reused: int = Field(description="How many of them were in the store already.")
    design: str = Field(description="How IN and OUT were drawn, in words.")
    data: str = Field(description="Where the shadow models' records come from, in words.")
    drawn: DrawnInfo | None = Field(default=None, description="How the records were made, where they were.")
    size: int = Field(description="Number of IN records of one shadow model.")
    train_accuracy: float | None = Field(default=None, description="Mean accuracy on their IN records; a fraction.")
    test_accuracy: float | None = Field(default=None, description="Mean accuracy on their OUT records; a fraction.")


class Result(_Part):
    """One attack on the target, without or with one mitigation."""

    attack: str = Field(description="The attack's name.")
    mitigation: str | None = Field(default=None, description="The mitigation, such as rounding(1); null for none.")
    attacker: Literal["adaptive", "static"] | None = Field(
        default=None,
        description="adaptive: knows of the mitigation, and has shadow models mitigated alike; static: does not; null "
        "without a mitigation.",
    )
    params: dict[str, Any] = Field(default={}, description="The attack's and the mitigation's settings.")
    assumption: str = Field(description="Which knowledge the attack assumes, in words.")
    chosen: str | None = Field(default=None, description="The attack that a combined one chose on shadow models.")
    n_queries: int = Field(default=1, description="Queries to the target that the attack takes for each record.")
    metrics: dict[str, Metric] = Field(description="The figures by name, each with its interval or why it has none.")
    utility: dict[str, Metric] = Field(
        default={},
        description="What the mitigated target is worth: train_accuracy, test_accuracy, log_loss (nats), "
        "calibration_error; and how near it is to the target as it is: label_agreement, distortion (mean L1 distance).",
    )
    change: dict[str, Metric] = Field(
        default={},
        description="Differences from the target as it is on the same records: auc, test_accuracy, log_loss, "
        "calibration_error; positive where the mitigated one is higher.",
    )
    notes: list[str] = Field(default=[], description="What has to be known about the mitigation's figures.")
    by_class: list[ClassMetrics] = Field(
        default=[], description="The figures class by class; none for an attacker who does not know of the mitigation."
    )
    worst_class: Excess | None = Field(default=None, description="The class that leaks most, against all records.")
    by_slice: dict[str, list[ClassMetrics]] = Field(default={}, description="The figures slice by slice, by column.")
    worst_slice: dict[str, Excess] = Field(default={}, description="The slice that leaks most, by column.")


class Recommendation(_Part):
    """Which mitigation to deploy."""

    accepted_loss: float = Field(description="The loss of test accuracy that is accepted; a fraction.")
    mitigation: str | None = Field(default=None, description="The mitigation; null when none suffices.")
    reason: str = Field(description="Why, in a sentence.")


class Ledger(_Part):
    """What the audit cost."""

    queries: int = Field(description="Number of records that this run sent to targets.")
    fits: int = Field(description="Number of target and shadow models that this run trained.")
    reused_fits: int = Field(default=0, description="Number of target and shadow models taken from the store instead.")
    reused: int = Field(description="Number of artefacts taken from the store instead of made.")
    seconds: dict[str, float] = Field(default={}, description="Seconds by stage.")
    cpu_seconds: dict[str, float] = Field(
        default={},
        description="CPU seconds of the work made, by stage, and of the process that orders it (orchestration).",
    )
    driver_peak_rss_mb: float = Field(
        default=0.0, description="The largest resident memory of the process that orders the work, in MB."
    )
    worker_peak_rss_mb: float = Field(
        default=0.0, description="The largest resident memory of a process that did work, in MB; 0 when none did any."
    )
    peak_rss_mb: float = Field(description="The largest resident memory of any one process, in MB.")


class Report(_Part):
    """A whole audit, as `report.json` holds it."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="The version of this schema.")
    audit: AuditInfo = Field(description="Which audit this is.")
    data: DataInfo = Field(description="The records.")
    target: TargetInfo = Field(description="The model that was audited.")
    shadows: ShadowInfo = Field(description="The auditor's own models.")
    results: list[Result] = Field(description="One entry for each attack and mitigation.")
    repeats: list[Repeated] = Field(default=[], description="What the repeats agree on; empty without repeats.")
    controls: dict[str, Control] = Field(default={}, description="Checks of the audit itself, by name.")
    guarantees: list[Guarantee] = Field(default=[], description="Claims of privacy, and what attacks prove.")
    recommendation: Recommendation | None = Field(default=None, description="Which mitigation to deploy, by rule.")
    verdict: Verdict = Field(description="What it comes to.")
    ledger: Ledger = Field(description="What it cost.")

    def results_json(self) -> bytes:
        """Return the canonical bytes of `results` alone: equal bytes for equal results, whatever the run took.

        Returns
        -------
        bytes
            UTF-8 JSON with sorted keys and no white space; floats in their shortest exact form.
        """
        results = [result.model_dump(mode="json") for result in self.results]
        text = json.dumps(results, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()


def exit_code(report: Report) -> int:
    """Return what a command leaves with: 0 no limit exceeded, 2 one is, 3 something a limit needs was not measured."""
    if report.verdict.status == "not_measured":
        return 3 if report.verdict.limits or failures(report.controls) else 0
    return 2 if report.verdict.status == "fail" else 0


def read_report(content: bytes) -> Report:
    """Return a stored report.

    Raises
    ------
    StoreError
        When it was written by another version.
    """
    try:
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
