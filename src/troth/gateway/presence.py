"""Who comes and goes, told on `$aws/events/presence/...` and `$aws/events/subscriptions/...` with AWS IoT's fields.

AWS IoT developer guide, "Lifecycle events". Knows no wire: `Publish` takes a topic and a payload, and never waits.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from troth.clock import Clock
from troth.errors import Kind
from troth.gateway.refusal import Reason, Refusal

if TYPE_CHECKING:
    from troth.gateway.report import Who

Publish = Callable[[str, bytes], None]

_TOPIC: Final = "$aws/events/"
_AUTHORIZATION_FAILED: Final = "AUTHORIZATION_FAILED"
_UNAUTHORISED: Final = frozenset({Kind.FORBIDDEN, Kind.UNAUTHENTICATED})
_render: Final = json.JSONEncoder(ensure_ascii=False).encode
_UNNAMED: Final = frozenset("#+")
"""A client id with one of these tells nothing, as on AWS: its topic would be a filter."""

DISCONNECT_REASONS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        **dict.fromkeys(Reason, "SERVER_INITIATED_DISCONNECT"),
        Reason.UNKNOWN_CERTIFICATE: "AUTH_ERROR",
        Reason.CERTIFICATE_REVOKED: "AUTH_ERROR",
        Reason.CERTIFICATE_INACTIVE: "AUTH_ERROR",
        Reason.CERTIFICATE_EXPIRED: "AUTH_ERROR",
        Reason.CERTIFICATE_NOT_YET_VALID: "AUTH_ERROR",
        Reason.WRONG_ISSUER: "AUTH_ERROR",
        Reason.PUBLISH_DENIED: "AUTH_ERROR",
        Reason.CONNECT_DENIED: "FORBIDDEN_ACCESS",
        Reason.WILL_DENIED: "FORBIDDEN_ACCESS",
        Reason.CLIENT_ID_INVALID: "CLIENT_ERROR",
        Reason.PROTOCOL_UNSUPPORTED: "CLIENT_ERROR",
        Reason.PROTOCOL_ERROR: "CLIENT_ERROR",
        Reason.PACKET_TOO_LARGE: "CLIENT_ERROR",
        Reason.TOPIC_REFUSED: "CLIENT_ERROR",
        Reason.PROPERTIES_REFUSED: "CLIENT_ERROR",
        Reason.QOS_REFUSED: "CLIENT_ERROR",
        Reason.RECEIVE_MAXIMUM: "CLIENT_ERROR",
        Reason.TAKEN_OVER: "DUPLICATE_CLIENTID",
        Reason.CONNECTS_TOO_OFTEN: "THROTTLED",
        Reason.MEMORY_HELD: "THROTTLED",
        Reason.CLIENT_DISCONNECT: "CLIENT_INITIATED_DISCONNECT",
        Reason.CLIENT_GONE: "CONNECTION_LOST",
        Reason.KEEP_ALIVE: "MQTT_KEEP_ALIVE_TIMEOUT",
        Reason.KICKED: "API_INITIATED_DISCONNECT",
        Reason.POLICY_UNREADABLE: "SERVER_ERROR",
        Reason.STATE_UNKNOWN: "SERVER_ERROR",
        Reason.UPSTREAM_UNAVAILABLE: "SERVER_ERROR",
        Reason.UPSTREAM_REFUSED: "SERVER_ERROR",
        Reason.UPSTREAM_CLOSED: "SERVER_ERROR",
        Reason.UPSTREAM_INVALID: "SERVER_ERROR",
        Reason.INTERNAL: "SERVER_ERROR",
    }
)
"""What `disconnectReason` says for each of our reasons: AWS's word for it."""


class Presence:
    """Turns what the report is told into events."""

    def __init__(self, clock: Clock, publish: Publish) -> None:
        self._clock = clock
        self._publish = publish

    def connected(self, who: "Who", since: datetime) -> None:
        """A session is live since then."""
        self._tell("presence/connected", who, "connected", ipAddress=_host(who), versionNumber=_version(since))

    def disconnected(self, who: "Who", since: datetime, reason: Reason) -> None:
        """A session that was live since `since` has ended."""
        self._tell(
            "presence/disconnected",
            who,
            "disconnected",
            clientInitiatedDisconnect=reason is Reason.CLIENT_DISCONNECT,
            disconnectReason=DISCONNECT_REASONS[reason],
            versionNumber=_version(since),
        )

    def refused(self, who: "Who", refusal: Refusal) -> None:
        """A CONNECT was refused: an event where that was for want of authorisation."""
        if refusal.kind in _UNAUTHORISED:
            said = {"connectFailureReason": _AUTHORIZATION_FAILED, "ipAddress": _host(who)}
            self._tell("presence/connect_failed", who, "connect_failed", **said)

    def subscribed(self, who: "Who", topic_filters: Sequence[str]) -> None:
        """A session was granted these filters."""
        self._tell("subscriptions/subscribed", who, "subscribed", topics=list(topic_filters))

    def unsubscribed(self, who: "Who", topic_filters: Sequence[str]) -> None:
        """A session has let these filters go, or lost them."""
        self._tell("subscriptions/unsubscribed", who, "unsubscribed", topics=list(topic_filters))

    def _tell(self, topic: str, who: "Who", event: str, **more: object) -> None:
        if not who.client_id or not _UNNAMED.isdisjoint(who.client_id):
            return
        # Only a thing that the certificate stands for whatever the client id: of another it says nothing for sure.
        thing = {"thingName": who.thing} if who.thing is not None and who.is_exclusive else {}
        said = {
            "clientId": who.client_id,
            **thing,
            "timestamp": _ms(self._clock.now()),
            "eventType": event,
            "sessionIdentifier": who.connection,
            "principalIdentifier": who.certificate_id,
            **more,
        }
        self._publish(f"{_TOPIC}{topic}/{who.client_id}", _render(said).encode())


def _host(who: "Who") -> str:
    return who.address.rpartition(":")[0].strip("[]")


def _version(since: datetime) -> int:
    """Return a number that grows with every connection of a client, also on another worker: no row is kept for it."""
    return _ms(since)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
