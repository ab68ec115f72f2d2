"""Topic aliases are resolved where they are read, so that nobody decides on an empty topic (section 3.3.2.3.4)."""

import tracemalloc

import pytest
from tests.unit.protocols.mqtt.feeding import ALIASES, feed, feed_every_way, new_reader

from troth.limits import MQTT_TOPIC_ALIASED_BYTES_MAX
from troth.protocols.mqtt import (
    Packet,
    Properties,
    Publish,
    Reader,
    ReasonCode,
    Role,
    Version,
    build_publish,
    convert,
)

V5 = Version.MQTT_5
BOTH_ROLES = pytest.mark.parametrize("role", Role)


def named(topic: str, alias: int | None, payload: bytes = b"") -> bytes:
    return build_publish(topic, payload, version=V5, properties=Properties(topic_alias=alias)).raw


def short(alias: int, payload: bytes = b"") -> bytes:
    body = b"\0\0\x03\x23" + alias.to_bytes(2) + payload
    return b"\x30" + bytes([len(body)]) + body


def told(packets: tuple[Packet, ...]) -> list[tuple[str, bytes]]:
    return [(packet.topic, packet.payload) for packet in packets if isinstance(packet, Publish)]


@BOTH_ROLES
def test_an_alias_stands_for_the_topic_that_it_was_last_sent_with(role: Role) -> None:
    stream = named("a/b", 1, b"1") + short(1, b"2") + named("c", 2) + named("d", 1) + short(2) + short(1, b"3")
    outcome = feed_every_way(stream, role, version=V5)
    assert told(outcome.packets) == [("a/b", b"1"), ("a/b", b"2"), ("c", b""), ("d", b""), ("c", b""), ("d", b"3")]
    assert outcome.fault is None


def test_a_topic_without_an_alias_changes_none() -> None:
    outcome = feed_every_way(named("a", 1) + named("b", None) + short(1), Role.SERVER, version=V5)
    assert told(outcome.packets) == [("a", b""), ("b", b""), ("a", b"")]


@BOTH_ROLES
def test_each_connection_and_each_direction_has_its_own(role: Role) -> None:
    assert feed(new_reader(role, version=V5), [named("a", 1)]).fault is None
    outcome = feed(new_reader(role, version=V5), [short(1)])
    assert outcome.reason is ReasonCode.PROTOCOL_ERROR


def test_none_is_taken_that_was_not_offered() -> None:
    reader = Reader(4096, Role.CLIENT, V5)
    outcome = feed(reader, [b"\x20\x03\0\0\0", named("a", 1)])
    assert outcome.reason is ReasonCode.TOPIC_ALIAS_INVALID
    assert feed(new_reader(Role.SERVER, version=V5), [named("a", ALIASES)]).fault is None
    outcome = feed(new_reader(Role.SERVER, version=V5), [named("a", ALIASES + 1)])
    assert outcome.reason is ReasonCode.TOPIC_ALIAS_INVALID


def test_a_topic_may_be_too_long_for_an_alias_and_still_be_sent() -> None:
    longest, longer = "é" * (MQTT_TOPIC_ALIASED_BYTES_MAX // 2), "e" * (MQTT_TOPIC_ALIASED_BYTES_MAX + 1)
    reader = new_reader(Role.SERVER, version=V5)
    outcome = feed(reader, [named(longest, 1), named(longer, None), named(longer, 2)])
    assert told(outcome.packets) == [(longest, b""), (longer, b"")]
    assert outcome.reason is ReasonCode.TOPIC_NAME_INVALID


def test_an_alias_says_nothing_to_others_and_is_written_out() -> None:
    packets = feed(new_reader(Role.SERVER, version=V5), [named("a/b", 1) + short(1, b"!")]).packets
    assert isinstance(packets[1], Publish)
    assert packets[1].properties.topic_alias == 1
    assert convert(packets[1], V5) == build_publish("a/b", b"!", version=V5).raw
    assert convert(packets[1], Version.MQTT_3_1_1) == build_publish("a/b", b"!").raw


@pytest.mark.slow
def test_a_sender_of_ever_new_topics_and_properties_fills_no_memory() -> None:
    reader = new_reader(Role.SERVER, version=V5)
    tracemalloc.start()
    try:
        for number in range(3000):
            said = Properties(topic_alias=1 + number % ALIASES, correlation_data=number.to_bytes(100))
            (publish,) = reader.feed(build_publish(f"{number:0100}", b"", version=V5, properties=said).raw)
            assert isinstance(publish, Publish)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100 * 1024
