"""Downloads: a publisher's file on disk, checked.

Belongs here: addresses, digests. Does not belong here: what a file holds.
"""

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from data.archives import member
from umbrameter.errors import DataError, brief

TIMEOUT = 60.0
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True)
class Download:
    """Where a file is published, and how it is known to be the one.

    Parameters
    ----------
    url
        Its address.
    digest
        `md5:` or `sha256:` and the digest (hexadecimal); None where none is known.
    inside
        The file of the archive that the digest is of, where it is not the archive's.
    """

    url: str
    digest: str | None = None
    inside: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


def fetch(download: Download, folder: Path) -> Path:
    """Download a file into a folder and return its path, after a check of what was sent.

    Parameters
    ----------
    download
        What to download.
    folder
        Where to; nothing is unpacked.

    Raises
    ------
    DataError
        When the address does not answer, sends only a part, or not the published file.
    """
    path = folder / download.name
    try:
        with urllib.request.urlopen(download.url, timeout=TIMEOUT) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file, 2**20)
            if answer.length:  # a connection that is cut looks like an end
                raise http.client.IncompleteRead(b"", answer.length)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise DataError(f"{download.url} could not be downloaded ({brief(error)})") from None
    _check(download, path)
    return path


def _check(download: Download, path: Path) -> None:
    if download.digest is None:
        return
    algorithm, _, wanted = download.digest.partition(":")
    try:
        with member(path, download.inside) if download.inside else path.open("rb") as file:
            found = hashlib.new(algorithm, usedforsecurity=False)
            for content in iter(partial(file.read, 2**20), b""):
                found.update(content)
    except DataError as error:
        raise DataError(f"{download.url} is not as published: {error}") from None
    if found.hexdigest() != wanted:
        part = f"{download.inside!r} in " if download.inside else ""
        raise DataError(
            f"the {algorithm.upper()} digest of {part}{download.url} is {found.hexdigest()}, expected {wanted}"
        )
