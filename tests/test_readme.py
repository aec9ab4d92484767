"""The examples of the README run as shown."""

import re
from pathlib import Path
from typing import Any

import yaml
from sklearn.datasets import make_classification
from sklearn.tree import DecisionTreeClassifier

from umbrameter.spec.audit import AuditSpec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL))


def test_the_library_s_lines_find_the_leak() -> None:
    X, y = make_classification(400, flip_y=0.3, random_state=0)
    names: dict[str, Any] = {"X_train": X[:200], "y_train": y[:200], "X_test": X[200:], "y_test": y[200:]}
    names["model"] = DecisionTreeClassifier(random_state=0).fit(X[:200], y[:200])
    exec(block("python"), names)
    assert names["result"].report.shadows.n_models == 32 and "Members can be told" in repr(names["result"])
    assert names["measure"](names["scores"], names["is_member"] == 1, None)["auc"].low > 0.7


def test_the_spec_is_valid() -> None:
    spec = AuditSpec.from_yaml(block("yaml"))
    assert spec.n_shadows == 32 and yaml.safe_load(block("yaml"))["name"] == spec.name


def test_every_linked_page_exists() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links {link}"
