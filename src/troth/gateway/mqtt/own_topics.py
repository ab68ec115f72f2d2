"""The topics that the gateway itself answers, of one connection: what it may ask there, and where it listens.

Subscriptions to them are held here and never reach the broker. Without I/O; decides nothing that is policy's.
"""

from collections.abc import Callable, Iterable
from typing import Final

from troth.gateway.mqtt.names import OWN
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED, matches
from troth.protocols.provisioning import ACCEPTED, Topic, parse_topic

Ask = Callable[[Topic, str, bytes], None]
"""Takes a request: what it asks for, the name of its topic, its payload."""
_GRANTED: Final = 0
"""Answers are sent once: QoS 0."""
_NONE: Final = frozenset[str]()


class OwnTopics:
    """`ask` takes requests; where it is None nothing is offered. At most `held_max` filters are held."""

    __slots__ = ("_ask", "_held", "_held_max")

    def __init__(self, ask: Ask | None, held_max: int) -> None:
        self._ask = ask
        self._held_max = held_max
        # Of most connections for ever: an empty set of their own would be 200 bytes of each.
        self._held = _NONE

    def is_own(self, topic_filter: str) -> bool:
        """Say whether a filter is served here."""
        return self._ask is not None and topic_filter.startswith(OWN)

    def subscribe(self, topic_filter: str) -> int | None:
        """Hold a filter that is allowed; return its code for the SUBACK. None for a filter that is not served here."""
        if not self.is_own(topic_filter):
            return None
        if topic_filter not in self._held and len(self._held) >= self._held_max:
            return SUBSCRIPTION_REFUSED
        self._held |= {topic_filter}
        return _GRANTED

    def unsubscribe(self, topic_filters: Iterable[str]) -> None:
        """Let filters go."""
        if self._held:
            self._held = self._held.difference(topic_filters)

    def is_held(self, topic_filter: str) -> bool:
        """Say whether a filter is held here."""
        return topic_filter in self._held

    def withdraw(self, objectionable: Callable[[str], bool]) -> None:
        """Let go of the filters that are not allowed any more."""
        if self._held:
            self._held = frozenset(each for each in self._held if not objectionable(each))

    def close(self) -> None:
        """Take no more requests."""
        self._ask = None

    def is_heard(self, name: str) -> bool:
        """Say whether a filter that is held matches a topic."""
        return any(matches(each, name) for each in self._held)

    def is_request(self, name: str) -> bool:
        """Say whether requests go to a topic."""
        return self._ask is not None and _request(name) is not None

    def ask(self, name: str, payload: bytes) -> None:
        """Pass a request on that is allowed; `is_request` says that it is one."""
        topic = _request(name)
        assert self._ask is not None
        assert topic is not None
        self._ask(topic, name, payload)


def _request(name: str) -> Topic | None:
    topic = parse_topic(name) if name.startswith(OWN) else None
    return None if topic is None or topic.is_answer else topic


def accepted(name: str) -> str:
    """Return where the answer to a request comes."""
    return name + ACCEPTED
