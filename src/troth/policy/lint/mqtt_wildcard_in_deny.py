"""A Deny has MQTT's wildcards, which are ordinary characters in a policy: it denies those characters and nothing else.

AWS IoT Device Defender, "AWS IoT policy potentially misconfigured".
"""

from collections.abc import Iterator
from typing import Final

from troth.policy.lint.mqtt import in_policy_words, is_of_topics, mqtt_wildcards
from troth.policy.lint.rule import MISCONFIGURATION_CHECK, Case, Found, Level, Rule
from troth.policy.showing import shown
from troth.policy.statement import Effect


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        if statement.effect is not Effect.DENY or statement.except_resources or not is_of_topics(statement):
            continue
        for word in statement.written.resources:
            found = mqtt_wildcards(word.text)
            if found:
                yield Found(
                    word.place,
                    f"{found} is an ordinary character in a policy: what it stands for in MQTT is not denied",
                    f"write {shown(in_policy_words(word.text))}, and deny iot:Receive on the topics as well",
                )


MQTT_WILDCARD_IN_DENY: Final = Rule("mqtt-wildcard-in-deny", Level.DANGEROUS, _check, MISCONFIGURATION_CHECK)
