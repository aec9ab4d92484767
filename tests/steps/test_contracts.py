"""What holds for every step: it reads what it says, makes the same anywhere, travels, and refuses damaged inputs."""

import inspect
import io
import json
import pickle
import pkgutil
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import umbrameter.steps
from tests.steps.audits import Audit, Perform
from umbrameter.errors import StoreError
from umbrameter.records import reader
from umbrameter.records.metadata import RecordsMetadata
from umbrameter.steps.attack_data import AttackData, AttackDataMetadata
from umbrameter.steps.attack_models import AttackFit, AttackModelsMetadata
from umbrameter.steps.controls import CheckControls
from umbrameter.steps.evaluations import EvaluateAttack
from umbrameter.steps.guarantees import CheckGuarantee
from umbrameter.steps.guards import GuardedAnswers, GuardFit
from umbrameter.steps.reference_answers import ReferenceData, ReferenceMetadata
from umbrameter.steps.scores import ScoresMetadata, Scoring
from umbrameter.steps.shadow_models import ShadowFit, ShadowFitMetadata, ShadowMetadata
from umbrameter.steps.shadow_records import DrawnMetadata, ShadowRecords, Synthesis, SynthesisMetadata
from umbrameter.steps.split import Split, SplitMetadata
from umbrameter.steps.target import TargetFit, TargetIdentity, TargetMetadata
from umbrameter.steps.target_answers import (
    NoisyMetadata,
    NoisyQuery,
    PopulationQuery,
    QueryMetadata,
    StoredQuery,
    TargetQuery,
)
from umbrameter.steps.utility import MeasureUtility
from umbrameter.store.artefacts import Artefact, Store, canonical
from umbrameter.store.metadata import Cost, Metadata
from umbrameter.store.schemas import VERSIONS
from umbrameter.store.steps import Step, ensure, kind_of, perform

METADATA: dict[type[Step], type[Metadata] | None] = {
    Split: SplitMetadata,
    TargetFit: TargetMetadata,
    TargetIdentity: TargetMetadata,
    TargetQuery: QueryMetadata,
    StoredQuery: QueryMetadata,
    PopulationQuery: QueryMetadata,
    NoisyQuery: NoisyMetadata,
    Synthesis: SynthesisMetadata,
    ShadowRecords: DrawnMetadata,
    ShadowFit: ShadowFitMetadata,
    AttackData: AttackDataMetadata,
    ReferenceData: ReferenceMetadata,
    AttackFit: AttackModelsMetadata,
    GuardFit: None,
    GuardedAnswers: None,
    Scoring: ScoresMetadata,
    EvaluateAttack: None,
    MeasureUtility: None,
    CheckControls: None,
    CheckGuarantee: None,
}
"""Every class of steps, with what its manifests say."""

NEEDED_AT_TIMES: dict[type[Step], set[str]] = {
    TargetQuery: {"targets"},  # a target that was trained elsewhere is reached by its connection
    NoisyQuery: {"targets"},
    StoredQuery: {"targets"},
    ShadowRecords: {"targets", "split"},  # where records were searched for, the searches have asked
    Scoring: {"records"},  # features are for attacks that look at them
}
"""Inputs, by kind, that some steps of a class need and others do not."""

EVERY = pytest.mark.parametrize("kind", METADATA, ids=lambda kind: kind.__name__)


@pytest.fixture(scope="module")
def audits(trained: Audit, drawn: Audit, marginal: Audit, external: Audit, stored: Audit) -> dict[str, Audit]:
    return {"trained": trained, "drawn": drawn, "marginal": marginal, "external": external, "stored": stored}


@pytest.fixture(scope="module")
def again(perform: Perform, audits: Mapping[str, Audit]) -> dict[str, Audit]:
    """Return the same audits, performed in other stores."""
    return {name: perform(name) for name in audits}


def examples(audits: Mapping[str, Audit], kind: type[Step]) -> list[tuple[Audit, Step]]:
    """Return a step of a class for each kind of target and each set of inputs that such steps have."""
    by_look: dict[tuple[bool, frozenset[str]], tuple[Audit, Step]] = {}
    for audit in audits.values():
        for step in audit.of(kind):
            look = getattr(step, "connection", None) is None, frozenset(map(kind_of, step.inputs))
            by_look.setdefault(look, (audit, step))
    return [*by_look.values()]


def without_addresses(content: bytes) -> list[bytes]:
    """Return what a skops file holds, without the addresses in memory that it names objects by."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        schema = archive.read("schema.json").decode()
        arrays = [archive.read(name) for name in names if name != "schema.json"]
    places = {address: str(i) for i, address in enumerate(dict.fromkeys(re.findall(r"\d{9,}", schema)))}
    return [re.sub(r"\d{9,}", lambda match: places[match[0]], schema).encode(), *arrays]


def contents(artefact: Artefact) -> dict[str, object]:
    """Return what an artefact holds, by file."""
    data = {name: artefact.data(name) for name in artefact.files}
    return {name: without_addresses(held) if name.endswith(".skops") else held for name, held in data.items()}


def facts_of(artefact: Artefact) -> dict[str, Any]:
    """Return what a manifest says of an artefact's content, without what making it took."""
    text = re.sub(r'"seconds": *[\d.e-]+', '"seconds": 0', json.dumps(artefact.meta))
    return {name: value for name, value in json.loads(text).items() if name not in Cost.model_fields}


