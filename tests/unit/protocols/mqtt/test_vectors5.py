"""Packets of MQTT 5.0 by hand, after the standard's figures and tables, read and written; and what must be refused.

Each refusal is named by its clause and has the reason code that the other side is told.
"""

from typing import NamedTuple

import pytest
from tests.unit.protocols.mqtt.feeding import Outcome, feed_every_way

from troth.errors import Kind
from troth.protocols.mqtt import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
    build_publish,
    render,
)

SERVER, CLIENT, V5 = Role.SERVER, Role.CLIENT, Version.MQTT_5
HEAD = "0004 4d515454 05"  # "MQTT", level 5
P = Properties
R = ReasonCode


def connect(client_id: str, clean: bool = True, keep_alive_s: int = 0, **how: object) -> Connect:
    return Connect(client_id, clean, keep_alive_s, version=V5, **how)  # type: ignore[arg-type]


def message(topic: str, payload: bytes = b"", *, qos: int = 0, packet_id: int = 0, **said: object) -> Publish:
    properties = P(**said)  # type: ignore[arg-type]
    return build_publish(topic, payload, qos=qos, packet_id=packet_id, version=V5, properties=properties)


GOOD: list[tuple[Role, str, Packet]] = [
    (SERVER, f"10 0e {HEAD} 02 003c 00 0001 61", connect("a", keep_alive_s=60)),
    (SERVER, f"10 0d {HEAD} 00 0000 00 0000", connect("", clean=False)),  # the server assigns one [MQTT-3.1.3-6]
    # Figure 3-6: user name, password, will of QoS 1, clean start, keep-alive 10 s, session expiry 10 s.
    (
        SERVER,
        f"10 1c {HEAD} ce 000a 05 11 0000000a 0000 00 0001 74 0000 0000 0000",
        connect(
            "", keep_alive_s=10, will=Will("t", b"", 1), username="", password=b"", properties=P(session_expiry_s=10)
        ),
    ),
    # A password alone (section 3.1.2.9), which 3.1.1 forbids.
    (SERVER, f"10 11 {HEAD} 42 0000 00 0001 61 0001 70", connect("a", password=b"p")),
    (
        SERVER,
        f"10 1b {HEAD} 26 0000 00 0001 61 05 18 00000005 0001 74 0002 00ff",
        connect("a", will=Will("t", b"\0\xff", 0, True, P(will_delay_s=5))),
    ),
    (CLIENT, "20 03 00 00 00", Connack(R.SUCCESS)),
    (CLIENT, "20 03 01 00 00", Connack(R.SUCCESS, session_present=True)),
    (CLIENT, "20 03 00 87 00", Connack(R.NOT_AUTHORIZED)),
    (
        CLIENT,
        "20 11 00 00 0e 12 0002 6162 13 001e 21 0009 22 0000",
        Connack(
            R.SUCCESS,
            properties=P(assigned_client_id="ab", server_keep_alive_s=30, receive_maximum=9, topic_alias_maximum=0),
        ),
    ),
    (SERVER, "30 06 0003 612f62 00", message("a/b")),
    (SERVER, "30 08 0003 612f62 00 3f3f", message("a/b", b"??")),
    # Figure 3-8's variable header: topic a/b, packet identifier 10, no properties.
    (CLIENT, "32 08 0003 612f62 000a 00", message("a/b", qos=1, packet_id=10)),
    (
        SERVER,
        "30 0e 0003 612f62 07 01 01 02 00000078 21",
        message("a/b", b"!", payload_is_text=True, message_expiry_s=120),
    ),
    (CLIENT, "30 0b 0003 612f62 05 0b 8001 0b 01", message("a/b", subscription_ids=(128, 1))),
    (
        SERVER,
        "30 14 0001 61 0e 26 0001 6b 0001 76 26 0001 6b 0001 77 0000",
        message("a", b"\0\0", user_properties=(("k", "v"), ("k", "w"))),
    ),
    (SERVER, "40 02 000a", Puback(10)),
    (SERVER, "40 03 000a 10", Puback(10, R.NO_MATCHING_SUBSCRIBERS)),
    (CLIENT, "40 08 000a 87 04 1f 0001 6e", Puback(10, R.NOT_AUTHORIZED, P(reason_string="n"))),
    (CLIENT, "50 02 0001", Pubrec(1)),
    (SERVER, "62 03 0100 92", Pubrel(256, R.PACKET_IDENTIFIER_NOT_FOUND)),
    (CLIENT, "70 02 ffff", Pubcomp(65535)),
    # Figure 3-21: two filters, a/b at QoS 1 and c/d at QoS 2.
    (
        SERVER,
        "82 0f 000a 00 0003 612f62 01 0003 632f64 02",
        Subscribe(10, (Subscription("a/b", 1), Subscription("c/d", 2))),
    ),
    (
        SERVER,
        "82 0a 000a 02 0b 07 0002 2f23 2e",
        Subscribe(10, (Subscription("/#", 2, True, True, 2),), P(subscription_ids=(7,))),
    ),
    (
        SERVER,
        "82 12 0001 00 000c 24736861 72652f672f612f62 18",
        Subscribe(1, (Subscription("$share/g/a/b", 0, False, True, 1),)),
    ),
    (CLIENT, "90 06 000a 00 00 02 87", Suback(10, (0, 2, R.NOT_AUTHORIZED))),
    (SERVER, "a2 0d 000a 00 0003 612f62 0003 632f64", Unsubscribe(10, ("a/b", "c/d"))),
    (CLIENT, "b0 05 000a 00 00 11", Unsuback(10, (0, R.NO_SUBSCRIPTION_EXISTED))),
    (SERVER, "c0 00", Pingreq()),
    (CLIENT, "d0 00", Pingresp()),
    (SERVER, "e0 00", Disconnect()),
    (SERVER, "e0 01 04", Disconnect(R.DISCONNECT_WITH_WILL)),
    # Figure 3-24's variable header with another reference than a session expiry, which CONNECT would have to allow.
    (CLIENT, "e0 06 9c 04 1c 0001 73", Disconnect(R.USE_ANOTHER_SERVER, P(server_reference="s"))),
    (SERVER, "f0 06 18 04 15 0001 6d", Auth(R.CONTINUE_AUTHENTICATION, P(authentication_method="m"))),
    (
        SERVER,
        "f0 0a 19 08 15 0001 6d 16 0001 64",
        Auth(R.REAUTHENTICATE, P(authentication_method="m", authentication_data=b"d")),
    ),
]


