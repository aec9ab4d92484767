"""Download a publisher's file and check it.

Belongs here: addresses and digests. Does not belong here: what a file holds.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pooch
from requests import RequestException

from data.archives import member
from umbrameter.errors import DataError, brief

TIMEOUT = 60.0
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True)
class Download:
    """A published file: its address, and the digest that it is checked by.

    Parameters
    ----------
    url
        Its address.
    digest
        `md5:` or `sha256:` and the digest (hexadecimal); None where none is known.
    inside
        The file within the archive that has this digest; None if the digest is the archive's own.
    """

    url: str
    digest: str | None = None
    inside: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


def fetch(download: Download, folder: Path) -> Path:
    """Download a file into a folder, check it, and return its path.

    Parameters
    ----------
    download
        What to download.
    folder
        Where to; nothing is unpacked.

    Raises
    ------
    DataError
        When the address does not answer, or sends only a part of the file or another file.
    """
    pooch.get_logger().setLevel("WARNING")
    # With `inside`, pooch is given no digest: it could only check the archive's own.
    downloader, known = pooch.HTTPDownloader(timeout=TIMEOUT), None if download.inside else download.digest
    try:
        path = Path(pooch.retrieve(download.url, known, fname=download.name, path=folder, downloader=downloader))
    except (RequestException, OSError) as error:
        raise DataError(f"{download.url} could not be downloaded ({brief(_root(error))})") from None
    except ValueError as error:  # the digest differs
        raise DataError(f"{download.url} is not as published ({brief(error)})") from None
    if download.inside and download.digest:
        _check_inside(download, path, download.inside, download.digest)
    return path


def _root(error: BaseException) -> BaseException:
    """Return the first error of a chain: the later ones tell of pools and retries rather than of the cause."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _check_inside(download: Download, path: Path, inside: str, digest: str) -> None:
    """Check the digest of one file in an archive: the archive's own changes whenever it is packed anew."""
    algorithm, _, expected = digest.partition(":")
    try:
        with member(path, inside) as file:
            actual = hashlib.file_digest(file, algorithm).hexdigest()  # type: ignore[arg-type]  # a stream serves
    except DataError as error:
        raise DataError(f"{download.url} is not as published: {error}") from None
    if actual != expected:
        text = f"the {algorithm.upper()} digest of {inside!r} in {download.url} is {actual}, expected {expected}"
        raise DataError(text)
