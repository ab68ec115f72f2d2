"""Bodies of all packets of MQTT 5.0 but PUBLISH: what follows the fixed header, read strictly (chapter 3).

Knows nothing of streams: it is given the whole body, already bounded, of a packet whose header is legal. A fault is
malformed where the standard says that, or where bytes cannot be read; otherwise it is a protocol error (section 1.2).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from troth.errors import Kind, PeerFault
from troth.limits import MQTT_FILTERS_MAX
from troth.protocols.mqtt.faults import PacketFault, breach
from troth.protocols.mqtt.fields import Fields
from troth.protocols.mqtt.order import Role
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
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from troth.protocols.mqtt.properties import NO_PROPERTIES, Properties
from troth.protocols.mqtt.property_table import Place, take_properties
from troth.protocols.mqtt.reason_codes import CODES, ReasonCode
from troth.protocols.mqtt.topics import split_share

_Answer = TypeVar("_Answer", Puback, Pubrec, Pubrel, Pubcomp)
_Parser = Callable[[bytes], Packet]
_NAME: Final = "MQTT"
_ENDS: Final = "a packet ends inside one of its fields"


def _connect(body: bytes) -> Connect:
    fields = Fields(body)
    name, level = fields.text(), fields.number(1)
    if name != _NAME:
        raise PeerFault(Kind.MALFORMED, "the protocol name is not MQTT")  # [MQTT-3.1.2-1]
    if level != Version.MQTT_5:
        raise PeerFault(
            Kind.UNSUPPORTED,
            f"protocol {name} at level {level} is not offered",
            hint="set the client to MQTT 5.0 (protocol level 5)",
        )
    flags, keep_alive_s = fields.number(1), fields.number(2)
    if flags & 0x01:
        raise PeerFault(Kind.MALFORMED, "the reserved flag of CONNECT is set")  # [MQTT-3.1.2-3]
    properties = take_properties(fields, Place.CONNECT)
    _check_method(properties)
    client_id = fields.text()
    will = _will(fields, flags)
    username = fields.text() if flags & 0x80 else None
    password = fields.binary() if flags & 0x40 else None
    fields.finish()
    clean_start = bool(flags & 0x02)
    return Connect(client_id, clean_start, keep_alive_s, will, username, password, Version.MQTT_5, properties)


def _check_method(properties: Properties) -> None:
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise breach("there is authentication data for no method")  # section 3.1.2.11.10


def _will(fields: Fields, flags: int) -> Will | None:
    qos, retain = flags >> 3 & 0x03, bool(flags & 0x20)
    if not flags & 0x04:
        if qos or retain:
            raise PeerFault(Kind.MALFORMED, "CONNECT describes a will and has none")  # [MQTT-3.1.2-11, 3.1.2-13]
        return None
    if qos > 2:
        raise PeerFault(Kind.MALFORMED, "the will's QoS is 3")  # [MQTT-3.1.2-12]
    properties = take_properties(fields, Place.WILL)
    return Will(fields.topic(), fields.binary(), qos, retain, properties)


def _connack(body: bytes) -> Connack:
    fields = Fields(body)
    flags, code = fields.number(1), _code(PacketType.CONNACK, fields.number(1))
    if flags & 0xFE:
        raise PeerFault(Kind.MALFORMED, "CONNACK has a reserved flag")  # [MQTT-3.2.2-1]
    if flags and code:
        raise breach("CONNACK refuses and yet has a session")  # [MQTT-3.2.2-6]
    properties = take_properties(fields, Place.CONNACK)
    _check_method(properties)
    fields.finish()
    return Connack(code, bool(flags), properties)


def _code(packet_type: PacketType, value: int) -> ReasonCode:
    code = CODES[packet_type].get(value)
    if code is None:
        raise breach(f"{packet_type.name} cannot have the reason code 0x{value:02x}")
    return code


def _reason(fields: Fields, packet_type: PacketType, place: Place) -> tuple[ReasonCode, Properties]:
    """Take a reason code and properties, either of which may be left out with all that is behind it."""
    if not fields.more():
        return ReasonCode.SUCCESS, NO_PROPERTIES
    reason = _code(packet_type, fields.number(1))
    properties = take_properties(fields, place) if fields.more() else NO_PROPERTIES
    fields.finish()
    return reason, properties


def _answer(packet_type: PacketType, make: type[_Answer]) -> _Parser:
    def parse(body: bytes) -> _Answer:
        if len(body) == 2 and (packet_id := body[0] << 8 | body[1]):
            return make(packet_id)
        fields = Fields(body)
        return make(fields.packet_id(), *_reason(fields, packet_type, Place.ANSWER))

    return parse


def _subscribe(body: bytes) -> Subscribe:
    fields = Fields(body)
    packet_id = fields.packet_id()
    properties = take_properties(fields, Place.SUBSCRIBE)
    subscriptions = fields.each(lambda: _subscription(fields), MQTT_FILTERS_MAX, "topic filters")
    if not subscriptions:
        raise breach("SUBSCRIBE is about no filter")  # [MQTT-3.8.3-2]
    return Subscribe(packet_id, subscriptions, properties)


def _subscription(fields: Fields) -> Subscription:
    topic_filter, options = fields.topic_filter(), fields.number(1)
    share, _ = split_share(topic_filter)  # [MQTT-4.8.2-1, 4.8.2-2]
    qos, no_local, retain_handling = options & 0x03, bool(options & 0x04), options >> 4 & 0x03
    if options & 0xC0:
        raise PeerFault(Kind.MALFORMED, "a reserved bit of a subscription is set")  # [MQTT-3.8.3-5]
    if qos > 2:
        raise breach("a QoS in SUBSCRIBE is not 0, 1 or 2")  # section 3.8.3.1
    if retain_handling > 2:
        raise breach("a retain handling in SUBSCRIBE is not 0, 1 or 2")  # section 3.8.3.1
    if no_local and share is not None:
        raise breach("a shared subscription is not to have what its own client sends")  # [MQTT-3.8.3-4]
    return Subscription(topic_filter, qos, no_local, bool(options & 0x08), retain_handling)


def _codes(fields: Fields, packet_type: PacketType) -> tuple[int, ...]:
    codes = []
    while fields.more():
        codes.append(_code(packet_type, fields.number(1)))
    if not codes:
        raise PeerFault(Kind.MALFORMED, _ENDS)
    return tuple(codes)


def _suback(body: bytes) -> Suback:
    fields = Fields(body)
    packet_id, properties = fields.packet_id(), take_properties(fields, Place.ANSWER)
    return Suback(packet_id, _codes(fields, PacketType.SUBACK), properties)


def _unsubscribe(body: bytes) -> Unsubscribe:
    fields = Fields(body)
    packet_id, properties = fields.packet_id(), take_properties(fields, Place.UNSUBSCRIBE)
    topic_filters = fields.each(fields.topic_filter, MQTT_FILTERS_MAX, "topic filters")
    if not topic_filters:
        raise breach("UNSUBSCRIBE is about no filter")  # [MQTT-3.10.3-2]
    return Unsubscribe(packet_id, topic_filters, properties)


def _unsuback(body: bytes) -> Unsuback:
    fields = Fields(body)
    packet_id, properties = fields.packet_id(), take_properties(fields, Place.ANSWER)
    return Unsuback(packet_id, _codes(fields, PacketType.UNSUBACK), properties)


def _disconnect(place: Place) -> _Parser:
    return lambda body: Disconnect(*_reason(Fields(body), PacketType.DISCONNECT, place))


def _auth(body: bytes) -> Auth:
    auth = Auth(*_reason(Fields(body), PacketType.AUTH, Place.AUTH))
    if auth.reason is ReasonCode.SUCCESS:
        # Success is the server's to say (table 3-11).
        raise breach("a client says that an authentication has succeeded")
    if auth.properties.authentication_method is None:
        raise PacketFault(ReasonCode.PROTOCOL_ERROR, "AUTH names no method")  # section 3.15.2.2.2
    return auth


def _parsers(leaves: Place) -> Mapping[PacketType, _Parser]:
    return MappingProxyType(
        {
            PacketType.CONNECT: _connect,
            PacketType.CONNACK: _connack,
            PacketType.PUBACK: _answer(PacketType.PUBACK, Puback),
            PacketType.PUBREC: _answer(PacketType.PUBREC, Pubrec),
            PacketType.PUBREL: _answer(PacketType.PUBREL, Pubrel),
            PacketType.PUBCOMP: _answer(PacketType.PUBCOMP, Pubcomp),
            PacketType.SUBSCRIBE: _subscribe,
            PacketType.SUBACK: _suback,
            PacketType.UNSUBSCRIBE: _unsubscribe,
            PacketType.UNSUBACK: _unsuback,
            PacketType.PINGREQ: lambda _: Pingreq(),
            PacketType.PINGRESP: lambda _: Pingresp(),
            PacketType.DISCONNECT: _disconnect(leaves),
            PacketType.AUTH: _auth,
        }
    )


PARSERS5: Final[Mapping[Role, Mapping[PacketType, _Parser]]] = MappingProxyType(
    {Role.SERVER: _parsers(Place.CLIENT_LEAVES), Role.CLIENT: _parsers(Place.SERVER_LEAVES)}
)
"""What reads the body of each packet that comes to us in a role, once its length is one that `header.LENGTHS` allows.

Each raises `PeerFault`: malformed for what must close the connection; unsupported for a protocol level that is not 5.
Its reason code is that of `faults.StreamFault`.
"""
