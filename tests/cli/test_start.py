"""The first seconds of an audit's command."""

import gc
from pathlib import Path

import pytest

from umbrameter.cli.start import announced, fast_imports
from umbrameter.errors import SpecError

SPECS = Path(__file__).parents[2] / "deployments" / "specs"


def test_the_line_says_how_much_there_is_to_do() -> None:
    lines: list[str] = []
    announced(str(SPECS / "adult.yaml"), ["shadows.count=3"], (), lines.append)
    announced(str(SPECS / "location30-ladder.yaml"), (), (), lines.append)
    assert lines[0] == "adult: 3 shadow models, 2 attacks, 4 mitigations"
    assert " points, " in lines[1]


def test_nothing_is_said_of_a_spec_that_is_none(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "spec.yaml").write_text("name: x\n")
    with pytest.raises(SpecError):
        announced(str(tmp_path / "spec.yaml"), (), (), lines.append)
    assert lines == []


def test_garbage_is_collected_again_after_imports_that_fail() -> None:
    try:
        with pytest.raises(ImportError), fast_imports():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled()
    finally:
        gc.unfreeze()
