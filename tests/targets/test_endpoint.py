"""The requests to an endpoint, and how its answers are read, without any endpoint."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from umbrameter.errors import DataError, TargetError
from umbrameter.mitigations import LabelOnly, Rounding, TopK
from umbrameter.targets.columns import Columns, same
from umbrameter.targets.endpoint import EndpointTarget, JsonRequest, MlflowRequest, Token
from umbrameter.targets.endpoint_format import aligned, all_classes, answers_of, body_of, encoded

URL = "http://localhost:5000/invocations"
PLAIN = EndpointTarget(url=URL)
PEOPLE = Columns(("pay", "age", "colour"), {"colour": ("blue", "red")}, (False, True, False))


# Settings


def test_defaults_are_those_of_mlflow() -> None:
    assert PLAIN.model_dump(mode="json") == {
        "kind": "endpoint",
        "url": URL,
        "request": {"kind": "mlflow"},
        "labels": None,
        "answers": [],
        "batch_size": 500,
        "concurrency": 4,
        "timeout": 30.0,
        "retries": 5,
        "longest_wait": 60.0,
        "ca": None,
        "token": None,
        "budget": None,
    }


def test_what_an_endpoint_does_is_read_by_kind() -> None:
    said = [{"kind": "top_k", "k": 3}, {"kind": "rounding", "decimals": 2}, {"kind": "label_only"}]
    target = EndpointTarget.model_validate({"url": URL, "answers": said})
    assert EndpointTarget.model_validate({"url": URL, "labels": [False, 1, "a"]}).model_dump()["labels"] == (
        False,
        1,
        "a",
    )
    assert target.answers == (TopK(3), Rounding(2), LabelOnly())
    assert target.does(Rounding) and not PLAIN.does(Rounding, TopK)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"url": "ftp://a/b"}, "should match pattern"),
        ({"url": "http:///b"}, "names no host"),
        ({"url": "http://a:99999/b"}, "Port out of range"),
        ({"labels": ["a", "b", "a"]}, "a is listed twice"),
        ({"labels": ["a"]}, "at least 2 items"),
        ({"answers": [{"kind": "memguard"}]}, "does not match any of the expected tags"),
        ({"concurrency": 65}, "less than or equal to 64"),
        ({"timeout": 0}, "greater than 0"),
        ({"timeout": float("inf")}, "finite number"),
        ({"retries": -1}, "greater than or equal to 0"),
        ({"token": {}}, "either env .* or secret"),
        ({"token": {"env": "A", "secret": "b"}}, "either env .* or secret"),
        ({"token": {"env": "A", "header": "X: y"}}, "should match pattern"),
        ({"tokens": 1}, "Extra inputs"),
        ({"request": {"kind": "json", "body": {"a": 1}, "probabilities": "p"}}, r"'\$records' is in the body 0 times"),
        (
            {"request": {"kind": "json", "body": ["$records", {"a": "$records"}], "probabilities": "p"}},
            "in the body 2 times; write it once",
        ),
        ({"request": {"kind": "json", "body": "$records", "probabilities": "a..b"}}, "should match pattern"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        EndpointTarget.model_validate({"url": URL} | settings)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match=r"holds a user or password; .* set target\.token") as caught:
        EndpointTarget(url="https://user:hunter2@models.example/x")
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value.errors()[0]["input"], dict | EndpointTarget)  # which specs do not repeat either


def test_a_secret_in_the_query_of_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(
        ValidationError, match=r"url holds 'api_key', which looks like a secret; .* target\.token"
    ) as caught:
        EndpointTarget(url="https://models.example/x?version=3&api_key=hunter2")
    assert "hunter2" not in str(caught.value)
    assert EndpointTarget(url="https://models.example/x?version=3").place == "https://models.example/x"


SECRETS = (
    "code pwd pass jwt sig api_key apikey X-Api-Key apiKey subscription-key access_token credentials X-Amz-Signature"
)
HARMLESS = "signature_name keypoints keys max_tokens author passenger design version codec name"


@pytest.mark.parametrize("name", SECRETS.split())
def test_what_looks_like_a_secret_is_refused_in_address_and_body_and_not_repeated(name: str) -> None:
    request = {"body": {"inputs": "$records", "more": [{name: "hunter2"}]}, "probabilities": "a"}
    text = rf"the body holds '{name}', which looks like a secret; leave it out, and set target\.token, with its header"
    with pytest.raises(ValidationError, match=text) as caught:
        JsonRequest.model_validate(request)
    assert "hunter2" not in str(caught.value)
    for before in ("version=3&", "version=3;", ""):
        with pytest.raises(ValidationError, match=f"url holds '{name}', which looks like a secret") as caught:
            EndpointTarget(url=f"{URL}?{before}{name}=hunter2")
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", HARMLESS.split())
def test_what_only_begins_like_a_secret_is_taken(name: str) -> None:
    JsonRequest(body={"inputs": "$records", name: "serving_default"}, probabilities="a")
    EndpointTarget(url=f"{URL}?{name}=3")


def test_a_fragment_of_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match="url holds a fragment, which is never sent") as caught:
        EndpointTarget(url=f"{URL}#access=hunter2")
    assert "hunter2" not in str(caught.value)


def test_what_decides_the_answers_holds_no_secret_and_no_pace() -> None:
    other = EndpointTarget(url=URL, batch_size=7, concurrency=1, token=Token(env="KEY"), budget=9, ca="ca.pem")
    assert PLAIN.identity == other.identity
    assert json.dumps(PLAIN.identity)
    assert PLAIN.identity != EndpointTarget(url=URL, answers=(TopK(1),)).identity


# What is sent


def test_codes_become_text_and_integers_stay_integers() -> None:
    X = np.array([[0.1, 37, 1], [2.5, -4, 0]], dtype=np.float32)
    rows = encoded(X, PEOPLE)
    assert rows == [[float(np.float32(0.1)), 37, "red"], [2.5, -4, "blue"]]
    assert [type(value) for value in rows[0]] == [float, int, str]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_float32_values_arrive_exactly(values: list[float]) -> None:
    X = np.array(values, dtype=np.float32)[:, None]
    sent = json.loads(json.dumps(encoded(X, Columns(("a",), {}, (False,)))))
    assert np.array(sent, dtype=np.float32).tobytes() == X.tobytes()


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ([np.nan, 1, 0], r"column 'pay' of record 8 is not a finite number \(1 such"),
        ([1, 1.25, 0], "column 'age' of record 8 is not an integer"),
        ([1, np.inf, 0], "column 'age' of record 8 is not an integer"),
        ([1, 1, 2], r"column 'colour' of record 8 is not a code 0 \.\. 1"),
        ([1, 1, -1], r"column 'colour' of record 8 is not a code 0 \.\. 1"),
    ],
)
def test_values_that_cannot_be_sent(row: list[float], text: str) -> None:
    with pytest.raises(DataError, match=text) as caught:
        encoded(np.array([[0, 1, 0], row]), PEOPLE, offset=7)
    assert "1.25" not in str(caught.value)


def test_another_number_of_columns() -> None:
    with pytest.raises(DataError, match=r"shape \(2, 2\) cannot be sent; expected 3 columns"):
        encoded(np.zeros((2, 2)), PEOPLE)


def test_bodies() -> None:
    rows = [[0.5, 37, "red"]]
    columns = ["pay", "age", "colour"]
    assert body_of(MlflowRequest(), rows, PEOPLE) == {"dataframe_split": {"columns": columns, "data": rows}}
    request = JsonRequest(body={"in": ["$records"], "to": {"k": 3}}, probabilities="p")
    assert body_of(request, rows, PEOPLE) == {"in": [rows], "to": {"k": 3}}
    mapping = JsonRequest(body="$records", record="mapping", probabilities="p")
    assert body_of(mapping, rows, PEOPLE) == [{"pay": 0.5, "age": 37, "colour": "red"}]


# What is answered


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("outputs", {"outputs": [[0.4, 0.6]]}),
        ("predictions.*.scores", {"predictions": [{"scores": [0.4, 0.6], "id": 1}]}),
        ("*", [[0.4, 0.6]]),
        ("outputs.0.data", {"outputs": [{"data": [[0.4, 0.6]]}]}),
        ("*.*.score", [[{"label": "a", "score": 0.4}, {"label": "b", "score": 0.6}]]),
    ],
)
def test_answers_are_found(path: str, content: Any) -> None:
    assert answers_of(JsonRequest(body="$records", probabilities=path), content, 1) == [[0.4, 0.6]]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"error": 1},
            r"nothing at 'predictions' of 'predictions', but a mapping with 'error' there; .* target\.request",
        ),
        ([], "nothing at 'predictions' of 'predictions', but a list of 0 there"),
        ({"predictions": {"a": 1}}, "answered a mapping with 'a' at 'predictions'; expected a list"),
        ({"predictions": None}, "answered null at 'predictions'"),
        ({"predictions": [[1, 0]]}, r"answered 1 times for the 2 records 10 \.\. 11; .* target\.batch_size"),
    ],
)
def test_answers_that_are_not_there(content: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        answers_of(MlflowRequest(), content, 2, offset=10)


def test_a_place_within_a_list_that_is_not_there() -> None:
    request = JsonRequest(body="$records", probabilities="a.*.b")
    with pytest.raises(DataError, match=r"nothing at 'b' of 'a\.\*\.b', but a mapping with 'c' there"):
        answers_of(request, {"a": [{"b": [1]}, {"c": [1]}]}, 2)


@given(st.permutations(["a", "b", "c", "d"]), st.integers(0, 2**32 - 1))
def test_columns_land_under_their_classes(order: list[str], seed: int) -> None:
    answers = np.random.default_rng(seed).dirichlet(np.ones(4), 3).tolist()
    as_lists = aligned(EndpointTarget(url=URL, labels=tuple(order)), answers, ["a", "b", "c", "d"])
    as_mappings = aligned(PLAIN, [dict(zip(order, row, strict=True)) for row in answers], ["a", "b", "c", "d"])
    expected = [[row[order.index(label)] for label in "abcd"] for row in answers]
    assert np.array_equal(as_lists, np.array(expected, dtype=np.float32)) and as_lists.dtype == np.float32
    assert np.array_equal(as_lists, as_mappings)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ((0, 1), [0, 1]),
        (("0", "1"), [0, 1]),
        ((0, 1), ["0", "1"]),
        ((False, True), [0, 1]),
        (("false", "True"), [False, True]),
        (None, ["x", "y"]),
    ],
)
def test_labels_are_compared_as_values_then_as_text(labels: tuple[Any, ...] | None, classes: list[Any]) -> None:
    target = EndpointTarget(url=URL, labels=labels)
    assert aligned(target, [[0.25, 0.75]], classes).tolist() == [[0.25, 0.75]]
    if labels is not None:
        reversed_ = EndpointTarget(url=URL, labels=labels[::-1])
        assert aligned(reversed_, [[0.25, 0.75]], classes).tolist() == [[0.75, 0.25]]


def test_labels_alone_become_one_hot() -> None:
    target = EndpointTarget(url=URL, answers=(LabelOnly(),))
    assert aligned(target, ["b", "a"], ["a", "b"]).tolist() == [[0, 1], [1, 0]]
    assert aligned(target, [1, 0.0, True], [0, 1]).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_a_class_of_the_data_that_the_endpoint_does_not_know() -> None:
    target = EndpointTarget(url=URL, labels=("c", "a"))
    with pytest.raises(DataError, match=r"the endpoint does not know the class b, which records have; it knows c, a"):
        aligned(target, [[0.5, 0.5]], ["a", "b", "c"])


def test_classes_that_the_endpoint_alone_knows_are_behind_the_data_s() -> None:
    target = EndpointTarget(url=URL, labels=("x", "b", "a", "w"))
    classes = all_classes(target, ["a", "b"])
    assert classes == ("a", "b", "x", "w") and all_classes(target, classes) == classes
    answers = [[0.125, 0.25, 0.5, 0.125], {"w": 1, "x": 0, "b": 0, "a": 0}]
    for known in (["a", "b"], classes):
        assert aligned(target, answers, known).tolist() == [[0.5, 0.25, 0.125, 0.125], [0, 0, 0, 1]]


@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: [p]], ids=["p", "[p]"])
def test_one_number_is_the_second_of_two_classes(wrap: Any) -> None:
    found = aligned(PLAIN, [wrap(0.25), wrap(1), wrap(0.0)], ["no", "yes"])
    assert found.tolist() == [[0.75, 0.25], [0, 1], [1, 0]]
    turned = EndpointTarget(url=URL, labels=("yes", "no"))
    assert aligned(turned, [wrap(0.25), wrap(1.0)], ["no", "yes"]).tolist() == [[0.25, 0.75], [1, 0]]
    assert aligned(PLAIN, [wrap(1.0)], ["no", "yes"], is_known=True).tolist() == [[0, 1]]


@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: [p]], ids=["p", "[p]"])
def test_bits_are_labels_and_other_numbers_scores_and_the_advice_works(wrap: Any) -> None:
    labels = [wrap(0.0), wrap(1.0), wrap(1)]
    with pytest.raises(TargetError, match=r"the endpoint answered one number for each of 3 .*\[{kind: label_only}\]"):
        aligned(PLAIN, labels, [0, 1])
    followed = EndpointTarget(url=URL, answers=(LabelOnly(),))
    assert aligned(followed, labels, [0, 1]).tolist() == [[1, 0], [0, 1], [0, 1]]
    with pytest.raises(TargetError, match=r"answered 1\.5, one number per record and outside \[0, 1\]: a score"):
        aligned(PLAIN, [wrap(0.5), wrap(1.5)], [0, 1])
    with pytest.raises(TargetError, match="labels, not probabilities"):
        aligned(PLAIN, [wrap(-1), wrap(1)], [-1, 1])


def test_what_the_largest_leave_out_is_0() -> None:
    target = EndpointTarget(url=URL, answers=(TopK(1),))
    assert aligned(target, [{"b": 0.75}], ["a", "b"]).tolist() == [[0, 0.75]]


def test_rounded_and_truncated_answers_need_not_sum_to_1() -> None:
    for does in (TopK(1), Rounding(1)):
        target = EndpointTarget(url=URL, answers=(does,))
        assert aligned(target, [[0.7, 0.0]], [0, 1]).tolist() == [[np.float32(0.7), 0]]
        with pytest.raises(DataError, match=r"answered \[1\.5, 0\] for record 0 .* numbers in \[0, 1\]"):
            aligned(target, [[1.5, 0.0]], [0, 1])


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ([0.5, float("nan")], r"answered \[0\.5, nan\] for record 101 \(1 such .*: finite numbers; check it"),
        ([-0.25, 1.25], r"answered \[-0\.25, 1\.25\] for record 101 .*: numbers in \[0, 1\]"),
        ([0.7, 0.7], r"\[0\.7, 0\.7\] for record 101 .*: a sum of 1; .*kind: rounding, .*\[{kind: top_k, k: 2}\]"),
        ([0.5, 0.25, 0.25], "answered 3 numbers for record 101; expected 2"),
        ({"yes": 1.0}, r"answered 1 numbers for record 101; .*\[{kind: top_k, k: 1}\]"),
        ({"yes": 0.5, "maybe": 0.5}, r"label 'maybe' \(record 101\) is none of .* no, yes; .* target\.labels"),
        (["0.5", "0.5"], "answered a text within a vector for record 101; expected numbers"),
        ([None, 1], "answered null within a vector for record 101"),
        ([[0.5], [0.5]], "answered a list of 1 within a vector for record 101"),
        (None, "answered null for record 101; expected 2 numbers"),
        ("yes", r"answered a text for record 101; .* target\.answers: \[{kind: label_only}\]"),
    ],
)
def test_answers_that_are_no_probabilities(answer: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        aligned(PLAIN, [[0.5, 0.5], answer], ["no", "yes"], offset=100)


def test_a_label_that_is_not_among_the_classes() -> None:
    target = EndpointTarget(url=URL, answers=(LabelOnly(),))
    with pytest.raises(
        DataError, match=r"label 'maybe' \(record 3\) is none of the classes no, yes; .* target\.labels"
    ):
        aligned(target, ["maybe"], ["no", "yes"], offset=3)


def test_one_number_of_three_classes() -> None:
    with pytest.raises(DataError, match="answered a number for record 0; expected 3 numbers, one per class"):
        aligned(PLAIN, [0.5, 0.25], ["a", "b", "c"])
    with pytest.raises(DataError, match=r"answered 1 numbers for record 0; expected 3, .* a, b, c: .*target\.labels"):
        aligned(PLAIN, [[0.5]], ["a", "b", "c"])


def test_long_answers_are_shown_in_part() -> None:
    with pytest.raises(DataError, match=r"answered \[1, 1, 1, 1, 1, 1, 1, 1, \.\.\.\] for record 0"):
        aligned(PLAIN, [[1.0] * 30], list(range(30)))


def test_answers_of_one_model_are_the_same() -> None:
    a = np.array([[0.4, 0.6], [0.9, 0.1]])
    assert same(a, a + np.array([5e-5, -5e-5]))
    assert not same(a, a + np.array([2e-4, -2e-4]))
    assert not same(np.array([[0.50001, 0.49999]]), np.array([[0.49999, 0.50001]]))
    assert not same(a, a[:1])


@pytest.mark.parametrize("number", [10**400, -(10**400)])
def test_an_integer_beyond_all_floats_is_infinite(number: int) -> None:
    with pytest.raises(DataError, match=r"answered \[-?inf, 0\.5\] for record 8 .* finite numbers"):
        aligned(PLAIN, [[0.5, 0.5], [number, 0.5]], ["a", "b"], offset=7)
