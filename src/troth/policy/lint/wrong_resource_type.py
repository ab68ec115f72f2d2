"""A resource of a type that no action of its statement is about, or an action without a resource of its type."""

from collections.abc import Iterator
from typing import Final

from troth.policy.actions import Action, request_resource
from troth.policy.lint.patterns import can_begin, matches
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.pattern import parse_glob
from troth.policy.showing import shown
from troth.policy.statement import Statement
from troth.policy.written import Word


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        if statement.except_resources or not statement.actions:
            continue
        yield from _resources(case, statement)
        if statement.written.action_element == "Action":
            yield from _actions(case, statement)


def _resources(case: Case, statement: Statement) -> Iterator[Found]:
    for word in statement.written.resources:
        if not any(_fits(case, action, word) for action in statement.actions):
            wanted = sorted({request_resource(action, "...") for action in statement.actions})
            yield Found(
                word.place,
                "no action of the statement is about such a resource, so that it matches nothing",
                f"write one of {', '.join(wanted)}" if len(wanted) > 1 else f"write {wanted[0]}",
            )


def _actions(case: Case, statement: Statement) -> Iterator[Found]:
    for word in statement.written.actions:
        glob = parse_glob(word.text.lower())
        named = [action for action in statement.actions if glob.matches(action.lower())]
        if named and not any(_fits(case, action, each) for action in named for each in statement.written.resources):
            wanted = sorted({request_resource(action, "...") for action in named})
            yield Found(
                word.place,
                f"no resource of the statement is one that {shown(word.text)} can be about",
                f"name one: {' or '.join(wanted)}",
            )


def _fits(case: Case, action: Action, word: Word) -> bool:
    """Say whether a request for the action can match the resource, as far as type and service go."""
    name = case.name_of(word)
    if action is Action.LIST_RETAINED_MESSAGES:
        return ":" not in word.text and matches(name, "*")
    parts = word.text.split(":", 5)
    return (len(parts) < 3 or parts[2] == "iot") and can_begin(name, request_resource(action, ""))


WRONG_RESOURCE_TYPE: Final = Rule("wrong-resource-type", Level.USELESS, _check)
