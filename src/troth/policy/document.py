"""From the text of a policy document to a value, or to a fault that names the place and the remedy.

Knows nothing of who will hold the document. AWS IAM user guide, "Grammar of the IAM JSON policy language"; AWS IoT,
"AWS IoT Core policies".
"""

from collections.abc import Iterable
from typing import Final

from troth.errors import Fault, Kind
from troth.limits import DEFAULT, POLICY_DOCUMENT_CHARS_MAX, Limits
from troth.policy.actions import Action
from troth.policy.condition import Condition, is_operator, parse_condition
from troth.policy.elements import (
    inside,
    items,
    known_members,
    members,
    parse_json,
    refuse,
    scalar,
    shown,
    string,
    strings,
    suggest,
)
from troth.policy.operators import OPERATORS
from troth.policy.pattern import Pattern, parse_glob, parse_resource
from troth.policy.statement import Document, Effect, Statement
from troth.policy.written import Word, Written, WrittenCondition

_WITH_VARIABLES: Final = "2012-10-17"
_WITHOUT_VARIABLES: Final = "2008-10-17"
_ELEMENTS: Final = ("Version", "Id", "Statement")
_STATEMENT_ELEMENTS: Final = ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
_NO_PRINCIPAL: Final = "leave it out: the policy applies to whatever it is attached to"
_REMEDIES: Final = {"Principal": _NO_PRINCIPAL, "NotPrincipal": _NO_PRINCIPAL}
_ACTION_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.-*?")
_FOLDED_ACTIONS: Final = tuple((action, action.lower()) for action in Action)


def parse_document(text: str, limits: Limits = DEFAULT) -> Document:
    """Read a policy document.

    Raises `Fault`: too large, above `limits.policy_chars_max` characters without white space or
    `POLICY_DOCUMENT_CHARS_MAX` with it; malformed, with the place in the message and the remedy in the hint.
    """
    _check_size(text, limits)
    return read_document(parse_json(text))


def read_document(value: object) -> Document:
    """Return the document that `value` is, which `troth.policy.elements.parse_json` has read as part of something else.

    Raises `Fault` (malformed) as `parse_document` does; its size is its owner's to bound.
    """
    document = known_members(value, "", _ELEMENTS, {})
    version = string(document.get("Version", _WITHOUT_VARIABLES), "Version")
    if version not in (_WITH_VARIABLES, _WITHOUT_VARIABLES):
        refuse("Version", f"{shown(version)} is not a version", f"write {_WITH_VARIABLES!r}")
    if "Id" in document:
        string(document["Id"], "Id")
    if "Statement" not in document:
        refuse("Statement", "is missing", "give one statement, or an array of them")
    variables = version == _WITH_VARIABLES
    statements = enumerate(items(document["Statement"], "Statement"), 1)
    return Document(
        version, tuple(_statement(value, place, number, variables) for number, (value, place) in statements)
    )


def _check_size(text: str, limits: Limits) -> None:
    if len(text) > POLICY_DOCUMENT_CHARS_MAX:
        raise Fault(
            Kind.TOO_LARGE,
            f"the policy document has more than {POLICY_DOCUMENT_CHARS_MAX} characters",
            hint="split it into several policies",
        )
    count = sum(map(len, text.split()))
    if count > limits.policy_chars_max:
        raise Fault(
            Kind.TOO_LARGE,
            f"the policy document has {count} characters without white space, more than {limits.policy_chars_max}",
            hint="split it into several policies, or use wildcards and variables",
        )


def _statement(value: object, place: str, number: int, variables: bool) -> Statement:
    statement = known_members(value, place, _STATEMENT_ELEMENTS, _REMEDIES)
    sid = string(statement["Sid"], f"{place}.Sid") if "Sid" in statement else None
    effect = _effect(statement, f"{place}.Effect")
    written = _written(statement, place)
    named = _actions(written.actions)
    resources = tuple(_resource(word, variables) for word in written.resources)
    conditions = tuple(_condition(each, variables) for each in written.conditions)
    return Statement(
        number=number,
        sid=sid,
        effect=effect,
        actions=named if written.action_element == "Action" else frozenset(Action) - named,
        resources=resources,
        except_resources=written.resource_element == "NotResource",
        conditions=conditions,
        names=frozenset[str]().union(*(p.variables for p in resources), *(c.names for c in conditions)),
        written=written,
    )


