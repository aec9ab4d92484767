"""The data sets that a spec can name: what they are, where they are found, how they are built when they are not.

A data set is looked for in the folder that `UMBRAMETER_DATA` names, then under the root, where a download is kept.
"""

import csv
import hashlib
import io
import os
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from umbrameter.errors import DataError, SpecError
from umbrameter.records import ParquetData
from umbrameter.tables import vector_column

FOLDER_VARIABLE = "UMBRAMETER_DATA"
"""Environment variable: a folder with data sets that need not be downloaded."""

TIMEOUT = 60.0
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True)
class Download:
    """Where a data set is published, and how its file becomes a table.

    Parameters
    ----------
    url
        Address of a tar archive.
    member
        The file in it.
    sha256
        The file's digest (hexadecimal).
    parse
        From the file's bytes to the table.
    """

    url: str
    member: str
    sha256: str
    parse: Callable[[bytes], pa.Table]


@dataclass(frozen=True)
class Entry:
    """One data set of the catalogue."""

    name: str
    title: str
    records: int
    features: int
    classes: int
    licence: str
    label: str
    ignore: tuple[str, ...] = ()
    duplicates: str = "error"
    sample: Path | None = None
    download: Download | None = None

    def source(self, path: Path) -> ParquetData:
        """Return how the file at a path is read."""
        return ParquetData.model_validate(
            {"path": str(path), "label": self.label, "ignore": self.ignore, "duplicates": self.duplicates}
        )


def parse_location(content: bytes) -> pa.Table:
    """Read the authors' file of Location-30: one record a line, the class (1 .. 30) first, then its features.

    Raises
    ------
    DataError
        When a line is not of that form.
    """
    try:
        rows = [[int(value) for value in line] for line in csv.reader(io.StringIO(content.decode("ascii")))]
        table = np.array(rows, dtype=np.int16)
    except ValueError as error:
        raise DataError(f"the Location-30 file is not as published ({error}); download it again") from None
    return pa.table({"x": vector_column(table[:, 1:].astype(np.uint8)), "y": table[:, 0] - 1})


CATALOGUE: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="adult",
            title="UCI Adult, census income of 1994",
            records=48_842,
            features=14,
            classes=2,
            licence="CC BY 4.0",
            label="income",
            ignore=("split", "fnlwgt"),
            duplicates="drop",
            sample=Path(__file__).resolve().parent / "samples" / "adult.parquet",
        ),
        Entry(
            name="location30",
            title="Location-30 of Shokri et al. (2017), check-ins in Bangkok",
            records=5_010,
            features=446,
            classes=30,
            licence="none stated by its publishers",
            label="y",
            download=Download(
                url="https://github.com/privacytrustlab/datasets/raw/master/dataset_location.tgz",
                member="bangkok",
                sha256="2ca8f7fc231251e089823e44d39f2d1eed124574cc351c7f80368cfe631dd718",
                parse=parse_location,
            ),
        ),
    )
}


def locate(name: str, root: str) -> ParquetData:
    """Return where a data set's file is and how it is read, after a download when there is no other way.

    Parameters
    ----------
    name
        One of `CATALOGUE`.
    root
        The root of the audits, under which a download is kept.

    Raises
    ------
    SpecError
        When there is no such data set.
    DataError
        When its file is nowhere and cannot be downloaded.
    """
    if name not in CATALOGUE:
        raise SpecError(f"data.name={name!r} is not in the catalogue; expected one of {', '.join(CATALOGUE)}")
    entry = CATALOGUE[name]
    for path in _places(entry, root):
        if path.is_file():
            return entry.source(path)
    kept = _kept(entry, root)
    try:
        table = fetch(entry)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}.part")
        pq.write_table(table, part, compression="zstd")
        part.replace(kept)
    except (OSError, tarfile.TarError, DataError) as error:
        raise DataError(
            f"data.name={name!r}: there is no {name}.parquet in the folder of {FOLDER_VARIABLE} "
            f"({os.environ.get(FOLDER_VARIABLE) or 'not set'}), and it could not be had from "
            f"{entry.download.url if entry.download else 'anywhere'} ({_short(error)}); either set {FOLDER_VARIABLE} "
            "to a folder that holds the file, or run again with a connection to that address"
        ) from None
    return entry.source(kept)


def fetch(entry: Entry) -> pa.Table:
    """Download a data set and return its table.

    Raises
    ------
    DataError
        When the file is not the published one, by its checksum.
    OSError
        When the address does not answer.
    """
    if entry.download is None:
        raise DataError("it is not published for download")
    download = entry.download
    with urllib.request.urlopen(download.url, timeout=TIMEOUT) as answer:
        archive = answer.read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        inner = next((m for m in tar.getmembers() if m.isfile() and Path(m.name).name == download.member), None)
        file = None if inner is None else tar.extractfile(inner)
        content = b"" if file is None else file.read()
    found = hashlib.sha256(content).hexdigest()
    if found != download.sha256:
        raise DataError(f"the SHA-256 of {download.member!r} in it is {found}, expected {download.sha256}")
    return download.parse(content)


def available(root: str) -> list[tuple[Entry, str]]:
    """Return every data set with where it is, or how it will be had."""
    found = []
    for entry in CATALOGUE.values():
        here = next((path for path in _places(entry, root) if path.is_file()), None)
        url = entry.download.url if entry.download else "nowhere"
        found.append((entry, f"at {here}" if here else f"not here yet; will be downloaded from {url}"))
    return found


def _places(entry: Entry, root: str) -> list[Path]:
    named = os.environ.get(FOLDER_VARIABLE)
    places = [entry.sample] if entry.sample else []
    return [*places, *([Path(named) / f"{entry.name}.parquet"] if named else []), _kept(entry, root)]


def _kept(entry: Entry, root: str) -> Path:
    """Return where a download is kept: under a local root, else in the user's cache."""
    folder = Path.home() / ".cache" / "umbrameter" if "://" in root else Path(root) / "datasets"
    return folder / f"{entry.name}.parquet"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
