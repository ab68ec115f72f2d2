"""A topic has MQTT's wildcards, which no name of a topic can have: the resource matches nothing."""

from collections.abc import Iterator
from typing import Final

from troth.policy.lint.mqtt import TOPIC_ACTIONS, in_policy_words, mqtt_wildcards
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.showing import shown
from troth.policy.statement import Effect


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        if statement.effect is not Effect.ALLOW or statement.except_resources:
            continue
        if statement.actions.isdisjoint(TOPIC_ACTIONS):
            continue
        for word in statement.written.resources:
            found = mqtt_wildcards(word.text)
            if found and word.text.split(":", 5)[-1].startswith("topic/"):
                yield Found(
                    word.place,
                    f"{found} is an ordinary character in a policy, and no message has it in its topic",
                    f"write {shown(in_policy_words(word.text))}",
                )


MQTT_WILDCARD_IN_TOPIC: Final = Rule("mqtt-wildcard-in-topic", Level.USELESS, _check)
