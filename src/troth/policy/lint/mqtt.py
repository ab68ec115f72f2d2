"""MQTT's own wildcards in the resources of a policy. Shared by the rules about them. MQTT 3.1.1, 4.7.1."""

from typing import Final

from troth.policy.actions import Action
from troth.policy.statement import Statement

TOPIC_ACTIONS: Final = frozenset({Action.PUBLISH, Action.RETAIN_PUBLISH, Action.RECEIVE, Action.GET_RETAINED_MESSAGE})


def is_of_topics(statement: Statement) -> bool:
    """Say whether a statement is about topics or filters at all."""
    return not statement.actions.isdisjoint(TOPIC_ACTIONS | {Action.SUBSCRIBE})


def mqtt_wildcards(resource: str) -> str:
    """Return MQTT's wildcards that stand as levels of their own in a resource, such as "'+' and '#'"; or ""."""
    levels = _levels(resource)
    found = [f"'{sign}'" for sign, there in (("+", "+" in levels), ("#", levels[-1:] == ["#"])) if there]
    return " and ".join(found)


def in_policy_words(resource: str) -> str:
    """Return a resource with a policy's ``*`` in place of MQTT's wildcards."""
    head = resource[: len(resource) - len("/".join(_levels(resource)))]
    levels = ["*" if level == "+" else level for level in _levels(resource)]
    if levels[-1:] == ["#"]:
        levels[-1] = "*"
    return head + "/".join(levels)


def _levels(resource: str) -> list[str]:
    """Return the levels of the topic or filter that a resource names."""
    kind, _, name = resource.split(":", 5)[-1].partition("/")
    return name.split("/") if kind in {"topic", "topicfilter"} and name else []
