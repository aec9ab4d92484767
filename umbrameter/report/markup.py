"""The pieces of an HTML page: tables, lists, sections; all text in them is escaped.

Belongs here: markup. Does not belong here: what a report says (`html`).
"""

from collections.abc import Iterable, Mapping
from html import escape

from umbrameter.measured import Metric
from umbrameter.report.words import figure, number


def section(title: str, content: str) -> str:
    """Return a section with its title, escaped by the caller."""
    return f"<section><h2>{title}</h2>\n{content}</section>\n"


def details(title: str, content: str) -> str:
    """Return what a reader may open, under a title."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>\n"


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table, every text in it escaped."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{cells(row)}</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'


def cells(texts: Iterable[str]) -> str:
    """Return cells of a row."""
    return "".join(cell(text) for text in texts)


def cell(text: str) -> str:
    """Return a cell; what was not measured looks like it."""
    return f'<td class="none">{text}</td>' if text == "not measured" else f"<td>{escape(text)}</td>"


def unbroken(metric: Metric | None) -> str:
    """Return a figure whose interval is not broken over two lines."""
    return "not measured" if metric is None else figure(metric).replace(", ", ",\u00a0")


def items(texts: Iterable[str]) -> str:
    """Return a list; nothing without items."""
    items = "".join(f"<li>{escape(text)}</li>\n" for text in texts)
    return f"<ul>{items}</ul>\n" if items else ""


def definitions(entries: Mapping[str, str]) -> str:
    """Return names with what they stand for."""
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>\n" for name, text in entries.items())
    return f"<dl>{''.join(rows)}</dl>\n"


def or_not(value: float | None) -> str:
    """Return a figure, or that it was not measured."""
    return "not measured" if value is None else number(value)
