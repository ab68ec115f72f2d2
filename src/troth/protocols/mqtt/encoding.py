"""The data types that packets are made of, written (section 1.5 of either standard). Knows no packet.

Raises `OurFault`: malformed for what the protocol cannot say, too large for what does not fit.
"""

from collections.abc import Callable

from troth.errors import Kind, OurFault
from troth.limits import MQTT_REMAINING_LENGTH_MAX, MQTT_STRING_BYTES_MAX
from troth.protocols.mqtt.header import render_length
from troth.protocols.mqtt.packet_types import PacketType
from troth.protocols.mqtt.topics import filter_problem, topic_problem


def packet(packet_type: PacketType, body: bytes, flags: int = 0) -> bytes:
    """Put the fixed header before a body."""
    return bytes((packet_type << 4 | flags,)) + render_length(remaining_length(packet_type, len(body))) + body


def remaining_length(packet_type: PacketType, length: int) -> int:
    """Return `length` if a packet can have it behind its fixed header."""
    if length > MQTT_REMAINING_LENGTH_MAX:
        raise OurFault(Kind.TOO_LARGE, f"{packet_type.name} is longer than {MQTT_REMAINING_LENGTH_MAX} bytes")
    return length


def qos(value: int) -> int:
    """Return `value` if it is a QoS."""
    if value not in {0, 1, 2}:
        raise OurFault(Kind.MALFORMED, f"{value} is not a QoS")
    return value


def packet_id(value: int) -> bytes:
    """Write a packet identifier, 1 to 65,535."""
    if not value:
        raise OurFault(Kind.MALFORMED, "a packet identifier is 0")
    return number(value, "a packet identifier")


def number(value: int, what: str) -> bytes:
    """Write a number of two bytes."""
    if not 0 <= value <= 0xFFFF:
        raise OurFault(Kind.MALFORMED, f"{what} is not in 0 to 65,535")
    return value.to_bytes(2)


def binary(value: bytes) -> bytes:
    """Write bytes with their number before them."""
    if len(value) > MQTT_STRING_BYTES_MAX:
        raise OurFault(Kind.TOO_LARGE, f"a field is longer than {MQTT_STRING_BYTES_MAX} bytes")
    return len(value).to_bytes(2) + value


def text(value: str) -> bytes:
    """Write a text."""
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise OurFault(Kind.MALFORMED, "a text has a surrogate in it") from None
    if 0 in raw:
        raise OurFault(Kind.MALFORMED, "a text has U+0000 in it")
    return binary(raw)


def topic(value: str) -> bytes:
    """Write a topic name."""
    return _proven(value, topic_problem)


def topic_filter(value: str) -> bytes:
    """Write a topic filter."""
    return _proven(value, filter_problem)


def _proven(value: str, problem: Callable[[str], str | None]) -> bytes:
    words = problem(value)
    if words is not None:
        raise OurFault(Kind.MALFORMED, words)
    return text(value)
