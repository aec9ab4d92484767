"""Local paths and buckets' addresses, with any character in them."""

from urllib.parse import quote, unquote

import pyarrow.fs as pafs

MEANT = "%/:?&=@+,;~!$'()*[]"
"""Characters that mean something in a bucket's address; all others, such as spaces and #, are part of a name."""


def local_path(address: str) -> str | None:
    """Return the local path that an address stands for; None for a bucket's.

    Examples
    --------
    >>> local_path("audits?x"), local_path("file:///srv/my%20audits#2"), local_path("s3://audits/x")
    ('audits?x', '/srv/my audits#2', None)
    """
    if address.startswith("file://"):
        return unquote(address.removeprefix("file://"))
    return None if "://" in address else address


def located(address: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a local path or a bucket's address, and the path within it.

    Parameters
    ----------
    address
        A path, `file://` and a path, or an address that `pyarrow.fs` knows, whose options follow a question mark. In
        addresses, `%20` is a space, `%3F` a question mark and `%25` a per-cent sign.

    Raises
    ------
    OSError, pyarrow.ArrowException
        When it is the address of no known file system.
    """
    local = local_path(address)
    if local is not None:
        return pafs.LocalFileSystem(), local
    place: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(quote(address, safe=MEANT))
    return place
