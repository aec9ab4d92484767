"""MLflow's default store lies in the root, whatever the root is called."""

from pathlib import Path
from urllib.parse import quote

import mlflow
import pytest

from tasks.mlflow_client.tracking_store import default_uri, make_default, opened, quietly, ui_command
from umbrameter.store.artefacts import Store

ODD = "a?x #1 50% %20"


def test_an_address_is_plain_unless_a_character_would_end_it(tmp_path: Path) -> None:
    assert default_uri(str(tmp_path / "my audits")) == f"sqlite:///{tmp_path}/my audits/mlflow.db"
    assert default_uri(f"file://{tmp_path}/my%20audits") == f"sqlite:///{tmp_path}/my audits/mlflow.db"
    assert (
        default_uri(str(tmp_path / ODD)) == f"sqlite+pysqlite:///file:{quote(f'{tmp_path}/{ODD}/mlflow.db')}?uri=true"
    )


def test_the_store_of_an_odd_root_is_in_it_and_nothing_is_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(ODD)
    with quietly():
        make_default(store.root)
        client, experiment = opened(store, "audits", default_uri(ODD), True)
        run = client.create_run(experiment).info.run_id
        client.log_metric(run, "auc", 0.5)
        client.log_text(run, "words", "report.txt")
    assert [path.name for path in tmp_path.iterdir()] == [ODD]
    assert {"mlflow.db", "mlartifacts"} <= {path.name for path in Path(ODD).iterdir()}
    assert client.get_run(run).data.metrics == {"auc": 0.5}
    found = mlflow.artifacts.load_text(f"{client.get_run(run).info.artifact_uri}/report.txt")
    assert found == "words"
    assert default_uri(ODD) in ui_command(ODD, None, 5000)
