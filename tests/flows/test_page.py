"""The examples of docs/targets.md run as shown."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from umbrameter.estimators import Estimator
from umbrameter.records.sources import ParquetData, SidesData
from umbrameter.report.model import read_report
from umbrameter.shadow_data import AnyShadowData, Marginals
from umbrameter.spec.audit import ShadowSpec
from umbrameter.spec.sweep import AXES
from umbrameter.targets import AnyTarget, EndpointTarget

pytestmark = [pytest.mark.pipeline, pytest.mark.filterwarnings("default")]

PAGE = (Path(__file__).parents[2] / "docs" / "targets.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def first_column(heading: str) -> list[str]:
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", part, flags=re.MULTILINE)


def kinds(union: object) -> list[str]:
    schema = TypeAdapter(union).json_schema()
    return sorted(next(part for part in schema["anyOf"] if "discriminator" in part)["discriminator"]["mapping"])


def test_every_kind_has_a_row() -> None:
    assert sorted(first_column("What is audited")) == kinds(AnyTarget)
    assert sorted(first_column("Shadow data")) == kinds(AnyShadowData)
    assert [axis for axis in AXES if f"`{axis}`" not in PAGE] == []


def test_the_specs_are_valid() -> None:
    data, shadows, recipe, labels, endpoint, json_api = blocks("yaml")
    sides, table = (yaml.safe_load(line)["data"] for line in data.strip().splitlines())
    assert SidesData.model_validate(sides).pool and ParquetData.model_validate(table).membership
    assert ShadowSpec.model_validate(yaml.safe_load(shadows)["shadows"]).count == 32
    if importlib.util.find_spec("xgboost"):
        assert Estimator.model_validate(yaml.safe_load(recipe)["estimator"]).form == "frame"
    target = TypeAdapter(AnyTarget).validate_python(yaml.safe_load(labels)["target"])
    assert [part.kind for part in target.released_answers] == ["label_only"]
    found = EndpointTarget.model_validate(yaml.safe_load(endpoint + json_api)["target"])
    assert found.request.kind == "json" and found.labels == ("no", "yes")


def test_the_file_of_marginals_is_one(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(blocks("json")[0])
    assert Marginals.load(str(tmp_path / "m.json")).is_by_class


@pytest.mark.usefixtures("server")
def test_a_network_of_torch_is_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="pip install 'umbrameter[torch]'")
    pytest.importorskip("skorch", reason="pip install 'umbrameter[torch]'")
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0], {"__name__": "__main__"})
    (path,) = tmp_path.glob("runs/runs/torch-demo-*/report.json")
    report = read_report(path.read_bytes())
    assert report.target.description == "a network of torch" and report.ledger.fits == 4
    assert report.target.train_accuracy > report.target.test_accuracy + 0.05
    assert next(r for r in report.results if r.attack == "loss").metrics["auc"].low > 0.5  # type: ignore[union-attr]
