"""The fixed header: which first bytes there are, how long a packet may be, and how its length is written (section 2.2).

Knows nothing of what follows the header.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from troth.errors import Kind, PeerFault
from troth.limits import MQTT_REMAINING_LENGTH_MAX
from troth.protocols.mqtt.packets import PacketType

_PUBLISH: Final = {
    0x30 | dup << 3 | qos << 1 | retain: (qos, bool(retain))
    for qos in (0, 1, 2)  # both bits set is no QoS [MQTT-3.3.1-4]
    for dup in ((0, 1) if qos else (0,))  # DUP is 0 where QoS is [MQTT-3.3.1-2]
    for retain in (0, 1)
}

PUBLISH_FLAGS: Final[tuple[tuple[int, bool] | None, ...]] = tuple(_PUBLISH.get(first) for first in range(256))
"""For each first byte the QoS and RETAIN that it says, or None where it begins no PUBLISH. Asked once per message."""

FIRST_BYTES: Final[Mapping[int, PacketType]] = MappingProxyType(
    {
        **{
            kind << 4 | flags: kind
            for kind in PacketType
            if kind is not PacketType.PUBLISH
            # Table 2.2: the flags of these three are 0010, of all others 0000 [MQTT-2.2.2-1].
            for flags in (0x2 if kind in {PacketType.PUBREL, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE} else 0x0,)
        },
        **dict.fromkeys(_PUBLISH, PacketType.PUBLISH),
    }
)
"""Every legal first byte and the packet that it begins. Any other must close the connection [MQTT-2.2.2-2]."""

_ANY: Final = MQTT_REMAINING_LENGTH_MAX

LENGTHS: Final[Mapping[PacketType, tuple[int, int]]] = MappingProxyType(
    {
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
)
"""The least and the greatest remaining length of each packet in bytes: another is refused before it is waited for."""


def parse_length(data: bytes, at: int) -> tuple[int, int] | None:
    """Read a remaining length at `at`; return it and where the packet's body begins, or None when bytes are missing.

    Raises `PeerFault` (malformed) for a fifth byte, and for a length in more bytes than table 2.4 gives it: MQTT 3.1.1
    does not forbid those in so many words, but with them one packet has many spellings, and no known client uses them.
    """
    length = shift = 0
    for byte in data[at : at + 4]:
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise PeerFault(Kind.MALFORMED, "the remaining length is written in more bytes than it needs")
            return length, at
        shift += 7
    if shift < 28:
        return None
    raise PeerFault(Kind.MALFORMED, "the remaining length has more than four bytes")


def render_length(length: int) -> bytes:
    """Write a remaining length of 0 to `MQTT_REMAINING_LENGTH_MAX` in as few bytes as it takes (section 2.2.3)."""
    out = bytearray()
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)
