"""Packets into bytes, for both ends: a device writes with the same code as the gateway.

What `Reader` would refuse is refused here, as our own fault. Knows no order: `order` does.
"""

from collections.abc import Callable
from typing import Final, TypeVar, assert_never

from troth.errors import Kind, OurFault
from troth.limits import MQTT_REMAINING_LENGTH_MAX, MQTT_STRING_BYTES_MAX
from troth.protocols.mqtt.header import render_length
from troth.protocols.mqtt.packets import (
    SUBSCRIPTION_REFUSED,
    Connack,
    Connect,
    Disconnect,
    Packet,
    PacketType,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from troth.protocols.mqtt.topics import filter_problem, topic_problem

_PROTOCOL: Final = b"\x00\x04MQTT\x04"
_T = TypeVar("_T")


def build_publish(
    topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, dup: bool = False, packet_id: int = 0
) -> Publish:
    """Make a message of our own. `packet_id` is 1 to 65,535 when `qos` is 1 or 2, else 0; `dup` needs a `qos`.

    Raises `OurFault`: malformed for what the protocol cannot say, too large for what does not fit a packet.
    """
    head = _topic(topic)
    if qos:
        head += _packet_id(packet_id)
    elif packet_id or dup:
        raise OurFault(Kind.MALFORMED, "a message of QoS 0 has neither a packet identifier nor DUP")
    raw = _packet(PacketType.PUBLISH, head + payload, dup << 3 | _qos(qos) << 1 | retain)
    return Publish(raw, topic, qos, retain, packet_id, len(raw) - len(payload))


def render(packet: Packet) -> bytes:
    """Return the bytes of `packet`; of a `Publish` those that it came in.

    Raises `OurFault`: malformed for what the protocol cannot say, too large for what does not fit a packet.
    """
    match packet:
        case Publish():
            return packet.raw
        case Puback():
            return _acknowledgement(PacketType.PUBACK, packet.packet_id)
        case Pubrec():
            return _acknowledgement(PacketType.PUBREC, packet.packet_id)
        case Pubrel():
            return _acknowledgement(PacketType.PUBREL, packet.packet_id, 0x2)
        case Pubcomp():
            return _acknowledgement(PacketType.PUBCOMP, packet.packet_id)
        case Unsuback():
            return _acknowledgement(PacketType.UNSUBACK, packet.packet_id)
        case Pingreq():
            return _packet(PacketType.PINGREQ, b"")
        case Pingresp():
            return _packet(PacketType.PINGRESP, b"")
        case Disconnect():
            return _packet(PacketType.DISCONNECT, b"")
        case Connack():
            return _connack(packet)
        case Connect():
            return _connect(packet)
        case Subscribe():
            return _subscribe(packet)
        case Suback():
            return _suback(packet)
        case Unsubscribe():
            return _unsubscribe(packet)
        case _:
            assert_never(packet)


def _connect(packet: Connect) -> bytes:
    if packet.password is not None and packet.username is None:
        raise OurFault(Kind.MALFORMED, "CONNECT has a password and no user name")
    if not packet.client_id and not packet.clean_session:
        raise OurFault(Kind.REJECTED, "an empty client identifier needs a clean session")
    flags = packet.clean_session << 1
    tail = _text(packet.client_id)
    if packet.will is not None:
        flags |= 0x04 | _qos(packet.will.qos) << 3 | packet.will.retain << 5
        tail += _topic(packet.will.topic) + _binary(packet.will.payload)
    if packet.username is not None:
        flags |= 0x80
        tail += _text(packet.username)
    if packet.password is not None:
        flags |= 0x40
        tail += _binary(packet.password)
    head = _PROTOCOL + bytes((flags,)) + _number(packet.keep_alive_s, "the keep-alive")
    return _packet(PacketType.CONNECT, head + tail)


def _connack(packet: Connack) -> bytes:
    if packet.code and packet.session_present:
        raise OurFault(Kind.MALFORMED, "CONNACK refuses and yet has a session")
    return _packet(PacketType.CONNACK, bytes((packet.session_present, packet.code)))


def _subscribe(packet: Subscribe) -> bytes:
    body = _packet_id(packet.packet_id)
    for subscription in _some(packet.subscriptions):
        body += _topic_filter(subscription.topic_filter) + bytes((_qos(subscription.qos),))
    return _packet(PacketType.SUBSCRIBE, body, 0x2)


def _suback(packet: Suback) -> bytes:
    codes = bytes(code if code == SUBSCRIPTION_REFUSED else _qos(code) for code in _some(packet.codes))
    return _packet(PacketType.SUBACK, _packet_id(packet.packet_id) + codes)


def _unsubscribe(packet: Unsubscribe) -> bytes:
    filters = b"".join(_topic_filter(topic_filter) for topic_filter in _some(packet.topic_filters))
    return _packet(PacketType.UNSUBSCRIBE, _packet_id(packet.packet_id) + filters, 0x2)


def _acknowledgement(packet_type: PacketType, packet_id: int, flags: int = 0) -> bytes:
    return _packet(packet_type, _packet_id(packet_id), flags)


def _packet(packet_type: PacketType, body: bytes, flags: int = 0) -> bytes:
    if len(body) > MQTT_REMAINING_LENGTH_MAX:
        raise OurFault(Kind.TOO_LARGE, f"{packet_type.name} is longer than {MQTT_REMAINING_LENGTH_MAX} bytes")
    return bytes((packet_type << 4 | flags,)) + render_length(len(body)) + body


def _some(items: tuple[_T, ...]) -> tuple[_T, ...]:
    if not items:
        raise OurFault(Kind.MALFORMED, "SUBSCRIBE, SUBACK and UNSUBSCRIBE are about one filter at least")
    return items


def _qos(value: int) -> int:
    if value not in {0, 1, 2}:
        raise OurFault(Kind.MALFORMED, f"{value} is not a QoS")
    return value


def _packet_id(value: int) -> bytes:
    if not value:
        raise OurFault(Kind.MALFORMED, "a packet identifier is 0")
    return _number(value, "a packet identifier")


def _number(value: int, what: str) -> bytes:
    if not 0 <= value <= 0xFFFF:
        raise OurFault(Kind.MALFORMED, f"{what} is not in 0 to 65,535")
    return value.to_bytes(2)


def _binary(value: bytes) -> bytes:
    if len(value) > MQTT_STRING_BYTES_MAX:
        raise OurFault(Kind.TOO_LARGE, f"a field is longer than {MQTT_STRING_BYTES_MAX} bytes")
    return len(value).to_bytes(2) + value


def _text(value: str) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise OurFault(Kind.MALFORMED, "a text has a surrogate in it") from None
    if 0 in raw:
        raise OurFault(Kind.MALFORMED, "a text has U+0000 in it")
    return _binary(raw)


def _topic(value: str) -> bytes:
    return _proven(value, topic_problem)


def _topic_filter(value: str) -> bytes:
    return _proven(value, filter_problem)


def _proven(value: str, problem: Callable[[str], str | None]) -> bytes:
    words = problem(value)
    if words is not None:
        raise OurFault(Kind.MALFORMED, words)
    return _text(value)
