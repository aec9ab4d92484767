"""The target as an artefact: the model that was trained here, or who it is that was trained elsewhere."""

import pickle
from dataclasses import replace

import numpy as np

from tests.steps.audits import CLAIM, TREE, Audit
from umbrameter.persistence import load_model
from umbrameter.records.parts import rows_of
from umbrameter.seeds import integer
from umbrameter.steps.target import TargetFit, TargetIdentity, TargetMetadata, model_file
from umbrameter.store.steps import ensure


def test_the_target_is_trained_on_the_members_alone(trained: Audit) -> None:
    records, (plain, *_) = trained.records, trained.of(TargetFit)
    members, others = (rows_of(trained.split, part) for part in ("member", "nonmember"))
    X, y = records.take(members)
    seed = integer(plain.training.seed, "target")
    by_hand = TREE.build(seed, records.categorical, records.metadata.binary).fit(X, y)
    stored = load_model(model_file(trained.made(plain)))
    everything = records.take(np.concatenate([members, others]))[0]
    assert np.array_equal(stored.predict_proba(everything), by_hand.predict_proba(everything))


def test_each_variant_has_a_target_of_its_own(trained: Audit) -> None:
    plain, shallow, claimed = (load_model(model_file(trained.made(fit))).steps[-1][1] for fit in trained.of(TargetFit))
    assert [plain.min_samples_leaf, shallow.min_samples_leaf, claimed.min_samples_leaf] == [2, 2, 1]
    assert shallow.get_depth() == 2 < plain.get_depth() and plain.get_n_leaves() < claimed.get_n_leaves()


def test_a_claim_of_privacy_is_stored_with_the_target_that_makes_it(trained: Audit) -> None:
    for fit in trained.of(TargetFit):
        metadata = TargetMetadata.read(trained.made(fit))
        claims = any(mitigation.claims_privacy for mitigation in fit.training.mitigations)
        assert metadata.guarantee == (CLAIM if claims else None)
        assert metadata.is_trained_here and metadata.description == TREE.describe()


def test_a_target_from_elsewhere_is_its_facts_and_no_file(external: Audit) -> None:
    (identity,) = external.of(TargetIdentity)
    artefact = external.made(identity)
    assert not artefact.files and artefact.facts == {"external": dict(identity.facts)}
    metadata = TargetMetadata.read(artefact)
    assert (metadata.description, metadata.is_trained_here, metadata.guarantee) == (identity.description, False, None)
    assert identity.inputs == ()


def test_who_a_target_is_does_not_depend_on_the_order_of_its_facts(external: Audit) -> None:
    one, other = TargetIdentity({"kind": "x", "version": 1}, ""), TargetIdentity({"version": 1, "kind": "x"}, "")
    assert one.recipe.key == other.recipe.key
    assert pickle.loads(pickle.dumps(one)) == one
    told_twice = replace(external.of(TargetIdentity)[0], description="described anew")
    assert ensure(external.store, told_twice) == external.of(TargetIdentity)[0].recipe.path
    assert TargetMetadata.read(external.made(told_twice)).description != "described anew"
