"""Publishers' files, read as streams: from a folder, or from a tar archive without unpacking it.

Belongs here: opening a file by name, and reporting what is wrong with it. Does not belong here: the file's content.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from umbrameter.errors import DataError, brief

REMEDY = "get it again from its publishers"
"""What to do about a file that differs from the published one."""

ARCHIVES = (".tgz", ".tar.gz", ".tar")


@contextmanager
def member(place: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, decompressed where it is gzipped.

    Parameters
    ----------
    place
        A folder, a tar archive (compressed or not), or the file itself.
    name
        The file's path in the folder, with or without `.gz`, or the last part of its path in the archive.

    Raises
    ------
    DataError
        When there is no plain file of that name, or it cannot be read to its end.
    """
    opened = _in_archive if place.is_file() and place.name.endswith(ARCHIVES) else _in_folder
    try:
        with opened(place, name) as file:
            yield file
    # A damaged file may raise any of these, depending on where the damage is.
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{place}: {name} cannot be read whole ({brief(error)}); {REMEDY}") from None


@contextmanager
def _in_folder(place: Path, name: str) -> Iterator[IO[bytes]]:
    named = (place / name, place / f"{name}.gz") if place.is_dir() else (place,)
    path = next((path for path in named if path.is_file()), None)
    if path is None:
        raise DataError(f"{place} holds no file {name!r}; put it there, or {REMEDY}")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield cast(IO[bytes], file)


@contextmanager
def _in_archive(place: Path, name: str) -> Iterator[IO[bytes]]:
    with tarfile.open(place) as tar:
        # Read in place: with nothing unpacked, no path in the archive can lead elsewhere.
        inner = next((m for m in tar if m.isfile() and PurePosixPath(m.name).name == name), None)
        file = None if inner is None else tar.extractfile(inner)
        if file is None:
            raise DataError(f"{place} holds no file {name!r}; {REMEDY}")
        yield file
