"""Bounds, and how a reader goes on after a fault."""

import tracemalloc

import pytest
from tests.unit.protocols.mqtt.feeding import OPENING, Outcome, feed, feed_every_way, new_reader

from troth.errors import Kind
from troth.limits import MQTT_FILTERS_MAX, MQTT_TOPIC_KNOWN_BYTES_MAX, MQTT_TOPICS_KNOWN_MAX
from troth.protocols.mqtt import (
    Pingreq,
    Publish,
    Reader,
    ReasonCode,
    Role,
    State,
    StreamFault,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
    build_publish,
    render,
)

KIB = 1024


@pytest.mark.parametrize(
    "payload_bytes", [0, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 16_375, 16_376, 16_384]
)
def test_lengths_of_one_two_and_three_bytes(payload_bytes: int) -> None:
    publish = build_publish("a/b", bytes(payload_bytes))
    data = render(publish)
    for pieces in ([data], [data[:2], data[2:]], [data[:3], data[3:-1], data[-1:]], [data + data[:1], data[1:]]):
        outcome = feed(new_reader(Role.SERVER, bound=64 * KIB), pieces)
        assert outcome.packets[0] == publish
        assert outcome.fault is None


@pytest.mark.parametrize("bound", [30, 127, 128, 129, 130, 131, 132, 133, 200])
def test_the_bound_is_exact(bound: int) -> None:
    longest = next(p for p in (build_publish("a", bytes(size)) for size in range(bound, 0, -1)) if len(p.raw) <= bound)
    assert len(longest.raw) in {bound, bound - 1}  # 130 bytes cannot be had: the length's second byte comes in between
    assert feed_every_way(longest.raw, Role.SERVER, bound=bound).packets == (longest,)
    over = build_publish("a", longest.payload + b"??")
    outcome = feed_every_way(over.raw, Role.SERVER, bound=bound)
    assert outcome.fault == (Kind.TOO_LARGE, f"a packet of {len(over.raw)} bytes is over the bound of {bound}")


@pytest.mark.parametrize("first", [0x10, 0x30, 0x82])
def test_a_packet_over_the_bound_is_refused_at_its_header(first: int) -> None:
    reader = new_reader(Role.SERVER, opened=first != 0x10)
    with pytest.raises(StreamFault) as caught:
        reader.feed(bytes([first, 0xFF, 0xFF, 0xFF, 0x7F]))
    assert caught.value.kind is Kind.TOO_LARGE


@pytest.mark.parametrize("header", [b"\x47\x45", b"\x10\xff", b"\x20\x02", b"\xc0\x05"])
def test_what_cannot_become_legal_is_not_waited_for(header: bytes) -> None:
    with pytest.raises(StreamFault):
        new_reader(Role.SERVER).feed(header)


def test_before_connect_no_publish_is_stored() -> None:
    with pytest.raises(StreamFault, match="PUBLISH may not come"):
        Reader(256 * KIB, Role.SERVER).feed(b"\x30\xff\xff\x01")


def test_the_packets_before_a_fault_come_with_it_and_only_once() -> None:
    reader = new_reader(Role.SERVER)
    good = build_publish("a", b"1")
    with pytest.raises(StreamFault) as first:
        reader.feed(good.raw + b"\xc0\x00" + b"\xff\x00" + good.raw)
    assert first.value.before == (good, Pingreq())
    for _ in range(2):
        with pytest.raises(StreamFault) as again:
            reader.feed(good.raw)
        assert again.value.before == ()
        assert (again.value.kind, again.value.message) == (first.value.kind, first.value.message)


def test_a_reader_tells_its_state() -> None:
    reader = Reader(KIB, Role.SERVER)
    states = [reader.state]
    for data in (OPENING[Role.SERVER], b"\xe0\x00"):
        reader.feed(data)
        states.append(reader.state)
    assert states == [State.OPENING, State.OPEN, State.CLOSED]


def test_nothing_fed_is_nothing() -> None:
    assert feed(new_reader(Role.SERVER), [b"", b"\xc0", b"", b"\x00", b""]) == Outcome((Pingreq(),))


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("asking", [True, False])
def test_filters_are_counted(version: Version, asking: bool) -> None:
    def packet(count: int) -> bytes:
        if asking:
            return render(Subscribe(1, (Subscription("a"),) * count), version)
        return render(Unsubscribe(1, ("a",) * count), version)

    bound = len(packet(MQTT_FILTERS_MAX + 1))
    assert feed(new_reader(Role.SERVER, bound=bound, version=version), [packet(MQTT_FILTERS_MAX)]).fault is None
    outcome = feed(new_reader(Role.SERVER, bound=bound, version=version), [packet(MQTT_FILTERS_MAX + 1)])
    assert outcome.fault == (Kind.TOO_LARGE, f"a packet has more than {MQTT_FILTERS_MAX} topic filters")
    assert outcome.reason is ReasonCode.QUOTA_EXCEEDED


@pytest.mark.timeout(20)
def test_a_long_packet_in_small_pieces_is_not_copied_at_each() -> None:
    """Linear work takes a tenth of a second; a copy of what is there at every piece would take minutes."""
    publish = build_publish("a", bytes(8 * KIB * KIB))
    pieces = (publish.raw[at : at + 64] for at in range(0, len(publish.raw), 64))
    assert feed(new_reader(Role.SERVER, bound=9 * KIB * KIB), pieces) == Outcome((publish,))


def topics(reader: Reader, names: list[str]) -> list[str]:
    packets = reader.feed(b"".join(build_publish(name, b"").raw for name in names))
    return [packet.topic for packet in packets if isinstance(packet, Publish)]


def test_the_topics_a_sender_keeps_to_are_decoded_once() -> None:
    reader = new_reader(Role.SERVER)
    names = [f"home/thermostat-{number}" for number in range(MQTT_TOPICS_KNOWN_MAX)]
    first, second = topics(reader, names), topics(reader, names)
    assert first == second == names
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_long_topics_are_not_remembered() -> None:
    reader = new_reader(Role.SERVER)
    known, unknown = "k" * MQTT_TOPIC_KNOWN_BYTES_MAX, "u" * (MQTT_TOPIC_KNOWN_BYTES_MAX + 1)
    first, second = topics(reader, [known, unknown]), topics(reader, [known, unknown])
    assert first == second == [known, unknown]
    assert [one is other for one, other in zip(first, second, strict=True)] == [True, False]


def test_a_sender_of_ever_new_topics_fills_no_memory() -> None:
    reader = new_reader(Role.SERVER)
    tracemalloc.start()
    try:
        for number in range(5000):
            (publish,) = reader.feed(build_publish(f"{number:0100}", b"").raw)
            assert isinstance(publish, Publish)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100 * KIB


def test_a_topic_is_checked_each_time_it_is_refused() -> None:
    for _ in range(2):
        with pytest.raises(StreamFault):
            new_reader(Role.SERVER).feed(bytes.fromhex("30 03 0001 23"))
