"""The data sets with names: where they are looked for, how a download is checked."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data import catalogue
from data.catalogue import CATALOGUE, Download, available, fetch, locate, parse_location
from data.generated import purchase_like
from data.published import images, purchases
from umbrameter.errors import DataError, SpecError, StoreError
from umbrameter.networks import MLPClassifier
from umbrameter.records import Records, build
from umbrameter.store import Store
from umbrameter.tables import vectors

CSV = b'"1",0,1,1\n"3",1,0,0\n"2",0,0,1\n'
DIGEST = hashlib.sha256(CSV).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word; `/cut/...` promises more than it sends."""

    def do_GET(self) -> None:
        if not self.path.startswith("/cut/"):
            super().do_GET()
            return
        content = (Path(self.directory) / self.path.removeprefix("/cut/")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + 10))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def archive(**files: bytes) -> bytes:
    """Return a gzipped tar archive of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./folder/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a server of good and bad archives."""
    folder = tmp_path_factory.mktemp("served")
    good = archive(other=b"not this one", bangkok=CSV)
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w:gz") as tar:
        member = tarfile.TarInfo("bangkok")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(member)
    served = {
        "good.tgz": good,
        "other.tgz": archive(other=CSV),
        "link.tgz": link.getvalue(),
        "page.tgz": b"<html>sign in</html>",
        "short.tgz": good[: len(good) // 2],
        "broken.tgz": good[:40] + bytes(20) + good[60:],
    }
    for name, content in served.items():
        (folder / name).write_bytes(content)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def tiny(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Location-30 be three records at the local address."""
    monkeypatch.delenv(catalogue.FOLDER_VARIABLE, raising=False)
    download = Download(f"{address}/good.tgz", "bangkok", DIGEST, parse_location)
    monkeypatch.setitem(CATALOGUE, "location30", replace(CATALOGUE["location30"], download=download))


def test_a_file_of_an_archive_is_fetched(address):
    assert fetch(f"{address}/good.tgz", DIGEST, "bangkok") == CSV


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("missing.tgz", r"missing.tgz could not be downloaded \(HTTP Error 404"),
        ("other.tgz", "holds no file 'bangkok'"),
        ("link.tgz", "holds no file 'bangkok'"),
        ("page.tgz", "could not be downloaded"),
        ("short.tgz", "could not be downloaded"),
        ("broken.tgz", "could not be downloaded"),
        ("cut/good.tgz", r"could not be downloaded \(IncompleteRead"),
    ],
)
def test_what_is_not_the_archive_is_refused(address, path, text):
    with pytest.raises(DataError, match=text):
        fetch(f"{address}/{path}", DIGEST, "bangkok")


def test_another_file_than_the_published_one_is_refused(address):
    with pytest.raises(DataError, match=f"the SHA-256 of 'bangkok' in .* is {DIGEST}, expected 000"):
        fetch(f"{address}/good.tgz", "0" * 64, "bangkok")


def test_an_address_without_an_answer_is_said():
    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as gone:
        port = gone.server_address[1]
    with pytest.raises(DataError, match=f"{port}/x.tgz could not be downloaded .*refused"):
        fetch(f"http://127.0.0.1:{port}/x.tgz", DIGEST, "bangkok")


def test_the_authors_file_becomes_a_table():
    table = parse_location(CSV)
    assert table.schema.field("x").type == pa.list_(pa.uint8(), 3) and table.schema.field("y").type == pa.int16()
    assert vectors(table["x"]).tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 1]]
    assert table["y"].to_pylist() == [0, 2, 1]


@pytest.mark.parametrize("content", [b'"1",0\n"2",0,1\n', b"<html>\n", b'"1",0,x\n', b"\xff\xfe"])
def test_another_text_than_the_authors_is_refused(content):
    with pytest.raises(DataError, match="not as published"):
        parse_location(content)


def test_a_download_is_kept_under_the_root(tiny, tmp_path, monkeypatch):
    source = locate("location30", str(tmp_path))
    kept = tmp_path / "datasets" / "location30.parquet"
    assert source.path == str(kept) and (source.label, source.duplicates) == ("y", "error")
    assert pq.read_table(kept)["y"].to_pylist() == [0, 2, 1]
    assert [p.name for p in kept.parent.iterdir()] == ["location30.parquet"]
    monkeypatch.setattr(catalogue, "fetch", lambda *_: pytest.fail("downloaded again"))
    assert locate("location30", str(tmp_path)) == source


def test_a_bucket_s_downloads_are_kept_at_home(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    kept = tmp_path / ".cache" / "umbrameter" / "location30.parquet"
    assert locate("location30", "s3://bucket/audits").path == str(kept) and kept.is_file()


def test_the_folder_of_the_variable_comes_first(tiny, tmp_path, monkeypatch):
    locate("location30", str(tmp_path))
    monkeypatch.setenv(catalogue.FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert locate("location30", str(tmp_path)).path == str(tmp_path / "datasets" / "location30.parquet")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "location30.parquet").touch()
    assert locate("location30", str(tmp_path)).path == str(tmp_path / "mine" / "location30.parquet")


def test_without_file_and_download_both_ways_are_named(address, tmp_path, monkeypatch):
    monkeypatch.delenv(catalogue.FOLDER_VARIABLE, raising=False)
    gone = Download(f"{address}/gone.tgz", "bangkok", DIGEST, parse_location)
    monkeypatch.setitem(CATALOGUE, "location30", replace(CATALOGUE["location30"], download=gone))
    with pytest.raises(DataError) as caught:
        locate("location30", str(tmp_path))
    for part in (
        "data.name='location30'",
        "UMBRAMETER_DATA (not set)",
        "gone.tgz could not be downloaded (HTTP Error 404",
        "set UMBRAMETER_DATA to a folder that holds the file",
        str(tmp_path / "datasets" / "location30.parquet"),
    ):
        assert part in str(caught.value)
    assert not list(tmp_path.rglob("*"))


def test_a_download_that_cannot_be_kept_says_where(tiny, tmp_path):
    (tmp_path / "datasets").write_text("in the way")
    with pytest.raises(StoreError, match=r"could not be kept as '.*location30.parquet' .*; free some space"):
        locate("location30", str(tmp_path))


def test_an_unknown_name_lists_the_known():
    with pytest.raises(SpecError, match=r"data.name=.purchase. is not in the catalogue; expected one of adult, loc"):
        locate("purchase", "runs")


def test_available_says_where_each_is(tiny, tmp_path):
    places = {entry.name: where for entry, where in available(str(tmp_path))}
    assert list(places) == list(CATALOGUE)
    assert places["adult"].endswith("samples/adult.parquet")
    assert places["location30"].startswith("not here yet; will be downloaded from http://127.0.0.1")
    locate("location30", str(tmp_path))
    assert {e.name: w for e, w in available(str(tmp_path))}["location30"].startswith(f"at {tmp_path}")


def test_every_entry_says_what_it_is_and_under_which_terms():
    for name, entry in CATALOGUE.items():
        assert entry.name == name and entry.title and entry.licence and entry.citation
        assert entry.source.startswith("https://")
        assert entry.sample is None or entry.sample.is_file()
        if entry.download is not None:
            assert entry.download.url.startswith("https://")


def test_adult_is_shipped(tmp_path):
    store, entry = Store(tmp_path), CATALOGUE["adult"]
    records = Records.open(store, build(locate("adult", str(tmp_path)), store).path)
    assert (records.n_features, len(records.classes)) == (entry.features - 1, entry.classes)  # fnlwgt is left out
    assert records.classes == ["<=50K", ">50K"] and len(records.categorical) == 8
    assert not {"fnlwgt", "split", "income"} & set(records.feature_names)
    raw = pq.read_table(entry.sample).drop_columns(["split", "fnlwgt"]).to_pylist()
    once = list(dict.fromkeys(tuple(row.values()) for row in raw))
    assert len(raw) == entry.records and records.n_records == len(once)
    assert f"{len(raw) - len(once)} of {len(raw)} records repeat" in records.artefact.meta["warnings"][0]


def test_location30_is_as_published(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv(catalogue.FOLDER_VARIABLE, str(data_dir))
    store, entry = Store(tmp_path), CATALOGUE["location30"]
    source = locate("location30", str(tmp_path))
    assert source.path == str(data_dir / "location30.parquet")
    records = Records.open(store, build(source, store).path)
    assert (records.n_records, records.n_features, len(records.classes)) == (
        entry.records,
        entry.features,
        entry.classes,
    )
    assert records.binary and records.artefact.meta["warnings"] == []
    table = pq.read_table(data_dir / "location30.parquet")
    X, y = records.take(range(records.n_records))
    np.testing.assert_array_equal(X, vectors(table["x"]))
    np.testing.assert_array_equal(y, table["y"])
    assert records.artefact.meta["label_counts"] == np.bincount(table["y"]).tolist()


def test_the_stand_in_is_named_and_used_until_the_data_are_there(tmp_path, monkeypatch):
    small = replace(CATALOGUE["purchase100"], standin=lambda: purchase_like(30, 600, 3))
    monkeypatch.setitem(CATALOGUE, "purchase100", small)
    monkeypatch.setenv("UMBRAMETER_DATA", str(tmp_path / "data"))
    found = locate("purchase100", str(tmp_path / "root"))
    assert found.path.endswith("purchase100-standin.parquet") and "stand in for Purchase-100" in str(found.note)
    assert any("stand in for" in w for w in build(found, Store(tmp_path / "root")).meta["warnings"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_purchase").write_text(f"100,{','.join('10' * 300)}\n1,{','.join('01' * 300)}\n")
    assert {e.name: w for e, w in available(str(tmp_path / "root"))}["purchase100"].endswith("dataset_purchase")
    real = locate("purchase100", str(tmp_path / "root"))
    table = pq.read_table(real.path)
    assert real.note is None and table["y"].to_pylist() == [99, 0] and sum(table["x"][0].as_py()) == 300


@pytest.mark.parametrize("line", ["0," + ",".join("1" * 600), "5,1,0", "7," + ",".join("2" * 600), "x"])
def test_a_line_that_is_no_purchase_is_named(tmp_path, line):
    path = tmp_path / "dataset_purchase"
    path.write_text(f"3,{','.join('1' * 600)}\n{line}\n")
    with pytest.raises(DataError, match=r"line 2: expected a class 1 .. 100 and 600 bits"):
        list(purchases(path))


def test_generated_records_do_not_depend_on_how_many_there_are():
    few, many = (list(purchase_like(n, 20, 4, seed=1)) for n in (1500, 2500))
    assert [b.num_rows for b in many] == [1000, 1000, 500]
    assert few[0] == many[0] and few[1] == many[1].slice(0, 500)
    assert few[0] != next(purchase_like(1000, 20, 4, seed=2))


@pytest.mark.slow
def test_the_papers_network_overfits_generated_records_as_it_does_purchases():
    batches = list(purchase_like(20_000))
    X = np.concatenate([vectors(pa.chunked_array([b["x"]])) for b in batches]).astype(np.float32)
    y = np.concatenate([b["y"] for b in batches])
    network = MLPClassifier((128,), epochs=50, batch_size=100, random_state=0).fit(X[:10_000], y[:10_000])
    assert 0.12 < X.mean() < 0.18 and len(np.unique(y)) == 100
    assert network.score(X[:10_000], y[:10_000]) > 0.99 and 0.6 < network.score(X[10_000:], y[10_000:]) < 0.7


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
    with pytest.raises(DataError, match="row 1: x is no image"):
        list(images(tmp_path / "b.parquet"))


def test_mnist_and_cifar10_are_read(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("UMBRAMETER_DATA", str(data_dir))
    digits = locate("mnist", str(tmp_path))
    assert (digits.label, digits.ignore) == ("y", ("split",)) and digits.path == str(data_dir / "mnist.parquet")
    assert next(images(data_dir / "cifar10.parquet"))["x"].type.list_size == 32 * 32 * 3
