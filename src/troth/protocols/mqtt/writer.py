"""Packets into bytes, for both ends: a device writes with the same code as the gateway. `writer5` writes MQTT 5.0.

What `Reader` would refuse is refused here, as our own fault. Knows no order: `order` does.
"""

from typing import Final, TypeVar, assert_never

from troth.errors import Kind, OurFault
from troth.protocols.mqtt import encoding
from troth.protocols.mqtt.packet_types import PacketType, Version
from troth.protocols.mqtt.packets import (
    CONNACK_CODE_MAX,
    SUBSCRIPTION_REFUSED,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
)
from troth.protocols.mqtt.properties import NO_PROPERTIES
from troth.protocols.mqtt.writer5 import render5

_PROTOCOL: Final = b"\x00\x04MQTT\x04"
_T = TypeVar("_T")


def render(packet: Packet, version: Version = Version.MQTT_3_1_1) -> bytes:
    """Return the bytes of `packet`; of a `Publish` those that it came in, whatever the version (see `convert`).

    Raises `OurFault`: malformed for what the protocol cannot say, unsupported for what only 5.0 could, too large for
    what does not fit a packet.
    """
    if version is Version.MQTT_5:
        return render5(packet)
    if not _is_plain(packet):
        raise OurFault(Kind.UNSUPPORTED, f"MQTT 3.1.1 has no words for all of this {type(packet).__name__}")
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
            return encoding.packet(PacketType.PINGREQ, b"")
        case Pingresp():
            return encoding.packet(PacketType.PINGRESP, b"")
        case Disconnect():
            return encoding.packet(PacketType.DISCONNECT, b"")
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
        case Auth():
            raise OurFault(Kind.UNSUPPORTED, "MQTT 3.1.1 has no AUTH")
        case _:
            assert_never(packet)


def _is_plain(packet: Packet) -> bool:
    """Tell whether a packet says nothing that MQTT 3.1.1 would lose."""
    match packet:
        case Publish() | Pingreq() | Pingresp() | Auth():
            return True
        case Puback() | Pubrec() | Pubrel() | Pubcomp() | Disconnect() if packet.reason:
            return False
        case Connect() if packet.version is not Version.MQTT_3_1_1:
            return False
        case Connect() if packet.will is not None and packet.will.properties != NO_PROPERTIES:
            return False
        case Connack() if packet.code > CONNACK_CODE_MAX:
            return False
        case Subscribe() if any(each != Subscription(each.topic_filter, each.qos) for each in packet.subscriptions):
            return False
        case Unsuback() if packet.codes:
            return False
        case _:
            return packet.properties == NO_PROPERTIES


def _connect(packet: Connect) -> bytes:
    if packet.password is not None and packet.username is None:
        raise OurFault(Kind.MALFORMED, "CONNECT has a password and no user name")
    if not packet.client_id and not packet.clean_session:
        raise OurFault(Kind.REJECTED, "an empty client identifier needs a clean session")
    flags = packet.clean_session << 1
    tail = encoding.text(packet.client_id)
    if packet.will is not None:
        flags |= 0x04 | encoding.qos(packet.will.qos) << 3 | packet.will.retain << 5
        tail += encoding.topic(packet.will.topic) + encoding.binary(packet.will.payload)
    if packet.username is not None:
        flags |= 0x80
        tail += encoding.text(packet.username)
    if packet.password is not None:
        flags |= 0x40
        tail += encoding.binary(packet.password)
    head = _PROTOCOL + bytes((flags,)) + encoding.number(packet.keep_alive_s, "the keep-alive")
    return encoding.packet(PacketType.CONNECT, head + tail)


def _connack(packet: Connack) -> bytes:
    if packet.code and packet.session_present:
        raise OurFault(Kind.MALFORMED, "CONNACK refuses and yet has a session")
    return encoding.packet(PacketType.CONNACK, bytes((packet.session_present, packet.code)))


def _subscribe(packet: Subscribe) -> bytes:
    body = encoding.packet_id(packet.packet_id)
    for subscription in _some(packet.subscriptions):
        body += encoding.topic_filter(subscription.topic_filter) + bytes((encoding.qos(subscription.qos),))
    return encoding.packet(PacketType.SUBSCRIBE, body, 0x2)


def _suback(packet: Suback) -> bytes:
    codes = bytes(code if code == SUBSCRIPTION_REFUSED else encoding.qos(code) for code in _some(packet.codes))
    return encoding.packet(PacketType.SUBACK, encoding.packet_id(packet.packet_id) + codes)


def _unsubscribe(packet: Unsubscribe) -> bytes:
    filters = b"".join(encoding.topic_filter(topic_filter) for topic_filter in _some(packet.topic_filters))
    return encoding.packet(PacketType.UNSUBSCRIBE, encoding.packet_id(packet.packet_id) + filters, 0x2)


def _acknowledgement(packet_type: PacketType, packet_id: int, flags: int = 0) -> bytes:
    return encoding.packet(packet_type, encoding.packet_id(packet_id), flags)


def _some(items: tuple[_T, ...]) -> tuple[_T, ...]:
    if not items:
        raise OurFault(Kind.MALFORMED, "SUBSCRIBE, SUBACK and UNSUBSCRIBE are about one filter at least")
    return items
