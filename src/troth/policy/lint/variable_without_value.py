"""A variable that never has a value: what it stands in matches nothing, in an Allow and in a Deny."""

from collections.abc import Iterator
from typing import Final

from troth.policy.actions import Action
from troth.policy.catalogue import CONNECT_KEYS, NEVER, find_key, suggest_key
from troth.policy.lint.conditions import pairs_of
from troth.policy.lint.rule import Case, Found, Level, Rule, resources
from troth.policy.operators import OPERATORS
from troth.policy.pattern import Token, Variable, scan
from troth.policy.showing import shown
from troth.policy.statement import Statement

_LEAVE_OUT: Final = "leave it out"


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        for word, pattern in resources(statement):
            yield from _found(statement, pattern.tokens, word.place)
        for _, written in pairs_of(statement):
            operator = OPERATORS.get(written.base)
            if operator is not None and operator.variables and case.document.has_variables:
                tokens = [token for value in written.values for token in scan(value, variables=True)]
                yield from _found(statement, tokens, written.place)


def _found(statement: Statement, tokens: list[Token] | tuple[Token, ...], place: str) -> Iterator[Found]:
    for variable in dict.fromkeys(token for token in tokens if isinstance(token, Variable)):
        why = _why_never(variable.name, statement)
        if why is not None:
            reason, remedy = why
            yield Found(place, f"{shown(variable.text)} matches nothing: {reason}", remedy)


def _why_never(name: str, statement: Statement) -> tuple[str, str] | None:
    key = find_key(name)
    if key is None and "," in name:
        return "defaults for variables are not supported", "leave the default out"
    if key is None:
        meant = suggest_key(name)
        return "there is no such variable", f"write ${{{meant}}}" if meant else _LEAVE_OUT
    if key.multiple:
        return "a key of several values is no variable", "compare it in a condition"
    if name in NEVER:
        return NEVER[name], _LEAVE_OUT
    if name in CONNECT_KEYS and Action.CONNECT not in statement.actions:
        return f"only {Action.CONNECT} has it", f"use it in statements about {Action.CONNECT}"
    return None


VARIABLE_WITHOUT_VALUE: Final = Rule("variable-without-value", Level.USELESS, _check)
