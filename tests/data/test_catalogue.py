"""The data catalogue: where data sets are looked up, and how downloads are checked."""

import gzip
import hashlib
import http.server
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data import catalogue
from data.cache import made_from, rewritten
from data.catalogue import CATALOGUE, Download, available, fetch, locate
from data.listing import listing
from data.text_layouts import images
from umbrameter.errors import DataError, SpecError, StoreError
from umbrameter.records.build import build
from umbrameter.records.reader import Records
from umbrameter.store.arrow import vectors
from umbrameter.store.artefacts import Store

# requests leaves the socket of a download that ends early to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

BITS = np.random.default_rng(0).integers(0, 2, (3, 446))
CSV = "".join(f'"{label}",{",".join(map(str, row))}\n' for label, row in zip([1, 3, 2], BITS, strict=True)).encode()
DIGEST = f"sha256:{hashlib.sha256(CSV).hexdigest()}"


@pytest.fixture(scope="module")
def address(served, tar_of) -> str:
    """Give the address of good and bad archives."""
    url, folder = served
    good = tar_of({"other": b"not this one", "bangkok": CSV})
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w:gz") as tar:
        member = tarfile.TarInfo("bangkok")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(member)
    files = {
        "good.tgz": good,
        "other.tgz": tar_of({"other": CSV}),
        "link.tgz": link.getvalue(),
        "page.tgz": b"<html>sign in</html>",
        "short.tgz": good[: len(good) // 2],
        "broken.tgz": good[:40] + bytes(20) + good[60:],
        "dataset_location.tgz": good,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return url


def published_at(entry, *downloads):
    """Return an entry whose files are published elsewhere."""
    return replace(entry, layout=replace(entry.layout, downloads=downloads))


@pytest.fixture
def tiny(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Location-30 be three records at the local address."""
    monkeypatch.delenv(catalogue.FOLDER_VARIABLE, raising=False)
    download = Download(f"{address}/dataset_location.tgz", DIGEST, "bangkok")
    monkeypatch.setitem(CATALOGUE, "location30", published_at(CATALOGUE["location30"], download))


@pytest.mark.parametrize("of_all", [False, True])
def test_an_archive_is_fetched(address, served, tmp_path, of_all):
    content = (served[1] / "good.tgz").read_bytes()
    md5 = f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
    wanted = Download(f"{address}/good.tgz", *([md5] if of_all else [DIGEST, "bangkok"]))
    assert fetch(wanted, tmp_path) == tmp_path / "good.tgz" and (tmp_path / "good.tgz").read_bytes() == content


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("missing.tgz", r"missing.tgz could not be downloaded \(404 Client Error"),
        ("other.tgz", "holds no file 'bangkok'"),
        ("link.tgz", "holds no file 'bangkok'"),
        ("page.tgz", "not as published: .*page.tgz: bangkok cannot be read whole"),
        ("short.tgz", "not as published: .*short.tgz: bangkok cannot be read whole"),
        ("broken.tgz", "not as published: .*broken.tgz: bangkok cannot be read whole"),
        ("cut/good.tgz", r"could not be downloaded \(IncompleteRead"),
    ],
)
def test_a_wrong_or_damaged_archive_is_refused(address, tmp_path, path, text):
    with pytest.raises(DataError, match=text) as caught:
        fetch(Download(f"{address}/{path}", DIGEST, "bangkok"), tmp_path)
    assert f"{address}/{path}" in str(caught.value)


def test_another_file_than_the_published_one_is_refused(address, tmp_path):
    found = DIGEST.removeprefix("sha256:")
    with pytest.raises(DataError, match=f"the SHA256 digest of 'bangkok' in .*/good.tgz is {found}, expected 000"):
        fetch(Download(f"{address}/good.tgz", "sha256:" + "0" * 64, "bangkok"), tmp_path)
    with pytest.raises(DataError, match=r"not as published \(MD5 hash .* expected md5:0{32} but got [0-9a-f]{32}"):
        fetch(Download(f"{address}/good.tgz", "md5:" + "0" * 32), tmp_path)


def test_an_unreachable_address_is_named(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as gone:
        port = gone.server_address[1]
    with pytest.raises(DataError, match=f"{port}/x.tgz could not be downloaded .*refused"):
        fetch(Download(f"http://127.0.0.1:{port}/x.tgz"), tmp_path)


def test_a_download_is_kept_under_the_root(tiny, tmp_path, monkeypatch):
    source = locate("location30", str(tmp_path))
    kept = tmp_path / "datasets" / "location30.parquet"
    assert source.path == str(kept) and (source.label, source.duplicates) == ("y", "error")
    assert pq.read_table(kept)["y"].to_pylist() == [0, 2, 1]
    assert [p.name for p in kept.parent.iterdir()] == ["location30.parquet"]
    monkeypatch.setattr(catalogue, "fetch", lambda *_: pytest.fail("downloaded again"))
    assert locate("location30", str(tmp_path)) == source


def test_downloads_for_a_bucket_are_kept_in_the_user_s_cache(tiny, tmp_path, monkeypatch):
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
    gone = Download(f"{address}/gone.tgz", DIGEST, "bangkok")
    monkeypatch.setitem(CATALOGUE, "location30", published_at(CATALOGUE["location30"], gone))
    with pytest.raises(DataError) as caught:
        locate("location30", str(tmp_path))
    for part in (
        "data.name='location30'",
        "UMBRAMETER_DATA (not set)",
        "gone.tgz could not be downloaded (404 Client Error",
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
    with pytest.raises(SpecError, match=r"data.name=.purchase. is not in the catalogue; did you mean purchase2\?"):
        locate("purchase", "runs")
    with pytest.raises(SpecError, match=r"data.name=.census. is not in the catalogue; expected one of adult, loc"):
        locate("census", "runs")


def test_available_says_where_each_is(tiny, tmp_path):
    places = {entry.name: place for entry, place in available(str(tmp_path))}
    assert list(places) == list(CATALOGUE)
    assert places["adult"].parts[-2:] == ("samples", "adult.parquet") and places["location30"] is None
    locate("location30", str(tmp_path))
    kept = {e.name: p for e, p in available(str(tmp_path))}["location30"]
    assert kept == tmp_path / "datasets" / "location30.parquet"


@pytest.mark.parametrize("width", [80, 120])
def test_the_listing_says_what_each_data_set_is_and_how_to_get_it(monkeypatch, tmp_path, width):
    monkeypatch.setenv(catalogue.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "cifar-10-binary.tar.gz").touch()
    text = listing(str(tmp_path), width)
    flat = " ".join(text.split())
    for entry in CATALOGUE.values():
        here = "yes" if entry.name in ("adult", "cifar10") else "no"
        size = f"{entry.name}: {entry.records:,} {entry.features:,} {entry.classes} {here}"
        assert f"{size} {entry.title} licence: {entry.licence} {'here' if here == 'yes' else 'from'}: " in flat
    for part in (
        f"here: {tmp_path}/cifar-10-binary.tar.gz from: cifar10.parquet, cifar-10-binary.tar.gz, cifar-10-batches-bin",
        "else: downloaded from 4 files of https://ossci-datasets.s3.amazonaws.com/mnist",
        "purchase2.parquet in the folder of UMBRAMETER_DATA else: made from purchase100, or from its stand-in",
        "dataset_texas.tgz else: generated records stand in, and reports say so",
    ):
        assert part in flat
    assert all(len(line) <= width for line in text.splitlines() if "/" not in line)


def test_every_entry_says_what_it_is_and_under_which_terms():
    for name, entry in CATALOGUE.items():
        assert entry.name == name and entry.title and entry.licence and entry.citation
        assert entry.source.startswith("https://")
        assert entry.sample is None or entry.sample.is_file()
        assert entry.sample or entry.base in CATALOGUE or entry.layout.downloads
        for download in entry.layout.downloads if entry.layout else ():
            assert download.url.startswith("https://")
            kind, _, digits = (download.digest or f"md5:{'0' * 32}").partition(":")
            assert len(digits) == {"md5": 32, "sha256": 64}[kind] and int(digits, 16) >= 0
        if entry.layout:  # what is downloaded is found again
            assert {download.name for download in entry.layout.downloads} & set(entry.layout.names)


def test_the_papers_data_sets_are_there():
    purchases = {f"purchase{n}" for n in (2, 10, 20, 50, 100)}
    assert set(CATALOGUE) == purchases | {"adult", "cifar10", "cifar100", "location30", "mnist", "texas100"}


def test_adult_is_shipped_byte_for_byte(data_dir):
    shipped = CATALOGUE["adult"].sample.read_bytes()
    assert shipped == (data_dir / "adult.parquet").read_bytes()
    assert hashlib.sha256(shipped).hexdigest() == "9576dca7315a3e17f5549d85ae0cf8482656ac5c1a4cc5e04f2391f398f9bfc3"


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
    assert records.metadata.binary and records.artefact.meta["warnings"] == []
    table = pq.read_table(data_dir / "location30.parquet")
    X, y = records.take(range(records.n_records))
    np.testing.assert_array_equal(X, vectors(table["x"]))
    np.testing.assert_array_equal(y, table["y"])
    assert records.artefact.meta["label_counts"] == np.bincount(table["y"]).tolist()


@pytest.fixture
def offline(served, tmp_path, monkeypatch) -> Path:
    """Let stand-ins be small, the purchases and hospital stays be published nowhere, and the folder be empty."""
    monkeypatch.setattr(catalogue, "STANDIN_RECORDS", 300)
    for name in ("purchase100", "texas100"):
        monkeypatch.setitem(CATALOGUE, name, published_at(CATALOGUE[name], Download(f"{served[0]}/none/x.tgz")))
    monkeypatch.setenv(catalogue.FOLDER_VARIABLE, str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "title", "width"), [("purchase100", "Purchase-100", 600), ("texas100", "Texas", 6170)]
)
def test_the_stand_in_is_named(offline, tmp_path, name, title, width):
    found = locate(name, str(tmp_path / "root"))
    assert f"stand in for {title}" in str(found.note) and "-like-" in found.path
    assert pq.read_schema(found.path).field("x").type == pa.list_(pa.uint8(), width)
    assert pq.read_metadata(found.path).num_rows == 300
    assert any("stand in for" in w for w in build(found, Store(tmp_path / "root")).meta["warnings"])


def test_the_stand_in_is_used_until_the_data_are_there(offline, tmp_path):
    assert locate("purchase100", str(tmp_path / "root")).note is not None
    (offline / "dataset_purchase").write_text(f"100,{','.join('10' * 300)}\n1,{','.join('01' * 300)}\n")
    assert {e.name: p for e, p in available(str(tmp_path))}["purchase100"] == offline / "dataset_purchase"
    real = locate("purchase100", str(tmp_path / "root"))
    table = pq.read_table(real.path)
    assert real.note is None and table["y"].to_pylist() == [99, 0] and sum(table["x"][0].as_py()) == 300


def test_fewer_classes_are_clusters_of_the_records_that_are_there(offline, tmp_path):
    base, found = (locate(name, str(tmp_path)) for name in ("purchase100", "purchase10"))
    assert "stand in for Purchase-10" in found.note and found.path.endswith(f"purchase10-of-{Path(base.path).name}")
    tables = [pq.read_table(source.path) for source in (base, found)]
    assert tables[0]["x"].equals(tables[1]["x"]) and set(tables[1]["y"].to_pylist()) == set(range(10))
    rng = np.random.default_rng(0)
    rows = [f"{rng.integers(1, 101)},{','.join(map(str, rng.integers(0, 2, 600)))}\n" for _ in range(30)]
    (offline / "dataset_purchase").write_text("".join(rows))
    real = locate("purchase10", str(tmp_path))
    assert real.note is None and real.path.startswith(str(tmp_path / "datasets" / "purchase10-"))
    assert pq.read_metadata(real.path).num_rows == 30 and locate("purchase10", str(tmp_path)) == real
    assert {e.name: p for e, p in available(str(tmp_path))}["purchase10"] == offline / "dataset_purchase"
    (offline / "dataset_purchase").write_text("".join(rows[:20]))
    Path(tmp_path, "datasets", "purchase10.parquet").touch()  # as an older version kept it
    assert pq.read_metadata(locate("purchase10", str(tmp_path)).path).num_rows == 20


def pictures(folder, colours):
    """Put a Parquet file of encoded images of one colour each into a folder."""
    images = []
    for colour in colours:
        file = io.BytesIO()
        Image.new("RGB", (32, 32), (colour,) * 3).save(file, "PNG")
        images.append(file.getvalue())
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"x": images, "y": pa.array([0] * len(images), pa.int16())}), folder / "cifar10.parquet")


def test_other_files_are_read_anew(tmp_path, monkeypatch):
    def read(folder):
        monkeypatch.setenv(catalogue.FOLDER_VARIABLE, str(folder))
        return vectors(pq.read_table(locate("cifar10", str(tmp_path)).path)["x"])[:, 0].tolist()

    for folder, colours in (("a", [1, 2]), ("b", [3, 4]), ("a", [5, 6, 7])):
        pictures(tmp_path / folder, colours)
        assert read(tmp_path / folder) == colours
    before = sorted((tmp_path / "datasets").iterdir())
    assert [read(tmp_path / folder) for folder in "ab"] == [[5, 6, 7], [3, 4]]
    assert len(before) == 3 and sorted((tmp_path / "datasets").iterdir()) == before


def test_a_folder_that_is_where_data_are_kept(tmp_path, monkeypatch):
    kept = rewritten(iter([pa.record_batch({"y": [1]})]), tmp_path / "datasets" / "cifar10.parquet")
    monkeypatch.setenv(catalogue.FOLDER_VARIABLE, str(tmp_path / "datasets"))
    assert locate("cifar10", str(tmp_path)).path == str(kept)  # which was decoded before


def test_publishers_files_in_the_folder_take_precedence_over_kept_ones(tiny, tmp_path, monkeypatch):
    kept = locate("location30", str(tmp_path)).path
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bangkok").write_bytes(CSV[: CSV.index(b"\n") + 1])
    monkeypatch.setenv(catalogue.FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert pq.read_table(locate("location30", str(tmp_path)).path)["y"].to_pylist() == [0]
    assert {e.name: p for e, p in available(str(tmp_path))}["location30"] == tmp_path / "mine" / "bangkok"
    (tmp_path / "mine" / "bangkok").unlink()
    assert locate("location30", str(tmp_path)).path == kept


def test_the_digest_covers_all_source_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    file, beside = tmp_path / "a" / "b" / "c", tmp_path / "d"
    file.write_text("1")
    first = made_from(tmp_path / "a", beside)
    assert made_from(tmp_path / "a") == first == made_from(tmp_path / "a" / ".." / "a") and len(first) == 12
    beside.write_text("2")
    second = made_from(tmp_path / "a", beside)
    os.utime(file, ns=(0, 1))
    assert len({first, second, made_from(tmp_path / "a", beside), made_from(file)}) == 4


def test_a_download_of_another_layout_is_not_kept(served, offline, tmp_path, tar_of, monkeypatch):
    (served[1] / "dataset_texas.tgz").write_bytes(tar_of({"feats": b"1,0\n", "labels": b"1\n"}))
    texas = replace(CATALOGUE["texas100"], standin=None)
    monkeypatch.setitem(CATALOGUE, "texas100", published_at(texas, Download(f"{served[0]}/dataset_texas.tgz")))
    with pytest.raises(
        DataError, match=r"dataset_texas.tgz is not as published: .* feats, line 1: expected 6169 or 61"
    ):
        locate("texas100", str(tmp_path / "root"))
    assert not list((tmp_path / "root").rglob("*.parquet*"))


def test_a_download_of_several_files_is_read(served, tmp_path, monkeypatch):
    monkeypatch.delenv(catalogue.FOLDER_VARIABLE, raising=False)
    names, downloads = [d.name for d in CATALOGUE["mnist"].layout.downloads], []
    for name, n in zip(names, (2, 2, 1, 1), strict=True):
        head, size = (b"\0\0\x08\x03", 784) if "images" in name else (b"\0\0\x08\x01", 1)
        sizes = n.to_bytes(4, "big") + (b"\0\0\0\x1c" * 2 if size > 1 else b"")
        content = gzip.compress(head + sizes + bytes([5]) * n * size)
        (served[1] / name).write_bytes(content)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        downloads.append(Download(f"{served[0]}/{name}", f"md5:{digest}"))
    monkeypatch.setitem(CATALOGUE, "mnist", published_at(CATALOGUE["mnist"], *downloads))
    table = pq.read_table(locate("mnist", str(tmp_path)).path)
    assert table["y"].to_pylist() == [5] * 3 and table["split"].to_pylist() == ["train", "train", "test"]


def test_parquet_files_of_images_and_digits_are_read(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("UMBRAMETER_DATA", str(data_dir))
    digits = locate("mnist", str(tmp_path))
    assert (digits.label, digits.ignore) == ("y", ("split",)) and digits.path == str(data_dir / "mnist.parquet")
    for name in ("cifar10", "cifar100"):
        assert next(images(data_dir / f"{name}.parquet"))["x"].type.list_size == CATALOGUE[name].features


@pytest.mark.slow
def test_cifar100_is_decoded_and_kept(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("UMBRAMETER_DATA", str(data_dir))
    table = pq.read_table(locate("cifar100", str(tmp_path)).path)
    assert np.bincount(table["y"]).tolist() == [300] * 100 and table["x"].type.list_size == 3072
