"""Who is let in and who is not, each refusal beside an honest twin that differs in that one thing."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.fixtures.house import OWN, House, Log, name_of
from tests.fixtures.mqtt import allow

from troth.journal.change import change
from troth.keys.randomness import random_serial
from troth.protocols.mqtt import (
    Connack,
    Connect,
    Pingreq,
    Puback,
    Suback,
    Subscribe,
    Subscription,
    Version,
    Will,
    build_publish,
    render,
)
from troth.registry.states import activate, deactivate
from troth.x509.certificates import certificate_id, render_chain
from troth.x509.profiles import Purpose


def test_a_device_is_let_in_and_heard(house: House, log: Log) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/light"
    spy = house.spy(topic, qos=1)
    talk = house.live(lamp)
    for qos in (0, 1, 2):
        talk.publish(topic, b"nonce-%d" % qos, qos=qos)
        assert spy.message() == (topic, b"nonce-%d" % qos)
    assert talk.is_alive()
    assert not log.of(talk, "connection.refused")


def test_what_a_device_says_right_behind_connect_waits_for_the_answer(house: House) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/light"
    talk = house.talk(lamp)
    talk.send(
        Connect(name_of(lamp), keep_alive_s=60),
        Subscribe(3, (Subscription(topic, 1),)),
        build_publish(topic, b"early", qos=1, packet_id=4),
    )
    assert talk.expect(Connack).code == 0
    assert talk.expect(Suback).codes == (1,)
    assert talk.expect(Puback).packet_id == 4
    assert talk.message() == (topic, b"early")


def test_a_connect_may_come_byte_by_byte(house: House) -> None:
    lamp = house.thing()
    talk = house.talk(lamp)
    for byte in render(Connect(name_of(lamp))):
        talk.send(bytes((byte,)))
    assert talk.expect(Connack).code == 0


def test_user_and_password_go_no_further(house: House) -> None:
    # The broker takes one user only, and knows nothing of this one.
    house.live(house.thing(), username="admin", password=b"guessed")


def test_anothers_client_id_is_refused_and_the_other_stays(house: House, log: Log) -> None:
    victim, impostor = house.thing(), house.thing()
    connected = house.live(victim)
    talk = house.talk(impostor)
    assert talk.connect(name_of(victim)).code == 5
    assert talk.is_closed()
    (event,) = log.of(talk, "connection.refused")
    assert event["reason"] == "connect-denied"
    assert event["action"] == "iot:Connect"
    assert event["resource"] == f"client/{name_of(victim)}"
    assert event["certificate_id"] == impostor.certificate_id
    assert connected.is_alive()


def test_a_will_as_another_is_refused(house: House, log: Log) -> None:
    victim, impostor = house.thing(), house.thing()
    talk = house.talk(impostor)
    will = Will(f"home/{name_of(victim)}/light", b"off")
    assert talk.connect(name_of(impostor), will=will).code == 5
    assert talk.is_closed()
    (event,) = log.of(talk, "connection.refused")
    assert (event["reason"], event["action"]) == ("will-denied", "iot:Publish")
    house.live(impostor, will=Will(f"home/{name_of(impostor)}/light", b"off"))


def test_a_will_is_published_when_the_device_goes_without_a_word(house: House) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/gone"
    spy = house.spy(topic)
    house.live(lamp, will=Will(topic, b"gone")).close()
    assert spy.message() == (topic, b"gone")


def test_a_will_is_not_published_after_a_disconnect(house: House) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/gone"
    spy = house.spy(topic)
    talk = house.live(lamp, will=Will(topic, b"gone"))
    talk.send(bytes.fromhex("e000"))
    assert talk.is_closed()
    house.live(lamp).publish(topic, b"back again")
    assert spy.message() == (topic, b"back again")


def test_a_retained_will_needs_the_right_to_retain(house: House, log: Log) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/gone"
    talk = house.talk(lamp)
    assert talk.connect(name_of(lamp), will=Will(topic, b"gone", retain=True)).code == 5
    (event,) = log.of(talk, "connection.refused")
    assert (event["reason"], event["action"]) == ("will-denied", "iot:RetainPublish")
    house.allow(name_of(lamp), allow("iot:RetainPublish", f"topic/{topic}"))
    talk = house.live(lamp, will=Will(topic, b"gone", retain=True))
    talk.close()


@pytest.mark.parametrize("topic", ["$SYS/x", "$share/a/b", "$JS/API/INFO"])
def test_a_will_cannot_go_where_a_publish_cannot(house: House, log: Log, topic: str) -> None:
    lamp = house.thing(allow("iot:*", "*"))
    talk = house.talk(lamp)
    assert talk.connect(name_of(lamp), will=Will(topic, b"x")).code == 5
    (event,) = log.of(talk, "connection.refused")
    assert (event["reason"], event["detail"]) == ("will-denied", "topic-reserved")


def test_without_a_policy_nobody_is_let_in(house: House, log: Log) -> None:
    lamp = house.thing()
    bare = house.site.device(f"{name_of(lamp)}-bare")
    talk = house.talk(bare)
    assert talk.connect(f"{name_of(lamp)}-bare").code == 5
    (event,) = log.of(talk, "connection.refused")
    assert event["reason"] == "connect-denied"


@pytest.mark.parametrize(
    ("operator", "key", "true", "false"),
    [
        ("StringEquals", "troth:TlsVersion", "1.3", "1.2"),
        ("StringEquals", "troth:EnrollmentMethod", "test", "token"),
        ("NumericLessThan", "troth:CertificateAgeDays", "1", "0"),
        ("NumericGreaterThan", "troth:CertificateDaysLeft", "0", "100000"),
        ("DateGreaterThan", "aws:CurrentTime", "2026-01-01T00:00:00Z", "9999-01-01T00:00:00Z"),
        ("IpAddress", "aws:SourceIp", "127.0.0.0/8", "192.0.2.0/24"),
    ],
)
def test_policies_know_how_a_device_comes(
    house: House, log: Log, operator: str, key: str, true: str, false: str
) -> None:
    for value, code in ((true, 0), (false, 5)):
        connect = allow("iot:Connect", "client/*") | {"Condition": {operator: {key: value}}}
        lamp = house.thing(connect)
        talk = house.talk(lamp)
        assert talk.connect(name_of(lamp)).code == code
        assert [event["reason"] for event in log.of(talk, "connection.refused")] == ["connect-denied"] * (code != 0)


def test_a_deactivated_certificate_is_refused_until_it_is_activated(house: House, log: Log) -> None:
    lamp = house.thing()
    for step, code in ((deactivate, 5), (activate, 0)):
        with change(house.site.db, house.site.clock, "operator:test") as changing:
            step(changing, lamp.certificate_id)
        house.gateway.settle()
        talk = house.talk(lamp)
        assert talk.connect(name_of(lamp)).code == code
        assert [each["reason"] for each in log.of(talk, "connection.refused")] == ["certificate-inactive"] * (code // 5)


def test_a_certificate_that_is_not_registered_is_refused_whoever_signed_it(
    house: House, log: Log, tmp_path: Path
) -> None:
    """Signed by our own CA key, and yet nobody has heard of it: a stolen key alone opens nothing."""
    lamp = house.thing()
    issuer = house.site.hierarchy.issuing[Purpose.DEVICES]
    twin = (
        x509.CertificateBuilder(
            issuer.certificate.subject,
            lamp.certificate.subject,
            lamp.key.public_key,
            random_serial(),
        )
        .not_valid_before(lamp.certificate.not_valid_before_utc)
        .not_valid_after(lamp.certificate.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(house.site.cabinet.open(issuer.key_name).private_key, hashes.SHA256())
    )
    chain_file = tmp_path / "twin.pem"
    chain_file.write_bytes(render_chain([twin]))
    talk = house.talk(replace(lamp, certificate=twin, chain_file=chain_file))
    assert talk.connect(name_of(lamp)).code == 5
    (event,) = log.of(talk, "connection.refused")
    assert (event["reason"], event["certificate_id"]) == ("unknown-certificate", certificate_id(twin))
    house.live(lamp)


def test_an_empty_client_id_is_assigned(house: House) -> None:
    lamp = house.thing(allow("iot:Connect", "client/troth-*"), allow("iot:Publish", "topic/x/${iot:ClientId}"))
    assert house.talk(lamp).connect("").code == 0
    mine_only = house.thing()
    assert house.talk(mine_only).connect("").code == 5
    assert house.talk(mine_only).connect(name_of(mine_only)).code == 0


def test_a_client_id_that_cannot_be_is_refused(house: House, log: Log) -> None:
    lamp = house.thing(allow("iot:*", "*"))
    for client_id in ("x" * 129, "é" * 65, "$lamp"):
        talk = house.talk(lamp)
        assert talk.connect(client_id).code == 2
        assert talk.is_closed()
        (event,) = log.of(talk, "connection.refused")
        assert event["reason"] == "client-id-invalid"
    talk = house.talk(lamp)
    assert talk.connect("x" * 128).code == 0


def test_an_empty_client_id_with_a_session_is_refused(house: House) -> None:
    talk = house.talk(house.thing())
    connect = bytearray(render(Connect("")))
    connect[9] &= ~0x02
    talk.send(bytes(connect))
    assert talk.expect(Connack).code == 2
    assert talk.is_closed()


@pytest.mark.parametrize(
    ("name", "level", "code"), [(b"MQTT", 6, 0x84), (b"MQIsdp", 3, 1), (b"MQTT", 3, 1), (b"MQTX", 4, None)]
)
def test_another_protocol_is_refused(house: House, log: Log, name: bytes, level: int, code: int | None) -> None:
    # Who speaks a later version reads the answer of the latest that there is.
    talk = house.talk(house.thing(), version=Version.MQTT_5 if level > 5 else Version.MQTT_3_1_1)
    body = len(name).to_bytes(2) + name + bytes((level, 2, 0, 60)) + b"\x00\x04lamp"
    talk.send(b"\x10" + bytes((len(body),)) + body)
    if code is not None:
        assert talk.expect(Connack).code == code
    assert talk.is_closed()
    (event,) = log.of(talk, "connection.refused")
    assert event["reason"] == ("protocol-unsupported" if code else "protocol-error")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "protocol-error"),
        (render(Pingreq()), "protocol-error"),
        (b"\x10\xff\xff\xff\x7f", "packet-too-large"),
        (b"\xff" * 64, "protocol-error"),
    ],
)
def test_what_is_no_connect_is_cut_off_without_an_answer(house: House, log: Log, sent: bytes, reason: str) -> None:
    lamp = house.thing()
    talk = house.talk(lamp)
    talk.send(sent)
    assert talk.next() is None
    (event,) = log.of(talk, "connection.refused")
    assert event["reason"] == reason
    house.live(lamp)


def test_a_client_id_is_anothers_under_another_owner(house: House) -> None:
    """Policy lets both have the client id; they must meet neither in a connection nor in what the broker keeps."""
    shared = (allow("iot:*", "*"),)
    one, other = house.thing(*shared), house.thing(*shared)
    topic = f"home/{name_of(one)}/x"
    first = house.talk(one)
    assert first.connect("shared", clean_session=False).code == 0
    assert first.subscribe(topic, qos=1) == (1,)
    second = house.talk(other)
    connack = second.connect("shared", clean_session=False)
    assert (connack.code, connack.session_present) == (0, False)
    assert first.is_alive()
    first.send(bytes.fromhex("e000"))
    assert first.is_closed()
    house.spy().publish(topic, b"for the one", qos=1)
    assert second.no_message()
    again = house.talk(one)
    connack = again.connect("shared", clean_session=False)
    assert (connack.code, connack.session_present) == (0, True)
    assert again.message() == (topic, b"for the one")


def test_a_session_survives_a_new_certificate_of_its_thing(house: House) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/x"
    before = house.live(lamp, clean_session=False)
    assert before.subscribe(topic, qos=1) == (1,)
    renewed = house.site.device(name_of(lamp))
    after = house.talk(renewed)
    connack = after.connect(name_of(lamp), clean_session=False)
    assert (connack.code, connack.session_present) == (0, True)
    assert before.is_closed()
    house.spy().publish(topic, b"still here", qos=1)
    assert after.message() == (topic, b"still here")


def test_own_rights_are_by_the_thing_and_not_by_the_client_id(house: House) -> None:
    """The certificate is the thing's, whatever it calls itself."""
    lamp = house.thing(*OWN[1:], allow("iot:Connect", "client/*"))
    topic = f"home/{name_of(lamp)}/x"
    spy = house.spy(topic)
    talk = house.talk(lamp)
    assert talk.connect("anything").code == 0
    talk.publish(topic, b"mine")
    assert spy.message() == (topic, b"mine")


def test_there_is_no_more_room(house: House, log: Log) -> None:
    small = house.gateway_with(connections_max=1)
    lamp = house.thing()
    first = house.live(lamp, small)
    with pytest.raises(OSError):
        house.talk(house.thing(), small)
    assert [each["reason"] for each in log if each["event"] == "connection.refused"] == ["too-many-connections"]
    assert first.is_alive()
    first.send(bytes.fromhex("e000"))
    assert first.is_closed()
