"""Packets as the standard writes them, by hand, read and written; and everything that must be refused."""

from typing import NamedTuple

import pytest
from tests.unit.protocols.mqtt.feeding import Outcome, feed_every_way

from troth.errors import Kind
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
    build_publish,
    render,
)

SERVER, CLIENT = Role.SERVER, Role.CLIENT
HEAD = "0004 4d515454 04"  # "MQTT", level 4

GOOD: list[tuple[Role, str, Packet]] = [
    (SERVER, f"10 0d {HEAD} 02 003c 0001 61", Connect("a", keep_alive_s=60)),
    (SERVER, f"10 0c {HEAD} 02 0000 0000", Connect("")),
    (SERVER, f"10 0d {HEAD} 00 ffff 0001 61", Connect("a", clean_session=False, keep_alive_s=65535)),
    (SERVER, f"10 12 {HEAD} 06 0000 0001 61 0001 74 0000", Connect("a", will=Will("t", b""))),
    (SERVER, f"10 14 {HEAD} 36 0000 0001 61 0001 74 0002 00ff", Connect("a", will=Will("t", b"\0\xff", 2, True))),
    (SERVER, f"10 10 {HEAD} 82 0000 0001 61 0001 75", Connect("a", username="u")),
    (SERVER, f"10 14 {HEAD} c2 0000 0001 61 0001 75 0002 00fe", Connect("a", username="u", password=b"\0\xfe")),
    (SERVER, f"10 0f {HEAD} 02 0000 0003 efbbbf", Connect("\ufeff")),  # [MQTT-1.5.3-3]: kept, never skipped
    (CLIENT, "20 02 00 00", Connack(ConnackCode.ACCEPTED)),
    (CLIENT, "20 02 01 00", Connack(ConnackCode.ACCEPTED, session_present=True)),
    (CLIENT, "20 02 00 05", Connack(ConnackCode.NOT_AUTHORIZED)),
    (SERVER, "30 05 0003 612f62", build_publish("a/b", b"")),
    (SERVER, "31 07 0003 612f62 3f3f", build_publish("a/b", b"??", retain=True)),
    (CLIENT, "32 07 0003 612f62 000a", build_publish("a/b", b"", qos=1, packet_id=10)),
    (CLIENT, "3d 08 0003 612f62 ffff 21", build_publish("a/b", b"!", qos=2, packet_id=65535, dup=True, retain=True)),
    (SERVER, "30 06 0004 f0aa9bbf", build_publish("\U0002a6ff", b"")),
    (SERVER, "40 02 000a", Puback(10)),
    (CLIENT, "50 02 0001", Pubrec(1)),
    (SERVER, "62 02 0100", Pubrel(256)),
    (CLIENT, "70 02 ffff", Pubcomp(65535)),
    # The examples of figures 3.23 and 3.30 of the standard.
    (
        SERVER,
        "82 0e 000a 0003 612f62 01 0003 632f64 02",
        Subscribe(10, (Subscription("a/b", 1), Subscription("c/d", 2))),
    ),
    (SERVER, "a2 0c 000a 0003 612f62 0003 632f64", Unsubscribe(10, ("a/b", "c/d"))),
    (CLIENT, "90 05 000a 00 02 80", Suback(10, (0, 2, 0x80))),
    (CLIENT, "b0 02 000a", Unsuback(10)),
    (SERVER, "c0 00", Pingreq()),
    (CLIENT, "d0 00", Pingresp()),
    (SERVER, "e0 00", Disconnect()),
]


@pytest.mark.parametrize(("role", "spelling", "packet"), GOOD, ids=lambda value: str(value)[:40])
def test_a_packet_is_read_and_written(role: Role, spelling: str, packet: Packet) -> None:
    data = bytes.fromhex(spelling)
    opened = not isinstance(packet, Connect | Connack)
    assert render(packet) == data
    assert feed_every_way(data, role, opened=opened) == Outcome((packet,))
    if not isinstance(packet, Disconnect):
        behind = build_publish("after", b"x" * 200)
        assert feed_every_way(data + render(behind), role, opened=opened) == Outcome((packet, behind))


class Bad(NamedTuple):
    clause: str
    role: Role
    spelling: str
    words: str
    kind: Kind = Kind.MALFORMED
    opened: bool = True


def connect(clause: str, spelling: str, words: str, kind: Kind = Kind.MALFORMED) -> Bad:
    return Bad(clause, SERVER, spelling, words, kind, opened=False)


