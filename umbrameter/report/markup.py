"""The pieces of an HTML page: tables, lists, sections; all text in them is escaped.

Belongs here: markup. Does not belong here: what a report says (`html`).
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape

from umbrameter.report.text import figure, number
from umbrameter.statistics.estimates import Metric

_STYLE = """
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #1f2328;
  max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #d0d7de; padding-bottom: .2rem; }
.small, caption, figcaption { color: #57606a; font-size: .875rem; }
.verdict { border-left: .5rem solid; padding: .6rem 1rem; margin: 1.2rem 0; background: #f6f8fa; }
.verdict strong { font-size: 1.15rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; margin: .6rem 0; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1.1rem .3rem 0; border-bottom: 1px solid #eaeef2; }
thead th { border-bottom: 2px solid #8c959f; }
th .small { font-weight: normal; display: block; }
tbody th { font-weight: 600; min-width: 8.5rem; max-width: 20rem; overflow-wrap: anywhere; }
.group td { white-space: nowrap; }
td.none { color: #57606a; font-style: italic; }
tbody.group { border-top: 1px solid #8c959f; }
figure { margin: 1.2rem 0; }
figure img { max-width: 100%; height: auto; }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin-left: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; margin: .5rem 0; }
@media print { details { display: block; } body { margin: 0; } figure, tr { break-inside: avoid; } }
"""


def page(title: str, content: str) -> str:
    """Return a page that loads nothing and runs nothing; the title is escaped here, the content by the caller."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{content}</body>\n</html>\n"
    )


def image(caption: str, png: bytes) -> str:
    """Return a figure with its caption, escaped here."""
    text, source = escape(caption), f"data:image/png;base64,{b64encode(png).decode()}"
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>\n'


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
