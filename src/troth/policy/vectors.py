"""Decided cases: policies, a connection, a request and the right answer; and the putting of them to the engines.

The schema is that of the published cases for AWS IoT's policies. Knows no file.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from troth.errors import Fault
from troth.names import Realm
from troth.policy import reference
from troth.policy.attachment import NamedPolicy, TargetKind, effective
from troth.policy.context import ConnectionContext
from troth.policy.decision import Decision, Outcome
from troth.policy.document import read_document
from troth.policy.elements import inside, items, members, parse_json, refuse, string
from troth.policy.engine import make_grant
from troth.policy.questions import Question, read_action, read_outcome
from troth.policy.situation import context_members, read_context
from troth.policy.statement import Document

Engine = Callable[[Iterable[NamedPolicy], str, str, ConnectionContext], Decision]


def _fast(policies: Iterable[NamedPolicy], action: str, resource: str, context: ConnectionContext) -> Decision:
    return make_grant(policies, context).decide(action, resource)


ENGINES: Final[Mapping[str, Engine]] = {"reference": reference.evaluate, "fast": _fast}
"""By the names that people choose them by."""


@dataclass(frozen=True, slots=True)
class Vector:
    """One decided case."""

    question: Question
    policies: tuple[NamedPolicy, ...]
    """Those that count for its connection."""
    expect: Outcome
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What should have been one, and how it cannot be understood."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A case whose answer is not what an engine says."""

    vector: Vector
    got: Mapping[str, Decision]
    """The decision of each engine that was asked."""


def read_vectors(text: str) -> list[Vector | Unreadable]:
    """Read an array of cases; one that cannot be understood costs none of the others.

    Raises `Fault` (malformed) where the whole is no array of JSON.
    """
    value = parse_json(text)
    if not isinstance(value, list):
        refuse("", "is not an array", "a file of cases is an array of objects")
    return [_vector_or_not(item, f"[{number}]") for number, item in enumerate(value)]


def disagreement(vector: Vector, engines: Iterable[str]) -> Disagreement | None:
    """Put a case to engines, by their names in `ENGINES`; None where all of them agree with it."""
    question = vector.question
    got = {
        name: ENGINES[name](vector.policies, question.action, question.resource, question.context) for name in engines
    }
    agreed = all(decision.outcome is vector.expect for decision in got.values())
    return None if agreed else Disagreement(vector, got)


def _vector_or_not(value: object, place: str) -> Vector | Unreadable:
    name = place
    try:
        given = members(value, place)
        if "id" in given:
            name = string(given["id"], inside(place, "id"))
        return _vector(given, name, place)
    except Fault as fault:
        return Unreadable(name, fault.message)


def _vector(given: Mapping[str, object], name: str, place: str) -> Vector:
    """Return a case. Members that it has beyond the schema decide nothing and are passed over."""
    for member in ("policies", "context", "request", "expect"):
        if member not in given:
            refuse(inside(place, member), "is missing", "a case needs it")
    groups = _group_policies(given.get("groupPolicies"), inside(place, "groupPolicies"))
    where = inside(place, "context")
    described = context_members(given["context"], where)
    context = read_context(described, where, Realm(), frozenset(policy.target for policy in groups))
    certificate_id = context.certificate.certificate_id
    where = inside(place, "policies")
    attached = [
        NamedPolicy(f"certificate-{number}", _document(value, there), TargetKind.CERTIFICATE, certificate_id)
        for number, (value, there) in enumerate(items(given["policies"], where))
    ]
    request = members(given["request"], inside(place, "request"))
    return Vector(
        question=Question(
            name=name,
            action=read_action(request.get("action"), inside(place, "request.action")),
            resource=string(request.get("resource"), inside(place, "request.resource")),
            context=context,
        ),
        policies=effective([*attached, *groups], certificate_id, context.thing, context.client_id),
        expect=read_outcome(given["expect"], inside(place, "expect")),
        why=_text(given.get("why")),
        source=_text(given.get("source")),
    )


def _group_policies(value: object, place: str) -> list[NamedPolicy]:
    found: list[NamedPolicy] = []
    for number, (item, where) in enumerate(items(value, place) if value is not None else ()):
        given = members(item, where)
        group = string(given.get("group"), inside(where, "group"))
        document = _document(given.get("document"), inside(where, "document"))
        found.append(NamedPolicy(f"group-{number}", document, TargetKind.GROUP, group))
    return found


def _document(value: object, place: str) -> Document:
    try:
        return read_document(value)
    except Fault as fault:
        refuse(place, fault.message, fault.hint or "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
