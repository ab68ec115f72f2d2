"""A condition that no request can satisfy: the statement never applies."""

from collections.abc import Iterator
from typing import Final

from troth.policy.actions import Action
from troth.policy.catalogue import CONNECT_KEYS, NEVER
from troth.policy.condition import Comparison, Condition
from troth.policy.lint.conditions import needs_key, pairs_of
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.statement import Statement
from troth.policy.written import WrittenCondition

_LAST_WILL: Final = "iot:lastwilltopic"
_ARN_COLONS: Final = 5


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        for condition, written in pairs_of(statement):
            why = _why_never(statement, condition, written) if needs_key(condition) else None
            if why is not None:
                reason, remedy = why
                yield Found(written.place, f"{reason}, so that the statement never applies", remedy)


def _why_never(statement: Statement, condition: Condition, written: WrittenCondition) -> tuple[str, str] | None:
    if not written.values:
        return "it compares with no value at all", "give values, or put ForAllValues: before the operator"
    if condition.key in NEVER:
        return f"{written.key} never has a value: {NEVER[condition.key]}", "leave the condition out"
    if condition.key in CONNECT_KEYS and Action.CONNECT not in statement.actions:
        return f"only {Action.CONNECT} has {written.key}", f"use it in statements about {Action.CONNECT}"
    if not isinstance(condition, Comparison) or condition.negated:
        return None
    if written.base.startswith("Arn") and not any(value.count(":") >= _ARN_COLONS for value in written.values):
        return f"{written.operator} compares the six parts of an ARN, and no value is one", "write whole ARNs"
    if condition.key == _LAST_WILL and not any(value.startswith(("arn:", "*", "?", "${")) for value in written.values):
        return f"{written.key} is an ARN, and no value is one", "write arn:aws:iot:REGION:ACCOUNT:topic/TOPIC"
    return None


CONDITION_NEVER_HOLDS: Final = Rule("condition-never-holds", Level.USELESS, _check)
