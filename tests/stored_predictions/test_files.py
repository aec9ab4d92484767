"""Files as people have them: each written in one way gives the figures of the plain one, or says what mends it."""

import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import logit

from umbrameter.errors import DataError, SpecError
from umbrameter.spec.score import ScoreSpec
from umbrameter.stored_predictions.audit import score_stored
from umbrameter.stored_predictions.files import open_files

N = 300
RNG = np.random.default_rng(3)
CODES, MEMBER = RNG.integers(0, 2, N), np.arange(N) % 3 == 0
P_YES = 1 / (1 + np.exp(-(RNG.normal(size=N) + (2 * CODES - 1) * (1 + 2 * MEMBER))))
BOTH = np.column_stack([1 - P_YES, P_YES])
NAMES = np.array(["no", "yes"])[CODES]
ATTACKS = ({"kind": "loss"}, {"kind": "gap"})


def measured(folder, table: dict[str, Any], **settings: Any):
    """Return the report of a file of columns."""
    pd.DataFrame(table).to_parquet(folder / "x.parquet")
    spec = ScoreSpec(attacks=ATTACKS, **settings)
    return score_stored(*open_files(str(folder / "x.parquet"), None, spec), spec)[0]


def figures(report) -> list[Any]:
    return [(result.metrics, result.utility) for result in report.results]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> list[Any]:
    columns = {"label": CODES, "is_member": MEMBER, "p_0": 1 - P_YES, "p_1": P_YES}
    report = measured(tmp_path_factory.mktemp("plain"), columns)
    assert report.results[0].metrics["auc"].low > 0.5
    return figures(report)


NAMED = {"label": NAMES, "is_member": MEMBER, "p_yes": P_YES, "p_no": 1 - P_YES}
NUMBERED = {"label": CODES, "is_member": MEMBER, "p_0": 1 - P_YES, "p_1": P_YES}
ONE = {"label": CODES, "is_member": MEMBER}


@pytest.mark.parametrize(
    "columns",
    [
        NAMED | {"is_member": MEMBER.astype(int)},
        NAMED | {"is_member": MEMBER.astype(float)},
        NAMED | {"is_member": np.where(MEMBER, "train", "test")},
        NAMED | {"is_member": np.where(MEMBER, "Member", "nonmember")},
        NAMED | {"is_member": np.where(MEMBER, "IN", "OUT")},
        NAMED | {"is_member": np.where(MEMBER, "yes", "no")},
        NAMED,
        NAMED | {"extra": P_YES, "p_rank": "a"},
        NUMBERED | {"label": CODES.astype(float)},
        NUMBERED | {"label": CODES == 1},
        NUMBERED | {"label": np.array(["1", "10"])[CODES], "p_0": None, "p_10": P_YES, "p_1": 1 - P_YES},
        {"label": CODES == 1, "is_member": MEMBER, "p_True": P_YES, "p_False": 1 - P_YES},
        {"label": CODES * 2.0, "is_member": MEMBER, "p_2": P_YES, "p_0": 1 - P_YES},
        {"label": CODES * 2 - 1, "is_member": MEMBER, "p_1": P_YES, "p_-1": 1 - P_YES},
        {"label": CODES + 0.5, "is_member": MEMBER, "p_1.5": P_YES, "p_0.5": 1 - P_YES},
        {"label": CODES + 0.5, "is_member": MEMBER, "prediction": BOTH.tolist()},
        {"label": np.float32([0.1, 0.2])[CODES], "is_member": MEMBER, "p_0.2": P_YES, "p_0.1": 1 - P_YES},
        NAMED | {"record_id": [f"r{i}" for i in range(N)]},
        NAMED | {"p_2023": 1.0, "p_2024": 0.5, "p_value": None},
        ONE | {"prediction": P_YES, "p_value": 0.5},
        {"label": NAMES, "is_member": MEMBER, "p_yes": P_YES},
        {"label": NAMES, "is_member": MEMBER, "p_no": 1 - P_YES},
        ONE | {"p_1": P_YES},
        ONE | {"p": P_YES},
        ONE | {"probability": P_YES},
        ONE | {"score": P_YES},
        ONE | {"prediction": CODES, "proba": P_YES},
        ONE | {"prediction": P_YES, "score": P_YES / 2},
        {"label": NAMES, "is_member": MEMBER, "p": P_YES},
        ONE | {"prediction": [str([float(p) for p in row]) for row in BOTH]},
        ONE | {"prediction": [str(row) for row in BOTH.astype(np.float32)]},
    ],
    ids=lambda columns: ", ".join(f"{n}={np.asarray(v).ravel()[:1]}" for n, v in columns.items()),
)
def test_the_same_answers_in_another_dress_have_the_same_figures(tmp_path, plain, columns: dict[str, Any]) -> None:
    report = measured(tmp_path, {name: values for name, values in columns.items() if values is not None})
    for (metrics, utility), (expected, same) in zip(figures(report), plain, strict=True):
        assert metrics["auc"].value == pytest.approx(expected["auc"].value, abs=1e-4)
        assert utility["test_accuracy"] == same["test_accuracy"]


