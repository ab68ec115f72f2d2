"""Kinds of fault as answers to a CONNECT: the tables of the MQTT surface (3.1.1: table 3.1; 5.0: table 3-1)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from troth.errors import Fault, Kind
from troth.protocols.mqtt.faults import StreamFault
from troth.protocols.mqtt.packets import ConnackCode
from troth.protocols.mqtt.reason_codes import ReasonCode

CONNACK_CODES: Final[Mapping[Kind, ConnackCode | None]] = MappingProxyType(
    {
        # "Close the Network Connection without sending a CONNACK" [MQTT-3.1.4-1].
        Kind.MALFORMED: None,
        Kind.UNAUTHENTICATED: ConnackCode.NOT_AUTHORIZED,
        Kind.FORBIDDEN: ConnackCode.NOT_AUTHORIZED,
        # Whether someone is unknown or known and not let in is nothing to tell a stranger.
        Kind.NOT_FOUND: ConnackCode.NOT_AUTHORIZED,
        Kind.BAD_KEY: ConnackCode.NOT_AUTHORIZED,
        Kind.EXPIRED: ConnackCode.NOT_AUTHORIZED,
        # What a well-formed CONNECT can ask too much of is its client identifier [MQTT-3.1.3-8, 3.1.3-9].
        Kind.REJECTED: ConnackCode.IDENTIFIER_REJECTED,
        Kind.CONFLICT: ConnackCode.IDENTIFIER_REJECTED,
        Kind.TOO_LARGE: ConnackCode.IDENTIFIER_REJECTED,
        Kind.UNSUPPORTED: ConnackCode.UNACCEPTABLE_PROTOCOL_VERSION,  # [MQTT-3.1.2-2]
        Kind.RATE_LIMITED: ConnackCode.SERVER_UNAVAILABLE,
        Kind.UNAVAILABLE: ConnackCode.SERVER_UNAVAILABLE,
        Kind.MISCONFIGURED: ConnackCode.SERVER_UNAVAILABLE,
    }
)
"""What to answer to a CONNECT that came to a fault of this kind; None is to close without an answer."""


def connack_code(error: Exception) -> ConnackCode | None:
    """Return what to answer to a CONNECT that ended in `error`; what is not a `Fault` is the server's own trouble."""
    return CONNACK_CODES[error.kind] if isinstance(error, Fault) else ConnackCode.SERVER_UNAVAILABLE


CONNACK_REASONS: Final[Mapping[Kind, ReasonCode]] = MappingProxyType(
    {
        Kind.MALFORMED: ReasonCode.MALFORMED_PACKET,
        Kind.UNAUTHENTICATED: ReasonCode.NOT_AUTHORIZED,
        Kind.FORBIDDEN: ReasonCode.NOT_AUTHORIZED,
        # As above: a stranger is told no more.
        Kind.NOT_FOUND: ReasonCode.NOT_AUTHORIZED,
        Kind.BAD_KEY: ReasonCode.NOT_AUTHORIZED,
        Kind.EXPIRED: ReasonCode.NOT_AUTHORIZED,
        Kind.REJECTED: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
        Kind.CONFLICT: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
        Kind.TOO_LARGE: ReasonCode.QUOTA_EXCEEDED,
        Kind.UNSUPPORTED: ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
        Kind.RATE_LIMITED: ReasonCode.CONNECTION_RATE_EXCEEDED,
        Kind.UNAVAILABLE: ReasonCode.SERVER_UNAVAILABLE,
        Kind.MISCONFIGURED: ReasonCode.SERVER_UNAVAILABLE,
    }
)
"""What to answer to a CONNECT of 5.0 that came to a fault of this kind. It is always answered [MQTT-3.1.4-1]."""


def connack_reason(error: Exception) -> ReasonCode:
    """Return what to answer in 5.0 to a CONNECT that ended in `error`; of a stream's fault, its own reason."""
    if isinstance(error, StreamFault):
        return error.reason
    return CONNACK_REASONS[error.kind] if isinstance(error, Fault) else ReasonCode.SERVER_UNAVAILABLE
