"""How a device is told that it is not let in, or let go: the same reasons in the words of either version.

OASIS MQTT 3.1.1, section 3.2; MQTT 5.0, sections 3.2.2.2 and 3.14.2.1. Decides nothing.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from troth.gateway.refusal import Reason, Refusal
from troth.protocols.mqtt import Connack, Disconnect, PacketType, ReasonCode, Version, connack_code, render
from troth.protocols.mqtt.reason_codes import CODES

_NOT_AUTHORIZED: Final = dict.fromkeys(
    (
        Reason.UNKNOWN_CERTIFICATE,
        Reason.CERTIFICATE_REVOKED,
        Reason.CERTIFICATE_INACTIVE,
        Reason.CERTIFICATE_PENDING,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NOT_YET_VALID,
        Reason.WRONG_ISSUER,
        Reason.POLICY_UNREADABLE,
        Reason.CONNECT_DENIED,
        Reason.WILL_DENIED,
        Reason.OWNER_CHANGED,
        Reason.PUBLISH_DENIED,
    ),
    ReasonCode.NOT_AUTHORIZED,
)
_OF_THE_PROTOCOL: Final = {
    Reason.CLIENT_ID_INVALID: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    Reason.PROTOCOL_UNSUPPORTED: ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
    Reason.PROTOCOL_ERROR: ReasonCode.PROTOCOL_ERROR,
    Reason.PACKET_TOO_LARGE: ReasonCode.PACKET_TOO_LARGE,
    Reason.TOPIC_REFUSED: ReasonCode.TOPIC_NAME_INVALID,
    Reason.PROPERTIES_REFUSED: ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
    Reason.QOS_REFUSED: ReasonCode.QOS_NOT_SUPPORTED,
    Reason.AUTHENTICATION_METHOD: ReasonCode.BAD_AUTHENTICATION_METHOD,
    Reason.INTERNAL: ReasonCode.UNSPECIFIED_ERROR,
}
_UPSTREAM: Final = (
    Reason.UPSTREAM_UNAVAILABLE,
    Reason.UPSTREAM_REFUSED,
    Reason.UPSTREAM_CLOSED,
    Reason.UPSTREAM_INVALID,
)

CONNACKS: Final[Mapping[Reason, ReasonCode]] = MappingProxyType(
    {
        # What is not listed below cannot keep anybody out.
        **dict.fromkeys(Reason, ReasonCode.UNSPECIFIED_ERROR),
        **_NOT_AUTHORIZED,
        **_OF_THE_PROTOCOL,
        **dict.fromkeys(_UPSTREAM, ReasonCode.SERVER_UNAVAILABLE),
        Reason.STATE_UNKNOWN: ReasonCode.SERVER_UNAVAILABLE,
        # It is let in when it tries again.
        Reason.JUST_REGISTERED: ReasonCode.SERVER_UNAVAILABLE,
        Reason.SHUTDOWN: ReasonCode.SERVER_UNAVAILABLE,
        Reason.TIMEOUT: ReasonCode.SERVER_UNAVAILABLE,
        # It had not been let in yet.
        Reason.TAKEN_OVER: ReasonCode.SERVER_BUSY,
        Reason.MEMORY_HELD: ReasonCode.QUOTA_EXCEEDED,
        Reason.TOO_MANY_CONNECTIONS: ReasonCode.QUOTA_EXCEEDED,
        Reason.TOO_MANY_ATTEMPTS: ReasonCode.CONNECTION_RATE_EXCEEDED,
        Reason.CONNECTS_TOO_OFTEN: ReasonCode.CONNECTION_RATE_EXCEEDED,
    }
)
"""Why a CONNECT of MQTT 5 is refused, in a CONNACK."""

DISCONNECTS: Final[Mapping[Reason, ReasonCode | None]] = MappingProxyType(
    {
        **dict.fromkeys(Reason, ReasonCode.UNSPECIFIED_ERROR),
        **_NOT_AUTHORIZED,
        **_OF_THE_PROTOCOL,
        **dict.fromkeys(_UPSTREAM, ReasonCode.SERVER_SHUTTING_DOWN),
        # Of these only a CONNECT can be guilty.
        Reason.CLIENT_ID_INVALID: ReasonCode.PROTOCOL_ERROR,
        Reason.PROTOCOL_UNSUPPORTED: ReasonCode.PROTOCOL_ERROR,
        Reason.AUTHENTICATION_METHOD: ReasonCode.PROTOCOL_ERROR,
        Reason.SHUTDOWN: ReasonCode.SERVER_SHUTTING_DOWN,
        Reason.STATE_UNKNOWN: ReasonCode.SERVER_BUSY,
        Reason.RECEIVE_MAXIMUM: ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
        Reason.SLOW_READER: ReasonCode.QUOTA_EXCEEDED,
        Reason.MEMORY_HELD: ReasonCode.QUOTA_EXCEEDED,
        Reason.KEEP_ALIVE: ReasonCode.KEEP_ALIVE_TIMEOUT,
        Reason.TAKEN_OVER: ReasonCode.SESSION_TAKEN_OVER,
        Reason.KICKED: ReasonCode.ADMINISTRATIVE_ACTION,
        Reason.CLIENT_DISCONNECT: None,
        Reason.CLIENT_GONE: None,
    }
)
"""Why a live connection of MQTT 5 is ended, in a DISCONNECT; None where nobody listens any more."""


def refused(
    transport: asyncio.Transport,
    version: Version | None,
    refusal: Refusal,
    code: ReasonCode | None,
    *,
    aws: bool = False,
) -> None:
    """Tell a device whose CONNECT is refused. `code` is a better one where known; AWS closes 3.1.1 without a word."""
    if version is Version.MQTT_5:
        fits = code is not None and code in CODES[PacketType.CONNACK]
        transport.write(render(Connack(code if fits and code else CONNACKS[refusal.reason]), Version.MQTT_5))
        return
    answer = connack_code(refusal)
    if answer is not None and not aws:
        transport.write(render(Connack(answer)))


def farewell(transport: asyncio.Transport, version: Version | None, reason: Reason, code: ReasonCode | None) -> None:
    """Say the last word to a device that was let in; MQTT 3.1.1 has none. `code` is a better one where known."""
    said = code if code is not None and code in CODES[PacketType.DISCONNECT] else DISCONNECTS[reason]
    if version is Version.MQTT_5 and said is not None:
        transport.write(render(Disconnect(said), Version.MQTT_5))
