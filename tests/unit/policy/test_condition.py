from collections.abc import Mapping, Sequence

import pytest

from troth.policy.condition import is_operator, parse_condition
from troth.policy.context import RequestKeys
from troth.policy.operators import OPERATORS

WILL = "arn:aws:iot:local:000000000000:topic/will/a:b"


def holds(
    operator: str,
    values: Sequence[str],
    given: str | Sequence[str] | None,
    variables: Mapping[str, str] | None = None,
) -> bool:
    """Say whether `operator` holds for the key ``iot:k`` with the values `given` in the request."""
    assert is_operator(operator)
    single = dict(variables or {})
    multiple: dict[str, tuple[str, ...]] = {}
    if isinstance(given, str):
        single["iot:k"] = given
    elif given:
        multiple["iot:k"] = tuple(given)
    condition = parse_condition(operator, "IOT:K", values, variables=variables is not None)
    return condition.holds(RequestKeys(single, multiple))


@pytest.mark.parametrize(
    ("operator", "value", "given", "expected"),
    [
        ("StringEquals", "lamp", "lamp", True),
        ("StringEquals", "lamp", "Lamp", False),
        ("StringEquals", "l*", "lamp", False),
        ("StringEquals", "l*", "l*", True),
        ("StringEqualsIgnoreCase", "LAMP", "lamp", True),
        ("StringEqualsIgnoreCase", "LAMP", "lamps", False),
        ("StringLike", "l?m*", "lamp", True),
        ("StringLike", "l?m*", "Lamp", False),
        ("StringLike", "am", "lamp", False),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", "10", "ten", False),
        ("NumericEquals", "1e2", "100", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "9", False),
        ("NumericGreaterThanEquals", "-1.5", "-1.50", True),
        ("DateEquals", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", True),
        ("DateEquals", "2026-01-01", "2026", True),
        ("DateEquals", "2026-02", "2026-02-01T00:00", True),
        ("DateEquals", "1767225600", "2026-01-01T00:00:00Z", True),
        ("DateLessThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59.9Z", True),
        ("DateLessThanEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", False),
        ("DateGreaterThan", "2026-01-01", "1767225601", True),
        ("DateGreaterThanEquals", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", True),
        ("DateGreaterThan", "2026-01-01", "soon", False),
        ("Bool", "true", "TRUE", True),
        ("Bool", "false", "true", False),
        ("Bool", "false", "no", False),
        ("BinaryEquals", "aGVsbG8=", "aGVsbG8=", True),
        ("BinaryEquals", "aGVsbG8=", "aGVsbG9=", True),  # the same bytes, written with other spare bits
        ("BinaryEquals", "aGVsbG8=", "hello", False),
        ("IpAddress", "192.0.2.0/24", "192.0.2.255", True),
        ("IpAddress", "192.0.2.7/24", "192.0.2.255", True),
        ("IpAddress", "192.0.2.0/24", "192.0.3.0", False),
        ("IpAddress", "192.0.2.1", "192.0.2.1", True),
        ("IpAddress", "192.0.2.0/24", "::ffff:192.0.2.1", True),
        ("IpAddress", "::ffff:192.0.2.0/120", "::ffff:192.0.2.1", True),
        ("IpAddress", "2001:db8::/32", "2001:0db8::1", True),
        ("IpAddress", "2001:db8::/32", "192.0.2.1", False),
        ("IpAddress", "192.0.2.0/24", "nowhere", False),
        ("ArnLike", "arn:aws:iot:*:*:topic/will/*", WILL, True),
        ("ArnEquals", "arn:aws:iot:*:*:topic/will/*", WILL, True),
        ("ArnLike", "arn:*:topic/will/a:b", WILL, False),
        ("ArnLike", "*", WILL, False),
        ("ArnLike", "arn:aws:iot:*:*:topic/will/?:b", WILL, True),
        ("ArnLike", "arn:aws:iot:*:*:*", "topic/will/a:b", False),
    ],
)
def test_what_an_operator_matches(operator: str, value: str, given: str, expected: bool) -> None:
    assert holds(operator, [value], given) is expected
    negated = operator.replace("Like", "NotLike").replace("Equals", "NotEquals").replace("IpA", "NotIpA")
    if negated != operator and negated in OPERATORS:
        assert holds(negated, [value], given) is not expected


def test_several_values_are_alternatives_and_negated_all_excluded() -> None:
    assert holds("StringEquals", ["a", "b"], "b")
    assert not holds("StringEquals", ["a", "b"], "c")
    assert holds("StringNotEquals", ["a", "b"], "c")
    assert not holds("StringNotEquals", ["a", "b"], "b")


def test_no_values_match_nothing() -> None:
    assert not holds("StringEquals", [], "a")
    assert holds("StringNotEquals", [], "a")
    assert not holds("ForAllValues:StringEquals", [], ["a"])
    assert holds("ForAllValues:StringEquals", [], None)


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_absent_key_fails_what_is_positive_and_passes_what_is_negated(operator: str) -> None:
    value = {"I": "192.0.2.1", "N": "1", "D": "1", "B": "true"}[operator[0].replace("A", "N").replace("S", "N")]
    value = "192.0.2.1" if "IpAddress" in operator else value
    assert holds(operator, [value], None) is ("Not" in operator)
    assert holds(f"{operator}IfExists", [value], None)
    assert holds(f"ForAllValues:{operator}", [value], None)
    assert not holds(f"ForAnyValue:{operator}", [value], None)
    assert holds(f"ForAnyValue:{operator}IfExists", [value], None)


def test_if_exists_compares_what_exists() -> None:
    assert not holds("StringEqualsIfExists", ["a"], "b")
    assert not holds("StringNotEqualsIfExists", ["a"], "a")


@pytest.mark.parametrize(
    ("operator", "given", "expected"),
    [
        ("ForAllValues:StringEquals", ["a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "x"], False),
        ("ForAnyValue:StringEquals", ["a", "x"], True),
        ("ForAnyValue:StringEquals", ["x"], False),
        ("ForAllValues:StringNotEquals", ["x", "y"], True),
        ("ForAllValues:StringNotEquals", ["x", "a"], False),
        ("ForAnyValue:StringNotEquals", ["x", "a"], True),
        ("ForAnyValue:StringNotEquals", ["a", "b"], False),
        ("StringEquals", ["x", "a"], True),
        ("StringNotEquals", ["x", "a"], False),
        ("ForAnyValue:StringEquals", "a", True),
        ("ForAllValues:StringEquals", "x", False),
    ],
)
def test_quantifiers(operator: str, given: str | list[str], expected: bool) -> None:
    assert holds(operator, ["a", "b"], given) is expected


def test_null() -> None:
    assert holds("Null", ["true"], None)
    assert not holds("Null", ["true"], "a")
    assert holds("Null", ["False"], ["a"])
    assert not holds("Null", ["false"], None)
    assert holds("Null", ["true", "false"], "a")
    assert not holds("Null", [], "a")


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike", "StringEqualsIgnoreCase"])
def test_variables_in_strings(operator: str) -> None:
    assert holds(operator, ["d/${iot:ClientId}"], "d/lamp", {"iot:clientid": "lamp"})
    assert holds(operator, ["d/${iot:ClientId}"], "d/*", {"iot:clientid": "*"})
    assert not holds(operator, ["d/${iot:ClientId}"], "d/lamp", {"iot:clientid": "*"})
    assert holds(operator, ["${*}"], "*", {})
    assert not holds(operator, ["${*}"], "a", {})


def test_variables_in_arns_and_booleans() -> None:
    arn = "arn:aws:iot:r:1:topic/will/lamp:9"
    assert holds("ArnEquals", ["arn:aws:iot:*:*:topic/will/${iot:ClientId}"], arn, {"iot:clientid": "lamp:9"})
    assert not holds("ArnEquals", ["arn:aws:iot:*:*:topic/will/${iot:ClientId}"], arn, {"iot:clientid": "*"})
    assert holds("Bool", ["${iot:Flag}"], "true", {"iot:flag": "True"})
    assert not holds("Bool", ["${iot:Flag}"], "yes", {"iot:flag": "yes"})


def test_a_variable_without_value_matches_nothing() -> None:
    assert not holds("StringEquals", ["${iot:None}"], "a", {})
    assert holds("StringNotEquals", ["${iot:None}"], "a", {})
    assert not holds("ArnLike", ["arn:aws:iot:*:*:${iot:None}"], WILL, {})
    assert holds("StringEquals", ["${iot:None}", "a"], "a", {})


def test_variables_are_text_in_the_older_version() -> None:
    assert holds("StringEquals", ["${iot:ClientId}"], "${iot:ClientId}", None)


def test_what_a_condition_reads() -> None:
    condition = parse_condition("StringLike", "iot:ClientId", ["${aws:CurrentTime}*"], variables=True)
    assert condition.names == {"iot:clientid", "aws:currenttime"}
    assert parse_condition("Null", "aws:EpochTime", ["true"], variables=True).names == {"aws:epochtime"}


@pytest.mark.parametrize("text", ["", "stringequals", "StringEqualsIfExistsIfExists", "ForAllValues:Null", "Null:Bool"])
def test_what_is_no_operator(text: str) -> None:
    assert not is_operator(text)
