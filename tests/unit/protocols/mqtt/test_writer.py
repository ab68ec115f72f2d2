"""What cannot be said is refused before it is sent."""

import pytest

from troth.errors import Kind, OurFault
from troth.limits import MQTT_REMAINING_LENGTH_MAX
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Packet,
    Puback,
    Suback,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
    build_publish,
    render,
)
from troth.protocols.mqtt.header import parse_length, render_length

UNSAYABLE: list[tuple[Packet, Kind]] = [
    (Puback(0), Kind.MALFORMED),
    (Puback(65536), Kind.MALFORMED),
    (Connect("a\0"), Kind.MALFORMED),
    (Connect("\ud800"), Kind.MALFORMED),
    (Connect("a" * 65536), Kind.TOO_LARGE),
    (Connect("", clean_session=False), Kind.REJECTED),
    (Connect("a", keep_alive_s=65536), Kind.MALFORMED),
    (Connect("a", password=b"p"), Kind.MALFORMED),
    (Connect("a", will=Will("#", b"")), Kind.MALFORMED),
    (Connect("a", will=Will("t", b"", qos=3)), Kind.MALFORMED),
    (Connect("a", will=Will("t", bytes(65536))), Kind.TOO_LARGE),
    (Connack(ConnackCode.NOT_AUTHORIZED, session_present=True), Kind.MALFORMED),
    (Subscribe(1, ()), Kind.MALFORMED),
    (Subscribe(1, (Subscription("a+"),)), Kind.MALFORMED),
    (Subscribe(1, (Subscription("a", 3),)), Kind.MALFORMED),
    (Suback(1, ()), Kind.MALFORMED),
    (Suback(1, (3,)), Kind.MALFORMED),
    (Unsubscribe(1, ()), Kind.MALFORMED),
    (Unsubscribe(1, ("",)), Kind.MALFORMED),
]


@pytest.mark.parametrize(("packet", "kind"), UNSAYABLE, ids=lambda value: repr(value)[:50])
def test_a_packet_that_cannot_be_said_is_our_fault(packet: Packet, kind: Kind) -> None:
    with pytest.raises(OurFault) as caught:
        render(packet)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("topic", "how"),
    [
        ("a/+", {}),
        ("", {}),
        ("a", {"qos": 1}),
        ("a", {"qos": 3, "packet_id": 1}),
        ("a", {"packet_id": 1}),
        ("a", {"dup": True}),
        ("a", {"qos": 1, "packet_id": 65536}),
        ("a" * 65536, {}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_message_that_cannot_be_said_is_our_fault(topic: str, how: dict[str, int]) -> None:
    with pytest.raises(OurFault):
        build_publish(topic, b"", **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("length", "spelling"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
        (MQTT_REMAINING_LENGTH_MAX, "ffffff7f"),
    ],
)
def test_lengths_as_table_2_4_has_them(length: int, spelling: str) -> None:
    data = bytes.fromhex(spelling)
    assert render_length(length) == data
    assert parse_length(b"?" + data, 1) == (length, 1 + len(data))
    assert parse_length(data[:-1], 0) is None
