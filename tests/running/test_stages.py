"""A whole audit's stages: every step in one task, after all that it reads, and nothing made twice."""

from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.outside import StretchedQuery
from tests.running.inline import Finished, TaskRun, audited
from umbrameter.dotted_paths import PREFIXES_VARIABLE
from umbrameter.report import Report
from umbrameter.report.run_artefacts import RunArtefacts
from umbrameter.report.run_figures import DrawFigures
from umbrameter.running import stages
from umbrameter.steps.target_answers import NoisyQuery, PopulationQuery, QueryStep, TargetQuery
from umbrameter.store.steps import kind_of

STAGES = [
    "prepare",
    "split",
    "train target",
    "query target",
    "query others",
    "draw records",
    "fit shadow models",
    "merge",
    "fit guards",
    "guard answers",
    "merge guarded",
    "gather",
    "fit attack models",
    "score",
    "evaluate",
    "control",
    "report",
]


@pytest.fixture(scope="module")
def again(everything: Finished) -> Finished:
    """Return the same audit once more in the same store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PREFIXES_VARIABLE, "tests.")
        return audited(everything.session.spec, Path(everything.root))


def chunks(finished: Finished) -> list[TaskRun]:
    """Return the task runs that made some steps."""
    return [run for run in finished.graph.runs if run.chunk is not None]


def before(finished: Finished, run: TaskRun) -> set[UUID]:
    """Return the ids of all task runs that one came after, by the edges of the graph alone."""
    by_id = {other.task_run_id: other for other in finished.graph.runs}
    found, left = set[UUID](), [*run.waited_for]
    while left:
        if (other := left.pop()) not in found:
            found.add(other)
            left += by_id[other].waited_for
    return found


# What is made


def test_every_step_is_in_some_task_and_no_task_has_others(everything: Finished) -> None:
    made = {path for run in chunks(everything) for path in run.makes}
    splits = {path for path in made if kind_of(path) == "split"}
    assert made - splits == {path for variant in everything.variants for path in variant.steps}


@pytest.mark.parametrize(
    "kind",
    [
        "split",
        "targets",
        "target_predictions",
        "population_predictions",
        "noisy_answers",
        "stretched_answers",
        "shadow_records",
        "shadow_predictions",
        "attack_data",
        "guards",
        "references",
        "attack_models",
        "scores",
        "evaluations",
        "utility",
        "controls",
    ],
)
def test_no_step_is_in_two_tasks(everything: Finished, kind: str) -> None:
    made = Counter(path for run in chunks(everything) for path in run.makes if kind_of(path) == kind)
    assert made and [path for path, n in made.items() if n > 1] == []


@pytest.mark.parametrize("name", STAGES)
def test_progress_reaches_the_number_of_a_stage_s_steps(everything: Finished, name: str) -> None:
    stage = everything.session._stages[name]
    assert stage.done == stage.total and " left" not in stage.line


def test_the_session_knows_what_was_made(everything: Finished) -> None:
    session, made = everything.session, {path for run in chunks(everything) for path in run.makes}
    records = everything.variants[0].training.records
    assert session.made == made | {records} and session.reused == set()


def test_stages_come_in_the_order_of_the_audit(everything: Finished) -> None:
    assert [*everything.session.cost().stages] == STAGES


def test_a_stage_counts_all_its_steps(everything: Finished) -> None:
    by_stage = everything.session.cost().stages
    counted = [path for stage in by_stage.values() for path in stage.made]
    assert len(counted) == len({*counted}) == len(everything.session.made)
    kinds = {name: {kind_of(path) for path in stage.made} for name, stage in by_stage.items()}
    assert kinds["query target"] == {"target_predictions"} and kinds["fit shadow models"] == {"shadow_predictions"}
    assert kinds["query others"] == {"population_predictions", "noisy_answers", "stretched_answers"}
    assert kinds["report"] == set()


def test_steps_of_one_task_are_of_one_kind(everything: Finished) -> None:
    mixed = [run.chunk.title for run in chunks(everything) if len({kind_of(path) for path in run.makes}) > 1]
    guarded = [title for title in mixed if not title.startswith("guard answers")]
    assert guarded == []


# What it comes after


def test_all_that_a_task_reads_is_there_when_it_is_submitted(everything: Finished) -> None:
    assert [(run.name, run.missing) for run in everything.graph.runs if run.missing] == []


def test_a_task_waits_for_whoever_made_what_it_reads(everything: Finished) -> None:
    makers = {path: run.task_run_id for run in chunks(everything) for path in run.makes}
    for run in everything.graph.runs:
        assert {makers[path] for path in run.reads if path in makers} <= before(everything, run), run.name


def test_no_edge_is_implied_by_the_others(everything: Finished) -> None:
    by_id = {run.task_run_id: run for run in everything.graph.runs}
    for run in everything.graph.runs:
        implied = set[UUID]().union(*(before(everything, by_id[parent]) for parent in run.waited_for))
        assert not implied & {*run.waited_for}, run.name


def test_every_task_of_a_stage_comes_after_the_plan(everything: Finished) -> None:
    (plan,) = everything.graph.of("plan_audit")
    late = [run for run in chunks(everything) if run.name != "split_records"]
    assert [run.name for run in late if plan.task_run_id not in before(everything, run)] == []


def test_the_report_comes_last_and_after_everything_measured(everything: Finished) -> None:
    *_, report = everything.graph.runs
    assert report.name == "write_report"
    measured = {run.task_run_id for run in everything.graph.of("evaluate_attacks", "check_controls", "measure_utility")}
    assert measured <= {report.task_run_id, *before(everything, report)}


# What people read


def test_jobs_say_whether_all_was_there(everything: Finished) -> None:
    made = set[str]()
    for run in chunks(everything):
        assert run.value == (made >= {*run.makes})
        made |= {*run.makes}


def test_titles_name_the_variant_and_the_repeat(everything: Finished) -> None:
    titles = [run.chunk.title for run in everything.graph.of("train_target")]
    plain, trained = "train the target", "train the target with params(C=0.01)"
    assert titles == [plain, trained, f"{plain}, repeat 1", f"{trained}, repeat 1"]
    scored = [run.chunk.title for run in everything.graph.of("score_records")]
    assert "score loss on the unmitigated target" in scored
    assert "score all attacks on rounding(1) by a static attacker, repeat 1" in scored
    assert len(scored) == len({*scored})


def test_attacks_on_one_mitigation_are_one_task_and_those_on_none_are_apart(everything: Finished) -> None:
    sizes = {run.chunk.title: len(run.makes) for run in everything.graph.of("score_records")}
    assert {n for title, n in sizes.items() if "unmitigated" in title} == {1}
    assert sizes["score all attacks on rounding(1)"] > 1


def test_attack_models_of_the_same_vectors_are_fitted_together_up_to_a_number(everything: Finished) -> None:
    runs = everything.graph.of("fit_attack_models")
    assert max(len(run.makes) for run in runs) <= stages.MOST_FITS
    assert max(len({*run.makes}) for run in runs) > 1
    for run in runs:
        assert len({(step.data, step.labels) for step in run.chunk.steps}) == 1


# A second time


def test_nothing_is_made_a_second_time(everything: Finished, again: Finished) -> None:
    assert again.session.made == set()
    assert again.session.reused == everything.session.made
    assert {run.value for run in chunks(again)} == {True}


def test_the_second_run_has_the_same_figures_in_a_folder_of_its_own(everything: Finished, again: Finished) -> None:
    assert again.folder != everything.folder
    assert again.report.results_json() == everything.report.results_json()
    assert (again.report.ledger.fits, again.report.ledger.queries) == (0, 0)


def test_what_is_there_is_one_chunk_of_each_job(again: Finished) -> None:
    made = [run for run in again.graph.runs if run.chunk is not None]
    twice = {"merge_attack_data"}  # before and after a guard
    assert {name for name, n in Counter(run.name for run in made).items() if n > 1} == twice
    (models,) = again.graph.of("fit_shadow_models")
    assert models.chunk.title == "shadow models 0-2 of the target and 3 more"
    assert len(models.makes) == 12 and models.value is True


def test_one_shadow_model_that_is_gone_is_made_again_alone(everything: Finished, tmp_path: Path) -> None:
    from shutil import copytree, rmtree

    copytree(everything.root, tmp_path / "copy")
    first = everything.variants[0].trained[1].recipe.path
    rmtree(tmp_path / "copy" / first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PREFIXES_VARIABLE, "tests.")
        mended = audited(everything.session.spec, tmp_path / "copy")
    assert mended.session.made == {first}
    states = [(len(run.makes), run.value) for run in mended.graph.of("fit_shadow_models")][:2]
    assert states == [(1, False), (11, True)]
    assert mended.report.results_json() == everything.report.results_json()


def test_figures_are_drawn_once_for_the_same_results(everything: Finished, again: Finished) -> None:
    artefacts = RunArtefacts.of(everything.variants)
    drawn = DrawFigures(everything.report, artefacts)
    assert DrawFigures(again.report, artefacts).recipe == drawn.recipe
    stored = everything.session.store.find(drawn.recipe)
    assert stored is not None and len(stored.files) == 3
    for name in stored.files:
        for finished in (everything, again):
            assert Path(finished.root, finished.folder, "figures", name).read_bytes() == stored.data(name)
    for finished in (everything, again):
        page = Path(finished.root, finished.folder, "report.html").read_text()
        captions = [
            page.index(text) for text in ("<figcaption>True-positive", "<figcaption>The share", "<figcaption>The AUC")
        ]
        assert captions == sorted(captions)


@pytest.mark.parametrize("change", ["a figure", "the name", "the number of non-members"])
def test_other_results_get_figures_of_their_own(everything: Finished, change: str) -> None:
    changed = everything.report.model_dump(mode="json")
    if change == "a figure":
        changed["results"][0]["metrics"]["auc"]["value"] += 1e-9
    elif change == "the name":
        changed["audit"]["name"] = "another"
    else:
        changed["target"]["n_nonmembers"] += 1
    artefacts = RunArtefacts.of(everything.variants)
    recipes = [DrawFigures(r, artefacts).recipe for r in (everything.report, Report.model_validate(changed))]
    assert recipes[0] != recipes[1]


# Queries


def test_the_queries_of_a_variant_are_all_steps_that_ask_its_target(everything: Finished) -> None:
    for variant in everything.variants:
        asking = {path for path, step in variant.steps.items() if isinstance(step, QueryStep)}
        queries = stages.queries_of(variant)
        assert {step.recipe.path for step in queries} == asking
        assert len(queries) == len({step.recipe.path for step in queries})


def test_an_unguarded_variant_asks_once_for_each_purpose(everything: Finished) -> None:
    queries = stages.queries_of(everything.variants[0])
    kinds = [type(step) for step in queries]
    assert {TargetQuery, PopulationQuery, NoisyQuery, StretchedQuery} < {*kinds} and len(kinds) == len({*kinds})
    assert len({step.purpose for step in queries}) == len(queries)


# Spans


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.sets(st.integers(0, 40), min_size=1))
def test_numbers_in_short_tell_first_last_and_gaps(numbers: set[int]) -> None:
    text = stages._span(sorted(numbers))
    if len(numbers) == 1:
        assert text == str(*numbers)
        return
    range_, _, count = text.partition(" (")
    first, last = map(int, range_.split("-"))
    assert (first, last) == (min(numbers), max(numbers))
    assert count == ("" if len(numbers) == last - first + 1 else f"{len(numbers)} of them)")


def test_a_stage_without_work_submits_nothing_and_is_not_counted(everything: Finished, tmp_path: Path) -> None:
    from tests.running.inline import opened

    session, graph = opened(everything.session.spec, tmp_path)
    stages.run_stage(session, "fit guards", [])
    assert graph.runs == [] and session.cost().stages == {}
