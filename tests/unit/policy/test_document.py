import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.policy.samples import STATEMENTS, arn, document, statement

from troth.errors import Fault, Kind
from troth.limits import POLICY_DOCUMENT_CHARS_MAX, Limits
from troth.policy.actions import Action
from troth.policy.document import parse_document
from troth.policy.statement import Document, Effect


def refused(text: str) -> Fault:
    with pytest.raises(Fault) as caught:
        parse_document(text)
    assert caught.value.hint
    return caught.value


def with_statement(**changes: Any) -> str:
    made = statement() | changes
    return json.dumps({"Version": "2012-10-17", "Statement": [{k: v for k, v in made.items() if v is not None}]})


def test_one_statement_may_stand_without_array() -> None:
    parsed = parse_document(json.dumps({"Id": "x", "Statement": statement() | {"Sid": "One"}}))
    assert parsed.version == "2008-10-17"
    (only,) = parsed.statements
    assert (only.number, only.sid, only.effect) == (1, "One", Effect.ALLOW)
    assert only.actions == {Action.PUBLISH}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("iot:Publish", {Action.PUBLISH}),
        ("IOT:PUBLISH", {Action.PUBLISH}),
        ("iot:*Publish", {Action.PUBLISH, Action.RETAIN_PUBLISH}),
        ("iot:Pu?lish", {Action.PUBLISH}),
        ("s3:*", set()),
        ("*", set(Action)),
        (["iot:Connect", "iot:Receive"], {Action.CONNECT, Action.RECEIVE}),
        ("iotjobsdata:*", {action for action in Action if action.startswith("iotjobsdata:")}),
    ],
)
def test_actions(action: Any, expected: set[Action]) -> None:
    assert document(statement(action)).statements[0].actions == expected
    inverted = statement() | {"NotAction": action}
    del inverted["Action"]
    assert document(inverted).statements[0].actions == set(Action) - expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "the document: is not JSON: Expecting value at line 1, column 1", "quotes"),
        ("{", "the document: is not JSON: Expecting property name", "quotes"),
        ("[]", "the document: is not an object", "braces"),
        ("{}", "Statement: is missing", "one statement"),
        ('{"Statement": [], "Statement": []}', "Statement: is given twice", "array"),
        ('{"Statment": []}', "Statment: is not an element of a policy", "did you mean Statement?"),
        ('{"Version": "2012-10-18", "Statement": []}', "Version: '2012-10-18' is not a version", "2012-10-17"),
        ('{"Version": 2012, "Statement": []}', "Version: is not a string", "quotes"),
        ('{"Id": {}, "Statement": []}', "Id: is not a string", "quotes"),
        ('{"Statement": "x"}', "Statement: is not an object", "braces"),
        ('{"Statement": [NaN]}', "the document: NaN is not JSON", "digits"),
        ("[" * 8_000, "the document: is nested too deeply", "levels"),
        ('{"a":' * 1_500, "the document: is nested too deeply", "levels"),
        ('{"Id": "\\ud800", "Statement": []}', "Id: holds half of a surrogate pair", "both halves"),
        ('{"Id": "\ud800", "Statement": []}', "the document: is not Unicode text", "UTF-8"),
        (with_statement(Effect="allow"), "Statement[0].Effect: 'allow' is not an effect", "case"),
        (with_statement(Effect=None), "Statement[0].Effect: is missing", "Allow"),
        (with_statement(Principal="*"), "Statement[0].Principal: is not an element", "attached"),
        (with_statement(Sid=1), "Statement[0].Sid: is not a string", "quotes"),
        (with_statement(Action=None), "Statement[0]: Action and NotAction are both missing", "exactly one"),
        (with_statement(NotAction="*"), "Statement[0]: Action and NotAction stand side by side", "exactly one"),
        (with_statement(NotResource="*"), "Statement[0]: Resource and NotResource stand side by side", "exactly one"),
        (with_statement(Action=[]), "Statement[0].Action: is an empty array", "one thing"),
        (with_statement(Action=["iot:Publish", "Connect"]), "Statement[0].Action[1]: 'Connect' is not", "iot:Publish"),
        (with_statement(Action="iot:Publish "), "Statement[0].Action: 'iot:Publish ' is not an action", "iot:Publish"),
        (with_statement(Action=[["x"]]), "Statement[0].Action[0]: is not a string", "quotes"),
        (with_statement(Resource="topic/a"), "Statement[0].Resource: 'topic/a' is not an ARN", "REGION"),
        (with_statement(Resource="arn:aws:iot*"), "Statement[0].Resource: 'arn:aws:iot*' is not an ARN", "REGION"),
        (with_statement(Resource="arn:aws:*:r:1:topic/a"), "has a wildcard for the service", "iot"),
        (with_statement(Resource=[arn("topic/${iot:ClientId")]), "Statement[0].Resource[0]: ", "close it"),
        (with_statement(Condition=[]), "Statement[0].Condition: is not an object", "braces"),
        (
            with_statement(Condition={"StringLik": {"iot:ClientId": "a"}}),
            "Statement[0].Condition.StringLik: is not an operator",
            "did you mean StringLike?",
        ),
        (
            with_statement(Condition={"NullIfExists": {"iot:ClientId": "true"}}),
            "Statement[0].Condition.NullIfExists: is not an operator",
            "Null",
        ),
        (
            with_statement(Condition={"ForSomeValues:StringLike": {"iot:ClientId": "a"}}),
            "Statement[0].Condition.ForSomeValues:StringLike: is not an operator",
            "StringLike",
        ),
        (with_statement(Condition={"Bool": {}}), "Statement[0].Condition.Bool: compares no key", "leave"),
        (with_statement(Condition={"Bool": "true"}), "Statement[0].Condition.Bool: is not an object", "braces"),
        (
            with_statement(Condition={"Bool": {"IsAttached": "true"}}),
            "Statement[0].Condition.Bool.IsAttached: is not a condition key",
            "iot:ClientId",
        ),
        (
            with_statement(Condition={"StringLike": {"iot:ClientId": [None]}}),
            "Statement[0].Condition.StringLike.iot:ClientId[0]: is not a string",
            "quotes",
        ),
        (
            with_statement(Condition={"NumericEquals": {"iot:x": ["1", "one"]}}),
            "Statement[0].Condition.NumericEquals.iot:x: 'one' is not a decimal number",
            "another operator",
        ),
        (
            with_statement(Condition={"StringLike": {"iot:ClientId": "${x"}}),
            "Statement[0].Condition.StringLike.iot:ClientId: '${x' has a '${' that is never closed",
            "another operator",
        ),
    ],
)
def test_a_fault_names_the_place_and_the_remedy(text: str, message: str, hint: str) -> None:
    fault = refused(text)
    assert fault.kind is Kind.MALFORMED
    assert message in fault.message
    assert hint in (fault.hint or "")


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("NumericLessThan", "NaN"),
        ("NumericLessThan", "1_000"),
        ("DateLessThan", "tomorrow"),
        ("DateLessThan", ""),
        ("Bool", "yes"),
        ("Null", "absent"),
        ("IpAddress", "192.0.2.0/33"),
        ("NotIpAddress", "home.example"),
        ("BinaryEquals", "?"),
    ],
)
def test_a_value_that_its_operator_cannot_compare_is_refused(operator: str, value: str) -> None:
    # Kept, it would make a Deny that never denies.
    fault = refused(with_statement(Condition={operator: {"iot:x": value}}))
    assert f"Statement[0].Condition.{operator}.iot:x: {value!r} is n" in fault.message