@pytest.mark.parametrize(("role", "spelling", "packet"), GOOD, ids=lambda value: str(value)[:40])
def test_a_packet_is_read_and_written(role: Role, spelling: str, packet: Packet) -> None:
    data = bytes.fromhex(spelling)
    opened = not isinstance(packet, Connect | Connack)
    assert render(packet, V5) == data
    assert feed_every_way(data, role, opened=opened, version=V5) == Outcome((packet,), version=V5)
    if not isinstance(packet, Disconnect):
        behind = message("after", b"x" * 200)
        assert feed_every_way(data + behind.raw, role, opened=opened, version=V5).packets == (packet, behind)


@pytest.mark.parametrize(
    ("role", "spelling", "packet"),
    [
        (SERVER, "40 03 000a 00", Puback(10)),
        (SERVER, "40 04 000a 00 00", Puback(10)),
        (SERVER, "40 04 000a 80 00", Puback(10, R.UNSPECIFIED_ERROR)),
        (SERVER, "e0 02 00 00", Disconnect()),
        # Properties in another order than ours (section 2.2.2.2).
        (SERVER, "30 0b 0001 61 07 02 00000001 01 01", message("a", payload_is_text=True, message_expiry_s=1)),
    ],
)
def test_what_may_be_written_in_two_ways_is_read_in_both(role: Role, spelling: str, packet: Packet) -> None:
    outcome = feed_every_way(bytes.fromhex(spelling), role, version=V5)
    assert [tuple(each)[1:5] if isinstance(each, Publish) else each for each in outcome.packets] == [
        tuple(packet)[1:5] if isinstance(packet, Publish) else packet
    ]
    assert getattr(outcome.packets[0], "properties", None) == getattr(packet, "properties", None)


class Bad(NamedTuple):
    clause: str
    role: Role
    spelling: str
    reason: ReasonCode
    words: str
    opened: bool = True


MALFORMED, ERROR = R.MALFORMED_PACKET, R.PROTOCOL_ERROR
ENDS = "ends inside one of its fields"


def opening(clause: str, spelling: str, reason: ReasonCode, words: str) -> Bad:
    return Bad(clause, SERVER, spelling, reason, words, opened=False)


def answer(clause: str, spelling: str, reason: ReasonCode, words: str) -> Bad:
    return Bad(clause, CLIENT, spelling, reason, words, opened=False)


