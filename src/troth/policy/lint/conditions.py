"""What a condition says without any request: whether it needs its key, and whether it ties down who connects."""

from collections.abc import Iterator

from troth.policy.catalogue import CERTIFICATE, CLIENT_ID, IS_ATTACHED, THING
from troth.policy.condition import Comparison, Condition, Presence, Quantifier
from troth.policy.pattern import fold
from troth.policy.statement import Statement
from troth.policy.written import WrittenCondition


def conditions_of(statement: Statement) -> frozenset[tuple[str, str, frozenset[str]]]:
    """Return what the conditions of a statement say: two statements with the same need the same to hold."""
    return frozenset((each.operator, fold(each.key), frozenset(each.values)) for each in statement.written.conditions)


def pairs_of(statement: Statement) -> Iterator[tuple[Condition, WrittenCondition]]:
    """Yield the conditions of a statement, as they are and as they are written."""
    return zip(statement.conditions, statement.written.conditions, strict=True)


def needs_key(condition: Condition) -> bool:
    """Say whether the condition fails where its key is absent."""
    if isinstance(condition, Presence):
        return True not in condition.absent
    if condition.if_exists or condition.quantifier is Quantifier.ALL:
        return False
    return condition.quantifier is Quantifier.ANY or not condition.negated


def is_bound(statement: Statement) -> bool:
    """Say whether a statement applies only to a client id that belongs to the certificate or its thing."""
    return any(needs_thing(condition, written) or _ties(condition) for condition, written in pairs_of(statement))


def needs_thing(condition: Condition, written: WrittenCondition) -> bool:
    """Say whether the condition fails where the connection is no thing that its certificate is attached to."""
    if condition.key == IS_ATTACHED:
        values = [value.lower() for value in written.values]
        return isinstance(condition, Comparison) and needs_key(condition) and set(values) == {"true"}
    return condition.key.startswith(THING) and needs_key(condition)


def _ties(condition: Condition) -> bool:
    others = [name for name in condition.names if name.startswith((THING, CERTIFICATE))]
    return CLIENT_ID in condition.names and bool(others) and needs_key(condition)