def test_members_given_twice_are_refused_at_every_level() -> None:
    key = '{"iot:ClientId": "a", "iot:ClientId": "b"}'
    text = with_statement(Condition={"StringLike": "KEY"}).replace('"KEY"', key)
    assert "Statement[0].Condition.StringLike.iot:ClientId: is given twice" in refused(text).message


def test_booleans_and_numbers_are_their_text_in_conditions() -> None:
    for written, expected in ((True, "true"), (10, "10"), (1.50, "1.5")):
        parse_document(with_statement(Condition={"StringEquals": {"iot:x": [written, expected]}}))
    long = "1" * 5000  # more digits than int() takes
    parse_document(with_statement(Condition={"StringEquals": {"iot:x": "N"}}).replace('"N"', long))


def test_an_empty_array_of_values_is_legal() -> None:
    (only,) = document(statement(condition={"StringEquals": {"iot:ConnectAttributes": []}})).statements
    assert only.conditions


@pytest.mark.parametrize(
    "resource", ["*", "arn:aws:iot:*", "arn:aws:iot:*:*:topic/a", arn("*"), "arn:aws:iot:local:*", "arn:aws:s3:::b/*"]
)
def test_resources_with_wildcards_for_region_and_account(resource: str) -> None:
    parse_document(with_statement(Resource=resource))


def test_white_space_is_not_counted() -> None:
    text = with_statement()
    size = len("".join(text.split()))
    spread = text.replace(",", ",\n" + " " * 1000)
    parse_document(spread, Limits(policy_chars_max=size))
    with pytest.raises(Fault) as caught:
        parse_document(text, Limits(policy_chars_max=size - 1))
    assert caught.value.kind is Kind.TOO_LARGE
    assert str(size) in caught.value.message


def test_a_document_is_bounded_before_it_is_read() -> None:
    fault = refused(" " * (POLICY_DOCUMENT_CHARS_MAX + 1))
    assert fault.kind is Kind.TOO_LARGE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["Allow", "*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4)
            | st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Condition"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def read(text: str) -> None:
    """Anything but a document or a fault comes through."""
    try:
        outcome: Document | Fault = parse_document(text)
    except Fault as fault:
        outcome = fault
    assert isinstance(outcome, Document) or (outcome.message and outcome.hint)


@given(st.text())
@example("\ufeff{}")
def test_any_text_is_a_document_or_a_fault(text: str) -> None:
    read(text)


@given(JSON)
def test_any_json_is_a_document_or_a_fault(value: Any) -> None:
    read(json.dumps(value))


@given(made=STATEMENTS, name=st.sampled_from(["Effect", "Action", "Resource", "Condition", "Sid"]), value=JSON)
def test_a_statement_with_any_element_is_a_document_or_a_fault(made: dict[str, Any], name: str, value: Any) -> None:
    read(json.dumps({"Version": "2012-10-17", "Statement": [made | {name: value}]}))


@given(key=st.text(max_size=8), value=JSON, operator=st.sampled_from(["StringLike", "DateEquals", "ArnLike", "Null"]))
def test_any_condition_is_a_document_or_a_fault(key: str, value: Any, operator: str) -> None:
    made = statement(condition={operator: {f"iot:{key}": value}})
    read(json.dumps({"Version": "2012-10-17", "Statement": made}))
