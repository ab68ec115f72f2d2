import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from troth.limits import MATCHED_TEXT_CHARS_MAX, SUBSTITUTED_CHARS_MAX
from troth.policy.pattern import Lookup, Pattern, build_pattern, parse_glob, parse_resource, scan

TEXTS = st.text("ab/", max_size=12)


def matches_by_definition(pattern: str, text: str) -> bool:
    """Say the same in as few words as there are: which beginnings of `text` do the beginnings of `pattern` match."""
    reached = [True] + [False] * len(text)
    for character in pattern:
        if character == "*":
            reached = [any(reached[: end + 1]) for end in range(len(text) + 1)]
        else:
            reached = [False] + [reached[end] and character in ("?", text[end]) for end in range(len(text))]
    return reached[-1]


@given(pattern=st.text("ab/*?", max_size=10), text=TEXTS)
@example(pattern="*a?a*b", text="aababb")
@example(pattern="*?b*", text="ab")
@example(pattern="a*a", text="a")
@example(pattern="*??*", text="a")
def test_matches_what_the_definition_says(pattern: str, text: str) -> None:
    assert parse_glob(pattern).matches(text) == matches_by_definition(pattern, text)


@given(pieces=st.lists(st.sampled_from(["a", "ab", "b", "?", "*", "a?b", "??a"]), max_size=8), text=TEXTS)
def test_matches_what_the_definition_says_of_likelier_patterns(pieces: list[str], text: str) -> None:
    pattern = "".join(pieces)
    assert parse_glob(pattern).matches(text) == matches_by_definition(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("x/*/test/*", "x//test/o", True),
        ("x/*/test/*", "x/1/test/", True),
        ("x/*/test/*", "x/test/o", False),
        ("x/*/test/*", "x/1-test/o", False),
        ("a/+/b", "a/x/b", False),
        ("a/+/b", "a/+/b", True),
        ("a/*", "a/#", True),
        ("?", "/", True),
        ("?", "", False),
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("A", "a", False),
        ("d/$aws", "d/$aws", True),
        ("é?", "é\U0001f600", True),
    ],
)
def test_matches(pattern: str, text: str, expected: bool) -> None:
    assert parse_glob(pattern).matches(text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "*a*a*a*a*a*a*a*b",
        "*" + "a*" * 4000 + "b",
        "*" + "a?" * 2000 + "b*",
        "*" + "?" * 4000 + "b*",
        "*" + "a" * 4000 + "b*",
        "a?" * 4000 + "*b",
    ],
)
def test_no_pattern_makes_matching_explode(pattern: str) -> None:
    glob = parse_glob(pattern)
    text = "a" * MATCHED_TEXT_CHARS_MAX
    began = time.process_time()
    assert not glob.matches(text)
    assert time.process_time() - began < 2.0


def variables(**values: str) -> Lookup:
    return {f"iot:{name.lower()}": value for name, value in values.items()}.get


def pattern_of(text: str) -> Pattern:
    return build_pattern(scan(text, variables=True))


def test_constants_are_the_characters_themselves() -> None:
    glob = pattern_of("${*}${?}${$}a").resolve(variables())
    assert glob is not None
    assert glob.literal == "*?$a"


def test_names_of_variables_do_not_count_case() -> None:
    glob = pattern_of("d/${IOT:clientid}").resolve(variables(ClientId="lamp"))
    assert glob is not None
    assert glob.literal == "d/lamp"


def test_a_dollar_sign_without_brace_is_literal() -> None:
    assert parse_glob("$aws/$").literal == "$aws/$"
    assert pattern_of("$aws/$").fixed is not None


def test_a_variable_without_value_leaves_nothing_to_match() -> None:
    assert pattern_of("a/${iot:ClientId}/${iot:DomainName}").resolve(variables(ClientId="x")) is None


@pytest.mark.parametrize("client_id", ["*", "?", "a*b", "${iot:CertificateId}", "+", "#"])
def test_substituted_text_is_literal(client_id: str) -> None:
    glob = pattern_of("d/${iot:ClientId}").resolve(variables(ClientId=client_id, CertificateId="9f"))
    assert glob is not None
    assert glob.literal == f"d/{client_id}"


@pytest.mark.parametrize("value", ["a*", "$", "+", "lab?1", "#", "x" * (SUBSTITUTED_CHARS_MAX + 1)])
def test_a_certificate_attribute_that_could_be_a_wildcard_is_not_substituted(value: str) -> None:
    lookup = {"iot:certificate.subject.commonname": value}.get
    glob = pattern_of("d/${iot:Certificate.Subject.CommonName}").resolve(lookup)
    assert glob is not None
    assert glob.literal == "d/${iot:Certificate.Subject.CommonName}"


def test_a_certificate_attribute_at_the_bound_is_substituted() -> None:
    lookup = {"iot:certificate.subject.commonname": "x" * SUBSTITUTED_CHARS_MAX}.get
    glob = pattern_of("${iot:Certificate.Subject.CommonName}").resolve(lookup)
    assert glob is not None
    assert glob.literal == "x" * SUBSTITUTED_CHARS_MAX


def test_variables_count_behind_the_fifth_colon_only() -> None:
    text = "arn:aws:iot:${region}:1:topic/${iot:ClientId}"
    assert parse_resource(text, variables=True).variables == {"iot:clientid"}
    assert parse_resource(text, variables=False).variables == frozenset()
    assert parse_resource("arn:aws:iot:r:${account}*", variables=True).variables == frozenset()


def test_a_variable_has_an_end() -> None:
    with pytest.raises(ValueError, match="never closed"):
        scan("a/${iot:ClientId", variables=True)
    assert scan("a/${", variables=False)
