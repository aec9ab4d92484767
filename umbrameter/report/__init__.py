"""The report of an audit: its data model, its figures, and its texts for HTML and the terminal.

`figures` and `html` are imported by name, so that reading a `report.json` does not import matplotlib.
"""

from umbrameter.report.model import (
    AuditInfo,
    DataInfo,
    Ledger,
    LimitOutcome,
    Report,
    Result,
    ShadowInfo,
    Status,
    TargetInfo,
    Verdict,
    schema,
)

__all__ = [
    "AuditInfo",
    "DataInfo",
    "Ledger",
    "LimitOutcome",
    "Report",
    "Result",
    "ShadowInfo",
    "Status",
    "TargetInfo",
    "Verdict",
    "schema",
]
