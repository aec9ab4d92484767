"""Models as skops files: loading one runs no code from it."""

import hashlib
import inspect
import re
from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile

from umbrameter.dotted_paths import allowed_prefixes, look_up
from umbrameter.errors import StoreError

SAFE = ("numpy.", "scipy.", "catboost.", "lightgbm.", "xgboost.", "collections.OrderedDict")
"""Where types are whose state is data, so that reading it runs no code from it, besides the allowed prefixes."""

RUNS_CODE = (b"\x80", b"x", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"ZF", b"(")
"""How pickles begin, and the compressed ones that joblib writes."""


def dump_model(model: Any) -> bytes:
    """Return the content of a skops file that holds a classifier, fitted or not."""
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

    trusted = (*SAFE, *allowed_prefixes())
    try:
        types = skops.io.get_untrusted_types(data=content)
    except (BadZipFile, KeyError, ValueError) as error:
        raise StoreError(f"a stored model cannot be read ({error}): the file is damaged; make it again") from error
    foreign = [name for name in types if not name.startswith(trusted)]
    if foreign:
        raise StoreError(f"a stored model holds {', '.join(foreign)}, which is not trusted; remove it and run again")
    return skops.io.loads(content, trusted=types)


def read_model(content: bytes, where: str, trusted: bool = False) -> Any:
    """Read a classifier from a skops file that somebody else wrote.

    Parameters
    ----------
    content
        The file's content.
    where
        The setting and the path, for errors.
    trusted
        Whether types that are neither numpy's, scipy's nor below an allowed prefix may be made.

    Raises
    ------
    ValueError
        When the file is a pickle or damaged, or holds types that are not trusted.
    """
    import skops.io

    if content.startswith(RUNS_CODE):
        raise ValueError(
            f"{where} is a pickle (of pickle, joblib or torch): loading it runs whatever code is in it. Load it where "
            "you trust it, and write it again as skops: skops.io.dump(joblib.load('model.joblib'), 'model.skops')"
        )
    try:
        types = skops.io.get_untrusted_types(data=content)
    except (BadZipFile, KeyError, ValueError) as error:
        raise ValueError(
            f"{where} is no skops file, or is damaged ({error}); write it with skops.io.dump(model, 'model.skops')"
        ) from None
    foreign = [name for name in types if not _is_harmless(name)]
    if foreign and not trusted:
        raise ValueError(
            f"{where} holds {', '.join(foreign)}, which skops does not know: making them may run their code; set "
            "trusted: true if you trust whoever wrote the file"
        )
    try:
        return skops.io.loads(content, trusted=types)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{where} cannot be read: {error}; install what the model was made with") from None


def _is_harmless(name: str) -> bool:
    """Return whether a type may be made: a class or a function could run anything if it may come from anywhere."""
    if not name.startswith((*SAFE, *allowed_prefixes())):
        return False
    try:
        named = look_up(name)
    except ValueError:
        return False
    return inspect.isclass(named) or name.startswith(("sklearn.feature_selection.", "sklearn.metrics."))


def schema_of(content: bytes) -> bytes:
    """Return the part of a skops file that names what it holds, as JSON."""
    with ZipFile(BytesIO(content)) as archive:
        return archive.read("schema.json")


def content_digest(content: bytes) -> str:
    """Return the SHA-256 (hexadecimal) of what a skops file holds; the file itself differs each time it is written.

    Parameters
    ----------
    content
        The file's content.
    """
    schema = schema_of(content).decode()
    with ZipFile(BytesIO(content)) as archive:
        files = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    # Memory addresses stand for objects, and name the arrays' files.
    schema = re.sub(r'"file": "([^"]+)"', lambda match: f'"file": "{files[match[1]]}"', schema)
    return hashlib.sha256(re.sub(r'"__id__": \d+', "", schema).encode()).hexdigest()
