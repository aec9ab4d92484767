"""The data sets that a spec can name: where to find each, and how to get it when it is missing.

A data set is looked up in the folder that `UMBRAMETER_DATA` names, then under the root, where it is kept after it was
downloaded, generated or rewritten. The name of a file made from other files holds a digest of their paths and times of
change, so that other or changed files are read anew.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from data.cache import FOLDER_VARIABLE, kept, made_from, rewritten
from data.clusters import clustered
from data.downloads import Download, fetch
from data.entries import CATALOGUE, Entry, Layout, Reader
from data.generated import STREAM, batches, parameters
from umbrameter.errors import DataError, SpecError, one_of
from umbrameter.records.sources import CatalogueData, GeneratedData, ParquetData, SidesData

__all__ = [
    "CATALOGUE",
    "FOLDER_VARIABLE",
    "Download",
    "Entry",
    "Layout",
    "available",
    "fetch",
    "locate",
    "source_of",
    "write_generated",
]

STANDIN_RECORDS = 60_000
"""Number of records in a generated stand-in."""


def source_of(data: CatalogueData | GeneratedData | ParquetData | SidesData, root: str) -> ParquetData | SidesData:
    """Return the files with the records, after finding a catalogue's data set or generating records.

    Parameters
    ----------
    data
        The `data` of a spec.
    root
        The root of the audits, under which downloads and generated records are kept.

    Raises
    ------
    DataError
        When a data set cannot be found or downloaded.
    """
    if isinstance(data, CatalogueData):
        return locate(data.name, root)
    if isinstance(data, GeneratedData):
        sizes = (data.records, data.features, data.classes)
        path = write_generated(data.like, *sizes, data.density, data.distinctness, data.seed, root)
        return ParquetData(path=str(path), label="y", duplicates="drop", numeric_label="classes")
    return data


def locate(name: str, root: str) -> ParquetData:
    """Return a data set's file and how to read it, after a download if there is no other way.

    Parameters
    ----------
    name
        A key of `CATALOGUE`.
    root
        The root of the audits, under which a download is kept.

    Raises
    ------
    SpecError
        When there is no such data set.
    DataError
        When its file cannot be found or downloaded, or is not as published.
    StoreError
        When its file cannot be written.
    """
    if name not in CATALOGUE:
        raise SpecError(f"data.name={name!r} is not in the catalogue; {one_of(name, CATALOGUE, 'expected one of')}")
    entry, path = CATALOGUE[name], kept(name, root)
    source, read = _source(entry)
    if source is not None and source.resolve() != path.resolve():
        return entry.data(source if read is None else _read(entry, source, read, root))
    has_base = entry.base is not None and _source(CATALOGUE[entry.base])[0] is not None
    # Clusters of a base that is at hand are made from it, since it may not be the one that a kept file was made from.
    if path.is_file() and not has_base:
        return entry.data(path)
    return _of_base(entry, entry.base, root) if entry.base else _downloaded_or_generated(entry, root)


def _read(entry: Entry, source: Path, read: Reader, root: str) -> Path:
    """Rewrite the user's own files of a data set as plain Parquet, and return the path."""
    names = [download.name for download in entry.layout.downloads] if entry.layout else []
    beside = [source.parent / part for name in names for part in (name, name.removesuffix(".gz"))]
    return rewritten(read(source), kept(f"{entry.name}-{made_from(source, *beside)}", root))


def _of_base(entry: Entry, base: str, root: str) -> ParquetData:
    """Return a data set that is clustered from another, which may be a stand-in."""
    source = locate(base, root)
    origin = made_from(Path(source.path)) if source.note is None else f"of-{Path(source.path).stem}"
    path = rewritten(clustered(Path(source.path), entry.classes), kept(f"{entry.name}-{origin}", root))
    return entry.data(path, None if source.note is None else _note(entry))


def _downloaded_or_generated(entry: Entry, root: str) -> ParquetData:
    """Return a data set after a download or, if that fails, the generated records that stand in for it."""
    path = kept(entry.name, root)
    try:
        return entry.data(_downloaded(entry, path))
    except DataError as error:
        if entry.standin is not None:
            return entry.data(write_generated(entry.standin, STANDIN_RECORDS, root=root), _note(entry))
        raise DataError(
            f"data.name={entry.name!r}: there is no {entry.name}.parquet in the folder of {FOLDER_VARIABLE} "
            f"({os.environ.get(FOLDER_VARIABLE) or 'not set'}), and it could not be downloaded: {error}; either set "
            f"{FOLDER_VARIABLE} to a folder that holds the file (or put it at {path}), or run again with a connection "
            "to that address"
        ) from None


def _note(entry: Entry) -> str:
    # Part of the records' key: other words would make other records.
    return f"generated records that stand in for {entry.title}: {entry.name} was not found, and figures are not of it"


def _downloaded(entry: Entry, path: Path) -> Path:
    """Download a data set, rewrite its publishers' files as plain Parquet, and return the path."""
    if entry.layout is None:
        raise DataError("it is not published for download")
    with tempfile.TemporaryDirectory(prefix="umbrameter-") as folder:
        for download in entry.layout.downloads:
            fetch(download, Path(folder))
        first = next(Path(folder, name) for name in entry.layout.names if Path(folder, name).exists())
        try:
            return rewritten(entry.layout.read(first), path)
        except DataError as error:
            raise DataError(f"{entry.layout.downloads[0].url} is not as published: {error}") from None


def write_generated(
    like: str,
    n_records: int,
    n_features: int | None = None,
    n_classes: int | None = None,
    density: float | None = None,
    distinctness: float | None = None,
    seed: int | None = None,
    root: str = "runs",
) -> Path:
    """Write generated records as Parquet where downloads are kept, unless the file exists, and return its path.

    Parameters
    ----------
    like, n_records, n_features, n_classes, density, distinctness, seed
        See `data.generated.parameters`; together they decide the file's name.
    root
        The root of the audits.

    Raises
    ------
    SpecError
        When there is no such kind, or a value is out of its range.
    StoreError
        When the file cannot be written.
    """
    settings = parameters(like, n_records, n_features, n_classes, density, distinctness, seed)
    content = json.dumps({"like": like, "stream": STREAM} | asdict(settings), sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return rewritten(batches(settings), kept(f"{like}-like-{digest}", root))


def available(root: str) -> list[tuple[Entry, Path | None]]:
    """Return every data set with its path, or None if it must be downloaded or generated first."""
    return [(entry, _here(entry, root)) for entry in CATALOGUE.values()]


def _here(entry: Entry, root: str) -> Path | None:
    """Return the path of a data set or of its base: shipped, in the user's folder, or kept under the root."""
    source, path = _source(entry)[0], kept(entry.name, root)
    if source is not None or path.is_file():
        return source or path
    return _here(CATALOGUE[entry.base], root) if entry.base else None


def _source(entry: Entry) -> tuple[Path | None, Reader | None]:
    """Return a data set's file, shipped or in the user's folder, or its publishers' files, and how to read them."""
    if entry.sample is not None and entry.sample.is_file():
        return entry.sample, None
    folder, layout = os.environ.get(FOLDER_VARIABLE), entry.layout
    if not folder:
        return None, None
    if (path := Path(folder, f"{entry.name}.parquet")).is_file():
        return path, entry.read
    published = [path for name in layout.names if (path := Path(folder, name)).exists()] if layout else []
    return (published[0], layout.read) if layout and published else (None, None)