def _written(statement: dict[str, object], place: str) -> Written:
    action = _one_of(statement, ("Action", "NotAction"), place)
    resource = _one_of(statement, ("Resource", "NotResource"), place)
    return Written(
        place=place,
        action_element=action,
        actions=tuple(Word(*each) for each in strings(statement[action], f"{place}.{action}")),
        resource_element=resource,
        resources=tuple(Word(*each) for each in strings(statement[resource], f"{place}.{resource}")),
        conditions=_conditions(statement["Condition"], f"{place}.Condition") if "Condition" in statement else (),
    )


def _effect(statement: dict[str, object], place: str) -> Effect:
    hint = 'write "Allow" or "Deny"'
    if "Effect" not in statement:
        refuse(place, "is missing", hint)
    text = string(statement["Effect"], place)
    if text not in tuple(Effect):
        refuse(place, f"{shown(text)} is not an effect", f"{hint}; case counts")
    return Effect(text)


def _one_of(statement: dict[str, object], elements: tuple[str, str], place: str) -> str:
    given = [element for element in elements if element in statement]
    if len(given) != 1:
        problem = "stand side by side" if given else "are both missing"
        refuse(place, f"{elements[0]} and {elements[1]} {problem}", "give exactly one of them")
    return given[0]


def _actions(words: Iterable[Word]) -> frozenset[Action]:
    found: set[Action] = set()
    for word in words:
        if not _ACTION_CHARACTERS.issuperset(word.text) or not (":" in word.text or word.text == "*"):
            hint = 'write "*", or service and name such as "iot:Publish"'
            refuse(word.place, f"{shown(word.text)} is not an action", hint)
        glob = parse_glob(word.text.lower())
        found.update(action for action, folded in _FOLDED_ACTIONS if glob.matches(folded))
    return frozenset(found)


def _resource(word: Word, variables: bool) -> Pattern:
    text, place = word.text, word.place
    parts = text.split(":", 5)
    # A wildcard at the end may run over the parts behind it, but never over the service (IAM, "Resource").
    complete = len(parts) == 6 or (len(parts) > 3 and text.endswith("*"))
    if text != "*" and (parts[0] != "arn" or not complete):
        refuse(place, f"{shown(text)} is not an ARN", 'write "*", or an ARN: arn:aws:iot:REGION:ACCOUNT:TYPE/NAME')
    if len(parts) > 2 and not frozenset("*?").isdisjoint(parts[2]):
        refuse(place, f"{shown(text)} has a wildcard for the service", 'write "iot" there')
    try:
        return parse_resource(text, variables=variables)
    except ValueError as error:
        refuse(place, f"{shown(text)} {error}", "close it with '}', or write ${$} for the character '$'")


def _conditions(value: object, place: str) -> tuple[WrittenCondition, ...]:
    conditions: list[WrittenCondition] = []
    for operator, compared in members(value, place).items():
        where = inside(place, operator)
        if not is_operator(operator):
            refuse(where, "is not an operator", suggest(operator, (*OPERATORS, "Null")))
        keys = members(compared, where)
        if not keys:
            refuse(where, "compares no key", "name a key, or leave the operator out")
        conditions.extend(_written_condition(operator, key, values, where) for key, values in keys.items())
    return tuple(conditions)


def _written_condition(operator: str, key: str, value: object, place: str) -> WrittenCondition:
    where = inside(place, key)
    if ":" not in key:
        refuse(where, "is not a condition key", 'write service and name such as "iot:ClientId"')
    values = tuple(scalar(item, item_place) for item, item_place in items(value, where))
    return WrittenCondition(operator, key, values, where)


def _condition(written: WrittenCondition, variables: bool) -> Condition:
    operator = written.operator
    try:
        return parse_condition(operator, written.key, written.values, variables=variables)
    except ValueError as error:
        refuse(written.place, str(error), f"give a value that {operator} can compare, or choose another operator")
