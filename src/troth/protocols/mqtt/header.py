"""The fixed header: which first bytes there are, how long a packet may be, and how its length is written.

Source: section 2.2 of MQTT 3.1.1, sections 1.5.5 and 2.1 of MQTT 5.0. Knows nothing of what follows the header.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from troth.errors import Kind, PeerFault
from troth.limits import MQTT_REMAINING_LENGTH_MAX
from troth.protocols.mqtt.packet_types import PacketType, Version

_PUBLISH: Final = {
    0x30 | dup << 3 | qos << 1 | retain: (qos, bool(retain))
    for qos in (0, 1, 2)  # both bits set is no QoS [MQTT-3.3.1-4]
    for dup in ((0, 1) if qos else (0,))  # DUP is 0 where QoS is [MQTT-3.3.1-2]
    for retain in (0, 1)
}

PUBLISH_FLAGS: Final[tuple[tuple[int, bool] | None, ...]] = tuple(_PUBLISH.get(first) for first in range(256))
"""For each first byte the QoS and RETAIN that it says, or None where it begins no PUBLISH. Asked once per message."""

_FIRST_BYTES: Final = {
    **{
        kind << 4 | flags: kind
        for kind in PacketType
        if kind is not PacketType.PUBLISH
        # Table 2.2: the flags of these three are 0010, of all others 0000 [MQTT-2.2.2-1].
        for flags in (0x2 if kind in {PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE} else 0x0,)
    },
    **dict.fromkeys(_PUBLISH, PacketType.PUBLISH),
}

FIRST_BYTES: Final[Mapping[Version, Mapping[int, PacketType]]] = MappingProxyType(
    {
        Version.MQTT_3_1_1: MappingProxyType(
            {first: kind for first, kind in _FIRST_BYTES.items() if kind is not PacketType.AUTH}
        ),
        Version.MQTT_5: MappingProxyType(_FIRST_BYTES),
    }
)
"""Every legal first byte and the packet that it begins. Any other must close the connection [MQTT-2.2.2-2]."""

_ANY: Final = MQTT_REMAINING_LENGTH_MAX
_LENGTHS: Final = {
    PacketType.CONNECT: (12, _ANY),  # name, level, flags, keep-alive, an empty client identifier
    PacketType.CONNACK: (2, 2),
    PacketType.PUBLISH: (2, _ANY),  # the length of a topic
    PacketType.PUBACK: (2, 2),
    PacketType.PUBREC: (2, 2),
    PacketType.PUBREL: (2, 2),
    PacketType.PUBCOMP: (2, 2),
    PacketType.SUBSCRIBE: (6, _ANY),  # identifier, a filter of one character, its QoS [MQTT-3.8.3-3]
    PacketType.SUBACK: (3, _ANY),
    PacketType.UNSUBSCRIBE: (5, _ANY),  # [MQTT-3.10.3-2]
    PacketType.UNSUBACK: (2, 2),
    PacketType.PINGREQ: (0, 0),
    PacketType.PINGRESP: (0, 0),
    PacketType.DISCONNECT: (0, 0),
}

LENGTHS: Final[Mapping[Version, Mapping[PacketType, tuple[int, int]]]] = MappingProxyType(
    {
        Version.MQTT_3_1_1: MappingProxyType(_LENGTHS),
        Version.MQTT_5: MappingProxyType(
            {
                **_LENGTHS,
                PacketType.CONNACK: (3, _ANY),
                PacketType.PUBLISH: (3, _ANY),  # and the length of its properties
                # What has no reason but 0 may end before it (sections 3.4.2.1, 3.14.2.1, 3.15.2.1), and what is about
                # no filter at all is well formed and an error [MQTT-3.8.3-2, 3.10.3-2].
                PacketType.PUBACK: (2, _ANY),
                PacketType.PUBREC: (2, _ANY),
                PacketType.PUBREL: (2, _ANY),
                PacketType.PUBCOMP: (2, _ANY),
                PacketType.SUBSCRIBE: (3, _ANY),
                PacketType.SUBACK: (3, _ANY),
                PacketType.UNSUBSCRIBE: (3, _ANY),
                PacketType.UNSUBACK: (3, _ANY),
                PacketType.DISCONNECT: (0, _ANY),
                PacketType.AUTH: (0, _ANY),
            }
        ),
    }
)
"""The least and the greatest remaining length of each packet in bytes: another is refused before it is waited for."""


_SHORT: Final = tuple(bytes((length,)) for length in range(0x80))


def parse_length(data: bytes, at: int) -> tuple[int, int] | None:
    """Read a length at `at`; return it and where it ends, or None when bytes are missing.

    So are written the remaining length and, in 5.0, the length of properties and a subscription identifier. Raises
    `PeerFault` (malformed) for a fifth byte, and for a length in more bytes than table 2.4 gives it: 5.0 forbids them
    [MQTT-1.5.5-1]; 3.1.1 not in so many words, but with them one packet has many spellings.
    """
    if at < len(data) and data[at] < 0x80:  # most lengths are short
        return data[at], at + 1
    length = shift = 0
    for byte in data[at : at + 4]:
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise PeerFault(Kind.MALFORMED, "a length is written in more bytes than it needs")
            return length, at
        shift += 7
    if shift < 28:
        return None
    raise PeerFault(Kind.MALFORMED, "a length has more than four bytes")


def render_length(length: int) -> bytes:
    """Write a length of 0 to `MQTT_REMAINING_LENGTH_MAX` in as few bytes as it takes (section 2.2.3)."""
    if length < 0x80:  # most are
        return _SHORT[length]
    out = bytearray()
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)
