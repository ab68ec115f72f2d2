"""A Deny that applies to things alone is dodged by connecting under a client id that is no thing's name."""

from collections.abc import Iterator
from typing import Final

from troth.policy.actions import Action
from troth.policy.catalogue import THING
from troth.policy.lint.conditions import is_bound, needs_thing, pairs_of
from troth.policy.lint.connect import is_free
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.statement import Effect, Statement


def _check(case: Case) -> Iterator[Found]:
    if _binds_every_client(case):
        return
    for statement in case.document.statements:
        if statement.effect is Effect.DENY and (_is_of_thing(statement) or _has_condition(statement)):
            yield Found(
                statement.written.place,
                "it denies nothing to a connection that is no thing, and a client chooses its client id",
                "let clients connect under their thing's name only, or deny without what depends on the thing",
            )


def _binds_every_client(case: Case) -> bool:
    """Say whether the document allows connecting, and as a thing only."""
    allowing = list(case.allowing(Action.CONNECT))
    return bool(allowing) and all(is_bound(each) or _names_thing(case, each) for each in allowing)


def _names_thing(case: Case, statement: Statement) -> bool:
    names = [case.name_of(word) for word in statement.written.resources]
    return not statement.except_resources and all(
        not is_free(name) and any(variable.startswith(THING) for variable in pattern.variables)
        for name, pattern in zip(names, statement.resources, strict=True)
    )


def _is_of_thing(statement: Statement) -> bool:
    return not statement.except_resources and all(
        any(variable.startswith(THING) for variable in pattern.variables) for pattern in statement.resources
    )


def _has_condition(statement: Statement) -> bool:
    return any(needs_thing(condition, written) for condition, written in pairs_of(statement))


DENY_NEEDS_THING: Final = Rule("deny-needs-thing", Level.DANGEROUS, _check)
