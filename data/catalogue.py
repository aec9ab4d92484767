"""The data sets that a spec can name: what they are, where they are found, how they are built when they are not.

A data set is looked for in the folder that `UMBRAMETER_DATA` names, then under the root, where a download is kept.
"""

import csv
import hashlib
import http.client
import io
import os
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data import published
from data.generated import purchase_like
from umbrameter.errors import DataError, SpecError, StoreError, brief
from umbrameter.records import ParquetData
from umbrameter.tables import vector_column

FOLDER_VARIABLE = "UMBRAMETER_DATA"
"""Environment variable: a folder with data sets that need not be downloaded."""

Reader = Callable[[Path], Iterator[pa.RecordBatch]]
"""From a file's path to its records, some at a time."""

STANDIN_RECORDS = 60_000
"""Of a generated stand-in."""

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
    """One data set of the catalogue.

    Parameters
    ----------
    name, title
        What a spec calls it, and what people call it.
    records, features, classes
        How many of each.
    licence, source, citation
        Its terms, the page of its publishers, and what to cite.
    label, ignore, duplicates
        As of `ParquetData`.
    sample
        The file, where it is shipped.
    download
        How the file is made, where it is not.
    read
        From the file's path to its records, where it cannot be read as it is.
    published
        The names under which the publishers' own file may lie in the folder, and how it is read.
    standin
        Records that stand in where the data set is nowhere; reports say so.
    """

    name: str
    title: str
    records: int
    features: int
    classes: int
    licence: str
    source: str
    citation: str
    label: str
    ignore: tuple[str, ...] = ()
    duplicates: str = "error"
    sample: Path | None = None
    download: Download | None = None
    read: Reader | None = None
    published: tuple[tuple[str, ...], Reader] | None = None
    standin: Callable[[], Iterator[pa.RecordBatch]] | None = None

    def data(self, path: Path, note: str | None = None) -> ParquetData:
        """Return how the file at a path is read, and what has to be said of it."""
        settings = {"label": self.label, "ignore": self.ignore, "duplicates": self.duplicates, "note": note}
        return ParquetData.model_validate({"path": str(path)} | settings)


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
            source="https://archive.ics.uci.edu/dataset/2/adult",
            citation="B. Becker, R. Kohavi: Adult. UCI Machine Learning Repository, 1996",
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
            source="https://github.com/privacytrustlab/datasets",
            citation="R. Shokri, M. Stronati, C. Song, V. Shmatikov: Membership Inference Attacks Against Machine "
            "Learning Models. IEEE Symposium on Security and Privacy, 2017",
            label="y",
            download=Download(
                url="https://github.com/privacytrustlab/datasets/raw/master/dataset_location.tgz",
                member="bangkok",
                sha256="2ca8f7fc231251e089823e44d39f2d1eed124574cc351c7f80368cfe631dd718",
                parse=parse_location,
            ),
        ),
        Entry(
            name="mnist",
            title="MNIST, handwritten digits",
            records=70_000,
            features=784,
            classes=10,
            licence="CC BY-SA 3.0",
            source="https://yann.lecun.com/exdb/mnist",
            citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document "
            "recognition. Proceedings of the IEEE, 1998",
            label="y",
            ignore=("split",),
            duplicates="drop",
        ),
        Entry(
            name="cifar10",
            title="CIFAR-10, small photographs",
            records=60_000,
            features=3_072,
            classes=10,
            licence="none stated by its publishers",
            source="https://www.cs.toronto.edu/~kriz/cifar.html",
            citation="A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
            label="y",
            duplicates="drop",
            read=published.images,
        ),
        Entry(
            name="purchase100",
            title="Purchase-100 of Shokri et al. (2017), what customers bought",
            records=197_324,
            features=600,
            classes=100,
            licence="none stated by its publishers",
            source="https://github.com/privacytrustlab/datasets",
            citation="R. Shokri, M. Stronati, C. Song, V. Shmatikov: Membership Inference Attacks Against Machine "
            "Learning Models. IEEE Symposium on Security and Privacy, 2017",
            label="y",
            duplicates="drop",
            published=(("dataset_purchase", "dataset_purchase.csv"), published.purchases),
            standin=partial(purchase_like, STANDIN_RECORDS),
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
    found, kept = next((path for path in _places(entry, root) if path.is_file()), None), _kept(entry, root)
    own = _published(entry)
    if found is not None:
        return entry.data(found if entry.read is None else _rewritten(entry.read(found), kept))
    if entry.published is not None and own is not None:
        return entry.data(_rewritten(entry.published[1](own), kept))
    if entry.standin is not None:
        note = f"generated records that stand in for {entry.title}: {name} was not found, and figures are not of it"
        return entry.data(_rewritten(entry.standin(), kept.with_stem(f"{name}-standin")), note)
    try:
        table = _downloaded(entry)
    except DataError as error:
        raise DataError(
            f"data.name={name!r}: there is no {name}.parquet in the folder of {FOLDER_VARIABLE} "
            f"({os.environ.get(FOLDER_VARIABLE) or 'not set'}), and it could not be had otherwise: {error}; either set "
            f"{FOLDER_VARIABLE} to a folder that holds the file (or put it at {kept}), or run again with a connection "
            "to that address"
        ) from None
    _keep(table.schema, table.to_batches(), kept)
    return entry.data(kept)


def _published(entry: Entry) -> Path | None:
    """Return the publishers' own file, where it lies in the folder."""
    named, names = os.environ.get(FOLDER_VARIABLE), entry.published[0] if entry.published else ()
    return next((path for name in names if named and (path := Path(named, name)).is_file()), None)


def _rewritten(batches: Iterator[pa.RecordBatch], path: Path) -> Path:
    """Return where records lie as plain Parquet, written now unless they are there."""
    if not path.is_file():
        first = next(batches)
        _keep(first.schema, chain([first], batches), path)
    return path


def _downloaded(entry: Entry) -> pa.Table:
    if entry.download is None:
        raise DataError("it is not published for download")
    return entry.download.parse(fetch(entry.download.url, entry.download.sha256, entry.download.member))


def _keep(schema: pa.Schema, batches: Iterable[pa.RecordBatch], path: Path) -> None:
    """Write records in one step, so that a kill leaves the whole file or none."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"the data set could not be kept as {str(path)!r} ({brief(error)}); free some space or let that folder be "
            f"written, or set {FOLDER_VARIABLE} to a folder that holds {path.name}"
        ) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def fetch(url: str, sha256: str, member: str) -> bytes:
    """Download a tar archive and return one file of it, checked.

    Parameters
    ----------
    url
        Address of the archive.
    sha256
        The file's digest (hexadecimal).
    member
        The file's name in the archive, in whatever folder; nothing is unpacked to disk.

    Raises
    ------
    DataError
        When the address does not answer, sends no archive that holds the file, or not the published file.
    """
    archive = _download(url)
    try:
        content = _extract(archive, member)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{url} could not be downloaded whole, as a tar archive ({brief(error)})") from None
    if content is None:
        raise DataError(f"{url} holds no file {member!r}")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(f"the SHA-256 of {member!r} in {url} is {found}, expected {sha256}")
    return content


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise DataError(f"{url} could not be downloaded ({brief(error)})") from None
    return content


def _extract(archive: bytes, member: str) -> bytes | None:
    """Return one plain file of a tar archive, or None when there is none of that name."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        inner = next((m for m in tar.getmembers() if m.isfile() and Path(m.name).name == member), None)
        file = None if inner is None else tar.extractfile(inner)
        return None if file is None else file.read()


def available(root: str) -> list[tuple[Entry, str]]:
    """Return every data set with where it is, or how it will be had."""
    found = []
    for entry in CATALOGUE.values():
        here = next((path for path in _places(entry, root) if path.is_file()), _published(entry))
        found.append((entry, f"at {here}" if here else _otherwise(entry)))
    return found


def _otherwise(entry: Entry) -> str:
    """Return how a data set will be had that is not here."""
    if entry.download is not None:
        return f"not here yet; will be downloaded from {entry.download.url}"
    wanted = " or ".join((f"{entry.name}.parquet", *(entry.published[0] if entry.published else ())))
    standin = "; until then generated records stand in, and reports say so" if entry.standin else ""
    return f"not here; put {wanted} into the folder of {FOLDER_VARIABLE} (published at {entry.source}){standin}"


def _places(entry: Entry, root: str) -> list[Path]:
    named = os.environ.get(FOLDER_VARIABLE)
    places = [entry.sample] if entry.sample else []
    return [*places, *([Path(named) / f"{entry.name}.parquet"] if named else []), _kept(entry, root)]


def _kept(entry: Entry, root: str) -> Path:
    """Return where a download is kept: under a local root, else in the user's cache."""
    folder = Path.home() / ".cache" / "umbrameter" if "://" in root else Path(root) / "datasets"
    return folder / f"{entry.name}.parquet"
