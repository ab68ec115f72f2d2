"""``ForAllValues`` in an Allow holds also where the key is absent. AWS IAM user guide, "Multivalued context keys"."""

from collections.abc import Iterator
from typing import Final

from troth.policy.condition import Comparison, Presence, Quantifier
from troth.policy.lint.conditions import pairs_of
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.showing import shown
from troth.policy.statement import Effect, Statement

# Absent means that the CONNECT asked for nothing special, and the documented policies mean to allow that.
_MEANT: Final = "iot:connectattributes"


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        if statement.effect is not Effect.ALLOW:
            continue
        for condition, written in pairs_of(statement):
            if not isinstance(condition, Comparison) or condition.quantifier is not Quantifier.ALL:
                continue
            if condition.key != _MEANT and not _is_required(statement, condition.key):
                yield Found(
                    written.place,
                    f"{written.operator} holds also where {shown(written.key)} is absent",
                    f'add "Null": {{"{shown(written.key)}": "false"}}, or use ForAnyValue',
                )


def _is_required(statement: Statement, key: str) -> bool:
    return any(
        isinstance(each, Presence) and each.key == key and each.absent == frozenset({False})
        for each in statement.conditions
    )


FOR_ALL_VALUES_ABSENT: Final = Rule("for-all-values-absent", Level.DANGEROUS, _check)
