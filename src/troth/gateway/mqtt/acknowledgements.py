"""Acknowledgements as bytes: two of three packets of a QoS 1 flow, so not worth a call of the general writer.

OASIS MQTT 3.1.1, sections 3.4 to 3.7. A head and the packet identifier are the whole packet.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

PUBACK: Final = b"\x40\x02"
PUBREC: Final = b"\x50\x02"
PUBREL: Final = b"\x62\x02"
PUBCOMP: Final = b"\x70\x02"


class Out(Protocol):
    """What is to be sent to either side."""

    to_broker: list[bytes]
    to_device: list[bytes]


def pass_to_broker(head: bytes) -> Callable[[Out, Any], None]:
    """Return what passes an acknowledgement on to the broker as it is."""
    return lambda out, packet: out.to_broker.append(head + packet.packet_id.to_bytes(2))


def pass_to_device(head: bytes) -> Callable[[Out, Any], None]:
    """Return what passes an acknowledgement on to the device as it is."""
    return lambda out, packet: out.to_device.append(head + packet.packet_id.to_bytes(2))
