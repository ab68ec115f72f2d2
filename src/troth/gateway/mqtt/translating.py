"""A message that says nothing more in one version of MQTT than in the other, by a byte more or less.

Most messages are such; all others are written anew (`troth.protocols.mqtt.convert`). Between the packet identifier and
the payload MQTT 5 has the length of the properties, and that is 0 where there are none.
"""

from typing import Final

from troth.gateway.mqtt.envelope import LAST_BYTE
from troth.protocols.mqtt import NO_PROPERTIES, Publish

_PLAIN: Final = frozenset({0x30, 0x32, 0x3A})
"""First bytes of messages that are neither retained nor of QoS 2."""
_LENGTH_MAX: Final = 0x7E
"""The longest remaining length that takes one byte, also when it grows by one."""
_BYTES: Final = tuple(bytes((length,)) for length in range(256))


def is_plain5(packet: Publish) -> bool:
    """Say whether a message of MQTT 5 needs no look but policy's: short, without properties, and no envelope."""
    raw = packet[0]
    return packet[6] is NO_PROPERTIES and raw[0] in _PLAIN and raw[1] <= _LENGTH_MAX and raw[-1] != LAST_BYTE


def is_plain(packet: Publish) -> bool:
    """Say whether a message of MQTT 3.1.1 needs no look but policy's."""
    raw = packet[0]
    return raw[0] in _PLAIN and raw[1] <= _LENGTH_MAX and raw[-1] != LAST_BYTE


def without_properties(packet: Publish) -> bytes:
    """Return a message of MQTT 5 for which `is_plain5` holds in 3.1.1."""
    raw, at = packet[0], packet[5]
    return raw[:1] + _BYTES[raw[1] - 1] + raw[2 : at - 1] + raw[at:]


def with_no_properties(packet: Publish) -> bytes:
    """Return a message of MQTT 3.1.1 for which `is_plain` holds in 5."""
    raw, at = packet[0], packet[5]
    return raw[:1] + _BYTES[raw[1] + 1] + raw[2:at] + b"\0" + raw[at:]
