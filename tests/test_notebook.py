"""The notebook in docs runs as it stands, and shows what is stored in it."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

PAGE = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def texts(notebook: Any) -> list[list[str]]:
    """Return each code cell's outputs as text, or the kind of picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[_text(output) for output in cell.outputs] for cell in cells]


def _text(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    data = output.data
    text = "picture" if "image/png" in data else str(data["text/plain"])
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def test_the_notebook_shows_what_is_stored_in_it(tmp_path: Path) -> None:
    stored = nbformat.read(PAGE, as_version=4)
    ran = NotebookClient(
        nbformat.read(PAGE, as_version=4), timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    shown = texts(ran.execute())
    assert shown == texts(stored)
    assert sum(cell == ["picture"] for cell in shown) == 3
    assert (tmp_path / "audit" / "report.html").is_file()
