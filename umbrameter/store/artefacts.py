"""Artefacts on disk: folders named by what determines their content, with a manifest that is written last.

Belongs here: where an artefact lies, whether it is finished, and how it is written so that a kill at any moment leaves
either the whole artefact or none. Does not belong here: its schema (`schemas`), or what makes it (`records`, `steps`).
"""

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from umbrameter.errors import StoreError
from umbrameter.store.addresses import local_path, located
from umbrameter.store.schemas import OUTSIDE, VERSIONS

MANIFEST = "manifest.json"


def canonical(value: Any) -> str:
    """Return `value` as JSON text that is the same for equal values (sorted keys, no spaces)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 (hexadecimal) of a JSON-able value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def sha256(fs: pafs.FileSystem, path: str) -> str:
    """Return the SHA-256 (hexadecimal) of one file."""
    running = hashlib.sha256()
    with fs.open_input_stream(path) as stream:
        while chunk := stream.read(1 << 20):
            running.update(chunk)
    return running.hexdigest()


@dataclass(frozen=True)
class Recipe:
    """Everything that determines an artefact's content: its kind and the facts that it is made from.

    Parameters
    ----------
    kind
        One of `umbrameter.store.schemas.VERSIONS`, or another name for a step of another package.
    facts
        JSON-able: the relevant part of the spec, the keys of the inputs, seeds, and versions of libraries.
    """

    kind: str
    facts: Mapping[str, Any]

    @cached_property
    def key(self) -> str:
        """The artefact's key: SHA-256 over the kind, its schema version and the facts."""
        return digest({"kind": self.kind, "version": VERSIONS.get(self.kind, OUTSIDE), "facts": self.facts})

    @property
    def path(self) -> str:
        """The artefact's folder, whether it is finished or not, relative to the store's root."""
        return f"store/{self.kind}/{self.key}"


