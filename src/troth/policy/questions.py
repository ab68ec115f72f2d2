"""Requests that people want decided, written as JSON: for explaining, simulating and comparing policies.

One is ``{"action": ..., "resource": ..., "context": {...}, "expect": ...}``; several are an array of them, or
``{"context": {...}, "requests": [...]}``, where a request's own context adds to the common one. Knows no policy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from troth.errors import Fault
from troth.names import Realm
from troth.policy.actions import Action, parse_action
from troth.policy.context import ConnectionContext
from troth.policy.decision import Outcome
from troth.policy.elements import inside, known_members, members, parse_json, refuse, shown, string
from troth.policy.situation import context_members, read_context

_MEMBERS: Final = ("name", "action", "resource", "context", "expect")
_WHAT: Final = "part of a request"
_OUTCOMES: Final = {"allow": Outcome.ALLOW, "deny": Outcome.EXPLICIT_DENY, **{str(each): each for each in Outcome}}


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and what its asker expects."""

    name: str
    """What its asker calls it; or its place in the file."""
    action: Action
    resource: str
    """The bare name."""
    context: ConnectionContext
    expect: Outcome | None = None


def read_questions(text: str, realm: Realm) -> tuple[Question, ...]:
    """Read requests. `realm` stands in for what a context does not say of ARNs. Raises `Fault` (malformed)."""
    value = parse_json(text)
    if isinstance(value, list):
        return _questions(value, "", {}, realm)
    given = members(value, "")
    if "requests" not in given:
        return (_question(value, "", {}, realm),)
    known_members(value, "", ("context", "requests"), {}, "part of a file of requests")
    if not isinstance(given["requests"], list):
        refuse("requests", "is not an array", "write it in brackets: [...]")
    common = context_members(given["context"], "context") if "context" in given else {}
    read_context(common, "context", realm)  # so that what is wrong with it is told with its own place
    return _questions(given["requests"], "requests", common, realm)


def read_outcome(value: object, place: str) -> Outcome:
    """Return the outcome that a word stands for; ``deny`` is an explicit one. Raises `Fault` (malformed)."""
    text = string(value, place)
    if text not in _OUTCOMES:
        refuse(place, f"{shown(text)} is not an outcome", f"use one of {', '.join(_OUTCOMES)}")
    return _OUTCOMES[text]


def read_action(value: object, place: str) -> Action:
    """Return the action that a name stands for. Raises `Fault` (malformed)."""
    text = string(value, place)
    try:
        return parse_action(text)
    except Fault as fault:
        refuse(place, fault.message, fault.hint or "")


def _questions(
    values: Iterable[object], place: str, common: Mapping[str, object], realm: Realm
) -> tuple[Question, ...]:
    return tuple(_question(value, f"{place}[{number}]", common, realm) for number, value in enumerate(values))


def _question(value: object, place: str, common: Mapping[str, object], realm: Realm) -> Question:
    given = known_members(value, place, _MEMBERS, {}, _WHAT)
    for name in ("action", "resource"):
        if name not in given:
            refuse(inside(place, name), "is missing", "say what is asked for, and of what")
    where = inside(place, "context")
    own = context_members(given["context"], where) if "context" in given else {}
    expect = given.get("expect")
    return Question(
        name=string(given["name"], inside(place, "name")) if "name" in given else place,
        action=read_action(given["action"], inside(place, "action")),
        resource=string(given["resource"], inside(place, "resource")),
        context=read_context({**common, **own}, where, realm),
        expect=None if expect is None else read_outcome(expect, inside(place, "expect")),
    )