BAD = [
    # Data types and the fixed header.
    Bad("MQTT-1.5.4-1", SERVER, "30 06 0003 eda080 00", MALFORMED, "UTF-8"),
    Bad("MQTT-1.5.4-2", SERVER, "30 06 0003 610062 00", MALFORMED, "U+0000"),
    Bad("MQTT-1.5.5-1", SERVER, "c0 8000", MALFORMED, "more bytes than it needs"),
    Bad("MQTT-1.5.5-1: properties", SERVER, "30 05 0001 61 8000", MALFORMED, "more bytes than it needs"),
    Bad("MQTT-1.5.5-1: an identifier", CLIENT, "30 07 0001 61 03 0b 8100", MALFORMED, "more bytes than it needs"),
    Bad("1.5.5: five bytes", SERVER, "30 ffffffff01", MALFORMED, "more than four bytes"),
    Bad("MQTT-1.5.7-1", SERVER, "30 0a 0001 61 06 26 0001 ff 0000", MALFORMED, "UTF-8"),
    Bad("MQTT-2.1.3-1", SERVER, "41 02 0001", MALFORMED, "no packet begins"),
    Bad("MQTT-3.6.1-1", SERVER, "60 02 0001", MALFORMED, "no packet begins"),
    Bad("MQTT-3.8.1-1", SERVER, "80 07 0001 00 0001 61 00", MALFORMED, "no packet begins"),
    Bad("MQTT-3.10.1-1", SERVER, "a0 06 0001 00 0001 61", MALFORMED, "no packet begins"),
    Bad("MQTT-3.14.1-1", SERVER, "e1 00", MALFORMED, "no packet begins"),
    Bad("MQTT-3.15.1-1", SERVER, "f1 00", MALFORMED, "no packet begins"),
    Bad("2.1.2: type 0", SERVER, "00 00", MALFORMED, "no packet begins"),
    Bad("MQTT-2.2.1-3", SERVER, "40 02 0000", ERROR, "identifier is 0"),
    Bad("MQTT-2.2.1-3", SERVER, "32 08 0003 612f62 0000 00", ERROR, "identifier is 0"),
    Bad("MQTT-2.2.1-3", SERVER, "82 07 0000 00 0001 61 00", ERROR, "identifier is 0"),
    Bad("2.2.2.1: no length", SERVER, "30 05 0003 612f62", MALFORMED, ENDS),
    Bad("2.2.2.1: too long", SERVER, "30 05 0001 61 0501", MALFORMED, ENDS),
    Bad("2.2.2.1: too long", SERVER, "82 08 0001 7f 0001 61 0000", MALFORMED, ENDS),
    Bad("2.2.2.2: unknown", SERVER, "30 06 0001 61 02 7e00", MALFORMED, "0x7e does not belong"),
    Bad("2.2.2.2: cut", SERVER, "30 07 0001 61 03 02 0000", MALFORMED, ENDS),
    # CONNECT.
    opening("MQTT-3.1.2-1", "10 0d 0004 4d515458 05 02 0000 00 0000", MALFORMED, "protocol name"),
    opening("MQTT-3.1.2-2", "10 0d 0004 4d515454 06 02 0000 00 0000", R.UNSUPPORTED_PROTOCOL_VERSION, "level 6"),
    opening("MQTT-3.1.2-3", f"10 0d {HEAD} 03 0000 00 0000", MALFORMED, "reserved flag"),
    opening("MQTT-3.1.2-11", f"10 0d {HEAD} 0a 0000 00 0000", MALFORMED, "describes a will"),
    opening("MQTT-3.1.2-12", f"10 13 {HEAD} 1e 0000 00 0000 00 0001 74 0000", MALFORMED, "QoS is 3"),
    opening("MQTT-3.1.2-13", f"10 0d {HEAD} 22 0000 00 0000", MALFORMED, "describes a will"),
    opening("MQTT-3.1.2-9", f"10 0d {HEAD} 06 0000 00 0000", MALFORMED, ENDS),
    opening("MQTT-3.1.2-17", f"10 0d {HEAD} 82 0000 00 0000", MALFORMED, ENDS),
    opening("MQTT-3.1.2-19", f"10 0d {HEAD} 42 0000 00 0000", MALFORMED, ENDS),
    opening("3.1.2.11.3", f"10 10 {HEAD} 02 0000 03 21 0000 0000", ERROR, "must be 1 to 65535"),
    opening("3.1.2.11.4", f"10 12 {HEAD} 02 0000 05 27 00000000 0000", ERROR, "must be 1 to"),
    opening("3.1.2.11.6", f"10 0f {HEAD} 02 0000 02 19 02 0000", ERROR, "must be 0 to 1"),
    opening("3.1.2.11.7", f"10 0f {HEAD} 02 0000 02 17 02 0000", ERROR, "must be 0 to 1"),
    opening("3.1.2.11.10", f"10 11 {HEAD} 02 0000 04 16 0001 64 0000", ERROR, "data for no method"),
    opening("MQTT-3.1.3-4", f"10 0e {HEAD} 02 0000 00 0001 ff", MALFORMED, "UTF-8"),
    opening("MQTT-3.1.3-11", f"10 12 {HEAD} 06 0000 00 0000 00 0001 ff 0000", MALFORMED, "UTF-8"),
    opening("MQTT-3.1.3-12", f"10 10 {HEAD} 82 0000 00 0000 0001 ff", MALFORMED, "UTF-8"),
    opening("3.1: more behind", f"10 0e {HEAD} 02 0000 00 0000 00", MALFORMED, "goes on behind"),
    opening("3.1: a will's topic", f"10 12 {HEAD} 06 0000 00 0000 00 0001 23 0000", MALFORMED, "wildcard"),
    opening("MQTT-3.1.0-1", "30 06 0003 612f62 00", ERROR, "PUBLISH may not come"),
    opening("MQTT-3.1.0-1: AUTH", "f0 06 18 04 15 0001 6d", ERROR, "AUTH may not come"),
    Bad("MQTT-3.1.0-2", SERVER, f"10 0d {HEAD} 02 0000 00 0000", ERROR, "CONNECT may not come"),
    # CONNACK.
    answer("MQTT-3.2.0-1", "30 06 0003 612f62 00", ERROR, "PUBLISH may not come"),
    answer("MQTT-3.2.2-1", "20 03 02 00 00", MALFORMED, "reserved flag"),
    answer("MQTT-3.2.2-6", "20 03 01 87 00", ERROR, "refuses and yet"),
    answer("MQTT-3.2.2-8", "20 03 00 01 00", ERROR, "cannot have the reason code 0x01"),
    answer("3.2.2.3.4", "20 05 00 00 02 24 02", ERROR, "must be 0 to 1"),
    answer("3.2.2.3.5", "20 05 00 00 02 25 02", ERROR, "must be 0 to 1"),
    answer("3.2: more behind", "20 04 00 00 00 00", MALFORMED, "goes on behind"),
    answer("MQTT-3.14.0-1", "e0 01 87", ERROR, "DISCONNECT may not come"),
    # PUBLISH.
    Bad("MQTT-3.3.1-2", SERVER, "38 06 0003 612f62 00", MALFORMED, "no packet begins"),
    Bad("MQTT-3.3.1-4", SERVER, "36 08 0003 612f62 0001 00", MALFORMED, "no packet begins"),
    Bad("MQTT-3.3.2-1", SERVER, "30 04 0003 6162", MALFORMED, ENDS),
    Bad("MQTT-3.3.2-2", SERVER, "30 06 0003 612f2b 00", MALFORMED, "wildcard"),
    Bad("MQTT-3.3.2-8", SERVER, "30 07 0001 61 03 23 0000", R.TOPIC_ALIAS_INVALID, "alias 0"),
    Bad("MQTT-3.3.2-9", SERVER, "30 07 0001 61 03 23 0009", R.TOPIC_ALIAS_INVALID, "alias 9"),
    Bad("MQTT-3.3.2-11", CLIENT, "30 07 0001 61 03 23 0009", R.TOPIC_ALIAS_INVALID, "alias 9"),
    Bad("3.3.2.1: no topic", SERVER, "30 03 0000 00", ERROR, "no topic alias stands for it"),
    Bad("3.3.2.3.4: unset", SERVER, "30 06 0000 03 23 0001", ERROR, "stands for nothing yet"),
    Bad("MQTT-3.3.2-13", SERVER, "30 08 0001 61 04 08 0001 ff", MALFORMED, "UTF-8"),
    Bad("MQTT-3.3.2-14", SERVER, "30 08 0001 61 04 08 0001 23", MALFORMED, "wildcard"),
    Bad("MQTT-4.7.3-1: response", SERVER, "30 07 0001 61 03 08 0000", MALFORMED, "empty"),
    Bad("3.3.2.3.2", SERVER, "30 06 0001 61 02 01 02", ERROR, "must be 0 to 1"),
    Bad("3.3.2.3.8", CLIENT, "30 06 0001 61 02 0b 00", ERROR, "must be 1 to"),
    Bad("MQTT-3.3.4-6", SERVER, "30 06 0001 61 02 0b 01", ERROR, "only the other side"),
    Bad("MQTT-3.3.2-19", SERVER, "30 08 0001 61 04 03 0001 ff", MALFORMED, "UTF-8"),
    # Acknowledgements.
    Bad("MQTT-3.4.2-1", SERVER, "40 03 0001 01", ERROR, "PUBACK cannot have the reason code 0x01"),
    Bad("MQTT-3.5.2-1", SERVER, "50 03 0001 8f", ERROR, "PUBREC cannot have"),
    Bad("MQTT-3.6.2-1", SERVER, "62 03 0001 80", ERROR, "PUBREL cannot have"),
    Bad("MQTT-3.7.2-1", SERVER, "70 03 0001 10", ERROR, "PUBCOMP cannot have"),
    Bad("3.4: too short", SERVER, "40 01 00", MALFORMED, "cannot have a length of 1"),
    Bad("3.4: more behind", SERVER, "40 05 0001 00 00 00", MALFORMED, "goes on behind"),
    Bad("3.4.2.2: no reason", SERVER, "40 05 0001 00 01 1f", MALFORMED, ENDS),
    # SUBSCRIBE and what follows.
    Bad("MQTT-3.8.3-1", SERVER, "82 07 0001 00 0001 ff 00", MALFORMED, "UTF-8"),
    Bad("MQTT-3.8.3-2", SERVER, "82 03 0001 00", ERROR, "about no filter"),
    Bad("MQTT-3.8.3-4", SERVER, "82 10 0001 00 000a 2473686172652f672f61 04", ERROR, "own client sends"),
    Bad("MQTT-3.8.3-5", SERVER, "82 07 0001 00 0001 61 40", MALFORMED, "reserved bit"),
    Bad("MQTT-3.8.3-5", SERVER, "82 07 0001 00 0001 61 80", MALFORMED, "reserved bit"),
    Bad("3.8.3.1: QoS 3", SERVER, "82 07 0001 00 0001 61 03", ERROR, "QoS"),
    Bad("3.8.3.1: retain handling", SERVER, "82 07 0001 00 0001 61 30", ERROR, "retain handling"),
    Bad("3.8.2.1.2: 0", SERVER, "82 09 0001 02 0b 00 0001 61 00", ERROR, "must be 1 to"),
    Bad("3.8.2.1.2: twice", SERVER, "82 0b 0001 04 0b 01 0b 02 0001 61 00", ERROR, "comes twice"),
    Bad("3.8: no options", SERVER, "82 06 0001 00 0001 61", MALFORMED, ENDS),
    Bad("MQTT-4.7.1-1", SERVER, "82 09 0001 00 0003 232f61 00", MALFORMED, "'#'"),
    Bad("MQTT-4.7.1-2", SERVER, "82 08 0001 00 0002 612b 00", MALFORMED, "'+'"),
    Bad("MQTT-4.7.3-1", SERVER, "82 06 0001 00 0000 00", MALFORMED, "empty"),
    Bad("MQTT-4.8.2-1", SERVER, "82 0f 0001 00 0009 2473686172652f2f61 00", MALFORMED, "shared subscription"),
    Bad("MQTT-4.8.2-2", SERVER, "82 10 0001 00 000a 2473686172652f2b2f61 00", MALFORMED, "shared subscription"),
    Bad("MQTT-4.8.2-2: no filter", SERVER, "82 0e 0001 00 0008 2473686172652f67 00", MALFORMED, "shared subscription"),
    Bad("MQTT-3.9.3-2", CLIENT, "90 04 0001 00 03", ERROR, "SUBACK cannot have"),
    Bad("3.9: no codes", CLIENT, "90 03 0001 00", MALFORMED, ENDS),
    Bad("MQTT-3.10.3-1", SERVER, "a2 06 0001 00 0001 ff", MALFORMED, "UTF-8"),
    Bad("MQTT-3.10.3-2", SERVER, "a2 03 0001 00", ERROR, "about no filter"),
    Bad("MQTT-3.11.3-2", CLIENT, "b0 04 0001 00 01", ERROR, "UNSUBACK cannot have"),
    Bad("3.11: no codes", CLIENT, "b0 03 0001 00", MALFORMED, ENDS),
    Bad("3.12: too long", SERVER, "c0 01 00", MALFORMED, "PINGREQ cannot have a length of 1"),
    # DISCONNECT and AUTH.
    Bad("MQTT-3.14.2-1", SERVER, "e0 01 01", ERROR, "DISCONNECT cannot have"),
    Bad("MQTT-3.14.2-2", CLIENT, "e0 07 00 05 11 00000001", ERROR, "only the other side"),
    Bad("3.14.2.2.2: nothing kept", SERVER, "e0 07 00 05 11 00000001", ERROR, "keeps a session that CONNECT did not"),
    Bad("3.14.2.2.5", SERVER, "e0 06 00 04 1c 0001 73", ERROR, "only the other side"),
    Bad("3.14: more behind", SERVER, "e0 03 00 00 00", MALFORMED, "goes on behind"),
    Bad("MQTT-3.14.4-1", SERVER, "e0 00 c0 00", ERROR, "closed"),
    Bad("MQTT-3.14.4-2", CLIENT, "e0 01 8b d0 00", ERROR, "closed"),
    Bad("MQTT-3.15.2-1", SERVER, "f0 06 80 04 15 0001 6d", ERROR, "AUTH cannot have"),
    Bad("table 3-11: by a server", SERVER, "f0 00", ERROR, "has succeeded"),
    Bad("3.15.2.2.2: no method", SERVER, "f0 01 18", ERROR, "names no method"),
    Bad("MQTT-4.12.0-5", SERVER, "f0 06 18 04 15 0001 6e", ERROR, "another method"),
    Bad("MQTT-4.12.0-6", CLIENT, "f0 06 18 04 15 0001 6d", ERROR, "AUTH may not come"),
    Bad("table 2-1", SERVER, "20 03 00 00 00", ERROR, "CONNACK may not come to a server"),
    Bad("table 2-1", CLIENT, "c0 00", ERROR, "PINGREQ may not come to a client"),
    Bad("MQTT-3.1.2-24: over the bound", SERVER, "30 ff20", R.PACKET_TOO_LARGE, "over the bound"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.clause} {bad.spelling}")
def test_what_breaks_a_clause_is_refused(bad: Bad) -> None:
    data = bytes.fromhex(bad.spelling)
    outcome = feed_every_way(data, bad.role, opened=bad.opened, version=V5)
    assert outcome.fault is not None, outcome
    assert bad.words in outcome.fault[1]
    assert outcome.reason is bad.reason
    # What follows changes nothing: it would be taken for the rest of the broken packet, or as a way round the fault.
    behind = feed_every_way(data + b"\xc0\x00" * 3, bad.role, opened=bad.opened, version=V5)
    assert behind == outcome


@pytest.mark.parametrize(
    ("spelling", "version", "reason"),
    [
        (f"10 0d {HEAD} 03 0000 00 0000", V5, MALFORMED),
        ("10 0d 0004 4d515454 06 02 0000 00 0000", V5, R.UNSUPPORTED_PROTOCOL_VERSION),
        ("10 0c 0004 4d515454 03 02 0000 0000", Version.MQTT_3_1_1, R.UNSUPPORTED_PROTOCOL_VERSION),
        ("10 0c 0004 4d515454 84 02 0000 0000", Version.MQTT_3_1_1, R.UNSUPPORTED_PROTOCOL_VERSION),  # a bridge
        ("10 0e 0006 4d5149736470 03 02 0000 0000", Version.MQTT_3_1_1, R.UNSUPPORTED_PROTOCOL_VERSION),
        ("10 0c 0004 4d515454 04 00 0000 0000", Version.MQTT_3_1_1, R.CLIENT_IDENTIFIER_NOT_VALID),
        ("30 06 0003 612f62 00", None, ERROR),
    ],
)
def test_a_server_of_both_knows_how_to_answer_a_broken_connect(
    spelling: str, version: Version | None, reason: ReasonCode
) -> None:
    outcome = feed_every_way(bytes.fromhex(spelling), SERVER, opened=False, version=None)
    assert outcome.fault is not None
    assert (outcome.version, outcome.reason) == (version, reason)


def test_who_offers_3_1_1_refuses_5_in_its_own_words() -> None:
    outcome = feed_every_way(bytes.fromhex(f"10 0d {HEAD} 02 0000 00 0000"), SERVER, opened=False)
    assert outcome.fault is not None
    assert (outcome.fault[0], outcome.version) == (Kind.UNSUPPORTED, Version.MQTT_3_1_1)