@pytest.mark.parametrize(
    ("columns", "settings"),
    [
        (NAMED | {"p_no": 100 - 100 * P_YES, "p_yes": 100 * P_YES}, {"answers": "percent"}),
        (ONE | {"p": 100 * P_YES}, {"answers": "percent"}),
        (NAMED | {"p_no": np.log(1 - P_YES) + 3, "p_yes": np.log(P_YES) + 3}, {"answers": "logits"}),
        (ONE | {"score": logit(P_YES)}, {"answers": "logits"}),
        (NAMED | {"p_no": -logit(P_YES), "p_yes": 0 * P_YES}, {"answers": "logits"}),
        ({"target": CODES, "split": MEMBER, "out": P_YES, "label": 7}, {"columns": "label split out"}),
        ({"y": NAMES, "is_member": MEMBER, "q_yes": P_YES, "q_no": 1 - P_YES, "p_0": 5}, {"columns": "y star"}),
    ],
    ids=["percent", "one percent", "logits", "one logit", "logits of one", "named", "star"],
)
def test_scales_and_columns_that_are_said(tmp_path, plain, columns, settings: dict[str, Any]) -> None:
    by_name = {
        "label split out": {"label": "target", "is_member": "split", "prediction": "out"},
        "y star": {"label": "y", "prediction": "q_*"},
    }
    report = measured(tmp_path, columns, **{k: by_name.get(v, v) for k, v in settings.items()})
    for (metrics, _), (expected, _) in zip(figures(report), plain, strict=True):
        assert metrics["auc"].value == pytest.approx(expected["auc"].value, abs=1e-4)


@pytest.mark.parametrize(
    ("columns", "note"),
    [
        (
            {"label": NAMES, "is_member": MEMBER, "p": P_YES},
            "p is read as the probability of the class yes, which sorts",
        ),
        (
            {"label": NAMES, "is_member": MEMBER, "p_no": 1 - P_YES},
            "p_no is read as the probability of the class no, and",
        ),
    ],
)
def test_a_report_says_which_class_a_single_number_is_of(tmp_path, columns: dict[str, Any], note: str) -> None:
    report = measured(tmp_path, columns)
    assert report.data.warnings[0].startswith(note)
    assert [entry.label for entry in report.results[0].by_class] == ["no", "yes"]


