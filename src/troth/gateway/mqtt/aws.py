"""Where AWS IoT's MQTT is not the standard's, for `[compat] aws = true`. Knows no connection; decides no policy.

AWS IoT Core developer guide, "MQTT": differences from the specifications.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from troth.protocols.mqtt import Packet, Publish, Subscription, split_share

QOS_MAX: Final = 1
RETAINED_RESERVED: Final = "retained-on-reserved-topic"


def message_problem(packet: Publish) -> str | None:
    """Return what speaks against a message from a device: what is retained on a reserved topic is not taken."""
    return RETAINED_RESERVED if packet.retain and packet.topic.startswith("$") else None


def asks_too_much(subscriptions: Iterable[Subscription]) -> bool:
    """Say whether a SUBSCRIBE asks for QoS 2, which has no answer."""
    return any(each.qos > QOS_MAX for each in subscriptions)


def delivered(
    packets: Iterable[Packet], matching: Callable[[str], tuple[str, ...]], withhold: Callable[[Publish], None]
) -> Iterator[Packet]:
    """Return what of a broker's packets goes on to the device; `matching` finds the filters that match a topic."""
    for packet in packets:
        if isinstance(packet, Publish) and not is_delivered(packet, matching(packet.topic)):
            withhold(packet)
        else:
            yield packet


def is_delivered(packet: Publish, filters: tuple[str, ...]) -> bool:
    """Say whether a message goes to a client that holds these filters, all of which match its topic.

    ``#`` does not match its parent, and what was retained goes to the topic's very name only. Where no filter is known
    the session is an earlier one's, and the broker knows better.
    """
    if not filters:
        return True
    if packet.retain:
        return packet.topic in filters
    return any(not _is_parent(each, packet.topic) for each in filters)


def _is_parent(topic_filter: str, topic: str) -> bool:
    """Say whether a filter that matches a topic does so for ``#`` alone, which stands below it."""
    _, shared = split_share(topic_filter)
    return shared.endswith("/#") and shared.count("/") == topic.count("/") + 1
