"""Who comes and goes is told with AWS's fields and words."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from troth.gateway.presence import DISCONNECT_REASONS, Presence
from troth.gateway.refusal import Reason, Refusal
from troth.gateway.report import Who
from troth.testing.clock import FakeClock

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
MS = int(AT.timestamp() * 1000)
LAMP = Who("c1", "[2001:db8::1]:5000", "c" * 64, "lamp", "lamp-7", is_exclusive=True)
AWS_REASONS = {
    "AUTH_ERROR",
    "CLIENT_ERROR",
    "CLIENT_INITIATED_DISCONNECT",
    "CONNECTION_LOST",
    "API_INITIATED_DISCONNECT",
    "DUPLICATE_CLIENTID",
    "FORBIDDEN_ACCESS",
    "MQTT_KEEP_ALIVE_TIMEOUT",
    "SERVER_ERROR",
    "SERVER_INITIATED_DISCONNECT",
    "THROTTLED",
}


class Post:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.presence = Presence(FakeClock(AT), lambda topic, payload: self.sent.append((topic, json.loads(payload))))


@pytest.fixture
def post() -> Post:
    return Post()


def refusal(reason: Reason) -> Refusal:
    return Refusal(reason, action="iot:Connect", resource="client/lamp-7")


def test_the_fields_are_those_of_aws(post: Post) -> None:
    post.presence.connected(LAMP, AT)
    post.presence.subscribed(LAMP, ["a", "b/#"])
    post.presence.unsubscribed(LAMP, ["a"])
    post.presence.disconnected(LAMP, AT, Reason.KEEP_ALIVE)
    post.presence.refused(LAMP, refusal(Reason.CONNECT_DENIED))
    same = {
        "clientId": "lamp-7",
        "thingName": "lamp",
        "timestamp": MS,
        "sessionIdentifier": "c1",
        "principalIdentifier": "c" * 64,
    }
    assert post.sent == [
        (
            "$aws/events/presence/connected/lamp-7",
            {**same, "eventType": "connected", "ipAddress": "2001:db8::1", "versionNumber": MS},
        ),
        ("$aws/events/subscriptions/subscribed/lamp-7", {**same, "eventType": "subscribed", "topics": ["a", "b/#"]}),
        ("$aws/events/subscriptions/unsubscribed/lamp-7", {**same, "eventType": "unsubscribed", "topics": ["a"]}),
        (
            "$aws/events/presence/disconnected/lamp-7",
            {
                **same,
                "eventType": "disconnected",
                "clientInitiatedDisconnect": False,
                "disconnectReason": "MQTT_KEEP_ALIVE_TIMEOUT",
                "versionNumber": MS,
            },
        ),
        (
            "$aws/events/presence/connect_failed/lamp-7",
            {
                **same,
                "eventType": "connect_failed",
                "connectFailureReason": "AUTHORIZATION_FAILED",
                "ipAddress": "2001:db8::1",
            },
        ),
    ]


def test_a_goodbye_is_the_clients_own(post: Post) -> None:
    post.presence.disconnected(LAMP, AT, Reason.CLIENT_DISCONNECT)
    ((_, said),) = post.sent
    assert (said["clientInitiatedDisconnect"], said["disconnectReason"]) == (True, "CLIENT_INITIATED_DISCONNECT")


@pytest.mark.parametrize("who", [Who("c1", "a:1", "c", "lamp", "lamp"), Who("c1", "a:1", "c", None, "lamp")])
def test_only_an_exclusive_thing_is_named(post: Post, who: Who) -> None:
    post.presence.connected(who, AT)
    assert "thingName" not in post.sent[0][1]


@pytest.mark.parametrize("client_id", ["#", "a/+", "a#b", "", None])
def test_a_client_id_that_is_a_filter_tells_nothing(post: Post, client_id: str | None) -> None:
    post.presence.connected(Who("c1", "a:1", "c", None, client_id), AT)
    assert post.sent == []


def test_a_connect_that_fails_for_another_reason_tells_nothing(post: Post) -> None:
    post.presence.refused(LAMP, refusal(Reason.UPSTREAM_UNAVAILABLE))
    post.presence.refused(LAMP, refusal(Reason.CLIENT_ID_INVALID))
    assert post.sent == []
    post.presence.refused(LAMP, refusal(Reason.CERTIFICATE_REVOKED))
    assert len(post.sent) == 1


def test_every_reason_has_a_word_of_aws() -> None:
    assert set(DISCONNECT_REASONS) == set(Reason)
    assert set(DISCONNECT_REASONS.values()) <= AWS_REASONS