def opened(audit: Audit, step: Step, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the paths of the artefacts that a step opens when it is made."""
    paths: set[str] = set()
    real = Store.open

    def spy(store: Store, path: str) -> Artefact:
        paths.add(path)
        return real(store, path)

    reader._open.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "open", spy)
        audit.remade(step)
    return paths


@contextmanager
def damaged(artefact: Artefact, how: str) -> Iterator[None]:
    """Take a file of an artefact away, or its end, and give it back after the block."""
    names = ["manifest.json"] if how == "no manifest" else [entry["stored"] for entry in artefact.files.values()]
    path = Path(artefact.store.root, artefact.path, names[-1])
    content = path.read_bytes()
    path.write_bytes(content[:-1]) if how == "cut file" else path.unlink()
    reader._open.cache_clear()
    try:
        yield
    finally:
        path.write_bytes(content)


def test_the_examples_are_of_every_class_that_makes_something() -> None:
    modules = [
        import_module(f"umbrameter.steps.{info.name}") for info in pkgutil.iter_modules(umbrameter.steps.__path__)
    ]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    steps = {value for value in classes if is_dataclass(value) and hasattr(value, "make")}
    assert {step for step in steps if not inspect.isabstract(step)} == set(METADATA)


@EVERY
def test_a_step_opens_what_it_says_it_reads(
    kind: type[Step], audits: dict[str, Audit], monkeypatch: pytest.MonkeyPatch
) -> None:
    spared: list[set[str]] = []
    for audit, step in examples(audits, kind):
        paths = opened(audit, step, monkeypatch)
        assert paths <= set(step.inputs)
        spared.append({kind_of(path) for path in set(step.inputs) - paths})
    assert set[str]().union(*spared) == NEEDED_AT_TIMES.get(kind, set())


@EVERY
def test_inputs_are_made_before_by_other_steps(kind: type[Step], audits: dict[str, Audit]) -> None:
    for audit, step in examples(audits, kind):
        before = [other.recipe.path for other in audit.steps[: audit.steps.index(step)]]
        assert set(step.inputs) <= {audit.records.artefact.path, *before}
        assert len(set(step.inputs)) == len(step.inputs)


@EVERY
def test_the_same_is_made_in_another_store(kind: type[Step], audits: dict[str, Audit], again: dict[str, Audit]) -> None:
    n_compared = 0
    for name, audit in audits.items():
        for step, other in zip(audit.of(kind), again[name].of(kind), strict=True):
            one, two = audit.made(step), again[name].made(other)
            assert one.key == two.key and one.store.root != two.store.root
            assert contents(one) == contents(two) and facts_of(one) == facts_of(two)
            n_compared += 1
    assert n_compared


@EVERY
def test_a_step_makes_the_same_after_it_travelled(kind: type[Step], audits: dict[str, Audit]) -> None:
    for audit, step in examples(audits, kind):
        arrived = pickle.loads(pickle.dumps(step))
        assert arrived == step and arrived.inputs == step.inputs and arrived.recipe.key == step.recipe.key
        one, two = audit.made(step), audit.remade(arrived)
        assert contents(one) == contents(two) and facts_of(one) == facts_of(two)


@EVERY
def test_a_damaged_input_is_refused(
    kind: type[Step], audits: dict[str, Audit], monkeypatch: pytest.MonkeyPatch
) -> None:
    for audit, step in examples(audits, kind):
        for path in opened(audit, step, monkeypatch):
            artefact, text = audit.store.open(path), rf"{re.escape(path)}.* run the audit again"
            for how in ("no manifest", "cut file", "no file")[: 1 if not artefact.files else 3]:
                with damaged(artefact, how), pytest.raises(StoreError, match=text):
                    audit.remade(step)


@EVERY
def test_what_is_made_lies_where_its_recipe_says(kind: type[Step], audits: dict[str, Audit]) -> None:
    for audit, step in examples(audits, kind):
        artefact = audit.made(step)
        assert step.recipe.kind in VERSIONS and artefact.path == f"store/{step.recipe.kind}/{step.recipe.key}"
        assert canonical(artefact.facts) == canonical(step.recipe.facts)
        folder = Path(audit.store.root, artefact.path)
        stored = {entry["stored"] for entry in artefact.files.values()}
        assert {file.name for file in folder.iterdir()} == {"manifest.json", *stored}
        cost = Cost.read(artefact)
        assert cost.seconds > 0 and cost.peak_rss_mb > 1


@EVERY
def test_a_manifest_says_what_its_model_declares(kind: type[Step], audits: dict[str, Audit]) -> None:
    model = METADATA[kind]
    for audit, step in examples(audits, kind):
        artefact = audit.made(step)
        said = {name for name in artefact.meta if name not in Cost.model_fields}
        declared = set() if model is None else set(model.model_fields)
        if kind is GuardedAnswers and step.inputs[1].startswith("store/shadow_predictions"):
            model, declared = ShadowMetadata, set(ShadowMetadata.model_fields)
        assert said == declared
        if model is not None:
            written = model.read(artefact)
            assert written.model_dump(mode="json") == {name: artefact.meta[name] for name in said}
            assert model.model_validate_json(written.model_dump_json()) == written
            with pytest.raises(ValidationError, match="frozen"):
                setattr(written, next(iter(said)), 0)


def test_drawn_records_are_described_like_any_others(drawn: Audit) -> None:
    (step,) = drawn.of(ShadowRecords)
    one, two = (RecordsMetadata.read(artefact) for artefact in (drawn.made(step), drawn.records.artefact))
    own = {"n_records", "label_counts"}
    assert one.model_dump(exclude=own) == two.model_dump(exclude=own)


def test_what_is_there_is_not_made_again(trained: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(step: Step, *arguments: object) -> None:
        raise AssertionError(f"{step} was made again")

    for kind in METADATA:
        monkeypatch.setattr(kind, "make", refuse)
    paths = [ensure(trained.store, step) for step in trained.steps]
    assert paths == [step.recipe.path for step in trained.steps] == perform(trained.store.root, trained.steps)
