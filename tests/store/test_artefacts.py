"""Artefacts: whole or absent after a kill at any moment, keyed by all that decides them; errors of a full disk."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs as pafs

from umbrameter.errors import StoreError
from umbrameter.store import artefacts
from umbrameter.store.arrow import vector_column
from umbrameter.store.artefacts import Artefact, Recipe, Store, canonical, digest

RECIPE = Recipe("scores", {"seed": 0, "parts": ["a", "b"]})
TABLE = pa.table({"a": [1, 2, 3]})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def fill(store: Store, recipe: Recipe = RECIPE, text: bytes = b"words") -> Artefact:
    with store.write(recipe) as draft:
        draft.table("table.parquet", TABLE)
        draft.data("words.txt", text)
        draft.meta["n"] = 3
    found = store.find(recipe)
    assert found is not None
    return found


def test_what_was_written_is_found(tmp_path: Path) -> None:
    artefact = fill(Store(tmp_path))
    assert artefact.table("table.parquet").equals(TABLE)
    assert artefact.data("words.txt") == b"words"
    assert artefact.meta == {"n": 3} and artefact.facts == RECIPE.facts
    assert Store(tmp_path).open(RECIPE.path).path == artefact.path == RECIPE.path


def test_manifest_holds_the_digest_of_each_file(tmp_path: Path) -> None:
    import hashlib

    artefact = fill(Store(tmp_path))
    for entry in artefact.files.values():
        content = (tmp_path / RECIPE.path / entry["stored"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest() and entry["bytes"] == len(content)


@given(JSON, JSON)
def test_digests_are_equal_for_equal_values_alone(one: Any, other: Any) -> None:
    assert digest(one) == digest(json.loads(canonical(one)))
    same = canonical(one) == canonical(other)
    assert (digest(one) == digest(other)) == same


def test_order_of_keys_does_not_decide_a_key() -> None:
    assert Recipe("scores", {"a": 1, "b": 2}).key == Recipe("scores", {"b": 2, "a": 1}).key


def test_every_fact_the_kind_and_its_version_decide_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [
        Recipe("evaluations", RECIPE.facts),
        Recipe("scores", RECIPE.facts | {"seed": 1}),
        Recipe("scores", RECIPE.facts | {"parts": ["b", "a"]}),
        Recipe("scores", RECIPE.facts | {"more": None}),
    ]
    keys = {RECIPE.key, *(recipe.key for recipe in changed)}
    monkeypatch.setattr(artefacts, "VERSIONS", artefacts.VERSIONS | {"scores": 999})
    keys.add(Recipe("scores", RECIPE.facts).key)
    assert len(keys) == 6


def test_without_a_manifest_there_is_no_artefact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store)
    (tmp_path / RECIPE.path / "manifest.json").unlink()
    assert store.find(RECIPE) is None
    with pytest.raises(StoreError, match="no finished artefact there; run the audit again"):
        store.open(RECIPE.path)


@pytest.mark.parametrize("length", [0, 1, 40])
def test_half_a_manifest_is_none_and_is_healed(tmp_path: Path, length: int) -> None:
    store = Store(tmp_path)
    fill(store)
    manifest = tmp_path / RECIPE.path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:length])
    assert store.find(RECIPE) is None
    assert fill(store).data("words.txt") == b"words"


def test_a_cut_or_missing_file_is_no_artefact_and_is_healed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for damage in (lambda path: path.write_bytes(b"wor"), lambda path: path.unlink()):
        damage(Path(tmp_path, fill(store).file("words.txt")))
        assert store.find(RECIPE) is None
    assert fill(store).data("words.txt") == b"words"


def test_an_error_in_the_block_leaves_no_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.write(RECIPE) as draft:
        draft.data("words.txt", b"words")
        _ = 1 / 0
    assert store.find(RECIPE) is None
    assert list((tmp_path / RECIPE.path).iterdir()) == []


def test_two_writers_of_the_same_never_meet(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.write(RECIPE) as one:
        one.data("words.txt", b"words")
        with store.write(RECIPE) as other:
            other.data("words.txt", b"words")
        assert one.files["words.txt"]["stored"] != other.files["words.txt"]["stored"]
    found = store.find(RECIPE)
    assert found is not None and found.data("words.txt") == b"words"


def test_kill_9_before_the_manifest_leaves_none(tmp_path: Path) -> None:
    lines = [
        "import os, signal, sys",
        "from umbrameter.store.artefacts import Recipe, Store",
        f"with Store(sys.argv[1]).write(Recipe({RECIPE.kind!r}, {RECIPE.facts!r})) as draft:",
        "    draft.data('words.txt', b'words')",
        "    os.kill(os.getpid(), signal.SIGKILL)",
    ]
    writer = subprocess.run([sys.executable, "-c", "\n".join(lines), str(tmp_path)], timeout=60)
    assert writer.returncode == -signal.SIGKILL
    assert list((tmp_path / RECIPE.path).glob("words-*.txt"))
    assert Store(tmp_path).find(RECIPE) is None
    assert fill(Store(tmp_path)).data("words.txt") == b"words"


# A disk that is full, and a root that cannot be


class FullDisk(pafs.FileSystemHandler):  # type: ignore[misc]
    """A local folder on which nothing more than some bytes can be written."""

    def __init__(self, folder: Path, n_bytes: int, code: int):
        self.inner = pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem())
        self.left, self.code = n_bytes, code

    def open_output_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        return pa.PythonFile(_Limited(self, self.inner.open_output_stream(path)), mode="w")

    def __getattribute__(self, name: str) -> Any:
        if name in ("open_output_stream", "inner", "left", "code") or name.startswith("__"):
            return object.__getattribute__(self, name)
        inner = object.__getattribute__(self, "inner")
        return {
            "create_dir": lambda path, recursive: inner.create_dir(path, recursive=recursive),
            "delete_file": inner.delete_file,
            "get_file_info": inner.get_file_info,
            "get_type_name": lambda: "full",
            "normalize_path": lambda path: path,
            "open_input_file": inner.open_input_file,
            "open_input_stream": inner.open_input_stream,
        }[name]


# pyarrow wants every method of a file system, also those that nothing here calls
FullDisk.__abstractmethods__ = frozenset()


class _Limited:
    """A file object that fails like a full disk does."""

    closed = False

    def __init__(self, disk: FullDisk, out: pa.NativeFile):
        self.disk, self.out = disk, out

    def write(self, content: Any) -> int:
        self.disk.left -= len(content)
        if self.disk.left < 0:
            raise OSError(self.disk.code, os.strerror(self.disk.code))
        self.out.write(content)
        return len(content)

    def flush(self) -> None:
        self.out.flush()

    def close(self) -> None:
        self.closed = True
        self.out.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("n_bytes", [0, 100, 2000])
def test_full_disk_is_said_and_what_was_finished_is_kept(tmp_path: Path, n_bytes: int, code: int) -> None:
    store = Store(tmp_path)
    fill(store)
    second = Recipe("scores", {"seed": 2})
    real, store.fs = store.fs, pafs.PyFileSystem(FullDisk(tmp_path, n_bytes, code))
    with pytest.raises(StoreError, match="no space left while writing; what was finished is kept: free some space"):
        fill(store, second, b"x" * 5000)
    store.fs = real
    assert store.find(second) is None
    assert list((tmp_path / second.path).iterdir()) == []
    found = store.find(RECIPE)
    assert found is not None and found.data("words.txt") == b"words"
    assert fill(store, second, b"x" * 5000).data("words.txt") == b"x" * 5000


def test_full_disk_by_pyarrow_s_own_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no space left"), Store(tmp_path).write(RECIPE):
        raise OSError("Error writing bytes to file. Detail: [errno 28] No space left on device")
    with pytest.raises(OSError, match="something else"), Store(tmp_path).write(RECIPE):
        raise OSError("something else")


def test_a_root_that_cannot_be_made_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match=f"root='{root}': cannot write there .* --root"):
            Store(root)


def test_put_writes_what_is_no_artefact(tmp_path: Path) -> None:
    Store(tmp_path).put("runs/a", {"x.txt": b"1", "figures/y.png": b"2"})
    assert (tmp_path / "runs" / "a" / "figures" / "y.png").read_bytes() == b"2"


def test_a_store_travels_as_its_root_alone(tmp_path: Path) -> None:
    import pickle

    store = Store(tmp_path)
    artefact = fill(store)
    again = pickle.loads(pickle.dumps(store))
    assert again.root == store.root and again.open(artefact.path).meta == {"n": 3}


# Reading, and roots of other kinds


def test_a_file_whose_content_changed_is_refused(tmp_path: Path) -> None:
    artefact = fill(Store(tmp_path))
    Path(tmp_path, artefact.file("words.txt")).write_bytes(b"wordz")
    with pytest.raises(
        StoreError, match=r"words\.txt is missing or damaged.* delete this folder and run the audit again"
    ):
        artefact.data("words.txt")
    Path(tmp_path, artefact.file("words.txt")).unlink()
    with pytest.raises(StoreError, match=r"words\.txt is missing or damaged"):
        artefact.data("words.txt")


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_anywhere_in_a_table_never_gives_other_values(tmp_path: Path, seed: int) -> None:
    store, rng = Store(tmp_path), np.random.default_rng(seed)
    table = pa.table({"id": np.arange(2000), "vector": vector_column(rng.random((2000, 4), np.float32))})
    with store.write(RECIPE) as draft:
        draft.table("t.parquet", table, row_group_size=500)
    artefact = store.open(RECIPE.path)
    path = Path(tmp_path, artefact.file("t.parquet"))
    sound = path.read_bytes()
    for _ in range(40):
        content = bytearray(sound)
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            assert artefact.table("t.parquet").equals(table)
        except StoreError as error:
            assert "t.parquet is missing or damaged" in str(error)


def test_damage_outside_of_what_is_read_does_not_matter(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.write(RECIPE) as draft:
        draft.table("t.parquet", pa.table({"a": np.arange(1000.0), "b": np.arange(1000.0)}))
    artefact = store.open(RECIPE.path)
    path = Path(tmp_path, artefact.file("t.parquet"))
    start = pq.read_metadata(path).row_group(0).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[start + 200] ^= 1
    path.write_bytes(content)
    assert artefact.table("t.parquet", ["a"])["a"].to_pylist() == [*range(1000)]
    with pytest.raises(StoreError, match=r"t\.parquet is missing or damaged"):
        artefact.table("t.parquet", ["b"])


def test_a_full_disk_while_a_table_is_copied_is_not_called_damage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.write(RECIPE) as draft:
        draft.table("t.parquet", pa.table({"a": [1]}))
    artefact = store.open(RECIPE.path)
    with pytest.raises(OSError, match="No space left"), artefact.parquet("t.parquet"):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["path", "address"])
def test_a_root_is_a_path_or_an_address(tmp_path: Path, scheme: str) -> None:
    store = Store(f"{scheme}{tmp_path}")
    artefact = fill(store)
    assert Store(store.root).open(artefact.path).data("words.txt") == b"words"
    store.put("runs/a", {"x.txt": b"1"})
    assert store.read("runs/a/x.txt") == b"1"
    assert [store.claim("runs/b"), store.claim("runs/b"), store.claim("runs/a")] == [True, False, False]


def test_a_relative_root_is_where_it_was_when_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("root")
    fill(store)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Store(store.root).open(RECIPE.path).data("words.txt") == b"words"
    assert store.root == str(tmp_path / "root")


def test_a_run_s_file_that_is_missing_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"runs/a/report\.json is missing; give the folder of a finished run"):
        Store(tmp_path).read("runs/a/report.json")


def test_files_keep_their_names_and_endings_apart_from_the_attempt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.write(RECIPE) as draft:
        for name in ("label=0.skops", "plain", "two.dots.txt"):
            draft.data(name, name.encode())
        attempt = draft.attempt
    artefact = store.open(RECIPE.path)
    assert [entry["stored"] for entry in artefact.files.values()] == [
        f"label=0-{attempt}.skops",
        f"plain-{attempt}",
        f"two-{attempt}.dots.txt",
    ]
    assert [artefact.data(name) for name in artefact.files] == [b"label=0.skops", b"plain", b"two.dots.txt"]
    with pytest.raises(KeyError):
        artefact.data("other")


def test_tables_are_read_by_column_and_by_row_group(tmp_path: Path) -> None:
    store, table = Store(tmp_path), pa.table({"a": range(10), "b": list("abcdefghij")})
    with store.write(RECIPE) as draft:
        draft.table("whole.parquet", table)
        draft.table("groups.parquet", table, row_group_size=4)
        with draft.writer("streamed.parquet", table.schema) as writer:
            for start in (0, 3):
                writer.write_table(table.slice(start, 3))
    artefact = store.open(RECIPE.path)
    assert artefact.table("whole.parquet", ["b"]).equals(table.select(["b"]))
    sizes = {}
    for name in artefact.files:
        with artefact.parquet(name) as file:
            sizes[name] = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sizes == {"whole.parquet": [10], "groups.parquet": [4, 4, 2], "streamed.parquet": [3, 3]}


def test_a_second_attempt_replaces_the_first_and_leaves_no_orphan_in_the_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = fill(store), fill(store, text=b"other words")
    assert first.file("words.txt") != second.file("words.txt")
    assert store.open(RECIPE.path).data("words.txt") == b"other words"
    stored = {entry["stored"] for entry in store.open(RECIPE.path).files.values()}
    assert stored == {entry["stored"] for entry in second.files.values()}


def test_an_artefact_of_no_file_is_its_facts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.write(RECIPE) as draft:
        draft.meta["why"] = "none"
    artefact = store.find(RECIPE)
    assert artefact is not None and artefact.files == {} and artefact.facts == RECIPE.facts
    manifest = json.loads((tmp_path / RECIPE.path / "manifest.json").read_text())
    assert manifest["kind"] == "scores" and manifest["version"] == artefacts.VERSIONS["scores"]


def test_a_step_from_outside_has_a_kind_and_a_version_of_its_own(tmp_path: Path) -> None:
    outside = Recipe("somebody_s_scores", {"version": 7})
    with Store(tmp_path).write(outside):
        pass
    manifest = json.loads((tmp_path / outside.path / "manifest.json").read_text())
    assert (manifest["version"], manifest["facts"]) == (0, {"version": 7})
    assert outside.key != Recipe("somebody_s_scores", {"version": 8}).key


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", object()])
def test_what_no_json_can_hold_decides_no_key(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        _ = Recipe("scores", {"value": value}).key


def test_text_of_any_script_decides_a_key_as_it_is_written() -> None:
    assert canonical({"ä": "ü", "a": 1}) == '{"a":1,"ä":"ü"}'
    assert digest("Zürich") != digest("Z\\u00fcrich")
