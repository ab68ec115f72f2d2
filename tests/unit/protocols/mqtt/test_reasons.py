"""Every kind of fault has its answer to a CONNECT."""

import pytest

from troth.errors import Fault, Kind
from troth.protocols.mqtt import (
    CONNACK_CODES,
    CONNACK_REASONS,
    ConnackCode,
    Reader,
    ReasonCode,
    Role,
    StreamFault,
    Version,
    connack_code,
    connack_reason,
)
from troth.protocols.mqtt.packet_types import PacketType
from troth.protocols.mqtt.reason_codes import CODES


def test_every_kind_has_a_row() -> None:
    assert set(CONNACK_CODES) == set(CONNACK_REASONS) == set(Kind)


def test_no_fault_is_answered_with_accepted() -> None:
    assert ConnackCode.ACCEPTED not in CONNACK_CODES.values()
    assert all(reason >= 0x80 and reason in CODES[PacketType.CONNACK] for reason in CONNACK_REASONS.values())


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.MALFORMED, None),  # [MQTT-3.1.4-1]
        (Kind.UNSUPPORTED, 1),  # [MQTT-3.1.2-2]
        (Kind.REJECTED, 2),  # [MQTT-3.1.3-8]
        (Kind.UNAVAILABLE, 3),
        (Kind.FORBIDDEN, 5),
    ],
)
def test_what_the_standard_fixes(kind: Kind, code: int | None) -> None:
    assert connack_code(Fault(kind, "no")) == code


def test_a_stranger_cannot_tell_unknown_from_not_allowed() -> None:
    hidden = (Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_FOUND, Kind.BAD_KEY, Kind.EXPIRED)
    assert {CONNACK_CODES[kind] for kind in hidden} == {ConnackCode.NOT_AUTHORIZED}
    assert {CONNACK_REASONS[kind] for kind in hidden} == {ReasonCode.NOT_AUTHORIZED}


def test_a_bug_is_the_servers_own_trouble() -> None:
    assert connack_code(ValueError("x")) is ConnackCode.SERVER_UNAVAILABLE
    assert connack_reason(ValueError("x")) is ReasonCode.SERVER_UNAVAILABLE


def test_5_tells_a_stream_why_it_is_refused() -> None:
    with pytest.raises(StreamFault) as caught:
        Reader(100, Role.SERVER, Version.MQTT_5).feed(b"\x10\xff\x01")
    assert connack_reason(caught.value) is ReasonCode.PACKET_TOO_LARGE
    assert connack_reason(Fault(Kind.FORBIDDEN, "no")) is ReasonCode.NOT_AUTHORIZED
