"""A statement allows every client id, every topic, or the shadows and jobs of every thing.

AWS IoT Device Defender, "AWS IoT policies overly permissive".
"""

from collections.abc import Iterator, Mapping
from typing import Final

from troth.policy.actions import Action
from troth.policy.catalogue import CLIENT_ID
from troth.policy.lint.conditions import is_bound
from troth.policy.lint.patterns import ANYTHING, matches
from troth.policy.lint.rule import OVERLY_PERMISSIVE_CHECK, Case, Found, Level, Rule
from troth.policy.statement import Effect, Statement
from troth.policy.written import Word

_THINGS: Final = f"$aws/things/{ANYTHING}"
_TOPICS: Final = {
    f"topic/{ANYTHING}": "every topic",
    f"topic/{_THINGS}/shadow/update": "the shadow of every thing",
    f"topic/{_THINGS}/jobs/{ANYTHING}/update": "the jobs of every thing",
}
_FILTERS: Final = {
    f"topicfilter/{ANYTHING}": "every filter",
    "topicfilter/#": "the filter #, which is every topic",
    f"topicfilter/{_THINGS}/shadow/update": "the shadow of every thing",
    "topicfilter/$aws/things/+/shadow/update": "the shadow of every thing",
    "topicfilter/$aws/things/#": "all about every thing",
    f"topicfilter/{_THINGS}/jobs/notify": "the jobs of every thing",
    "topicfilter/$aws/things/+/jobs/notify": "the jobs of every thing",
}
_EVERY_THING: Final = {f"thing/{ANYTHING}": "every thing"}
# What is delivered was subscribed to before, so iot:Receive may be allowed on everything.
_BROAD: Final[Mapping[Action, Mapping[str, str]]] = {
    **dict.fromkeys(set(Action) - {Action.RECEIVE, Action.LIST_RETAINED_MESSAGES}, _EVERY_THING),
    Action.CONNECT: {f"client/{ANYTHING}": "every client id"},
    Action.DELETE_CONNECTION: {f"client/{ANYTHING}": "every client id"},
    Action.PUBLISH: _TOPICS,
    Action.RETAIN_PUBLISH: _TOPICS,
    Action.GET_RETAINED_MESSAGE: {f"topic/{ANYTHING}": "every topic"},
    Action.SUBSCRIBE: _FILTERS,
    Action.ASSUME_ROLE_WITH_CERTIFICATE: {f"rolealias/{ANYTHING}": "every role alias"},
}
_SHOWN_MAX: Final = 3
_REMEDY: Final = "name what belongs to the device: ${iot:Connection.Thing.ThingName} in place of the wildcard"


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        if statement.effect is Effect.ALLOW and not statement.except_resources:
            for word in statement.written.resources:
                grants = list(_grants(case, statement, word))
                if grants:
                    yield Found(word.place, f"allows {'; '.join(grants)}", _REMEDY)


def _grants(case: Case, statement: Statement, word: Word) -> Iterator[str]:
    name = case.name_of(word)
    by_breadth: dict[str, list[Action]] = {}
    for action in Action:
        if action not in statement.actions or (action is Action.CONNECT and is_bound(statement)):
            continue
        # A client can take its id from the very request, so the variable is as wide as a wildcard there.
        values = {CLIENT_ID: ANYTHING} if action is Action.CONNECT else {}
        for probe, breadth in _BROAD.get(action, {}).items():
            if matches(name, probe, values):
                by_breadth.setdefault(breadth, []).append(action)
                break
    for breadth, actions in by_breadth.items():
        more = f" and {len(actions) - _SHOWN_MAX} more" if len(actions) > _SHOWN_MAX else ""
        yield f"{', '.join(actions[:_SHOWN_MAX])}{more} on {breadth}"


OVERLY_PERMISSIVE: Final = Rule("overly-permissive", Level.DANGEROUS, _check, OVERLY_PERMISSIVE_CHECK)
