"""Bodies of all packets of MQTT 3.1.1 but PUBLISH: what follows the fixed header, read strictly (chapter 3).

Knows nothing of streams: it is given the whole body, already bounded, of a packet whose header is legal.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from troth.errors import Kind, PeerFault
from troth.limits import MQTT_FILTERS_MAX
from troth.protocols.mqtt.faults import breach
from troth.protocols.mqtt.fields import Fields
from troth.protocols.mqtt.packet_types import PacketType
from troth.protocols.mqtt.packets import (
    CONNACK_CODE_MAX,
    SUBSCRIPTION_REFUSED,
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)

_PROTOCOL: Final = ("MQTT", 4)
_PROTOCOL_NAMES: Final = frozenset({"MQTT", "MQIsdp"})
_PING_REQUEST: Final = Pingreq()
_PING_RESPONSE: Final = Pingresp()
_DISCONNECT: Final = Disconnect()


def _connect(body: bytes) -> Connect:
    fields = Fields(body)
    name, level = fields.text(), fields.number(1)
    if name not in _PROTOCOL_NAMES:
        raise PeerFault(Kind.MALFORMED, "the protocol name is not MQTT")  # [MQTT-3.1.2-1]
    if (name, level) != _PROTOCOL:
        raise PeerFault(
            Kind.UNSUPPORTED,
            f"protocol {name} at level {level} is not offered",
            hint="set the client to MQTT 3.1.1 (protocol level 4)",
        )
    flags, keep_alive_s = fields.number(1), fields.number(2)
    if flags & 0x01:
        raise PeerFault(Kind.MALFORMED, "the reserved flag of CONNECT is set")  # [MQTT-3.1.2-3]
    clean_session = bool(flags & 0x02)
    client_id = fields.text()
    will = _will(fields, flags)
    if flags & 0x40 and not flags & 0x80:
        raise PeerFault(Kind.MALFORMED, "CONNECT has a password and no user name")  # [MQTT-3.1.2-22]
    username = fields.text() if flags & 0x80 else None
    password = fields.binary() if flags & 0x40 else None
    fields.finish()
    if not client_id and not clean_session:
        raise PeerFault(Kind.REJECTED, "an empty client identifier needs a clean session")  # [MQTT-3.1.3-7, 3.1.3-8]
    return Connect(client_id, clean_session, keep_alive_s, will, username, password)


def _will(fields: Fields, flags: int) -> Will | None:
    qos, retain = flags >> 3 & 0x03, bool(flags & 0x20)
    if not flags & 0x04:
        if qos or retain:
            raise PeerFault(Kind.MALFORMED, "CONNECT describes a will and has none")  # [MQTT-3.1.2-13, 3.1.2-15]
        return None
    if qos > 2:
        raise PeerFault(Kind.MALFORMED, "the will's QoS is 3")  # [MQTT-3.1.2-14]
    return Will(fields.topic(), fields.binary(), qos, retain)


def _connack(body: bytes) -> Connack:
    flags, code = body
    if flags & 0xFE or code > CONNACK_CODE_MAX:
        raise PeerFault(Kind.MALFORMED, "CONNACK has a reserved flag or return code")
    if flags and code:
        raise PeerFault(Kind.MALFORMED, "CONNACK refuses and yet has a session")  # [MQTT-3.2.2-4]
    return Connack(ConnackCode(code), bool(flags))


def _subscribe(body: bytes) -> Subscribe:
    fields = Fields(body)

    def subscription() -> Subscription:
        topic_filter, qos = fields.topic_filter(), fields.number(1)
        if qos > 2:
            raise PeerFault(Kind.MALFORMED, "a QoS in SUBSCRIBE is not 0, 1 or 2")  # [MQTT-3.8.3-4]
        return Subscription(topic_filter, qos)

    return Subscribe(fields.packet_id(), fields.each(subscription, MQTT_FILTERS_MAX, "topic filters"))


def _suback(body: bytes) -> Suback:
    fields = Fields(body)
    packet_id, codes = fields.packet_id(), body[2:]
    if any(code > 2 and code != SUBSCRIPTION_REFUSED for code in codes):
        raise PeerFault(Kind.MALFORMED, "SUBACK has a reserved return code")  # [MQTT-3.9.3-2]
    return Suback(packet_id, tuple(codes))


def _unsubscribe(body: bytes) -> Unsubscribe:
    fields = Fields(body)
    return Unsubscribe(fields.packet_id(), fields.each(fields.topic_filter, MQTT_FILTERS_MAX, "topic filters"))


def _packet_id(body: bytes) -> int:
    packet_id = body[0] << 8 | body[1]
    if not packet_id:
        raise breach("a packet identifier is 0")
    return packet_id


PARSERS: Final[Mapping[PacketType, Callable[[bytes], Packet]]] = MappingProxyType(
    {
        PacketType.CONNECT: _connect,
        PacketType.CONNACK: _connack,
        PacketType.PUBACK: lambda body: Puback(_packet_id(body)),
        PacketType.PUBREC: lambda body: Pubrec(_packet_id(body)),
        PacketType.PUBREL: lambda body: Pubrel(_packet_id(body)),
        PacketType.PUBCOMP: lambda body: Pubcomp(_packet_id(body)),
        PacketType.SUBSCRIBE: _subscribe,
        PacketType.SUBACK: _suback,
        PacketType.UNSUBSCRIBE: _unsubscribe,
        PacketType.UNSUBACK: lambda body: Unsuback(_packet_id(body)),
        PacketType.PINGREQ: lambda _: _PING_REQUEST,
        PacketType.PINGRESP: lambda _: _PING_RESPONSE,
        PacketType.DISCONNECT: lambda _: _DISCONNECT,
    }
)
"""What reads the body of each packet, once its length is one that `header.LENGTHS` allows.

Each raises `PeerFault`: malformed for all that must close the connection without an answer [MQTT-4.8.0-1]; CONNECT also
unsupported for a protocol level that is not 4 (answer: CONNACK 1) [MQTT-3.1.2-2], and rejected for an empty client
identifier without a clean session (answer: CONNACK 2) [MQTT-3.1.3-8].
"""
