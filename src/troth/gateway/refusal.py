"""Why somebody is not let in, in a word that logs, counts and tests can hold on to. Knows no wire."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from troth.errors import Fault, Kind
from troth.policy.decision import Outcome


class Reason(StrEnum):
    """Why a connection is refused or ended. Together with those of `troth.tls.reasons` all that a log can say."""

    UNKNOWN_CERTIFICATE = "unknown-certificate"
    CERTIFICATE_REVOKED = "certificate-revoked"
    CERTIFICATE_INACTIVE = "certificate-inactive"
    CERTIFICATE_PENDING = "certificate-pending"
    """It was registered at its first connection, and waits for an operator to activate it."""
    JUST_REGISTERED = "just-registered"
    """It has become a thing's by this very connection: the next one is let in."""
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    WRONG_ISSUER = "wrong-issuer"
    """The issuer is not one of this home's for devices."""
    POLICY_UNREADABLE = "policy-unreadable"
    """A policy that is attached cannot be read, so that nothing it might forbid is allowed."""
    STATE_UNKNOWN = "state-unknown"
    """The database does not answer, so that nobody can know who is still in force."""
    CONNECT_DENIED = "connect-denied"
    WILL_DENIED = "will-denied"
    CLIENT_ID_INVALID = "client-id-invalid"
    OWNER_CHANGED = "owner-changed"
    """The client id belongs to another owner than when the session began."""
    PROTOCOL_UNSUPPORTED = "protocol-unsupported"
    TIMEOUT = "timeout"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    """Too many certificates were refused or registered of late, of its address or of its CA."""
    TOO_MANY_CONNECTIONS = "too-many-connections"
    CONNECTS_TOO_OFTEN = "connects-too-often"
    """Its owner has connected under this client id too often within a second."""
    UPSTREAM_UNAVAILABLE = "upstream-unavailable"
    UPSTREAM_REFUSED = "upstream-refused"
    UPSTREAM_CLOSED = "upstream-closed"
    UPSTREAM_INVALID = "upstream-invalid"
    """The broker sent what no broker may."""
    CLIENT_DISCONNECT = "client-disconnect"
    CLIENT_GONE = "client-gone"
    PROTOCOL_ERROR = "protocol-error"
    PACKET_TOO_LARGE = "packet-too-large"
    PUBLISH_DENIED = "publish-denied"
    TOPIC_REFUSED = "topic-refused"
    """A message of QoS 0 went to a topic that the broker cannot carry, and its client can be told so."""
    PROPERTIES_REFUSED = "properties-not-carried"
    """A message of QoS 0 said what a broker of MQTT 3.1.1 cannot carry."""
    QOS_REFUSED = "qos-not-supported"
    RECEIVE_MAXIMUM = "receive-maximum-exceeded"
    AUTHENTICATION_METHOD = "authentication-method-not-offered"
    TAKEN_OVER = "taken-over"
    """Its owner has connected again under the same client id."""
    KICKED = "kicked"
    """Somebody who may wanted the session ended; its client can come again at once."""
    SLOW_READER = "slow-reader"
    MEMORY_HELD = "memory-held"
    """Memory of the worker was short, and it had held on to its share longest."""
    KEEP_ALIVE = "keep-alive-timeout"
    SHUTDOWN = "shutdown"
    INTERNAL = "internal-error"


_UNAUTHENTICATED: Final = frozenset(
    {
        Reason.UNKNOWN_CERTIFICATE,
        Reason.CERTIFICATE_REVOKED,
        Reason.CERTIFICATE_INACTIVE,
        Reason.CERTIFICATE_PENDING,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NOT_YET_VALID,
        Reason.WRONG_ISSUER,
    }
)
_UNAVAILABLE: Final = frozenset(
    {
        Reason.STATE_UNKNOWN,
        Reason.JUST_REGISTERED,
        Reason.TIMEOUT,
        Reason.TOO_MANY_ATTEMPTS,
        Reason.TOO_MANY_CONNECTIONS,
        Reason.CONNECTS_TOO_OFTEN,
        Reason.UPSTREAM_UNAVAILABLE,
        Reason.UPSTREAM_REFUSED,
        Reason.UPSTREAM_CLOSED,
        Reason.UPSTREAM_INVALID,
        Reason.TAKEN_OVER,
        Reason.MEMORY_HELD,
        Reason.SHUTDOWN,
        Reason.INTERNAL,
    }
)
_KINDS: Final[Mapping[Reason, Kind]] = MappingProxyType(
    {
        **dict.fromkeys(Reason, Kind.FORBIDDEN),
        **dict.fromkeys(_UNAUTHENTICATED, Kind.UNAUTHENTICATED),
        **dict.fromkeys(_UNAVAILABLE, Kind.UNAVAILABLE),
        Reason.CLIENT_ID_INVALID: Kind.REJECTED,
        Reason.PROTOCOL_UNSUPPORTED: Kind.UNSUPPORTED,
        Reason.PROTOCOL_ERROR: Kind.MALFORMED,
        Reason.PACKET_TOO_LARGE: Kind.MALFORMED,
        Reason.AUTHENTICATION_METHOD: Kind.UNAUTHENTICATED,
    }
)
"""The kind that surfaces translate, where a connection is refused for a reason."""


_BREACHES: Final[Mapping[Kind, Reason]] = MappingProxyType(
    {
        Kind.UNSUPPORTED: Reason.PROTOCOL_UNSUPPORTED,
        Kind.REJECTED: Reason.CLIENT_ID_INVALID,
        Kind.TOO_LARGE: Reason.PACKET_TOO_LARGE,
    }
)


def breach(kind: Kind) -> Reason:
    """Return the reason to end a connection whose bytes came to a fault of this kind."""
    return _BREACHES.get(kind, Reason.PROTOCOL_ERROR)


THEIRS: Final = frozenset({Reason.CLIENT_DISCONNECT, Reason.CLIENT_GONE})
"""The endings that are the device's own."""


PAST_A_BOUND: Final = frozenset(
    {Reason.PACKET_TOO_LARGE, Reason.RECEIVE_MAXIMUM, Reason.SLOW_READER, Reason.MEMORY_HELD}
)
"""The endings of live connections that took more than a bound allows."""


class Refusal(Fault):
    """A peer is not let in, or may not stay.

    `action` and `resource` say what was decided, as a policy names them. `silences_will` says that the will, too, is
    not allowed: where a session ends by this, it must not be published.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        action: str,
        resource: str,
        outcome: str = Outcome.IMPLICIT_DENY,
        detail: str | None = None,
        silences_will: bool = False,
    ) -> None:
        super().__init__(_KINDS[reason], reason.value, detail=detail)
        self.reason = reason
        self.action = action
        self.resource = resource
        self.outcome = outcome
        self.silences_will = silences_will
