"""Fitted models as skops files: loading one runs no code from it."""

from typing import Any
from zipfile import BadZipFile

from umbrameter.dotted_paths import allowed_prefixes
from umbrameter.errors import StoreError


def dump_model(model: Any) -> bytes:
    """Return the content of a skops file that holds a fitted classifier."""
    import skops.io  # here, since it loads torch and the like where they are installed: hundreds of MB per worker

    content: bytes = skops.io.dumps(model)
    return content


def load_model(content: bytes) -> Any:
    """Load a classifier from a skops file.

    Raises
    ------
    StoreError
        When the file is damaged, or names types outside numpy, scipy and the allowed prefixes.
    """
    import skops.io

    trusted = ("numpy.", "scipy.", *allowed_prefixes())
    try:
        types = skops.io.get_untrusted_types(data=content)
    except (BadZipFile, KeyError, ValueError) as error:
        raise StoreError(f"a stored model cannot be read ({error}): the file is damaged; make it again") from error
    foreign = [name for name in types if not name.startswith(trusted)]
    if foreign:
        raise StoreError(f"a stored model holds {', '.join(foreign)}, which is not trusted; remove it and run again")
    return skops.io.loads(content, trusted=types)
