"""Every reason has a kind, and with it an answer on the wire."""

import pytest

from troth.errors import Kind
from troth.gateway.refusal import Reason, Refusal
from troth.protocols.mqtt import ConnackCode, connack_code


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_a_word_with_a_kind(reason: Reason) -> None:
    assert set(reason.value) <= set("abcdefghijklmnopqrstuvwxyz-")
    refusal = Refusal(reason, action="iot:Connect", resource="client/x")
    assert refusal.message == reason.value
    assert refusal.kind in Kind


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.CERTIFICATE_REVOKED, ConnackCode.NOT_AUTHORIZED),
        (Reason.CONNECT_DENIED, ConnackCode.NOT_AUTHORIZED),
        (Reason.WILL_DENIED, ConnackCode.NOT_AUTHORIZED),
        (Reason.POLICY_UNREADABLE, ConnackCode.NOT_AUTHORIZED),
        (Reason.CLIENT_ID_INVALID, ConnackCode.IDENTIFIER_REJECTED),
        (Reason.PROTOCOL_UNSUPPORTED, ConnackCode.UNACCEPTABLE_PROTOCOL_VERSION),
        (Reason.STATE_UNKNOWN, ConnackCode.SERVER_UNAVAILABLE),
        (Reason.UPSTREAM_REFUSED, ConnackCode.SERVER_UNAVAILABLE),
        (Reason.SHUTDOWN, ConnackCode.SERVER_UNAVAILABLE),
        (Reason.PROTOCOL_ERROR, None),
    ],
)
def test_what_the_device_is_told(reason: Reason, code: ConnackCode | None) -> None:
    assert connack_code(Refusal(reason, action="iot:Connect", resource="client/x")) is code