BAD = [
    Bad("2.2: type 0", SERVER, "00 00", "no packet begins with the byte 0x00"),
    Bad("2.2: type 15", SERVER, "f0 00", "no packet begins"),
    Bad("MQTT-2.2.2-2", SERVER, "41 02 0001", "no packet begins"),
    Bad("MQTT-3.6.1-1", SERVER, "60 02 0001", "no packet begins"),
    Bad("MQTT-3.8.1-1", SERVER, "80 06 0001 0001 61 00", "no packet begins"),
    Bad("MQTT-3.10.1-1", SERVER, "a0 05 0001 0001 61", "no packet begins"),
    Bad("MQTT-3.14.1-1", SERVER, "e1 00", "no packet begins"),
    Bad("MQTT-3.3.1-4", SERVER, "36 07 0003 612f62 0001", "no packet begins"),
    Bad("MQTT-3.3.1-2", SERVER, "38 05 0003 612f62", "no packet begins"),
    Bad("2.2.3: five bytes", SERVER, "30 ffffffff01", "more than four bytes"),
    Bad("table 2.4: padded", SERVER, "c0 8000", "more bytes than it needs"),
    Bad("table 2.4: padded", SERVER, "30 858000 0003 612f62", "more bytes than it needs"),
    Bad("MQTT-2.3.1-1", SERVER, "40 02 0000", "identifier is 0"),
    Bad("MQTT-2.3.1-1", SERVER, "32 07 0003 612f62 0000", "identifier is 0"),
    Bad("MQTT-2.3.1-1", SERVER, "82 06 0000 0001 61 00", "identifier is 0"),
    Bad("3.4: too long", SERVER, "40 03 000100", "PUBACK cannot have a length of 3"),
    Bad("3.4: too short", SERVER, "40 01 01", "PUBACK cannot have a length of 1"),
    Bad("3.12: too long", SERVER, "c0 01 00", "PINGREQ cannot have a length of 1"),
    Bad("3.14: too long", SERVER, "e0 02 0000", "DISCONNECT cannot have a length of 2"),
    Bad("MQTT-4.7.3-1", SERVER, "30 02 0000", "empty"),
    Bad("MQTT-4.7.3-1", SERVER, "30 03 0000 61", "empty"),
    Bad("3.3: no topic", SERVER, "30 01 00", "PUBLISH cannot have a length of 1"),
    Bad("3.3: topic too long", SERVER, "30 04 0003 6162", "ends inside one of its fields"),
    Bad("3.3: no identifier", SERVER, "32 05 0003 612f62", "ends inside one of its fields"),
    Bad("3.3: half an identifier", SERVER, "32 06 0003 612f62 01", "ends inside one of its fields"),
    Bad("MQTT-3.3.2-2", SERVER, "30 05 0003 612f2b", "wildcard"),
    Bad("MQTT-3.3.2-2", CLIENT, "30 03 0001 23", "wildcard"),
    Bad("MQTT-1.5.3-1: surrogate", SERVER, "30 05 0003 eda080", "UTF-8"),
    Bad("MQTT-1.5.3-1: overlong", SERVER, "30 04 0002 c0af", "UTF-8"),
    Bad("MQTT-1.5.3-1: cut", SERVER, "30 04 0002 61c3", "UTF-8"),
    Bad("MQTT-1.5.3-2", SERVER, "30 05 0003 610062", "U+0000"),
    Bad("MQTT-3.8.3-3", SERVER, "82 02 000a", "SUBSCRIBE cannot have a length of 2"),
    Bad("MQTT-3-8.3-4: QoS 3", SERVER, "82 06 0001 0001 61 03", "QoS"),
    Bad("MQTT-3-8.3-4: reserved", SERVER, "82 06 0001 0001 61 04", "QoS"),
    Bad("3.8: no QoS", SERVER, "82 0a 0001 0001 61 00 0002 6162", "ends inside"),
    Bad("MQTT-4.7.1-2", SERVER, "82 08 0001 0003 232f61 00", "'#'"),
    Bad("MQTT-4.7.1-2", SERVER, "82 07 0001 0002 6123 00", "'#'"),
    Bad("MQTT-4.7.1-3", SERVER, "82 07 0001 0002 612b 00", "'+'"),
    Bad("MQTT-4.7.3-1", SERVER, "82 06 0001 0000 00 00", "empty"),
    Bad("MQTT-3.10.3-2", SERVER, "a2 02 000a", "UNSUBSCRIBE cannot have a length of 2"),
    Bad("MQTT-4.7.1-3", SERVER, "a2 06 0001 0002 2b61", "'+'"),
    Bad("MQTT-3.9.3-2", CLIENT, "90 03 0001 03", "SUBACK"),
    Bad("3.9: no codes", CLIENT, "90 02 0001", "SUBACK cannot have a length of 2"),
    Bad("3.2: flags", CLIENT, "20 02 02 00", "CONNACK", opened=False),
    Bad("3.2: return code", CLIENT, "20 02 00 06", "CONNACK", opened=False),
    Bad("MQTT-3.2.2-4", CLIENT, "20 02 01 05", "refuses and yet", opened=False),
    Bad("MQTT-3.1.0-2", SERVER, f"10 0d {HEAD} 02 003c 0001 61", "CONNECT may not come to a server while"),
    Bad("MQTT-3.1.0-1", SERVER, "30 05 0003 612f62", "PUBLISH may not come", opened=False),
    Bad("MQTT-3.2.0-1", CLIENT, "30 05 0003 612f62", "PUBLISH may not come", opened=False),
    Bad("table 2.1", SERVER, "20 02 00 00", "CONNACK may not come to a server"),
    Bad("table 2.1", CLIENT, "c0 00", "PINGREQ may not come to a client"),
    Bad("MQTT-3.14.4-2", SERVER, "e0 00 c0 00", "closed"),
    connect("MQTT-3.1.2-1", "10 0c 0004 4d515458 04 02 0000 0000", "protocol name"),
    connect("MQTT-3.1.2-2: 3.1", "10 0e 0006 4d5149736470 03 02 0000 0000", "level 3", Kind.UNSUPPORTED),
    connect("MQTT-3.1.2-2: 5.0", "10 0d 0004 4d515454 05 02 0000 00 0000", "level 5", Kind.UNSUPPORTED),
    connect("MQTT-3.1.2-2: a bridge", "10 0c 0004 4d515454 84 02 0000 0000", "level 132", Kind.UNSUPPORTED),
    connect("MQTT-3.1.2-3", f"10 0c {HEAD} 03 0000 0000", "reserved flag"),
    connect("MQTT-3.1.2-13", f"10 0c {HEAD} 0a 0000 0000", "describes a will"),
    connect("MQTT-3.1.2-15", f"10 0c {HEAD} 22 0000 0000", "describes a will"),
    connect("MQTT-3.1.2-14", f"10 11 {HEAD} 1e 0000 0000 0001 74 0000", "QoS is 3"),
    connect("MQTT-3.1.2-22", f"10 0e {HEAD} 42 0000 0000 0000", "password and no user name"),
    connect("MQTT-3.1.3-8", f"10 0c {HEAD} 00 0000 0000", "clean session", Kind.REJECTED),
    connect("3.1: more behind", f"10 0d {HEAD} 02 0000 0000 00", "goes on behind"),
    connect("3.1: no password", f"10 0e {HEAD} c2 0000 0000 0000", "ends inside"),
    connect("3.1: will topic", f"10 11 {HEAD} 06 0000 0000 0001 23 0000", "wildcard"),
    connect("3.1: too short", "10 0b 0004 4d515454 04 02 0000 00", "CONNECT cannot have a length of 11"),
    connect("MQTT-1.5.3-1", f"10 0d {HEAD} 02 0000 0001 ff", "UTF-8"),
    connect("MQTT-1.5.3-2", f"10 0e {HEAD} 02 0000 0002 6100", "U+0000"),
    connect("MQTT-1.5.3-2: user name", f"10 10 {HEAD} 82 0000 0001 61 0001 00", "U+0000"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.clause} {bad.spelling}")
def test_what_breaks_a_clause_is_refused(bad: Bad) -> None:
    data = bytes.fromhex(bad.spelling)
    outcome = feed_every_way(data, bad.role, opened=bad.opened)
    assert outcome.fault is not None
    kind, words = outcome.fault
    assert kind is bad.kind
    assert bad.words in words
    # What follows changes nothing: it would be taken for the rest of the broken packet, or as a way round the fault.
    assert feed_every_way(data + b"\xc0\x00" * 3, bad.role, opened=bad.opened) == outcome


def test_a_publish_carries_the_bytes_it_came_in() -> None:
    data = bytes.fromhex("3b 09 0003 612f62 0007 2121")
    outcome = feed_every_way(data, SERVER)
    (publish,) = outcome.packets
    assert isinstance(publish, Publish)
    assert publish.raw == data
    assert (publish.topic, publish.payload, publish.qos, publish.packet_id) == ("a/b", b"!!", 1, 7)
    assert (publish.retain, publish.dup) == (True, True)
