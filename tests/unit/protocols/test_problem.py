"""Every kind of fault has its HTTP answer; nothing that is for the log gets into one; a device reads it back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Fault, Kind, PeerFault
from troth.limits import PROBLEM_BYTES_MAX
from troth.protocols import problem


def test_every_kind_has_a_row() -> None:
    assert set(problem.ROWS) == set(Kind)
    assert all(400 <= row.status < 600 and row.title for row in problem.ROWS.values())


@pytest.mark.parametrize("kind", Kind)
def test_an_answer_tells_kind_message_and_hint_and_is_read_back(kind: Kind) -> None:
    status, headers, body = problem.render(Fault(kind, "the token is spent", hint="ask for another", detail="row 7"))
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body) == {
        "type": f"urn:troth:fault:{kind}",
        "title": problem.ROWS[kind].title,
        "status": status,
        "detail": "the token is spent",
        "hint": "ask for another",
    }
    fault = problem.parse(status, body)
    assert (fault.kind, fault.message, fault.hint, fault.detail) == (
        kind,
        "the token is spent",
        "ask for another",
        None,
    )


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), Exception("secret")])
def test_of_what_is_no_fault_nothing_is_told(error: Exception) -> None:
    status, _, body = problem.render(error)
    assert status == 500
    assert json.loads(body) == {"type": "urn:troth:fault:internal", "title": "Internal error", "status": 500}


def test_what_is_for_the_log_is_told_nowhere() -> None:
    part = Fault(Kind.CONFLICT, "part", detail="secret")
    answer = problem.render(Fault(Kind.REJECTED, "whole", detail="secret", parts=(part,)))
    assert "secret" not in repr(answer)
    assert json.loads(answer.body)["parts"] == [
        {"type": "urn:troth:fault:conflict", "title": problem.ROWS[Kind.CONFLICT].title, "detail": "part"}
    ]


@pytest.mark.parametrize(("retry_after", "header"), [(0, "1"), (0.2, "1"), (1.0, "1"), (1.5, "2"), (3600, "3600")])
def test_retry_after_is_in_whole_seconds(retry_after: float, header: str) -> None:
    answer = problem.render(Fault(Kind.UNAVAILABLE, "later", retry_after=retry_after))
    assert answer.headers["Retry-After"] == header
    assert "Retry-After" not in problem.render(Fault(Kind.UNAVAILABLE, "later")).headers


def test_a_challenge_stands_on_a_401_and_nowhere_else() -> None:
    for kind in Kind:
        answer = problem.render(Fault(kind, "no"), challenge='Basic realm="x"')
        assert (answer.headers.get("WWW-Authenticate") == 'Basic realm="x"') == (answer.status == 401)
    assert "WWW-Authenticate" not in problem.render(ValueError(), challenge="Basic").headers


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, b"", Kind.NOT_FOUND, "the server answered 404"),
        (404, b"<html>", Kind.NOT_FOUND, "the server answered 404"),
        (502, b"[1]", Kind.UNAVAILABLE, "the server answered 502"),
        (400, b"[" * 60_000, Kind.MALFORMED, "the server answered 400"),
        (403, b'{"type": "about:blank", "title": "Forbidden"}', Kind.FORBIDDEN, "Forbidden"),
        (403, b'{"type": 5, "detail": {}, "hint": []}', Kind.FORBIDDEN, "the server answered 403"),
        (422, b'{"type": "urn:troth:fault:bad-key", "detail": "a\\u001b[31m\\nb"}', Kind.BAD_KEY, "a [31m b"),
        (500, b'{"detail": "' + b"x" * 1000 + b'"}', Kind.MISCONFIGURED, "x" * 500),
    ],
)
def test_answers_of_anyone_are_understood_as_far_as_can_be(status: int, body: bytes, kind: Kind, message: str) -> None:
    fault = problem.parse(status, body)
    assert (fault.kind, fault.message) == (kind, message)


def test_an_answer_over_the_bound_is_not_parsed() -> None:
    with pytest.raises(PeerFault) as caught:
        problem.parse(500, bytes(PROBLEM_BYTES_MAX + 1))
    assert caught.value.kind is Kind.TOO_LARGE


@given(st.integers(0, 999), st.binary(max_size=60))
def test_any_answer_is_a_fault(status: int, body: bytes) -> None:
    assert problem.parse(status, body).message
