"""PUBLISH packets out of a stream, as long as one follows the other whole: the hot loops of the gateway, one a version.

They are flat and ask each question once. What is not a whole and legal PUBLISH they leave to `Reader`, which finds the
words for it; of 5.0, what only the properties or the topic can break is said here.
"""

from struct import Struct
from typing import Final, Protocol

from troth.errors import Kind, PeerFault
from troth.limits import MQTT_TOPIC_ALIASED_BYTES_MAX, MQTT_TOPIC_KNOWN_BYTES_MAX, MQTT_TOPICS_KNOWN_MAX
from troth.protocols.mqtt.faults import PacketFault, breach
from troth.protocols.mqtt.fields import Fields, parse_text
from troth.protocols.mqtt.header import PUBLISH_FLAGS, parse_length
from troth.protocols.mqtt.packets import Packet, Publish
from troth.protocols.mqtt.properties import NO_PROPERTIES, Properties
from troth.protocols.mqtt.property_table import Place, parse_properties, take_properties
from troth.protocols.mqtt.reason_codes import ReasonCode
from troth.protocols.mqtt.topics import topic_problem

# First byte, remaining length and length of the topic, of a PUBLISH whose remaining length takes one byte.
_START: Final = Struct(">BBH")
_unpack: Final = _START.unpack_from
_new: Final = tuple.__new__  # Publish(...) is a Python function around this and would double its cost


class Publishes(Protocol):
    """One version's loop."""

    def read(self, data: bytes, at: int, packets: list[Packet]) -> int:
        """Append PUBLISH packets from `at` on; return where the first other thing begins."""
        ...


class _Bounds:
    """How long a packet may be, and the topics that its sender uses most lately."""

    __slots__ = ("_bytes_max", "_short_max", "_topics")

    def __init__(self, packet_bytes_max: int) -> None:
        self._bytes_max = packet_bytes_max
        # The longest remaining length that takes one byte and is within the bound.
        self._short_max = min(0x7F, packet_bytes_max - 2)
        self._topics: dict[bytes, str] = {}

    def _find_name(self, data: bytes, at: int) -> tuple[int, int, int] | None:
        """Find where the topic of a longer PUBLISH begins, its length, and where the packet ends, if it may and has."""
        header = parse_length(data, at + 1)
        if header is None:
            return None
        length, body = header
        stop = body + length
        if length < 2 or stop > len(data) or stop - at > self._bytes_max:
            return None
        return body + 2, data[body] << 8 | data[body + 1], stop

    def _learn(self, name: bytes) -> str:
        """Decode and check a topic name once, as long as the sender keeps to a few."""
        topic = parse_text(name)
        problem = topic_problem(topic)
        if problem is not None:
            raise PeerFault(Kind.MALFORMED, problem)  # [MQTT-3.3.2-2]
        if len(name) <= MQTT_TOPIC_KNOWN_BYTES_MAX:
            if len(self._topics) >= MQTT_TOPICS_KNOWN_MAX:
                self._topics.clear()
            self._topics[name] = topic
        return topic


class Publishes3(_Bounds):
    """PUBLISH as MQTT 3.1.1 writes it (section 3.3)."""

    __slots__ = ()

    def read(self, data: bytes, at: int, packets: list[Packet]) -> int:
        """Append PUBLISH packets from `at` on; return where the first other thing begins."""
        end = len(data)
        last = end - _START.size
        length_max = self._short_max
        find = self._topics.get
        append = packets.append
        while at <= last:
            first, length, name_bytes = _unpack(data, at)
            flags = PUBLISH_FLAGS[first]
            if flags is None:
                break
            if length <= length_max:
                name = at + 4
                stop = at + 2 + length
            else:
                place = self._find_name(data, at)
                if place is None:
                    break
                name, name_bytes, stop = place
            payload = name + name_bytes
            if stop > end or payload > stop:
                break
            topic = find(data[name:payload])
            if topic is None:
                topic = self._learn(data[name:payload])
            qos, retain = flags
            if qos:
                payload += 2
                if payload > stop:
                    break
                packet_id = data[payload - 2] << 8 | data[payload - 1]
                if not packet_id:
                    break
            else:
                packet_id = 0
            append(_new(Publish, (data[at:stop], topic, qos, retain, packet_id, payload - at, NO_PROPERTIES)))
            at = stop
        return at


