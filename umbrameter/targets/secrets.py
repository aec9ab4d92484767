"""Recognise secrets by their names; none belongs in an address or a request body that a spec holds."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""A word in a name such as `X-Api-Key`, `access_token` or `apiKey`."""
SECRETS = re.compile(
    r"(api|access|account|auth|client|private|secret|shared|subscription)?(key|token|secret|code)"
    r"|pass|passwd|password|passphrase|pwd|sig|o?auth|authentication|authori[sz]ation|creds?|credentials?|jwt"
)
"""A word, in lower case, that marks the name of a secret."""


def looks_like_secret(name: str) -> bool:
    """Return whether a name looks like that of a secret; `signature` counts only at its end, since TensorFlow uses it.

    Examples
    --------
    >>> [looks_like_secret(name) for name in ("X-Api-Key", "apiKey", "code", "signature_name", "keypoints")]
    [True, True, True, False, False]
    """
    words = [word.lower() for word in WORDS.findall(name)]
    return any(map(SECRETS.fullmatch, words)) or words[-1:] == ["signature"]


def keys(content: Any) -> Iterator[str]:
    """Yield the keys of all mappings in a JSON value."""
    if isinstance(content, Mapping):
        yield from content
        content = list(content.values())
    for value in content if isinstance(content, list) else ():
        yield from keys(value)
