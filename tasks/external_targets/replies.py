"""How a request to an endpoint ended: its status, and what its headers and errors say.

Belongs here: outcomes, and which of them are worth another try. Does not belong here: sending (`endpoint`,
`connection`), nor what an answer means (`umbrameter.targets.endpoint_format`).
"""

import email.utils
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlparse, urlunparse

# Of the statuses, these mean that the endpoint is busy or failed for the moment; the others would come again.
REPEATED = frozenset({"no connection", "timeout", "cut off", "429", "500", "502", "503", "504"})
"""Outcomes after which a request is sent again."""


@dataclass(frozen=True)
class Reply:
    """How one request ended."""

    status: str
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def without_query(address: str) -> str:
    """Return an address without the parts that may hold secrets: user, password, parameters, query and fragment."""
    try:
        parts = urlparse(address)
    except ValueError:
        return "an address that cannot be read"
    return urlunparse((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "", ""))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from, the last one first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, or None if it is missing or cannot be read."""
    if header is None or header.strip().isdecimal():
        return None if header is None else float(header)
    try:
        then = email.utils.parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
