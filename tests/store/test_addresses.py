"""Paths and addresses with characters that mean something elsewhere."""

from pathlib import Path
from urllib.parse import quote

import pyarrow.fs as pafs
import pytest

from umbrameter.store.addresses import local_path, located
from umbrameter.store.artefacts import Recipe, Store

ODD = ["a b", "a?x=1", "a#x", "a%20b", "50%", "ü+&=;", "team=a"]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("form", ["path", "address"])
def test_a_store_lies_where_its_root_says(tmp_path: Path, name: str, form: str) -> None:
    root = tmp_path / name
    store = Store(root if form == "path" else f"file://{quote(str(root))}")
    assert store.root == str(root)
    with store.write(Recipe("records", {"n": 1})) as draft:
        draft.data("file.bin", b"words")
    assert store.open(draft.recipe.path).data("file.bin") == b"words"
    store.put("runs/one", {"report.json": b"{}"})
    assert store.read("runs/one/report.json") == b"{}"
    assert (store.claim("runs/two"), store.claim("runs/two")) == (True, False)
    assert [path.name for path in tmp_path.iterdir()] == [name]  # and nothing beside it


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("a?b#c%20d", "a?b#c%20d"),
        ("/srv/50%/x", "/srv/50%/x"),
        ("file:///srv/a%20b%23c", "/srv/a b#c"),
        ("file:///srv/a b#c?d", "/srv/a b#c?d"),
        ("s3://bucket/key", None),
    ],
)
def test_what_is_local(address: str, path: str | None) -> None:
    assert local_path(address) == path
    if path is not None:
        assert located(address) == (pafs.LocalFileSystem(), path)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("mock:///plain/key", "plain/key"),
        ("mock:///my folder/a#1.parquet", "my folder/a#1.parquet"),  # which was read as my folder/a
        ("mock:///my%20folder/a%231%25%3F", "my folder/a#1%?"),
        ("mock:///ü=1/(2)", "ü=1/(2)"),
    ],
)
def test_a_name_in_a_bucket_may_have_any_character(address: str, path: str) -> None:
    fs, found = located(address)
    assert found == path and fs.type_name == "mock"


def test_a_bucket_s_options_follow_a_question_mark() -> None:
    fs, path = located("s3://bucket/my folder/a#1?region=eu-west-1&endpoint_override=localhost:1")
    assert (path, fs.region) == ("bucket/my folder/a#1", "eu-west-1")
