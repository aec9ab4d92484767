"""Render the templates of pages and model cards; everything from a report is escaped."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from umbrameter.report.text import figure, number
from umbrameter.statistics.estimates import Metric


def filled(template: str, **values: Any) -> str:
    """Return a template's text with values filled in.

    Parameters
    ----------
    template
        The template's file name in `umbrameter/report/templates`.
    values
        The variables of the template; a missing one is an error.
    """
    return _ENVIRONMENT.get_template(template).render(**values)


def unbroken(metric: Metric | None) -> str:
    """Return a figure as text whose interval stays on one line."""
    return "not measured" if metric is None else figure(metric).replace(", ", ",\u00a0")


def or_not(value: float | None) -> str:
    """Return a figure as text, or `not measured`."""
    return "not measured" if value is None else number(value)


def _base64(content: bytes) -> str:
    return b64encode(content).decode()


def _values_of(entry: Mapping[str, str]) -> list[str]:
    return [*entry.values()]


def _in_cell(text: str) -> str:
    """Return a text with bars escaped, since a bar ends a cell of a Markdown table."""
    return text.replace("|", "\\|")


def _rule(_column: str) -> str:
    return "---"


_ENVIRONMENT = Environment(
    loader=PackageLoader("umbrameter.report"),
    autoescape=True,  # in Markdown, too, since it may contain HTML
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters |= {"base64": _base64, "values_of": _values_of, "in_cell": _in_cell, "rule": _rule}
