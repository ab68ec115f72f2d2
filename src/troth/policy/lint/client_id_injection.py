"""The client id goes into a topic or filter, and the client is free to choose it: ``+`` and ``#`` among others.

AWS IoT developer guide, "Basic AWS IoT Core policy variables".
"""

from collections.abc import Iterator
from typing import Final

from troth.policy.actions import Action
from troth.policy.catalogue import CLIENT_ID
from troth.policy.lint.connect import lets_anybody_be
from troth.policy.lint.mqtt import TOPIC_ACTIONS
from troth.policy.lint.rule import Case, Found, Level, Rule, resources
from troth.policy.statement import Effect

_REMEDY: Final = "write ${iot:Connection.Thing.ThingName} instead, or let clients connect under their thing's name only"


def _check(case: Case) -> Iterator[Found]:
    if not lets_anybody_be(case, "+"):
        return
    for statement in case.document.statements:
        if statement.effect is not Effect.ALLOW or statement.except_resources:
            continue
        for word, pattern in resources(statement):
            if CLIENT_ID not in pattern.variables:
                continue
            if Action.SUBSCRIBE in statement.actions and "topicfilter/" in word.text:
                reason = "any client id may connect: called '+' or '#', a client has the filters of all"
                yield Found(word.place, reason, _REMEDY)
            elif not statement.actions.isdisjoint(TOPIC_ACTIONS):
                reason = "any client id may connect: with another's name, a client has that one's topics"
                yield Found(word.place, reason, _REMEDY)


CLIENT_ID_INJECTION: Final = Rule("client-id-injection", Level.DANGEROUS, _check)
