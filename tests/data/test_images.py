"""CIFAR's archives and MNIST's idx files: the same pixels from every layout, and nothing in a pickle is run."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data import images as pictures
from data.images import HUNDRED, TEN, cifar10, cifar100, mnist
from umbrameter.errors import DataError
from umbrameter.store.arrow import vectors

N = 7


def whole(batches):
    table = pa.Table.from_batches(list(batches))
    return vectors(table["x"]), np.asarray(table["y"])


def planes(n_files, n_classes):
    """Return, for each file, images as published (channel by height by width) and classes."""
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (N, 3072), dtype=np.uint8), rng.integers(0, n_classes, N)) for _ in range(n_files)]


def text(value: str) -> bytes:
    """Return a string as Python 2 pickles it."""
    return b"U" + bytes([len(value)]) + value.encode() + b"q\x01"


def python2(key: str, X, y) -> bytes:
    """Return a batch as Python 2 pickled it: protocol 2, strings of bytes, the arrays' by BINSTRING."""
    numbers = b"".join(b"K" + bytes([label]) for label in y)
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
    kind = b"cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R"
    state = b"(K\x01K" + bytes([len(y)]) + b"M\x00\x0c\x86" + kind + b"\x89T" + struct.pack("<i", X.size) + X.tobytes()
    entries = (
        text("batch_label")
        + text("training batch 1 of 5")
        + text(key)
        + b"]q\x03("
        + numbers
        + b"e"
        + text("data")
        + array
        + state
        + b"tb"
        + text("filenames")
        + b"]("
        + text("a.png")
        + b"e"
    )
    return b"\x80\x02}q\x00(" + entries + b"u."


def python3(protocol, as_bytes):
    """Return a function that pickles a batch as Python 3 does, its keys text or bytes."""

    def dump(key, X, y):
        batch = {"batch_label": "1", key: y.tolist(), "coarse_labels": [0] * len(y), "data": X, "filenames": ["a", "b"]}
        return pickle.dumps({k.encode() if as_bytes else k: v for k, v in batch.items()}, protocol=protocol)

    return dump


PICKLERS = {"python2": python2} | {
    f"protocol {p}{', keys of bytes' * b}": python3(p, b) for p, b in [(0, 0), (2, 0), (3, 1), (4, 0), (4, 1), (5, 0)]
}


def test_the_crafted_pickle_is_one():
    ((X, y),) = planes(1, 10)
    found = pickle.loads(python2("labels", X, y), encoding="latin1")
    assert np.array_equal(found["data"], X) and found["labels"] == y.tolist()


@pytest.mark.parametrize("dump", PICKLERS.values(), ids=PICKLERS)
@pytest.mark.parametrize(
    ("read", "name", "files", "key", "n_classes"),
    [(cifar10, "cifar-10", TEN, "labels", 10), (cifar100, "cifar-100", HUNDRED, "fine_labels", 100)],
)
def test_the_archives_hold_the_same_images(tmp_path, tar_of, monkeypatch, dump, read, name, files, key, n_classes):
    monkeypatch.setattr(pictures, "SOME", 4)
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "loads", None)
    batches = planes(len(files), n_classes)
    coarse = [] if n_classes == 10 else [np.zeros((N, 1), np.uint8)]
    binary = {
        f"{file}.bin": np.hstack([*coarse, y[:, None].astype(np.uint8), X]).tobytes()
        for file, (X, y) in zip(files, batches, strict=True)
    }
    pickled = {file: dump(key, X, y) for file, (X, y) in zip(files, batches, strict=True)}
    (tmp_path / f"{name}-binary.tar.gz").write_bytes(tar_of(dict(reversed(binary.items()))))
    (tmp_path / f"{name}-python.tar.gz").write_bytes(tar_of({"batches.meta": b"?"} | pickled))
    (tmp_path / f"{name}-python").mkdir()
    for file, content in pickled.items():
        (tmp_path / f"{name}-python" / file).write_bytes(content)
    X, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    for path in sorted(tmp_path.iterdir()):
        found = whole(read(path))
        np.testing.assert_array_equal(found[0], X.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).reshape(-1, 3072))
        np.testing.assert_array_equal(found[1], y)