WEATHER = np.array(["dry", "sun", "wet"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (NAMED | {"p_no": 100 - 100 * P_YES, "p_yes": 100 * P_YES}, [": percent, not prob", "; add --answers percent"]),
        (
            ONE | {"p": np.rint(100 * P_YES).astype(int)},
            ["percent, not probabilities; add --answers percent (in a spec"],
        ),
        (
            ONE | {"score": logit(P_YES)},
            ["logits, not probabilities; add --answers logits (in a spec, answers: logits)"],
        ),
        (ONE | {"p_0": -logit(P_YES), "p_1": logit(P_YES)}, ["logits, not probabilities; add --answers logits"]),
        (
            NAMED | {"is_member": np.array(["a", "b", "train"])[np.arange(N) % 3]},
            ["with the values a, b, which say neither"],
        ),
        (
            ONE | {"p": P_YES, "score": P_YES},
            ["has p and score, and either may be", "say which: --column prediction=p"],
        ),
        (ONE | {"p_no": 1 - P_YES, "p_yes": P_YES}, ["has columns p_no, p_yes and labels 0, 1; expected"]),
        (ONE | {"label": np.arange(N) % 3, "p": P_YES}, ["one number per record", "the labels 0, 1, 2; store"]),
        (
            ONE | {"prediction": NAMES},
            ["prediction of type string, such as", "expected lists of numbers, such as [0.25"],
        ),
        (ONE | {"p_yes": P_YES}, ["has columns p_yes and labels 0, 1; expected p_0 to p_1"]),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[0],
)
def test_what_is_refused_says_what_mends_it(tmp_path, columns: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(DataError) as refused:
        measured(tmp_path, columns)
    assert [part for part in said if part not in str(refused.value)] == [], refused.value


@pytest.mark.parametrize("scale", ["percent", "logits"])
def test_probabilities_that_are_called_otherwise_are_refused(tmp_path, scale: str) -> None:
    with pytest.raises(DataError, match=rf"probabilities, not {scale}; leave --answers {scale} out"):
        measured(tmp_path, NAMED, answers=scale)
    with pytest.raises(DataError, match="logits, not percent; add --answers logits"):
        measured(tmp_path, ONE | {"score": logit(P_YES) - 1}, answers="percent")


def test_shadow_models_may_mark_in_records_by_is_in(tmp_path) -> None:
    ids, is_in = np.arange(N), MEMBER
    target = pd.DataFrame(NAMED | {"record_id": ids})
    parts = []
    for model in range(6):
        is_in = ~is_in if model % 2 else RNG.permutation(N) < N // 2  # each record IN and OUT
        p = 1 / (1 + np.exp(-(RNG.normal(size=N) + (2 * CODES - 1) * (1 + 2 * is_in))))
        part = {"label": NAMES, "p_no": 1 - p, "p_yes": p, "record_id": ids, "model_id": model, "is_in": is_in}
        parts.append(pd.DataFrame(part))
    shadow = pd.concat(parts)
    files = {
        "is_in": shadow,
        "both": shadow.assign(is_member=np.tile(MEMBER, 6)),
        "is_member": shadow.rename(columns={"is_in": "is_member"}),
    }
    spec, reports = ScoreSpec(attacks=({"kind": "lira", "mode": "online"},)), []
    target.to_parquet(tmp_path / "target.parquet")
    for name, table in files.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
        opened = open_files(str(tmp_path / "target.parquet"), str(tmp_path / f"{name}.parquet"), spec)
        reports.append(score_stored(*opened, spec)[0].results_json())
    assert reports[0] == reports[1] == reports[2]
    assert score_stored(*opened, spec)[0].results[0].metrics["auc"].low > 0.5


def test_all_that_is_wrong_with_both_files_is_said_at_once(tmp_path, command) -> None:
    shapes = {"x": NAMED | {"is_member": "maybe", "p_yes": 7.0, "record_id": 0.5}, "y": NAMED | {"model_id": 0.5}}
    for name, columns in shapes.items():
        pd.DataFrame(columns).to_parquet(tmp_path / f"{name}.parquet")
    code, _, err = command("score", tmp_path / "x.parquet", "--shadow", tmp_path / "y.parquet")
    assert code == 1 and "the predictions need 4 corrections:" in err
    for part in ("x.parquet' has is_member", "x.parquet' has record_id", "logits, not prob", "y.parquet' has model_id"):
        assert part in err
    pd.DataFrame(shapes["x"]).drop(columns="label").to_parquet(tmp_path / "x.parquet")
    pd.DataFrame(shapes["y"]).drop(columns=["is_member"]).to_parquet(tmp_path / "y.parquet")
    _, _, err = command("score", tmp_path / "x.parquet", "--shadow", tmp_path / "y.parquet")
    for part in ("x.parquet' has no column label; it has", "has is_member of type string with the values maybe",
                 "y.parquet' has no column is_member", "y.parquet' has model_id of type double"):  # fmt: skip
        assert part in err


def test_the_command_s_columns_and_answers_stand_above_the_spec_s(tmp_path, command) -> None:
    pd.DataFrame(ONE | {"score": logit(P_YES)}).rename(columns={"label": "target"}).to_parquet(tmp_path / "x.parquet")
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump({"columns": {"label": "target", "is_member": "split"}, "answers": "percent"}))
    options = ("--column", "is_member=is_member", "--answers", "logits")
    assert command("score", tmp_path / "x.parquet", "--spec", spec, *options)[0] == 0
    code, _, err = command("score", tmp_path / "x.parquet", "--spec", spec, "--answers", "logits")
    assert code == 1 and "has no column split (--column is_member=split)" in err


@pytest.mark.parametrize(
    ("columns", "answers", "said"),
    [
        (
            ["target"],
            None,
            r"--column='target' must be ROLE=NAME; the roles are prediction, label, is_member, record_id",
        ),
        (["y=target"], None, "--column='y=target' must be ROLE=NAME"),
        ([], "odds", r"answers='odds': expected one of probabilities, percent, logits"),
    ],
)
def test_options_that_are_none(columns: list[str], answers: str | None, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        ScoreSpec.load(None, (), columns, answers)


def test_a_scale_and_columns_in_a_spec_that_are_none(tmp_path) -> None:
    (tmp_path / "s.yaml").write_text("{columns: {lable: y}, answers: odds}")
    with pytest.raises(SpecError, match=r"columns\.lable(.|\n)*answers='odds'"):
        ScoreSpec.load(tmp_path / "s.yaml")


def identified(kind: str, numbers: Any) -> Any:
    """Return ids of a kind for some numbers."""
    if kind == "UUID":
        return [uuid.UUID(int=10**30 + int(number)) for number in numbers]
    if kind == "UUID as text":
        return [str(uuid.UUID(int=10**30 + int(number))) for number in numbers]
    if kind == "large":
        return np.asarray(numbers, np.uint64) + np.uint64(2**63)
    if kind == "day":
        return pd.Timestamp("2020-01-01") + pd.to_timedelta(np.asarray(numbers), unit="D")
    return [f"r{number}" for number in numbers] if kind == "text" else np.asarray(numbers).astype(kind)


@pytest.mark.parametrize(
    ("target_ids", "shadow_ids", "model_ids", "labels"),
    [
        ("int64", "int64", "text", ("int64", "int64")),
        ("text", "text", "UUID", ("text", "text")),
        ("UUID", "UUID as text", "int64", ("float", "float")),
        ("UUID as text", "UUID", "UUID as text", ("int64", "bool")),
        ("int32", "str", "str", ("str", "int64")),
        ("large", "large", "large", ("bool", "str")),
        ("day", "day", "day", ("float", "str")),
    ],
)
def test_ids_and_labels_of_any_kind_give_one_report(tmp_path, target_ids, shadow_ids, model_ids, labels) -> None:
    rng = np.random.default_rng(5)
    names = {"text": NAMES, "int64": CODES, "bool": CODES == 1, "str": CODES.astype(str), "float": CODES + 0.5}
    names |= {"str": (CODES + 0.5).astype(str)} if "float" in labels else {}

    target = {"is_member": MEMBER, "prediction": BOTH.tolist()}
    shadows = []
    is_in = np.zeros(N, bool)
    for i, model in enumerate((11, 2, 7, 10)):  # each record is IN and OUT
        order, is_in = rng.permutation(N), ~is_in if i % 2 else rng.permutation(N) < N // 2
        p = 1 / (1 + np.exp(-(rng.normal(size=N) + (2 * CODES - 1) * (1 + 2 * is_in))))
        shadows.append((model, order, is_in, np.column_stack([1 - p, p])))

    def scored(ids: tuple[str, str, str], label: tuple[str, str]) -> list[float]:
        pd.DataFrame(target | {"label": names[label[0]], "record_id": identified(ids[0], np.arange(N) * 3)}).to_parquet(
            tmp_path / "x.parquet"
        )
        parts = [
            pd.DataFrame({"label": names[label[1]][order], "is_in": is_in[order], "prediction": p[order].tolist(),
                          "record_id": identified(ids[1], order * 3), "model_id": identified(ids[2], [model] * N)})
            for model, order, is_in, p in shadows
        ]  # fmt: skip
        pd.concat(parts).to_parquet(tmp_path / "y.parquet")
        spec = ScoreSpec(attacks=({"kind": "loss"}, {"kind": "rmia", "mode": "online"}))
        report = score_stored(*open_files(str(tmp_path / "x.parquet"), str(tmp_path / "y.parquet"), spec), spec)[0]
        found = [result.metrics["auc"].value for result in report.results]
        assert report.shadows.n_models == 4 and report.controls["copies"].status == "pass"
        return found

    plain = scored(("int64", "int64", "int64"), ("int64", "int64"))
    assert scored((target_ids, shadow_ids, model_ids), labels) == pytest.approx(plain, abs=1e-6)


def test_a_text_id_that_is_there_twice_is_named(tmp_path) -> None:
    pd.DataFrame(NAMED | {"record_id": ["a", *map(str, range(1, N - 1)), "a"]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="record_id a 2 times"):
        open_files(str(tmp_path / "x.parquet"), None, ScoreSpec())[0].record_ids()


def test_files_whose_labels_are_of_other_classes_are_refused(tmp_path) -> None:
    pd.DataFrame(NAMED).to_parquet(tmp_path / "x.parquet")
    pd.DataFrame(NUMBERED).to_parquet(tmp_path / "y.parquet")
    opened = open_files(str(tmp_path / "x.parquet"), str(tmp_path / "y.parquet"), ScoreSpec())
    with pytest.raises(DataError, match=r"has labels of the classes 0, 1, and .* of no, yes"):
        score_stored(*opened, ScoreSpec())
