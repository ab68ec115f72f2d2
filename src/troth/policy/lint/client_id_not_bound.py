"""A pattern of client ids lets the holder of any certificate take the client id of another device."""

from collections.abc import Iterator
from typing import Final

from troth.policy.actions import Action
from troth.policy.lint.conditions import is_bound
from troth.policy.lint.connect import allows_client, is_free
from troth.policy.lint.patterns import ANYTHING
from troth.policy.lint.rule import Case, Found, Level, Rule


def _check(case: Case) -> Iterator[Found]:
    for statement in case.allowing(Action.CONNECT):
        if statement.except_resources or is_bound(statement):
            continue
        for word in statement.written.resources:
            # Where every client id is allowed, the rule "overly-permissive" speaks.
            if is_free(case.name_of(word)) and not allows_client(case, statement, word, ANYTHING):
                yield Found(
                    word.place,
                    "a certificate is not bound to one of these client ids: its holder can take another device's",
                    "write client/${iot:Connection.Thing.ThingName}, or the condition "
                    '"Bool": {"iot:Connection.Thing.IsAttached": "true"}',
                )


CLIENT_ID_NOT_BOUND: Final = Rule("client-id-not-bound", Level.DANGEROUS, _check)
