"""All that is wrong with an audit is one error: the table, the split, and what is to be trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from tests.running.inline import opened
from umbrameter import audit
from umbrameter.cli.preview import describe
from umbrameter.errors import UmbrameterError
from umbrameter.running.audit import run_audit
from umbrameter.spec.audit import AuditSpec

N = 60
RNG = np.random.default_rng(0)
TABLE: dict[str, Any] = {
    "a": RNG.normal(size=N),
    "b": np.where(np.arange(N) % 6 == 0, np.nan, RNG.normal(size=N)),
    "plan": np.array(["basic", "plus"])[RNG.integers(0, 2, N)],
    "y": np.arange(N) % 2,
}
LOGISTIC = {"kind": "logistic_regression"}
FRAME = {"kind": "sklearn.ensemble.HistGradientBoostingClassifier", "takes": "frame", "params": {"max_iter": 2}}
ASKED = "split asks for 50 members + 50 non-members = 100 records, but there are 60"
GAPS = "values are missing in b (10), and logistic_regression"


def spec(folder: Path, table: dict[str, Any], estimator: Any = LOGISTIC, members: int = 50, **more: Any) -> AuditSpec:
    pd.DataFrame(table).to_csv(folder / "t.csv", index=False)
    data = {"kind": "table", "path": str(folder / "t.csv"), "label": "y"} | more.pop("data", {})
    settings = {"name": "m", "data": data, "target": {"kind": "train", "estimator": estimator}, "shadows": {"count": 2}}
    settings |= {"split": {"members": members}, "attacks": [{"kind": "loss"}]}
    return AuditSpec.model_validate(settings | more)


def said(command: str, asked: AuditSpec, folder: Path) -> list[str]:
    """Return what the error of a command lists."""
    with pytest.raises(UmbrameterError) as caught:
        if command == "validate":
            describe(asked, asked.data)  # type: ignore[arg-type]
        else:
            run_audit(opened(asked, folder / "root")[0])
    kinds = {path.parent.name for path in (folder / "root" / "store").glob("*/*")}
    assert kinds <= {"records", "split"}  # nothing was trained
    lines = str(caught.value).splitlines()
    return [line.removeprefix("  - ") for line in lines[1:] or lines]


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "the split and the recipe": ({}, {}, [ASKED, GAPS]),
    "a column that is not there, and the split": (
        {},
        {"data": {"ignore": ["bb"]}},
        ["data.ignore='bb' is not a column", "split asks for 50 members + 50 non-members"],
    ),
    "values, the split and the recipe": (
        {"plan": ["x", None] * (N // 2), "a": np.where(np.arange(N) == 3, np.inf, TABLE["a"])},
        {"data": {"slices": ["plan"]}},
        ["column 'plan' has missing values", "column 'a' is infinite", ASKED, GAPS],
    ),
    "equal records, the split and the recipe": (
        {name: np.append(column[:-1], column[1]) for name, column in TABLE.items()},
        {},
        ["1 of 60 records repeat another", ASKED, GAPS],
    ),
    "a label of one class, and the split": (
        {"y": np.ones(N, int)},
        {},
        ["data.label='y' has only one class (1)", ASKED],
    ),
    "several rare classes, and the recipe": (
        {"y": [*"uvwx", *["yes", "no"] * (N // 2 - 2)]},
        {"members": 10},
        ["has 1 records, too few for this split: no member among them", "too few for this split: no nonmember", GAPS],
    ),
    "a mitigation, the shadow models and the recipe": (
        {},
        {"members": 10, "mitigations": [{"kind": "top_k", "k": 5}], "shadows": {"count": 2, "size": 300},
         "attacks": [{"kind": "shokri", "model": LOGISTIC}]},
        ["k=5", "shadows.size=300", GAPS],
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", ["validate", "audit"])
@pytest.mark.parametrize("name", CASES)
def test_all_is_said_at_once_and_nothing_is_trained(tmp_path: Path, name: str, command: str) -> None:
    table, settings, texts = CASES[name]
    lines = said(command, spec(tmp_path, TABLE | table, **settings), tmp_path)
    assert len(lines) == len(texts), lines
    for line, text in zip(lines, texts, strict=True):
        assert text in line


@pytest.mark.parametrize("command", ["validate", "audit"])
def test_a_single_error_is_as_it_was(tmp_path: Path, command: str) -> None:
    (line,) = said(command, spec(tmp_path, TABLE, {"kind": "random_forest"}), tmp_path)
    assert line == f"{ASKED}; lower split.members or split.nonmembers"


def test_what_is_mended_as_said_is_audited(tmp_path: Path) -> None:
    mended = spec(tmp_path, TABLE, members=10, data={"missing": {"numbers": "median"}})
    assert any(line.startswith("Split: 10 members") for line in describe(mended, mended.data))  # type: ignore[arg-type]


def test_known_sides_and_the_recipe(tmp_path: Path) -> None:
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("members", "nonmembers", "pool")}
    for i, path in enumerate(paths.values()):
        pd.DataFrame(TABLE | {"a": TABLE["a"] + i}).to_csv(path, index=False)
    asked = AuditSpec.model_validate(
        {"name": "m", "data": {"kind": "sides", "label": "y", **paths}, "split": {"members": 70, "nonmembers": 80},
         "target": {"kind": "object"}, "shadows": {"count": 2, "estimator": LOGISTIC}}
    )  # fmt: skip
    lines = said("audit", asked, tmp_path)
    assert [line.partition(";")[0] for line in lines[:2]] == [
        "the data have 60 known members",
        "the data have 60 known nonmembers",
    ]
    assert "values are missing in b (30), and logistic_regression" in lines[2] and len(lines) == 3


def test_a_frame_s_text_is_refused_for_a_recipe_that_does_not_encode_it(tmp_path: Path) -> None:
    (text,) = said("validate", spec(tmp_path, TABLE, FRAME, members=10), tmp_path)
    assert "cannot be trained on text, which plan hold" in text and "takes to matrix" in text
    encoded = spec(tmp_path, TABLE, FRAME | {"takes": "matrix"}, members=10)
    assert describe(encoded, encoded.data)  # type: ignore[arg-type]


def test_text_and_gaps_of_a_frame_are_said_together(tmp_path: Path) -> None:
    lines = said("validate", spec(tmp_path, TABLE, LOGISTIC | {"takes": "frame"}, members=10), tmp_path)
    assert "values are missing in b (10)" in lines[0] and "cannot be trained on text" in lines[1] and len(lines) == 2


def test_from_python_too() -> None:
    X = pd.DataFrame({name: TABLE[name] for name in ("a", "b")})
    model = HistGradientBoostingClassifier(max_iter=2).fit(X, TABLE["y"])
    with pytest.raises(UmbrameterError) as caught:
        audit(
            model,
            members=(X, TABLE["y"]),
            nonmembers=(X + 1, TABLE["y"]),
            pool=(X + 2, TABLE["y"]),
            shadows={"count": 2, "size": 500},
            estimator=LogisticRegression(),
        )
    assert "values are missing in b" in str(caught.value) and "shadows.size=500" in str(caught.value)


def test_a_target_whose_recipe_will_be_read_off_it_can_be_validated(tmp_path: Path) -> None:
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("members", "nonmembers", "pool")}
    for i, path in enumerate(paths.values()):
        pd.DataFrame(TABLE | {"a": TABLE["a"] + i}).to_csv(path, index=False)
    settings = {"name": "m", "data": {"kind": "sides", "label": "y", **paths}, "shadows": {"count": 2, "size": 20}}
    asked = AuditSpec.model_validate(settings | {"target": {"kind": "object"}})
    assert any(line.startswith("Work: 0 targets and 2 shadow models") for line in describe(asked, asked.data))  # type: ignore[arg-type]
