"""The report of an audit: its model, its figures, and how it reads as HTML and on a terminal.

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
