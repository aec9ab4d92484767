"""Compositions of mitigations, and how they are split by where they act."""

import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from umbrameter.attacks import Confidence, Gap, LabelOnly, Loss, ModifiedEntropy
from umbrameter.errors import SpecError
from umbrameter.mitigations import Composition, MemGuard, Params, Rounding, TopK
from umbrameter.mitigations.plan import MitigationPlan
from umbrameter.spec.audit import AuditSpec
from umbrameter.spec.required_attacks import required_attacks

SPEC = """
name: demo
data: {kind: catalogue, name: adult}
split: {members: 1000}
target: {kind: train, estimator: {kind: decision_tree}}
"""


def spec(mitigations: str) -> AuditSpec:
    return AuditSpec.from_yaml(SPEC + f"mitigations: {mitigations}")


def test_a_list_in_the_list_is_a_composition_and_is_read_again() -> None:
    several = "{kind: params, params: {max_depth: 3}}, {kind: top_k, k: 2}, {kind: rounding, decimals: 1}"
    found = spec(f"[{{kind: label_only}}, [{several}]]")
    assert [m.label for m in found.mitigations] == ["label_only", "params(max_depth=3) + top_k(2) + rounding(1)"]
    assert AuditSpec.model_validate(found.model_dump(mode="json")) == found
    plan = MitigationPlan(found.mitigations[1])
    assert (
        plan.training == (Params({"max_depth": 3}),) and plan.answers == (TopK(2), Rounding(1)) and plan.learned is None
    )
    assert (MitigationPlan().label, MitigationPlan().training, MitigationPlan().answers, MitigationPlan().params) == (
        None,
        (),
        (),
        {},
    )


def test_a_composition_wraps_in_order() -> None:
    both = Composition((Params({"max_depth": 3}), TopK(2), Rounding(1)))
    wrapped = both.wrap(DecisionTreeClassifier())
    assert wrapped.mitigation == Rounding(1) and wrapped.estimator.mitigation == TopK(2)
    assert wrapped.estimator.estimator.max_depth == 3


@pytest.mark.parametrize(
    ("mitigations", "text"),
    [
        (
            "[[{kind: top_k, k: 1}, {kind: params, params: {max_depth: 3}}]]",
            r"params\(max_depth=3\) acts in the training",
        ),
        ("[[{kind: rounding, decimals: 1}, {kind: memguard}]]", "memguard\\(1\\) needs the model's own confidences"),
        ("[[]]", r"mitigations\[0\]\.steps=\[\]: there are no mitigations; name at least one"),
        ("[[{kind: rounding, decimals: 9}]]", r"mitigations\[0\]\.decimals=9"),
        ("[[{kind: label_only}], {kind: label_only}]", "label_only is listed twice"),
        ("[[{kind: rounding, decimals: 1}, {kind: blur}]]", r"mitigations\[0\]\.steps\[1\]\.kind='blur': unknown kind"),
        ("[{kind: top_k, k: 0}]", r"mitigations\[0\]\.k=0: .*greater than or equal to 1"),
        ("[{kind: rounding, decimals: 9}]", r"mitigations\[0\]\.decimals=9"),
        ("[{kind: temperature, t: 0}]", r"mitigations\[0\]\.t=0: .*greater than 0"),
        ("[{kind: l2, weight: 0.1}]", "DecisionTreeClassifier"),
        ("[{kind: dropout, rate: 0.5}]", "DecisionTreeClassifier has no parameter dropout"),
        ("[{kind: dp_sgd, epsilon: 1}]", "DecisionTreeClassifier cannot be trained privately"),
        ("[{kind: label_only}, {kind: label_only}]", "label_only is listed twice"),
    ],
)
def test_errors_in_a_list_name_their_place(mitigations: str, text: str) -> None:
    with pytest.raises(SpecError, match=text):
        spec(mitigations)


def test_memguard_is_in_no_answers_and_needs_shadow_models() -> None:
    plan = MitigationPlan(Composition((MemGuard(), Rounding(1))))
    assert plan.learned == MemGuard() and plan.answers == (Rounding(1),)
    assert spec("[{kind: memguard}]").n_shadows == 16
    with pytest.raises(SpecError, match=r"learns from shadow models' answers first"):
        MemGuard().wrap(GaussianNB())


def test_every_mitigation_faces_per_class_thresholds_and_labels_alone() -> None:
    assert required_attacks((Loss(),), ()) == (Loss(),)
    assert required_attacks((Loss(),), [TopK(1)]) == (Loss(), Confidence(), Gap())
    full = (ModifiedEntropy(), LabelOnly())
    assert required_attacks(full, [TopK(1)]) == full
    assert required_attacks((ModifiedEntropy(per_class=False),), [TopK(1)])[1:] == (Confidence(), Gap())
