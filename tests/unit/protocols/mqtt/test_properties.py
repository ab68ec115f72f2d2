"""Table 2-4 of MQTT 5.0, written out again: each property, everywhere, once and twice."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
from tests.unit.protocols.mqtt.feeding import feed, feed_every_way, new_reader

from troth.errors import Kind, OurFault
from troth.limits import MQTT_PROPERTIES_MAX
from troth.protocols.mqtt import Properties, ReasonCode, Role, Version
from troth.protocols.mqtt.property_table import Place, render_properties

_SERVER, _CLIENT = Role.SERVER, Role.CLIENT


class Carrier(NamedTuple):
    """A packet that is legal with any properties that it may have, and where they stand in it."""

    role: Role
    first: int
    before: str
    behind: str
    opened: bool = True


CARRIERS: Final = {
    "CONNECT": Carrier(_SERVER, 0x10, "0004 4d515454 05 02 0000", "0000", opened=False),
    "Will": Carrier(_SERVER, 0x10, "0004 4d515454 05 06 0000 00 0000", "0001 74 0000", opened=False),
    "CONNACK": Carrier(_CLIENT, 0x20, "00 00", "", opened=False),
    "PUBLISH": Carrier(_CLIENT, 0x30, "0001 61", ""),
    "PUBLISH to a server": Carrier(_SERVER, 0x32, "0001 61 0001", ""),
    "PUBACK": Carrier(_SERVER, 0x40, "0001 00", ""),
    "PUBREC": Carrier(_CLIENT, 0x50, "0001 00", ""),
    "PUBREL": Carrier(_SERVER, 0x62, "0001 00", ""),
    "PUBCOMP": Carrier(_CLIENT, 0x70, "0001 00", ""),
    "SUBSCRIBE": Carrier(_SERVER, 0x82, "0001", "0001 61 00"),
    "SUBACK": Carrier(_CLIENT, 0x90, "0001", "00"),
    "UNSUBSCRIBE": Carrier(_SERVER, 0xA2, "0001", "0001 61"),
    "UNSUBACK": Carrier(_CLIENT, 0xB0, "0001", "00"),
    "DISCONNECT": Carrier(_CLIENT, 0xE0, "00", ""),
    "DISCONNECT to a server": Carrier(_SERVER, 0xE0, "00", ""),
    "AUTH": Carrier(_SERVER, 0xF0, "18", ""),
}
MESSAGES: Final = "PUBLISH PUBLISH-to-a-server Will"
# Identifier, its bytes, the field and its value, and where the table allows it.
Row = tuple[int, str, str, object, str]
TABLE: Final[list[Row]] = [
    (0x01, "01", "payload_is_text", True, MESSAGES),
    (0x02, "0000012c", "message_expiry_s", 300, MESSAGES),
    (0x03, "0001 78", "content_type", "x", MESSAGES),
    (0x08, "0003 612f62", "response_topic", "a/b", MESSAGES),
    (0x09, "0002 00ff", "correlation_data", b"\0\xff", MESSAGES),
    (0x0B, "8101", "subscription_ids", (129,), "PUBLISH SUBSCRIBE"),
    (0x11, "ffffffff", "session_expiry_s", 0xFFFFFFFF, "CONNECT CONNACK DISCONNECT-to-a-server"),
    (0x12, "0002 c3bc", "assigned_client_id", "ü", "CONNACK"),
    (0x13, "0100", "server_keep_alive_s", 256, "CONNACK"),
    (0x15, "0001 6d", "authentication_method", "m", "CONNECT CONNACK AUTH"),
    (0x16, "0000", "authentication_data", b"", "CONNECT CONNACK AUTH"),
    (0x17, "00", "request_problem_information", False, "CONNECT"),
    (0x18, "00000001", "will_delay_s", 1, "Will"),
    (0x19, "01", "request_response_information", True, "CONNECT"),
    (0x1A, "0001 72", "response_information", "r", "CONNACK"),
    (0x1C, "0001 73", "server_reference", "s", "CONNACK DISCONNECT"),
    (
        0x1F,
        "0001 77",
        "reason_string",
        "w",
        "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT DISCONNECT-to-a-server AUTH",
    ),
    (0x21, "ffff", "receive_maximum", 65535, "CONNECT CONNACK"),
    (0x22, "0000", "topic_alias_maximum", 0, "CONNECT CONNACK"),
    (0x23, "0008", "topic_alias", 8, "PUBLISH PUBLISH-to-a-server"),
    (0x24, "01", "maximum_qos", 1, "CONNACK"),
    (0x25, "00", "retain_available", False, "CONNACK"),
    (0x26, "0001 6b 0000", "user_properties", (("k", ""),), " ".join(c.replace(" ", "-") for c in CARRIERS)),
    (0x27, "00000001", "maximum_packet_size", 1, "CONNECT CONNACK"),
    (0x28, "00", "wildcard_subscription_available", False, "CONNACK"),
    (0x29, "01", "subscription_identifier_available", True, "CONNACK"),
    (0x2A, "01", "shared_subscription_available", True, "CONNACK"),
]
# In a packet of the type, and from the other side: not malformed, and an error.
TURNED_ROUND: Final = {(0x0B, "PUBLISH to a server"), (0x11, "DISCONNECT"), (0x1C, "DISCONNECT to a server")}


def packet(carrier: Carrier, properties: bytes) -> bytes:
    assert len(properties) < 0x80
    body = bytes.fromhex(carrier.before) + bytes([len(properties)]) + properties + bytes.fromhex(carrier.behind)
    return bytes([carrier.first, len(body)]) + body


def needed(identifier: int, carrier: str) -> bytes:
    """Return what must stand beside a property for the packet to be legal."""
    names_method = carrier == "AUTH" or identifier == 0x16
    return bytes.fromhex("15 0001 6d") if names_method and identifier != 0x15 else b""


def rows(carrier: str) -> list[Row]:
    return [row for row in TABLE if carrier.replace(" ", "-") in row[4].split()]


def spell(row: Row) -> bytes:
    return bytes([row[0]]) + bytes.fromhex(row[1])


def said(read: Any, carrier: str) -> Properties:
    properties = (read.will if carrier == "Will" else read).properties
    assert isinstance(properties, Properties)
    return properties


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_property_is_read_where_it_belongs(carrier: str) -> None:
    where = CARRIERS[carrier]
    for row in rows(carrier):
        if (row[0], carrier) == (0x11, "DISCONNECT to a server"):
            continue  # only after a CONNECT with one: see test_a_session_is_kept_longer
        data = packet(where, needed(row[0], carrier) + spell(row))
        outcome = feed_every_way(data, where.role, opened=where.opened, version=Version.MQTT_5)
        assert outcome.fault is None, row
        assert getattr(said(outcome.packets[0], carrier), row[2]) == row[3]


def test_a_session_is_kept_longer() -> None:
    connect = packet(CARRIERS["CONNECT"], bytes.fromhex("11 00000001"))
    leave = packet(CARRIERS["DISCONNECT to a server"], bytes.fromhex("11 ffffffff"))
    outcome = feed_every_way(connect + leave, _SERVER, opened=False, version=Version.MQTT_5)
    assert outcome.fault is None
    assert said(outcome.packets[1], "DISCONNECT").session_expiry_s == 0xFFFFFFFF


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_property_comes_once_but_for_two(carrier: str) -> None:
    where = CARRIERS[carrier]
    for row in rows(carrier):
        data = packet(where, needed(row[0], carrier) + spell(row) * 2)
        outcome = feed(new_reader(where.role, opened=where.opened, version=Version.MQTT_5), [data])
        if row[0] == 0x26 or (row[0] == 0x0B and carrier == "PUBLISH"):
            assert getattr(said(outcome.packets[0], carrier), row[2]) == row[3] * 2  # type: ignore[operator]
        else:
            assert outcome.reason is ReasonCode.PROTOCOL_ERROR, row
            assert outcome.fault is not None
            assert outcome.fault[1].endswith("comes twice")


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_property_is_refused_where_it_does_not_belong(carrier: str) -> None:
    where = CARRIERS[carrier]
    strangers = [row for row in TABLE if row not in rows(carrier)]
    assert carrier == "CONNACK" or len(strangers) > 15
    for row in strangers:
        data = packet(where, needed(row[0], carrier) + spell(row))
        outcome = feed(new_reader(where.role, opened=where.opened, version=Version.MQTT_5), [data])
        error = (row[0], carrier) in TURNED_ROUND
        assert outcome.reason is (ReasonCode.PROTOCOL_ERROR if error else ReasonCode.MALFORMED_PACKET), row
        assert outcome.packets == ()


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_property_that_ends_too_soon_is_malformed(carrier: str) -> None:
    where = CARRIERS[carrier]
    for row in rows(carrier):
        data = packet(where, spell(row)[:-1])
        outcome = feed(new_reader(where.role, opened=where.opened, version=Version.MQTT_5), [data])
        assert outcome.reason is ReasonCode.MALFORMED_PACKET, row


def properties_of(count: int) -> bytes:
    """A PUBLISH with so many user properties."""
    body = b"\x26\0\0\0\0" * count
    length = bytes([len(body) & 0x7F | 0x80, len(body) >> 7])
    packet = b"\x00\x01a" + length + body
    return b"\x30" + bytes([len(packet) & 0x7F | 0x80, len(packet) >> 7]) + packet


@pytest.mark.parametrize(("over", "reason"), [(0, None), (1, ReasonCode.QUOTA_EXCEEDED)])
def test_properties_are_counted(over: int, reason: ReasonCode | None) -> None:
    data = properties_of(MQTT_PROPERTIES_MAX + over)
    outcome = feed(new_reader(_SERVER, bound=len(data), version=Version.MQTT_5), [data])
    assert outcome.reason is reason
    assert reason is None or (outcome.fault is not None and outcome.fault[0] is Kind.TOO_LARGE)


UNSAYABLE: Final[list[tuple[Callable[[], Properties], Place]]] = [
    (lambda: Properties(topic_alias=1), Place.CONNECT),
    (lambda: Properties(receive_maximum=0), Place.CONNECT),
    (lambda: Properties(receive_maximum=65536), Place.CONNECT),
    (lambda: Properties(message_expiry_s=-1), Place.WILL),
    (lambda: Properties(maximum_qos=2), Place.CONNACK),
    (lambda: Properties(subscription_ids=(0,)), Place.TO_CLIENT),
    (lambda: Properties(subscription_ids=(1, 2)), Place.SUBSCRIBE),
    (lambda: Properties(response_topic="a/+"), Place.TO_SERVER),
    (lambda: Properties(reason_string="\0"), Place.ANSWER),
    (lambda: Properties(session_expiry_s=1), Place.SERVER_LEAVES),
    (lambda: Properties(subscription_ids=(1,)), Place.TO_SERVER),
]


@pytest.mark.parametrize(("make", "place"), UNSAYABLE)
def test_what_may_not_be_said_is_our_fault(make: Callable[[], Properties], place: Place) -> None:
    with pytest.raises(OurFault):
        render_properties(make(), place)