@dataclass(frozen=True)
class Artefact:
    """A finished artefact: its folder, the facts that it was made from, its files, and metadata on its content."""

    store: "Store"
    kind: str
    key: str
    facts: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    meta: Mapping[str, Any]

    @property
    def path(self) -> str:
        """The artefact's folder, relative to the store's root."""
        return f"store/{self.kind}/{self.key}"

    def file(self, name: str) -> str:
        """Return the path, within the store's file system, of the file called `name`."""
        return f"{self.path}/{self.files[name]['stored']}"

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read one Parquet file of the artefact as a table."""
        with self.parquet(name) as source:
            return source.read(columns=columns, use_threads=False)

    @contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """Open one Parquet file of the artefact, for reading by row groups; each page's checksum is verified.

        Raises
        ------
        StoreError
            When the file is missing, or what is read of it is not what was written.
        """
        try:
            with (
                self.store.fs.open_input_file(self.file(name)) as stream,
                pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True) as source,
            ):
                yield source
        except (OSError, pa.ArrowInvalid) as error:
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and _code(error):
                raise  # of the operating system's: the disk is full, say, where what is read is written on
            raise self._damaged(name) from error

    def data(self, name: str) -> bytes:
        """Read one file of the artefact as bytes.

        Raises
        ------
        StoreError
            When the file is missing, or its content is not what was written.
        """
        try:
            with self.store.fs.open_input_stream(self.file(name)) as stream:
                content = bytes(stream.read())
        except FileNotFoundError:
            raise self._damaged(name) from None
        if hashlib.sha256(content).hexdigest() != self.files[name]["sha256"]:
            raise self._damaged(name)
        return content

    def _damaged(self, name: str) -> StoreError:
        where = f"{self.store.root}/{self.path}"
        return StoreError(
            f"{where}: {name} is missing or damaged; delete this folder and run the audit again, which makes it anew"
        )


@dataclass
class Draft:
    """An artefact being written, under file names of this attempt alone, so that two writers never collide."""

    store: "Store"
    recipe: Recipe
    meta: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def data(self, name: str, content: bytes) -> None:
        """Write one file of the artefact from bytes."""
        with self.sink(name) as out:
            out.write(content)

    def table(self, name: str, table: pa.Table, row_group_size: int | None = None) -> None:
        """Write one Parquet file of the artefact from a table.

        Parameters
        ----------
        name
            The file's name within the artefact.
        table
            Its content.
        row_group_size
            Most rows of a row group; pyarrow's default if None.
        """
        with self.writer(name, table.schema) as out:
            out.write_table(table, row_group_size=row_group_size)

    @contextmanager
    def writer(self, name: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        """Yield a writer that streams row groups into one Parquet file of the artefact."""
        # Vectors hardly ever repeat, so that a dictionary of them would only cost time.
        repeating = [
            f.name for f in schema if not (pa.types.is_nested(f.type) or pa.types.is_fixed_size_binary(f.type))
        ]
        with (
            self.sink(name) as out,
            # Checksums by page, so that reading a few row groups notices damage without reading the whole file.
            pq.ParquetWriter(
                out, schema, compression="zstd", use_dictionary=repeating, write_page_checksum=True
            ) as writer,
        ):
            yield writer

    @contextmanager
    def sink(self, name: str) -> Iterator[pa.NativeFile]:
        """Yield a file open for writing; after it closes, its size and digest are added to the manifest."""
        stem, dot, ending = name.partition(".")
        stored = f"{stem}-{self.attempt}{dot}{ending}"
        path = f"{self.recipe.path}/{stored}"
        self.files[name] = {"stored": stored}
        with self.store.fs.open_output_stream(path) as out:
            yield out
        self.files[name] |= {"bytes": self.store.fs.get_file_info(path).size, "sha256": sha256(self.store.fs, path)}


class Store:
    """The artefacts under one root, which may be a local path or a bucket's address (`s3://...`).

    Parameters
    ----------
    root
        A local path or an address; see `located`.

    Raises
    ------
    StoreError
        When the root cannot be created or written.
    """

    def __init__(self, root: str | Path):
        self.root = str(root)
        with _plainly(self.root):
            local = local_path(self.root)
            if local is not None:
                Path(local).mkdir(parents=True, exist_ok=True)
                self.root = str(Path(local).resolve())
            base, base_path = located(self.root)
            self.fs = pafs.SubTreeFileSystem(base_path, base)

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        """Pickle only the root's address: file systems do not travel to workers."""
        return Store, (self.root,)

    def find(self, recipe: Recipe) -> Artefact | None:
        """Return the finished artefact of `recipe`; None if there is none or it is damaged."""
        return self._read(recipe.kind, recipe.key)

    def read(self, path: str) -> bytes:
        """Return the content of a file in a run's folder.

        Raises
        ------
        StoreError
            When it is missing.
        """
        try:
            with self.fs.open_input_stream(path) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            raise StoreError(f"{self.root}/{path} is missing; give the folder of a finished run") from None

    def open(self, path: str) -> Artefact:
        """Open the artefact at `path` (`store/<kind>/<key>`).

        Raises
        ------
        StoreError
            When there is no finished artefact at the path.
        """
        kind, key = path.split("/")[-2:]
        artefact = self._read(kind, key)
        if artefact is None:
            raise StoreError(f"{self.root}/{path}: no finished artefact there; run the audit again to make it")
        return artefact

    def _read(self, kind: str, key: str) -> Artefact | None:
        path = f"store/{kind}/{key}/{MANIFEST}"
        if self.fs.get_file_info(path).type != pafs.FileType.File:
            return None
        with self.fs.open_input_stream(path) as stream:
            text = stream.read()
        try:
            manifest = json.loads(text)
        except ValueError:
            return None  # killed in the middle of writing the manifest: the artefact is not finished
        artefact = Artefact(self, kind, key, manifest["facts"], manifest["files"], manifest["meta"])
        sizes = {f["stored"]: f["bytes"] for f in artefact.files.values()}
        infos = self.fs.get_file_info([f"{artefact.path}/{stored}" for stored in sizes])
        return artefact if all(i.size == size for i, size in zip(infos, sizes.values(), strict=True)) else None

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Write files that are not artefacts, such as a run's report, into a folder under the root, in order.

        Parameters
        ----------
        folder
            Path relative to the root.
        files
            Content by file name.

        Raises
        ------
        StoreError
            When the disk is full or the root cannot be written.
        """
        with _plainly(self.root):
            for name, content in files.items():
                path = f"{folder}/{name}"
                self.fs.create_dir(path.rpartition("/")[0])
                with self.fs.open_output_stream(path) as out:
                    out.write(content)

    def claim(self, folder: str) -> bool:
        """Create a folder under the root; return False if it exists already and belongs to another caller.

        Raises
        ------
        StoreError
            When the disk is full or the root cannot be written.
        """
        with _plainly(self.root):
            if "://" not in self.root:
                try:
                    Path(self.root, folder).mkdir(parents=True)
                except FileExistsError:
                    return False
                return True
            # Object stores create folders without saying whether they existed, so two callers may race here.
            is_free = bool(self.fs.get_file_info(folder).type.name == "NotFound")
            self.fs.create_dir(folder)
            return is_free

    @contextmanager
    def write(self, recipe: Recipe) -> Iterator[Draft]:
        """Yield a draft to fill; its manifest is written if the block succeeds, otherwise its files are removed.

        Raises
        ------
        StoreError
            When the disk is full or the root cannot be written; finished artefacts are untouched.
        """
        draft = Draft(self, recipe)
        with _plainly(self.root):
            try:
                self.fs.create_dir(draft.recipe.path)
                yield draft
                self._finish(draft)
            except BaseException:  # also when interrupted
                self._discard(draft)
                raise

    def _finish(self, draft: Draft) -> None:
        manifest = {
            "kind": draft.recipe.kind,
            "version": VERSIONS.get(draft.recipe.kind, OUTSIDE),
            "facts": draft.recipe.facts,
            "meta": draft.meta,
            "files": draft.files,
        }
        with self.fs.open_output_stream(f"{draft.recipe.path}/{MANIFEST}") as out:
            out.write(json.dumps(manifest, indent=1, ensure_ascii=False).encode())

    def _discard(self, draft: Draft) -> None:
        for file in draft.files.values():
            path = f"{draft.recipe.path}/{file['stored']}"
            if self.fs.get_file_info(path).type == pafs.FileType.File:
                self.fs.delete_file(path)


@contextmanager
def _plainly(root: str) -> Iterator[None]:
    """Turn the operating system's errors about the root into messages that say what to do."""
    try:
        yield
    except OSError as error:
        code = _code(error)
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            text = "no space left while writing; what was finished is kept: free some space and run the same again"
        elif code in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            text = f"cannot write there ({os.strerror(code)}); give a folder you may write to with --root"
        else:
            raise
        raise StoreError(f"root={root!r}: {text}") from error


def _code(error: OSError) -> int:
    """Return the operating system's number of an error, also from pyarrow's text (`[errno 28] ...`); 0 without one."""
    if error.errno is not None:
        return error.errno
    number = str(error).partition("[errno ")[2].partition("]")[0]
    return int(number) if number.isdigit() else 0
