"""Text and Parquet layouts: read line by line, with errors that name the line."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data import text_layouts as published
from data.text_layouts import hospitals, images, locations, purchases
from umbrameter.errors import DataError
from umbrameter.store.arrow import vectors


def whole(batches):
    table = pa.Table.from_batches(list(batches))
    return vectors(table["x"]), np.asarray(table["y"])


def lines(X, y=None):
    """Return CSV as published: the class, where it is given, then the bits."""
    rows = [[*([] if y is None else [y[i]]), *row] for i, row in enumerate(X.tolist())]
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


@pytest.fixture
def some(monkeypatch):
    """Let some records take several reads."""
    monkeypatch.setattr(published, "LINES", 3)
    rng = np.random.default_rng(0)
    return lambda n_bits, n_classes: (rng.integers(0, 2, (8, n_bits)), rng.integers(1, n_classes + 1, 8))


@pytest.mark.parametrize(
    ("read", "name", "n_bits", "n_classes"),
    [(purchases, "dataset_purchase", 600, 100), (locations, "bangkok", 446, 30)],
)
def test_each_line_is_a_class_and_bits(some, tmp_path, tar_of, read, name, n_bits, n_classes):
    X, y = some(n_bits, n_classes)
    (tmp_path / name).write_bytes(lines(X, y))
    (tmp_path / "a.tgz").write_bytes(tar_of({"other": b"x", name: lines(X, y)}))
    (tmp_path / "quoted").write_bytes(lines(X, [f'"{label}"' for label in y]).replace(b"\n", b"\r\n"))
    for path in (tmp_path / name, tmp_path / "a.tgz", tmp_path / "quoted"):
        batches = list(read(path))
        assert [b.num_rows for b in batches] == [3, 3, 2] and batches[0].schema.field("y").type == pa.int16()
        found = whole(batches)
        np.testing.assert_array_equal(found[0], X)
        np.testing.assert_array_equal(found[1], y - 1)


@pytest.mark.parametrize(
    "line",
    [
        "0," + ",".join("1" * 600),
        "101," + ",".join("1" * 600),
        "5,1,0",
        "7," + ",".join("2" * 600),
        "7," + ";".join("1" * 600),
        "x," + ",".join("1" * 600),
        "",
        "<html>",
        "\xff" * 100_000,
    ],
)
@pytest.mark.parametrize("first", [1, 2, 4, 5])
def test_a_malformed_purchase_line_is_named(some, tmp_path, line, first):
    good = f"3,{','.join('1' * 600)}\n"
    path = tmp_path / "dataset_purchase"
    path.write_text(good * (first - 1) + f"{line}\n" + good)
    with pytest.raises(DataError, match=rf"dataset_purchase, line {first}: expected a class 1 .. 100 and 600 bits"):
        list(purchases(path))


@pytest.mark.parametrize("width", [6169, 6170])
def test_hospital_stays_come_from_two_files(some, tmp_path, tar_of, width):
    X, y = some(width, 100)
    files = {"feats": lines(X), "labels": lines(y[:, None])}
    (tmp_path / "dataset_texas.tgz").write_bytes(tar_of(files))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for path in (tmp_path, tmp_path / "dataset_texas.tgz"):
        found = whole(hospitals(path))
        np.testing.assert_array_equal(found[0], X)
        np.testing.assert_array_equal(found[1], y - 1)


@pytest.mark.parametrize(
    ("feats", "labels", "text"),
    [
        ([6169] * 4, [1] * 5, "labels has a line 5 and feats has none"),
        ([6169] * 3, [1] * 2, "feats has a line 3 and labels has none"),
        ([6169] * 6, [1] * 3, "feats has a line 4 and labels has none"),
        ([6169] * 4 + [6170], [1] * 5, "feats, line 5: expected 6169 bits"),
        ([6168], [1], "feats, line 1: expected 6169 or 6170 bits"),
        ([6170] * 2, [1, 101], "labels, line 2: expected a class 1 .. 100, found b'101'"),
    ],
)
def test_hospital_stays_that_are_not_as_published_are_named(some, tmp_path, feats, labels, text):
    (tmp_path / "feats").write_text("".join(",".join("1" * n) + "\n" for n in feats))
    (tmp_path / "labels").write_text("".join(f"{label}\n" for label in labels))
    with pytest.raises(DataError, match=text):
        list(hospitals(tmp_path))


def test_a_missing_or_truncated_file_is_reported(tmp_path, tar_of):
    with pytest.raises(DataError, match="holds no file 'feats'; put it there, or get it again"):
        list(hospitals(tmp_path))
    archive = tar_of({"feats": b",".join([b"1"] * 6169) + b"\n", "other": bytes(np.random.default_rng(0).bytes(5000))})
    for content, text in [
        (archive, "no file 'labels'"),
        (archive[:200], "cannot be read whole"),
        (b"x", "not open|whole"),
    ]:
        (tmp_path / "dataset_texas.tgz").write_bytes(content)
        with pytest.raises(DataError, match=text):
            list(hospitals(tmp_path / "dataset_texas.tgz"))


def test_images_are_decoded_row_by_row(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    contents = []
    for image in pixels:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "png")
        contents.append(out.getvalue())
    pq.write_table(pa.table({"x": contents, "y": [0, 1, 0]}), tmp_path / "a.parquet")
    (batch,) = images(tmp_path / "a.parquet")
    assert np.array_equal(vectors(pa.chunked_array([batch["x"]])), pixels.reshape(3, -1))
    pq.write_table(pa.table({"x": [contents[0], b"no image"], "y": [0, 1]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match="row 1: x is not an image"):
        list(images(tmp_path / "b.parquet"))
