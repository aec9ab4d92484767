"""The target as an artefact: the model that was trained here, or who it is that was trained elsewhere."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.steps.audits import CLAIM, TREE, Audit, Claimed
from umbrameter.estimators import Estimator
from umbrameter.mitigations import DPSGD, InTraining, PrivacyClaim
from umbrameter.persistence import load_model
from umbrameter.records.parts import rows_of
from umbrameter.records.reader import Records
from umbrameter.seeds import integer
from umbrameter.steps.shadow_models import ShadowFit
from umbrameter.steps.target import TargetFit, TargetIdentity, TargetMetadata, model_file
from umbrameter.steps.training import Training
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
        assert not fit.training.needs_secret
        assert metadata.is_trained_here and metadata.description == TREE.describe()


NETWORK = Estimator(kind="mlp", params={"hidden": [4], "epochs": 2, "batch_size": 20})


def private(trained: Audit, **settings: bool) -> Training:
    """Return the training of a private network on the bits of the audit's records."""
    kinds = (DPSGD(noise_multiplier=1.0, sampling_rate=0.5, **settings),)
    return replace(trained.of(TargetFit)[0].training, estimator=NETWORK, mitigations=kinds)


class Bits:
    """Records as a private network takes them: numbers of like scale."""

    def __init__(self, records: Records):
        self.metadata = records.metadata.model_copy(update={"categorical": (), "binary": True})
        self.take = records.take


def test_the_noise_of_a_private_target_is_secret_unless_it_is_to_be_reproducible(
    trained: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Records, "open", lambda store, path: Bits(trained.records))
    for is_reproducible in (False, True):
        fit = TargetFit(private(trained, reproducible=is_reproducible))
        seeds, files = set(), set()
        for _ in range(2):
            artefact = trained.remade(fit)
            seeds.add(load_model(model_file(artefact)).random_state)
            files.add(load_model(model_file(artefact)).coefs_[0].tobytes())
            guarantee = TargetMetadata.read(artefact).guarantee
            assert guarantee is not None and guarantee.is_reproducible == is_reproducible
        assert seeds == {integer(fit.training.seed, "target") if is_reproducible else None}
        assert len(files) == (1 if is_reproducible else 2)


def test_a_private_target_is_trained_once_in_a_store(
    trained: Audit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    audit = trained.copied(tmp_path)
    monkeypatch.setattr(Records, "open", lambda store, path: Bits(trained.records))
    models = [model_file(audit.store.open(ensure(audit.store, TargetFit(private(trained))))) for _ in range(2)]
    assert models[0] == models[1]


def test_an_outside_claim_is_withdrawn_if_its_target_is_trained_with_the_seed(trained: Audit) -> None:
    class Unaware(Claimed):
        """The claim of somebody who does not say that the noise follows from the seed."""

        def guarantee(self, model: Any) -> PrivacyClaim | None:
            return CLAIM.model_copy(update={"is_reproducible": False})

    class Secret(Unaware):
        """The same, trained as claims are unless they say otherwise."""

        needs_secret = InTraining.needs_secret

    for kind, is_reproducible in ((Unaware, True), (Secret, False)):
        training = replace(trained.of(TargetFit)[0].training, mitigations=(kind(),))
        artefact = trained.remade(TargetFit(training))
        guarantee = TargetMetadata.read(artefact).guarantee
        assert guarantee == CLAIM.model_copy(update={"is_reproducible": is_reproducible})
        assert (load_model(model_file(artefact)).steps[-1][1].random_state is None) == (not is_reproducible)


def test_shadow_models_of_one_recipe_differ_and_come_again_to_the_last_bit(trained: Audit) -> None:
    training, records = private(trained), Bits(trained.records)
    shadows = [replace(trained.of(ShadowFit)[0], training=training, model_id=i) for i in (0, 1, 0)]
    fitted = [training.fit(records, np.arange(60), shadow.seed).coefs_[0].tobytes() for shadow in shadows]
    assert fitted[0] == fitted[2] != fitted[1]


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
