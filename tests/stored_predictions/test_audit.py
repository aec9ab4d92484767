"""From stored predictions to a report."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.stored_predictions.tables import N_CLASSES, N_MODELS, N, answers, audit, column, stored
from umbrameter.attacks import Lira, Loss, References, Signals, Vectors
from umbrameter.errors import DataError
from umbrameter.evaluation.controls import failures
from umbrameter.mitigations import Composition, LabelOnly, MemGuard, Params, Rounding, TopK
from umbrameter.predictions.parquet import StoredPredictions
from umbrameter.report.sentences import likeness_sentence
from umbrameter.spec.score import ScoreSpec
from umbrameter.statistics.metrics import measure
from umbrameter.store.arrow import vector_column
from umbrameter.stored_predictions.audit import report_files, score_stored


def by_attack(report):
    return {result.attack: result for result in report.results}


def test_every_attack_is_measured_as_on_arrays(tmp_path):
    target, shadow = audit()
    report, curves = score_stored(*stored(tmp_path, target=target, shadow=shadow), ScoreSpec())
    results = by_attack(report)
    assert set(curves) == set(results) and report.shadows.n_models == N_MODELS
    vectors = Vectors(np.stack(target["prediction"].to_numpy()), np.asarray(target["label"]))
    member = np.asarray(target["is_member"])
    loss = Loss().score(Signals(vectors))
    assert results["loss"].metrics["auc"] == measure(loss, member, None)["auc"]
    logits, is_in = np.empty((N_MODELS, 2 * N), np.float32), np.empty((N_MODELS, 2 * N), bool)
    places = {record: i for i, record in enumerate(target["record_id"].to_pylist())}
    for row in shadow.to_pylist():
        one = Vectors(np.array([row["prediction"]], np.float32), np.array([row["label"]]))
        logits[row["model_id"], places[row["record_id"]]] = one.logit()[0]
        is_in[row["model_id"], places[row["record_id"]]] = row["is_member"]
    known = References(logits, is_in)
    scores = Lira(mode="online").compare(vectors.logit(), known)
    called = scores >= Lira(mode="online").threshold(Signals(vectors, references={1.0: known}))
    assert results["lira(online)"].metrics == measure(scores, member, called)
    assert results["lira(online)"].metrics["auc"].value > results["loss"].metrics["auc"].value
    assert not failures(report.controls)


def test_combined_says_what_it_chose_and_scores_alike(tmp_path):
    target, shadow = audit()
    several = {"kind": "combined", "attacks": [{"kind": "loss"}, {"kind": "lira", "mode": "online"}]}
    spec = ScoreSpec(attacks=(several, {"kind": "lira", "mode": "online"}))
    one, other = score_stored(*stored(tmp_path, target=target, shadow=shadow), spec)[0].results
    assert one.chosen == "lira(online)" and one.metrics == other.metrics and other.chosen is None


def test_chunks_change_nothing(tmp_path, monkeypatch):
    files = stored(tmp_path, **dict(zip(("target", "shadow"), audit(), strict=True)))
    whole, _ = score_stored(*files, ScoreSpec())
    monkeypatch.setattr("umbrameter.predictions.parquet.BATCH", 100 * N_CLASSES)
    parts, _ = score_stored(*files, ScoreSpec())
    assert parts.results_json() == whole.results_json()


def test_without_shadow_predictions_what_needs_them_is_not_measured(tmp_path):
    (target,) = stored(tmp_path, target=audit()[0])
    results = by_attack(score_stored(target, None, ScoreSpec())[0])
    assert results["loss"].metrics["auc"].low > 0.5
    assert "no threshold from shadow data" in results["loss"].metrics["accuracy"].not_measured
    assert "needs shadow models' predictions (--shadow)" in results["lira(online)"].metrics["auc"].not_measured


@pytest.mark.parametrize("column", ["model_id", "record_id"])
def test_shadow_predictions_without_ids_serve_thresholds_alone(tmp_path, column):
    target, shadow = audit()
    report, _ = score_stored(*stored(tmp_path, target=target, shadow=shadow.drop_columns([column])), ScoreSpec())
    results = by_attack(report)
    assert results["modified_entropy"].metrics["accuracy"].low > 0.5
    assert f"there is no {column} in the shadow predictions; " in results["rmia(offline)"].metrics["auc"].not_measured
    assert "record_id in both files and model_id" in results["rmia(offline)"].metrics["auc"].not_measured


def test_records_that_no_model_was_trained_on_allow_offline_attacks_alone(tmp_path):
    target, shadow = audit()
    first = np.asarray(shadow["record_id"]) == target["record_id"][0].as_py()
    out = np.asarray(shadow["is_member"]) & ~first
    shadow = shadow.set_column(shadow.schema.get_field_index("is_member"), "is_member", pa.array(out))
    results = by_attack(score_stored(*stored(tmp_path, target=target, shadow=shadow), ScoreSpec())[0])
    assert "1 audited records are IN of no shadow model" in results["lira(online)"].metrics["auc"].not_measured
    assert results["lira(offline)"].metrics["auc"].low > 0.5
    partial = shadow.filter(~(first & (np.asarray(shadow["model_id"]) == 3)))
    results = by_attack(score_stored(*stored(tmp_path, target=target, shadow=partial), ScoreSpec())[0])
    assert "each audited record exactly once" in results["lira(offline)"].metrics["auc"].not_measured


def test_slices_and_columns_p(tmp_path):
    target, _ = audit()
    vectors = np.stack(target["prediction"].to_numpy())
    columns = {f"p_{i}": vectors[:, i] for i in range(N_CLASSES)}
    group = np.where(np.asarray(target["is_member"]) & (np.arange(2 * N) % 2 == 0), "a", "b")
    table = pa.table({**columns, "label": target["label"], "is_member": target["is_member"], "sex": group})
    table = table.append_column("age", pa.array(np.full(2 * N, 1.5)))
    (found,) = stored(tmp_path, target=table)
    assert found.slices == ["sex"] and found.n_classes == N_CLASSES
    (result, *_) = score_stored(found, None, ScoreSpec(attacks=({"kind": "loss"},)))[0].results
    assert [entry.label for entry in result.by_slice["sex"]] == ["a", "b"]
    assert "no non-members" in result.by_slice["sex"][0].auc.not_measured
    assert result.worst_slice["sex"].group in ("a", "b")


# Wrong audits


def test_exchanged_sides_shuffled_rows_and_copies_are_caught(tmp_path):
    target, _ = audit()
    rng = np.random.default_rng(1)
    wrong = {
        "orientation": column(target, "is_member", pa.array(~np.asarray(target["is_member"]))),
        "answers_fit_labels": column(target, "label", pa.array(rng.permutation(np.asarray(target["label"])))),
    }
    for name, table in wrong.items():
        report, _ = score_stored(*stored(tmp_path, target=table), None, ScoreSpec(limits=({"preset": "owasp_aisvs"},)))
        assert report.controls[name].status == "fail" and report.verdict.status == "not_measured"
        assert f"The control {name} failed" in report.verdict.reason
    member = np.asarray(target["is_member"])
    some = target.take(np.flatnonzero(member)[:20])
    copied = pa.concat_tables([target, column(some, "is_member", pa.array(np.zeros(20, bool)))])
    report, _ = score_stored(*stored(tmp_path, target=copied), None, ScoreSpec())
    assert report.controls["copies"].status == "fail"


def test_classes_have_the_names_of_the_labels(tmp_path):
    target, shadow = audit(n=100, n_models=2)
    names = np.array(["fox", "hen", "owl", "pig", "rat"])
    named = [column(table, "label", pa.array(names[np.asarray(table["label"])])) for table in (target, shadow)]
    numbered = [column(table, "label", pa.array(np.asarray(table["label"]) + 1)) for table in (target, shadow)]
    spec = ScoreSpec(attacks=(Loss(), {"kind": "modified_entropy"}))
    plain, text, from_1 = (
        score_stored(*stored(tmp_path, target=t, shadow=s), spec)[0] for t, s in ((target, shadow), named, numbered)
    )
    for first, *others in zip(plain.results, text.results, from_1.results, strict=True):
        assert [other.metrics for other in others] == [first.metrics] * 2
    assert [entry.label for entry in text.results[0].by_class] == names.tolist()
    assert [entry.label for entry in from_1.results[0].by_class] == ["1", "2", "3", "4", "5"]
    with pytest.raises(DataError, match=r"shadow.parquet' has labels of the classes 0, 1, 2, 3, 4, and .* of 1, 2, 3"):
        score_stored(*stored(tmp_path, target=numbered[0], shadow=shadow), spec)


def test_labels_that_are_cleaner_on_one_side_are_drift(tmp_path):
    target, shadow = audit(gap=0)
    member = dict(zip(target["record_id"].to_pylist(), target["is_member"].to_pylist(), strict=True))
    rng = np.random.default_rng(0)
    noisy = {
        record: int(rng.integers(N_CLASSES)) for record, is_in in member.items() if not is_in and rng.random() < 0.5
    }
    tables = {}
    for name, table in (("target", target), ("shadow", shadow)):
        pairs = zip(table["record_id"].to_pylist(), table["label"].to_pylist(), strict=True)
        tables[name] = column(table, "label", pa.array([noisy.get(record, label) for record, label in pairs]))
    report, _ = score_stored(*stored(tmp_path, **tables), ScoreSpec(limits=({"preset": "owasp_aisvs"},)))
    assert report.controls["label_drift"].status == "fail" and report.verdict.status == "not_measured"
    report, _ = score_stored(*stored(tmp_path, target=target, shadow=shadow), ScoreSpec())
    assert report.controls["label_drift"].status == "pass"


def test_non_members_that_were_trained_on_are_caught_and_the_target_is_not_alike(tmp_path):
    target, shadow = audit(gap=4.0)
    rng = np.random.default_rng(5)
    everywhere = answers(rng, np.asarray(target["label"]), 0, np.ones(2 * N), 4.0)
    both = column(target, "prediction", vector_column(everywhere))
    report, _ = score_stored(*stored(tmp_path, target=both, shadow=shadow), ScoreSpec())
    assert report.controls["unseen_nonmembers"].status == "fail" and likeness_sentence(report)
    likeness = score_stored(*stored(tmp_path, target=target, shadow=shadow), ScoreSpec())[0].shadows.likeness
    columns = {name: np.asarray(shadow[name]) for name in ("model_id", "is_member", "label")}
    right = np.stack(shadow["prediction"].to_numpy()).argmax(axis=1) == columns["label"]
    by_model = [right[(columns["model_id"] == i) & columns["is_member"]].mean() for i in range(N_MODELS)]
    assert likeness.members["accuracy"].shadows == pytest.approx(np.mean(by_model))


def test_shadow_controls_that_lack_answers_say_that_nothing_was_checked(tmp_path):
    target, shadow = audit()
    all_in = column(shadow, "is_member", pa.array(np.ones(len(shadow), bool)))
    reasons = {
        "there are no shadow models' predictions": None,
        "record_id in both files and model_id": shadow.drop_columns(["model_id"]),
        "no non-member with is_member false": all_in,
    }
    for reason, table in reasons.items():
        tables = {"target": target} | ({} if table is None else {"shadow": table})
        files = stored(tmp_path, **tables)
        report, _ = score_stored(
            files[0], files[1] if table is not None else None, ScoreSpec(attacks=({"kind": "gap"},))
        )
        for name in ("label_drift", "unseen_nonmembers"):
            control = report.controls[name]
            assert control.status == "not_measured" and control.reason.startswith("not checked: ")
            assert reason in control.reason
        assert report.shadows.likeness is None


def test_models_trained_on_records_outside_the_audit_are_compared_by_what_is_known_of_these(tmp_path):
    target, shadow = audit()
    elsewhere = shadow.filter(shadow["is_member"])
    out = column(shadow, "is_member", pa.array(np.zeros(len(shadow), bool)))
    others = column(elsewhere, "record_id", pa.array(np.asarray(elsewhere["record_id"]) + 100 * N))
    files = stored(tmp_path, target=target, shadow=pa.concat_tables([out, others]))
    likeness = score_stored(*files, ScoreSpec(attacks=({"kind": "gap"},)))[0].shadows.likeness
    right = np.stack(elsewhere["prediction"].to_numpy()).argmax(axis=1) == np.asarray(elsewhere["label"])
    assert likeness.members["accuracy"].shadows == pytest.approx(right.mean())  # all models have as many


def test_a_slice_that_tells_members_from_non_members_is_a_shifted_split(tmp_path):
    target, _ = audit()
    year = np.where(np.asarray(target["is_member"]), "2024", np.where(np.arange(2 * N) % 3 == 0, "2025", "2024"))
    report, _ = score_stored(*stored(tmp_path, target=target.append_column("year", pa.array(year))), None, ScoreSpec())
    assert report.controls["blind_baseline"].status == "fail"


def broken():
    target, _ = audit(n=50)
    vectors = np.stack(target["prediction"].to_numpy()).copy()

    def with_vectors(row, values):
        changed = vectors.copy()
        changed[row] = values
        return column(target, "prediction", vector_column(changed))

    label = np.asarray(target["label"]).copy()
    label[7] = 5
    mixed = [list(map(float, v)) for v in vectors]
    mixed[9] = mixed[9][:3]
    return {
        "nan": (with_vectors(3, np.nan), r"has \[nan.*\] in row 3 \(1 such rows\); expected finite confidences"),
        "sum": (with_vectors(4, 0.3), r"has 1.5 in row 4 .* expected confidences that sum to 1 within 0.001"),
        "outside": (with_vectors(5, [1.5, -0.5, 0, 0, 0]), r"has .* in row 5 .* expected confidences in \[0, 1\]"),
        "label": (column(target, "label", pa.array(label)), r"has 5 in row 7 .* expected labels 0 \.\. 4"),
        "float label": (
            column(target, "label", pa.array(label + 0.5)),
            r"has the labels 0.5, 1.5, .* 5 confidences",
        ),
        "one side": (
            column(target, "is_member", pa.array(np.ones(100, bool))),
            r"has only members .* needs members and",
        ),
        "column": (target.drop_columns(["is_member"]), r"has no column is_member; it has label, record_id"),
        "no vectors": (target.drop_columns(["prediction"]), r"has no column prediction \(or p_0"),
        "flag": (
            column(target, "is_member", pa.array(["yes", "val"] * 50)),
            r"has is_member .* the values val, which say",
        ),
        "widths": (
            column(target, "prediction", pa.array(mixed)),
            r"has 3 in row 9 .* expected 5 confidences, as in row 0",
        ),
        "empty": (target.slice(0, 0), r"has no rows"),
        "text label": (
            column(target, "label", pa.array(np.array(list("abcdef"))[label])),
            r"has the labels a, b, c, d, e, f as text and 5 confidences .* store labels as integers 0 \.\. 4",
        ),
        "flags": (
            column(target, "is_member", pa.array([0, 2] * 50)),
            r"has is_member of type int64 with the values 2, which say neither; expected true and false, 1 and 0",
        ),
        "answers twice": (
            pa.table({f"p_{i}": vectors[:, i] for i in range(N_CLASSES)} | {n: target[n] for n in target.column_names}),
            r"has the answers twice, in prediction and in p_0, p_1, p_2, p_3, p_4; drop one",
        ),
        "labels for answers": (
            column(target, "prediction", pa.array(label % 2 * 1.0)),
            r"has prediction of type double, one number per record and all 0 or 1: labels",
        ),
        "gap": (
            target.drop_columns(["prediction"])
            .append_column("p_0", pa.array(label))
            .append_column("p_2", pa.array(label)),
            r"has columns p_0, p_2 and labels 0, 1, 2, 3, 4; expected p_0 to p_1 without gaps, or columns that",
        ),
    }


@pytest.mark.parametrize("name", broken())
def test_broken_files_say_what_is_wrong(tmp_path, name):
    table, text = broken()[name]
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=rf"PREDICTIONS='.*x\.parquet' {text}"):
        score_stored(StoredPredictions(tmp_path / "x.parquet"), None, ScoreSpec())


def test_what_is_no_parquet_or_of_other_classes(tmp_path):
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        StoredPredictions(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="does not exist; give a Parquet file or a folder"):
        StoredPredictions(tmp_path / "nowhere")
    target, shadow = audit(n=20)
    fewer = column(shadow, "prediction", vector_column(np.full((len(shadow), 2), 0.5, np.float32)))
    with pytest.raises(DataError, match=r"has 2 confidences per record, and .* has 5"):
        score_stored(*stored(tmp_path, target=target, shadow=fewer), ScoreSpec())
    doubled = pa.concat_tables([target, target])
    with pytest.raises(DataError, match=r"has record_id \d+ 2 times"):
        score_stored(*stored(tmp_path, target=doubled, shadow=shadow), ScoreSpec())


# Mitigations


def test_mitigations_are_measured_by_two_attackers_and_those_of_the_training_are_not(tmp_path):
    target, shadow = audit()
    rows = [TopK(1), MemGuard(), Composition((MemGuard(), Rounding(1))), Params({"max_depth": 3})]
    spec = ScoreSpec(attacks=(Loss(), Lira(mode="online")), mitigations=rows)
    report, _ = score_stored(*stored(tmp_path, target=target, shadow=shadow), spec)
    found = {(r.attack, r.mitigation, r.attacker): r for r in report.results}
    assert {name for name, _, _ in found} == {"loss", "lira(online)", "confidence", "gap"}
    vectors = Vectors(np.stack(target["prediction"].to_numpy()), np.asarray(target["label"]))
    cut = Vectors(TopK(1).transform(vectors.predictions), vectors.labels)
    member = np.asarray(target["is_member"])
    for attacker in ("adaptive", "static"):
        assert found["loss", "top_k(1)", attacker].metrics["auc"] == measure(Loss().signal(cut), member, None)["auc"]
    guarded = found["loss", "memguard(1)", "adaptive"]
    assert guarded.utility["label_agreement"].value == 1 and 0 < guarded.utility["distortion"].value <= 1
    assert guarded.change["test_accuracy"].value == 0 and guarded.change["auc"].value < 0
    trained = [r for r in report.results if r.mitigation == "params(max_depth=3)"]
    assert len(trained) == 4
    for result in trained:
        assert "acts in the training, and stored predictions cannot be retrained" in str(result.metrics["auc"])
    assert report.recommendation is not None
    pages = report_files(report, {})
    assert "figures/mitigations.png" in pages and b"What mitigations cost" in pages["report.html"]


def test_without_shadow_predictions_a_guard_cannot_be_trained(tmp_path):
    target, _ = audit()
    spec = ScoreSpec(attacks=(Loss(),), mitigations=[MemGuard(), LabelOnly()])
    report, _ = score_stored(*stored(tmp_path, target=target), None, spec)
    found = {(r.attack, r.mitigation): r for r in report.results}
    assert "needs shadow models' predictions (--shadow) to learn from" in str(
        found["loss", "memguard(1)"].metrics["auc"]
    )
    assert found["loss", "label_only"].attacker == "adaptive" and found["gap", "label_only"].metrics["auc"].value > 0.5
    assert "needs shadow models" in str(found["confidence", "label_only"].metrics["auc"])
