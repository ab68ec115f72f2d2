"""What a reader raises: with the kind that every surface knows, and the reason code of MQTT 5.0 for the same."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from troth.errors import Kind, PeerFault
from troth.protocols.mqtt.reason_codes import ReasonCode

if TYPE_CHECKING:
    from troth.protocols.mqtt.packets import Packet

_REASONS: Final[Mapping[Kind, ReasonCode]] = MappingProxyType(
    {
        Kind.MALFORMED: ReasonCode.MALFORMED_PACKET,
        Kind.TOO_LARGE: ReasonCode.PACKET_TOO_LARGE,
        Kind.UNSUPPORTED: ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
        Kind.REJECTED: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    }
)


class PacketFault(PeerFault):
    """A packet that must not be, for another `reason` than that it cannot be read (section 4.13)."""

    def __init__(self, reason: ReasonCode, message: str, *, kind: Kind = Kind.MALFORMED) -> None:
        super().__init__(kind, message)
        self.reason = reason


class StreamFault(PeerFault):
    """Bytes that are no packet, or not one that may come now: the connection must be closed [MQTT-4.8.0-1].

    `reason` is what 5.0 says of it, in a CONNACK or a DISCONNECT before that [MQTT-4.13.1-1]. `before` are the packets
    that came whole in the same bytes, before the fault; who wants each split of the input to have the same effect
    serves them first.
    """

    def __init__(self, fault: PeerFault, before: "tuple[Packet, ...]" = ()) -> None:
        super().__init__(fault.kind, fault.message, detail=fault.detail, hint=fault.hint)
        self.reason = fault.reason if isinstance(fault, PacketFault) else _REASONS[fault.kind]
        self.before = before


def breach(message: str) -> PacketFault:
    """Return the fault of a packet that can be read and is not allowed: what the standard calls a protocol error."""
    return PacketFault(ReasonCode.PROTOCOL_ERROR, message)
