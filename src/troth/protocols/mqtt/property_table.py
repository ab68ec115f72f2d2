"""Properties as bytes: which there are, what each is made of and where it may stand (table 2-4 of MQTT 5.0).

One table for both directions. Knows no packet but by the name of where properties stand in it.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import compress
from operator import is_not
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

from troth.errors import Kind, OurFault, PeerFault
from troth.limits import MQTT_PROPERTIES_MAX, MQTT_REMAINING_LENGTH_MAX
from troth.protocols.mqtt import encoding
from troth.protocols.mqtt.faults import PacketFault, breach
from troth.protocols.mqtt.fields import Fields
from troth.protocols.mqtt.header import render_length
from troth.protocols.mqtt.properties import NO_PROPERTIES, Properties
from troth.protocols.mqtt.reason_codes import ReasonCode


class Place(StrEnum):
    """Where properties stand."""

    CONNECT = "CONNECT"
    WILL = "a will"
    CONNACK = "CONNACK"
    TO_SERVER = "PUBLISH to a server"
    TO_CLIENT = "PUBLISH to a client"
    ANSWER = "an acknowledgement"
    """PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK, which may carry the same."""
    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    CLIENT_LEAVES = "DISCONNECT to a server"
    SERVER_LEAVES = "DISCONNECT to a client"
    AUTH = "AUTH"


class _Type(NamedTuple):
    """How a value is read and written."""

    take: Callable[[Fields], Any]
    put: Callable[[Any], bytes]


def _bounded(take: Callable[[Fields], int], put: Callable[[int], bytes], least: int, most: int) -> _Type:
    """Return the type of a number that is a protocol error outside its bounds."""

    def checked(fields: Fields) -> int:
        value = take(fields)
        if not least <= value <= most:
            raise breach(f"a property is {value} and must be {least} to {most}")
        return value

    def written(value: int) -> bytes:
        if not least <= value <= most:
            raise OurFault(Kind.MALFORMED, f"a property is {value} and must be {least} to {most}")
        return put(value)

    return _Type(checked, written)


def _number(size: int, least: int = 0, most: int | None = None) -> _Type:
    most = most if most is not None else 256**size - 1
    return _bounded(lambda fields: fields.number(size), lambda value: value.to_bytes(size), least, most)


_BYTE: Final = _number(1, most=1)
_FLAG: Final = _Type(lambda fields: bool(_BYTE.take(fields)), _BYTE.put)
_TWO: Final = _number(2)
_TWO_NOT_0: Final = _number(2, least=1)
_FOUR: Final = _number(4)
_FOUR_NOT_0: Final = _number(4, least=1)
_LENGTH_NOT_0: Final = _bounded(Fields.length, render_length, 1, MQTT_REMAINING_LENGTH_MAX)
_TEXT: Final = _Type(Fields.text, encoding.text)
_TOPIC: Final = _Type(Fields.topic, encoding.topic)
_BINARY: Final = _Type(Fields.binary, encoding.binary)
_PAIR: Final = _Type(
    lambda fields: (fields.text(), fields.text()), lambda pair: encoding.text(pair[0]) + encoding.text(pair[1])
)

_C, _W, _K = Place.CONNECT, Place.WILL, Place.CONNACK
_MESSAGE: Final = (Place.TO_SERVER, Place.TO_CLIENT, _W)
_LEAVES: Final = (Place.CLIENT_LEAVES, Place.SERVER_LEAVES)


class Property(NamedTuple):
    """A row of table 2-4."""

    identifier: int
    name: str
    type: _Type
    places: tuple[Place, ...]
    repeats: bool = False
    """It may come more than once."""


TABLE: Final = (
    Property(0x01, "payload_is_text", _FLAG, _MESSAGE),
    Property(0x02, "message_expiry_s", _FOUR, _MESSAGE),
    Property(0x03, "content_type", _TEXT, _MESSAGE),
    Property(0x08, "response_topic", _TOPIC, _MESSAGE),  # [MQTT-3.3.2-13, 3.3.2-14]
    Property(0x09, "correlation_data", _BINARY, _MESSAGE),
    Property(0x0B, "subscription_ids", _LENGTH_NOT_0, (Place.TO_CLIENT, Place.SUBSCRIBE), repeats=True),
    Property(0x11, "session_expiry_s", _FOUR, (_C, _K, Place.CLIENT_LEAVES)),
    Property(0x12, "assigned_client_id", _TEXT, (_K,)),
    Property(0x13, "server_keep_alive_s", _TWO, (_K,)),
    Property(0x15, "authentication_method", _TEXT, (_C, _K, Place.AUTH)),
    Property(0x16, "authentication_data", _BINARY, (_C, _K, Place.AUTH)),
    Property(0x17, "request_problem_information", _FLAG, (_C,)),
    Property(0x18, "will_delay_s", _FOUR, (_W,)),
    Property(0x19, "request_response_information", _FLAG, (_C,)),
    Property(0x1A, "response_information", _TEXT, (_K,)),
    Property(0x1C, "server_reference", _TEXT, (_K, Place.SERVER_LEAVES)),
    Property(0x1F, "reason_string", _TEXT, (_K, Place.ANSWER, *_LEAVES, Place.AUTH)),
    Property(0x21, "receive_maximum", _TWO_NOT_0, (_C, _K)),
    Property(0x22, "topic_alias_maximum", _TWO, (_C, _K)),
    Property(0x23, "topic_alias", _TWO, (Place.TO_SERVER, Place.TO_CLIENT)),  # 0 has a reason code of its own
    Property(0x24, "maximum_qos", _BYTE, (_K,)),
    Property(0x25, "retain_available", _FLAG, (_K,)),
    Property(0x26, "user_properties", _PAIR, tuple(Place), repeats=True),
    Property(0x27, "maximum_packet_size", _FOUR_NOT_0, (_C, _K)),
    Property(0x28, "wildcard_subscription_available", _FLAG, (_K,)),
    Property(0x29, "subscription_identifier_available", _FLAG, (_K,)),
    Property(0x2A, "shared_subscription_available", _FLAG, (_K,)),
)
"""Every property, in the order of its identifier; `name` is its field in `Properties`."""


def _refuse(fields: Fields) -> NoReturn:
    del fields
    raise breach("a property is here that only the other side may send")


def _takers(place: Place) -> Mapping[int, tuple[int, bool, Callable[[Fields], Any]]]:
    takers = {
        row.identifier: (Properties._fields.index(row.name), row.repeats, row.type.take)
        for row in TABLE
        if place in row.places
    }
    # These may be in a packet of the type, which is then not malformed, and not in this direction.
    if place is Place.TO_SERVER:
        takers[0x0B] = (0, False, _refuse)  # [MQTT-3.3.4-6]
    if place is Place.SERVER_LEAVES:
        takers[0x11] = (0, False, _refuse)  # [MQTT-3.14.2-2]
    if place is Place.CLIENT_LEAVES:
        takers[0x1C] = (0, False, _refuse)  # section 3.14.2.2.5
    if place is Place.SUBSCRIBE:
        index, _, take = takers[0x0B]
        takers[0x0B] = (index, False, lambda fields: (take(fields),))  # once (section 3.8.2.1.2)
    return MappingProxyType(takers)


_TAKERS: Final = MappingProxyType({place: _takers(place) for place in Place})
_ABSENT: Final = tuple(NO_PROPERTIES)
_new: Final = tuple.__new__  # as for each message


def take_properties(fields: Fields, place: Place) -> Properties:
    """Take a length and the properties behind it, as may stand in `place`.

    Raises `PeerFault`: malformed for what cannot be read or does not belong here (section 2.2.2.2), `PacketFault` for
    what comes twice or is out of its bounds, and for more than `MQTT_PROPERTIES_MAX` of those that may come often.
    """
    length = fields.length()
    return parse_properties(fields.octets(length), place) if length else NO_PROPERTIES


def parse_properties(raw: bytes, place: Place) -> Properties:
    """Read properties without their length, as `take_properties` does."""
    takers = _TAKERS[place]
    values: list[Any] = list(_ABSENT)
    repeated: dict[int, list[Any]] = {}
    fields = Fields(raw)
    count = 0
    while fields.more():
        # An identifier is a number of any length, and all that there are take one byte (section 2.2.2.2).
        identifier = fields.octet()
        known = takers.get(identifier)
        if known is None:
            raise PeerFault(Kind.MALFORMED, f"the property 0x{identifier:02x} does not belong in {place}")
        index, repeats, take = known
        value = take(fields)
        count += 1
        if count > MQTT_PROPERTIES_MAX:
            raise PacketFault(
                ReasonCode.QUOTA_EXCEEDED, f"more than {MQTT_PROPERTIES_MAX} properties", kind=Kind.TOO_LARGE
            )
        if repeats:
            repeated.setdefault(index, []).append(value)
        elif values[index] is not _ABSENT[index]:
            raise breach(f"the property 0x{identifier:02x} comes twice")
        else:
            values[index] = value
    for index, several in repeated.items():
        values[index] = tuple(several)
    return _new(Properties, values)


def _putters(place: Place) -> tuple[tuple[int, int, bool, Callable[[Any], bytes] | None], ...]:
    rows = sorted(TABLE, key=lambda row: Properties._fields.index(row.name))
    return tuple(
        (index, row.identifier, row.repeats, row.type.put if place in row.places else None)
        for index, row in enumerate(rows)
    )


_PUTTERS: Final = MappingProxyType({place: _putters(place) for place in Place})


def render_properties(properties: Properties, place: Place) -> bytes:
    """Write properties with their length before them. Raises `OurFault` (malformed) for what may not stand there."""
    if properties is NO_PROPERTIES:
        return b"\0"
    values: tuple[Any, ...] = properties
    parts: list[bytes] = []
    for index, identifier, repeats, put in compress(_PUTTERS[place], map(is_not, values, _ABSENT)):
        value = values[index]
        if put is None or (place is Place.SUBSCRIBE and identifier == 0x0B and len(value) > 1):
            raise OurFault(Kind.MALFORMED, f"{Properties._fields[index]} does not belong in {place}")
        head = bytes((identifier,))
        if repeats:
            parts += [head + put(each) for each in value]
        else:
            parts.append(head + put(value))
    out = b"".join(parts)
    return render_length(len(out)) + out
