"""Packets of MQTT 5.0 into bytes, for both ends. What `Reader` would refuse is refused here, as our own fault.

Knows no order (`order` does) and not what a CONNECT has said before.
"""

from typing import Final, TypeVar, assert_never

from troth.errors import Kind, OurFault, PeerFault
from troth.protocols.mqtt import encoding
from troth.protocols.mqtt.packet_types import PacketType, Version
from troth.protocols.mqtt.packets import (
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
from troth.protocols.mqtt.properties import Properties
from troth.protocols.mqtt.property_table import Place, render_properties
from troth.protocols.mqtt.reason_codes import CODES, ReasonCode
from troth.protocols.mqtt.topics import split_share

_T = TypeVar("_T")
_HEAD: Final = b"\x00\x04MQTT\x05"


def render5(packet: Packet) -> bytes:
    """Return the bytes of `packet` in MQTT 5.0; of a `Publish` those that it came in. Raises `OurFault`."""
    match packet:
        case Publish():
            return packet.raw
        case Puback():
            return _answer(PacketType.PUBACK, packet)
        case Pubrec():
            return _answer(PacketType.PUBREC, packet)
        case Pubrel():
            return _answer(PacketType.PUBREL, packet, 0x2)
        case Pubcomp():
            return _answer(PacketType.PUBCOMP, packet)
        case Suback():
            return _codes(PacketType.SUBACK, packet)
        case Unsuback():
            return _codes(PacketType.UNSUBACK, packet)
        case Pingreq():
            return encoding.packet(PacketType.PINGREQ, b"")
        case Pingresp():
            return encoding.packet(PacketType.PINGRESP, b"")
        case Connack():
            return _connack(packet)
        case Connect():
            return _connect(packet)
        case Subscribe():
            return _subscribe(packet)
        case Unsubscribe():
            return _unsubscribe(packet)
        case Disconnect():
            return _disconnect(packet)
        case Auth():
            return _auth(packet)
        case _:
            assert_never(packet)


def _connect(packet: Connect) -> bytes:
    if packet.version is not Version.MQTT_5:
        raise OurFault(Kind.MALFORMED, "CONNECT is of another version")
    _check_method(packet.properties)
    flags = packet.clean_session << 1
    tail = render_properties(packet.properties, Place.CONNECT) + encoding.text(packet.client_id)
    if packet.will is not None:
        flags |= 0x04 | encoding.qos(packet.will.qos) << 3 | packet.will.retain << 5
        tail += render_properties(packet.will.properties, Place.WILL)
        tail += encoding.topic(packet.will.topic) + encoding.binary(packet.will.payload)
    if packet.username is not None:
        flags |= 0x80
        tail += encoding.text(packet.username)
    if packet.password is not None:
        flags |= 0x40
        tail += encoding.binary(packet.password)
    head = _HEAD + bytes((flags,)) + encoding.number(packet.keep_alive_s, "the keep-alive")
    return encoding.packet(PacketType.CONNECT, head + tail)


def _check_method(properties: Properties) -> None:
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise OurFault(Kind.MALFORMED, "there is authentication data for no method")


def _connack(packet: Connack) -> bytes:
    if packet.code and packet.session_present:
        raise OurFault(Kind.MALFORMED, "CONNACK refuses and yet has a session")
    _check_method(packet.properties)
    head = bytes((packet.session_present, _code(PacketType.CONNACK, packet.code)))
    return encoding.packet(PacketType.CONNACK, head + render_properties(packet.properties, Place.CONNACK))


def _answer(packet_type: PacketType, packet: Puback | Pubrec | Pubrel | Pubcomp, flags: int = 0) -> bytes:
    tail = _reason(packet_type, packet.reason, packet.properties, Place.ANSWER)
    return encoding.packet(packet_type, encoding.packet_id(packet.packet_id) + tail, flags)


def _reason(packet_type: PacketType, reason: ReasonCode, properties: Properties, place: Place) -> bytes:
    """Write a reason and properties, and leave out what says nothing."""
    code = _code(packet_type, reason)
    written = render_properties(properties, place)
    if len(written) > 1:
        return bytes((code,)) + written
    return bytes((code,)) if code else b""


def _codes(packet_type: PacketType, packet: Suback | Unsuback) -> bytes:
    codes = bytes(_code(packet_type, code) for code in _some(packet.codes))
    head = encoding.packet_id(packet.packet_id) + render_properties(packet.properties, Place.ANSWER)
    return encoding.packet(packet_type, head + codes)


def _subscribe(packet: Subscribe) -> bytes:
    body = encoding.packet_id(packet.packet_id) + render_properties(packet.properties, Place.SUBSCRIBE)
    body += b"".join(map(_subscription, _some(packet.subscriptions)))
    return encoding.packet(PacketType.SUBSCRIBE, body, 0x2)


def _subscription(wanted: Subscription) -> bytes:
    try:
        share, _ = split_share(wanted.topic_filter)
    except PeerFault as fault:
        raise OurFault(fault.kind, fault.message) from None
    if wanted.retain_handling not in {0, 1, 2}:
        raise OurFault(Kind.MALFORMED, "a retain handling is not 0, 1 or 2")
    if wanted.no_local and share is not None:
        raise OurFault(Kind.MALFORMED, "a shared subscription is not to have what its own client sends")
    options = encoding.qos(wanted.qos) | wanted.no_local << 2 | wanted.retain_as_published << 3
    return encoding.topic_filter(wanted.topic_filter) + bytes((options | wanted.retain_handling << 4,))


def _unsubscribe(packet: Unsubscribe) -> bytes:
    body = encoding.packet_id(packet.packet_id) + render_properties(packet.properties, Place.UNSUBSCRIBE)
    body += b"".join(map(encoding.topic_filter, _some(packet.topic_filters)))
    return encoding.packet(PacketType.UNSUBSCRIBE, body, 0x2)


def _disconnect(packet: Disconnect) -> bytes:
    # Which side says it is the caller's to know: what either may say goes.
    by_client = packet.properties.session_expiry_s is not None
    place = Place.CLIENT_LEAVES if by_client else Place.SERVER_LEAVES
    return encoding.packet(
        PacketType.DISCONNECT, _reason(PacketType.DISCONNECT, packet.reason, packet.properties, place)
    )


def _auth(packet: Auth) -> bytes:
    if packet.properties.authentication_method is None:
        raise OurFault(Kind.MALFORMED, "AUTH names no method")
    return encoding.packet(PacketType.AUTH, _reason(PacketType.AUTH, packet.reason, packet.properties, Place.AUTH))


def _code(packet_type: PacketType, value: int) -> int:
    if value not in CODES[packet_type]:
        raise OurFault(Kind.MALFORMED, f"{packet_type.name} cannot have the reason code 0x{value:02x}")
    return value


def _some(items: tuple[_T, ...]) -> tuple[_T, ...]:
    if not items:
        raise OurFault(Kind.MALFORMED, "SUBSCRIBE, UNSUBSCRIBE and their answers are about one filter at least")
    return items
