"""Every kind of fault has its answer to a CONNECT."""

import pytest

from troth.errors import Fault, Kind
from troth.protocols.mqtt import CONNACK_CODES, ConnackCode, connack_code


def test_every_kind_has_a_row() -> None:
    assert set(CONNACK_CODES) == set(Kind)


def test_no_fault_is_answered_with_accepted() -> None:
    assert ConnackCode.ACCEPTED not in CONNACK_CODES.values()


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


def test_a_bug_is_the_servers_own_trouble() -> None:
    assert connack_code(ValueError("x")) is ConnackCode.SERVER_UNAVAILABLE