class Publishes5(_Bounds):
    """PUBLISH as MQTT 5.0 writes it (section 3.3), with the topic aliases that its sender has set.

    `alias_max` is what the sender was told to keep to. Properties are remembered like topics: most senders say the
    same with every message.
    """

    __slots__ = ("_alias_max", "_aliased", "_known", "_place")

    def __init__(self, packet_bytes_max: int, place: Place, alias_max: int) -> None:
        super().__init__(packet_bytes_max)
        self._place = place
        self._alias_max = alias_max
        self._aliased: dict[int, str] = {}
        self._known: dict[bytes, Properties] = {}

    def read(self, data: bytes, at: int, packets: list[Packet]) -> int:
        """Append PUBLISH packets from `at` on; return where the first other thing begins."""
        end = len(data)
        last = end - _START.size
        length_max = self._short_max
        find = self._topics.get
        append = packets.append
        while at <= last:
            first, length, name_bytes = _unpack(data, at)
            flags = PUBLISH_FLAGS[first]
            if flags is None:
                break
            if length <= length_max:
                name = at + 4
                stop = at + 2 + length
            else:
                place = self._find_name(data, at)
                if place is None:
                    break
                name, name_bytes, stop = place
            behind = name + name_bytes
            qos, retain = flags
            payload = behind + 2 if qos else behind
            if stop > end or payload >= stop:
                break
            packet_id = data[behind] << 8 | data[behind + 1] if qos else 0
            if qos and not packet_id:
                break
            if data[payload]:
                properties, payload = self._properties(data, payload, stop)
            else:
                properties = NO_PROPERTIES
                payload += 1
            topic = find(data[name:behind])
            if topic is None:
                topic = self._learn(data[name:behind]) if name_bytes else ""
            if properties.topic_alias is not None or not topic:
                topic = self._resolve(topic, properties.topic_alias)
            append(_new(Publish, (data[at:stop], topic, qos, retain, packet_id, payload - at, properties)))
            at = stop
        return at

    def _properties(self, data: bytes, at: int, stop: int) -> tuple[Properties, int]:
        """Read the properties at `at`, which there are; return them and where the payload begins."""
        header = parse_length(data[:stop], at) if data[at] > 0x7F else (data[at], at + 1)
        if header is None or sum(header) > stop:
            raise PeerFault(Kind.MALFORMED, "a packet ends inside one of its fields")
        length, at = header
        raw = data[at : at + length]
        properties = self._known.get(raw)
        if properties is None:
            properties = parse_properties(raw, self._place)
            if length <= MQTT_TOPIC_KNOWN_BYTES_MAX:
                if len(self._known) >= MQTT_TOPICS_KNOWN_MAX:
                    self._known.clear()
                self._known[raw] = properties
        return properties, at + length

    def _resolve(self, topic: str, alias: int | None) -> str:
        """Return the topic name that a packet is about, and keep it if its alias is set by it (section 3.3.2.3.4)."""
        if alias is None:
            raise breach("a topic name is empty and no topic alias stands for it")
        if not 1 <= alias <= self._alias_max:
            raise PacketFault(ReasonCode.TOPIC_ALIAS_INVALID, f"the topic alias {alias} is not 1 to {self._alias_max}")
        if not topic:
            known = self._aliased.get(alias)
            if known is None:
                raise breach(f"the topic alias {alias} stands for nothing yet")
            return known
        if len(topic.encode()) > MQTT_TOPIC_ALIASED_BYTES_MAX:
            raise PacketFault(
                ReasonCode.TOPIC_NAME_INVALID, f"a topic alias is set for over {MQTT_TOPIC_ALIASED_BYTES_MAX} bytes"
            )
        self._aliased[alias] = topic
        return topic


def name_broken_publish(body: bytes, qos: int, place: Place | None) -> None:
    """Raise what is wrong with a whole PUBLISH that its loop did not take; `place` is None for 3.1.1."""
    fields = Fields(body)
    name = fields.text()
    if name or place is None:
        words = topic_problem(name)
        if words is not None:
            raise PeerFault(Kind.MALFORMED, words)
    if qos:
        fields.packet_id()
    if place is not None:
        take_properties(fields, place)
