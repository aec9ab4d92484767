"""Fitted models as skops files, which load without running code from them."""

from typing import Any

from umbrameter.dotted_paths import allowed_prefixes
from umbrameter.errors import StoreError


def dump_model(model: Any) -> bytes:
    """Return a fitted classifier as a skops file, which can be loaded without running code from it."""
    import skops.io  # here, since it loads torch and the like where they are installed: hundreds of MB a worker

    content: bytes = skops.io.dumps(model)
    return content


def load_model(content: bytes) -> Any:
    """Load a classifier from a skops file.

    Raises
    ------
    StoreError
        When the file names types from outside numpy, scipy and the allowed prefixes.
    """
    import skops.io

    trusted = ("numpy.", "scipy.", *allowed_prefixes())
    types = skops.io.get_untrusted_types(data=content)
    foreign = [name for name in types if not name.startswith(trusted)]
    if foreign:
        raise StoreError(f"a stored model holds {', '.join(foreign)}, which is not trusted; remove it and run again")
    return skops.io.loads(content, trusted=types)
