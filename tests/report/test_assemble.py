"""What a report is filled with that no step has measured."""

from typing import Any

from umbrameter.report.assemble import DESIGNS, SOURCES, without_model
from umbrameter.spec.audit import AuditSpec
from umbrameter.statistics.estimates import NotMeasured


def test_each_design_of_shadow_models_is_in_words(build_classes: Any) -> None:
    schema = AuditSpec.model_json_schema()["$defs"]
    designs = next(part["properties"]["design"] for part in schema.values() if "design" in part.get("properties", {}))
    assert set(designs["enum"]) == set(DESIGNS) == set(SOURCES)
    entry = build_classes(3)[2]
    bare = without_model(entry)
    assert (bare.label, bare.n_members) == (entry.label, entry.n_members)
    assert all(isinstance(getattr(bare, name), NotMeasured) for name in ("accuracy", "precision", "recall", "auc"))