class Command:
    """What would be run if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_with_a_command_runs_nothing(tmp_path):
    folder, trace = tmp_path / "cifar-10-batches-py", tmp_path / "trace"
    folder.mkdir()
    ((X, y),) = planes(1, 10)
    content = pickle.dumps({"labels": y.tolist(), "data": X, "more": Command(trace)})
    for name in TEN:
        (folder / name).write_bytes(content)
    assert len(whole(cifar10(folder))[1]) == 6 * N and not trace.exists()
    pickle.loads(content)["more"].close()
    assert trace.exists()


def bad_pickles():
    ((X, y),) = planes(1, 10)
    good = python3(4, False)("labels", X, y)
    return {
        "no pickle": (b"<html>", "not a pickle of images"),
        "nothing": (b"", "not a pickle of images"),
        "cut": (good[:-2000], "not a pickle of images"),
        "another list": (python3(4, False)("names", X, y), "and 0 labels"),
        "no pixels": (pickle.dumps({"labels": [1, 2]}), "0 strings of 3072 bytes"),
        "two arrays": (pickle.dumps({"labels": [1] * N, "data": X, "other": X + 1}), "2 strings of 3072 bytes"),
        "too few labels": (python3(4, False)("labels", X, y[1:]), "cannot reshape"),
        "a class too many": (python3(4, False)("labels", X, y * 0 + [0, 0, 10, 0, 0, 0, 0]), "record 2 is of class 10"),
        "endless": (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x", "not a pickle of images"),
        "beyond latin-1": (pickle.dumps({"labels": [1], "data": "\u2603" * 3072}), "not a pickle of images"),
    }


@pytest.mark.parametrize(("content", "says"), bad_pickles().values(), ids=bad_pickles())
def test_an_unexpected_pickle_is_refused(tmp_path, content, says):
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(DataError, match=f"data_batch_1.*{says}.*get it again"):
        list(cifar10(tmp_path))


@pytest.mark.parametrize(
    ("content", "says"),
    [(bytes(3073 + 5), "record 1 ends after 5 of 3073 bytes"), (b"\x0a" + bytes(3072), "record 0 is of class 10")],
)
def test_a_binary_file_of_another_layout_is_refused(tmp_path, content, says):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(DataError, match=f"data_batch_1.bin: {says}"):
        list(cifar10(folder))
    (folder / "data_batch_1.bin").write_bytes(bytes(3073))
    with pytest.raises(DataError, match=r"holds no file 'data_batch_2.bin'"):
        list(cifar10(folder))


def idx(values, *shape) -> bytes:
    return struct.pack(f">{2 + len(shape)}I", 0x801 + len(shape), len(values), *shape) + values.tobytes()


def digits(n_train=9, n_test=4):
    rng = np.random.default_rng(0)
    files = {}
    for stem, n in (("train", n_train), ("t10k", n_test)):
        files[f"{stem}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (n, 784), dtype=np.uint8), 28, 28)
        files[f"{stem}-labels-idx1-ubyte"] = idx(rng.integers(0, 10, n, dtype=np.uint8))
    return files


def written(folder, files, gzipped=False):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}{'.gz' * gzipped}").write_bytes(gzip.compress(content) if gzipped else content)
    return folder


@pytest.mark.parametrize("gzipped", [False, True])
def test_digits_of_both_parts_are_read(tmp_path, monkeypatch, gzipped):
    monkeypatch.setattr(pictures, "SOME", 4)
    files = digits()
    folder = written(tmp_path / "idx", files, gzipped)
    table = pa.Table.from_batches(list(mnist(next(folder.iterdir()))))
    assert table["split"].to_pylist() == ["train"] * 9 + ["test"] * 4 and table["y"].type == pa.int16()
    images = b"".join(files[f"{stem}-images-idx3-ubyte"][16:] for stem in ("train", "t10k"))
    labels = b"".join(files[f"{stem}-labels-idx1-ubyte"][8:] for stem in ("train", "t10k"))
    assert vectors(table["x"]).tobytes() == images and bytes(table["y"].to_pylist()) == labels


TRAIN = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (TRAIN, digits()[LABELS], "the number at byte 0 is 2049, expected 2051"),
        (TRAIN, digits()[TRAIN][:11], "ends at byte 11, in its head"),
        (TRAIN, digits()[TRAIN][:-785], "ends in record 7 of 9"),
        (TRAIN, digits()[TRAIN] + b"x", "byte 7072 comes after the last of 9 records"),
        (TRAIN, idx(np.zeros((9, 12), np.uint8), 4, 3), "the number at byte 8 is 4, expected 28"),
        (LABELS, idx(np.zeros(8, np.uint8)), f"{TRAIN} holds 9 records and {LABELS} 8"),
        (LABELS, idx(np.array([0, 1, 2, 3, 4, 5, 6, 77, 8], np.uint8)), "record 7 is of class 77"),
        (TRAIN, idx(np.zeros((60_000, 784), np.uint8), 28, 28), f"{TRAIN} holds 60000 records"),
    ],
)
def test_an_unexpected_idx_file_is_refused(tmp_path, name, content, says):
    folder = written(tmp_path / "idx", digits() | {name: content})
    with pytest.raises(DataError, match=f"{name}.*{says}|{says}"):
        list(mnist(folder))


def test_a_file_of_the_official_size_must_have_the_official_digits(tmp_path):
    folder = written(tmp_path / "idx", digits(n_test=10_000))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte: the MD5 sum of its content is .*, expected 2646ac64"):
        list(mnist(folder))


@pytest.mark.slow
def test_the_official_digits_are_read_from_idx_files_as_from_parquet(data_dir, tmp_path):
    table = pq.read_table(data_dir / "mnist.parquet")
    X, y = vectors(table["x"]), np.asarray(table["y"]).astype(np.uint8)
    files = {}
    for stem, part in (("train", slice(60_000)), ("t10k", slice(60_000, None))):
        files[f"{stem}-images-idx3-ubyte"], files[f"{stem}-labels-idx1-ubyte"] = idx(X[part], 28, 28), idx(y[part])
    assert hashlib.md5(files[TRAIN], usedforsecurity=False).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    found = pa.Table.from_batches(list(mnist(written(tmp_path / "idx", files))))
    assert np.array_equal(vectors(found["x"]), X) and found.drop_columns("x").equals(
        table.drop_columns("x").replace_schema_metadata()
    )
