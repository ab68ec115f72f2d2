"""Slow readers, dead peers, brokers that go away, and handshakes that fail: bounded, logged, nobody else's trouble."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.fake_broker import FakeBroker
from tests.fixtures.house import House, Log, name_of
from tests.fixtures.mosquitto import mosquitto
from tests.fixtures.mqtt import Talk, device

from troth.gateway.mqtt.upstream import Broker
from troth.protocols.mqtt import Connack, ConnackCode, Connect, build_publish, render
from troth.testing.authority import TestAuthority
from troth.tls.client import client_context

CHUNK = b"\0" * 64 * 1024


def test_a_slow_reader_is_waited_for_within_bounds(house: House, log: Log) -> None:
    lamp, twin = house.thing(), house.thing()
    small = house.gateway_with(write_queue_bytes_max=128 * 1024)
    slow, quick = house.live(lamp, small), house.live(twin, small)
    topic = f"home/{name_of(lamp)}/x"
    assert slow.subscribe(topic, qos=0) == (0,)
    flood = threading.Thread(target=_flood, args=(house, topic, 400))
    flood.start()
    (session,) = [each for each in small.gateway._roster if each.certificate_id == lamp.certificate_id]
    highest = 0
    while flood.is_alive():
        assert quick.is_alive()
        highest = max(highest, small.run(_waiting(session)))
    flood.join()
    # One read of the link on top of what may wait.
    assert highest <= 128 * 1024 + 2 * 256 * 1024
    assert not log.of(slow, "session.closed")
    assert slow.message() == (topic, CHUNK)


def _flood(house: House, topic: str, count: int) -> None:
    spy = house.spy()
    with contextlib.suppress(OSError):
        for _ in range(count):
            spy.send(build_publish(topic, CHUNK))


async def _waiting(session: Any) -> int:
    return int(session._transport.get_write_buffer_size())


def test_a_silent_device_is_ended_and_its_will_published(house: House, log: Log) -> None:
    lamp = house.thing()
    talk = house.live(lamp, keep_alive_s=1)
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["keep-alive-timeout"]


def test_who_never_says_connect_is_ended(house: House, log: Log) -> None:
    impatient = house.gateway_with(connect_s=0.2)
    lamp = house.thing()
    talk = house.talk(lamp, impatient)
    talk.send(render(Connect(name_of(lamp)))[:5])
    assert talk.next() is None
    (event,) = log.of(talk, "connection.refused")
    assert event["reason"] == "timeout"


def test_a_flood_of_those_who_never_say_connect_leaves_room(house: House, log: Log) -> None:
    """Each of them proven: they take every place, are ended in time, and disturb nobody who is in."""
    small = house.gateway_with(connections_max=10, connect_s=0.3)
    lamp, flooding = house.thing(), house.thing()
    live = house.live(lamp, small)
    flood = []
    for _ in range(30):
        with contextlib.suppress(OSError):
            flood.append(house.talk(flooding, small))
    assert live.is_alive()
    assert len([each for each in log if each.get("reason") == "too-many-connections"]) >= 20
    assert all(each.next() is None for each in flood)
    ended = [each for each in log if each["event"] == "connection.refused" and each["reason"] == "timeout"]
    assert 1 <= len(ended) <= 9
    for each in flood:
        # Who is ended keeps its place until it has gone.
        each.close()
    assert live.is_alive()
    assert house.live(house.thing(), small).is_alive()


@pytest.mark.slow
def test_who_holds_on_to_memory_makes_room_for_others(house: House, log: Log) -> None:
    """Each begins a large packet and never ends it."""
    small = house.gateway_with(in_flight_bytes_max=1024 * 1024)
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/x"
    spy, honest = house.spy(topic), house.live(lamp, small)
    holders = [house.live(house.thing(), small) for _ in range(8)]
    for each in holders:
        each.send(build_publish(topic, b"x" * 250 * 1024).raw[: 200 * 1024])
    honest.publish(topic, b"x" * 100 * 1024, qos=1)
    assert len(spy.message()[1]) == 100 * 1024
    ended: list[Talk] = []
    for _ in range(100):
        if len(ended) >= 3:
            break
        house.let_pass(0.1)
        ended = [talk for talk in holders if log.of(talk, "session.closed")]
    assert 3 <= len(ended) < len(holders)
    assert {each["reason"] for talk in ended for each in log.of(talk, "session.closed")} == {"memory-held"}
    assert all(talk.next() is None for talk in ended)
    assert honest.is_alive()


def test_who_says_connect_again_and_again_is_ended(house: House, log: Log) -> None:
    lamp = house.thing()
    talk = house.live(lamp)
    talk.send(*[Connect(name_of(lamp))] * 1000)
    assert talk.is_closed()
    assert len(log.of(talk, "session.closed")) == 1
    assert house.live(lamp).is_alive()


def test_a_broker_that_is_not_there(house: House, log: Log) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    lonely = house.gateway_with(Broker(f"mqtt://127.0.0.1:{port}"))
    lamp = house.thing()
    talk = house.talk(lamp, lonely)
    assert talk.connect(name_of(lamp)).code == 3
    (event,) = log.of(talk, "connection.refused")
    assert event["reason"] == "upstream-unavailable"


def test_a_broker_that_does_not_know_us(house: House, log: Log, nats_broker: Broker) -> None:
    stranger = house.gateway_with(replace(nats_broker, password="wrong"))
    lamp = house.thing()
    talk = house.talk(lamp, stranger)
    assert talk.connect(name_of(lamp)).code == 3
    (event,) = log.of(talk, "connection.refused")
    assert event["reason"] == "upstream-refused"


@pytest.mark.needs("mosquitto")
def test_a_broker_may_want_our_certificate(house: House, site: TestAuthority, tmp_path: Path) -> None:
    """Mutual TLS on both sides of the gateway."""
    server, ours = site.server(), site.device(f"gateway-{tmp_path.name}")
    anchors = {"anchors": site.root_file, "chain": server.chain_file, "key": server.key_file}
    with mosquitto(tmp_path, settings="allow_anonymous true", **anchors) as beyond:
        url = f"mqtts://localhost:{beyond.port}"
        files = {"ca_file": str(site.root_file), "cert_file": str(ours.chain_file), "key_file": str(ours.key_file)}
        lamp = house.thing()
        topic = f"home/{name_of(lamp)}/x"
        talk = house.live(lamp, house.gateway_with(Broker(url, **files)))
        assert talk.subscribe(topic, qos=1) == (1,)
        talk.publish(topic, b"nonce", qos=1)
        assert talk.message() == (topic, b"nonce")
        refused = house.talk(lamp, house.gateway_with(Broker(url, ca_file=files["ca_file"])))
        assert refused.connect(name_of(lamp)).code == 3


@pytest.fixture
def fake() -> Iterator[FakeBroker]:
    broker = FakeBroker()
    yield broker
    broker.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x30\x03\x00\x01a",  # before any CONNACK
        b"\x20\x02\x00\x00\x90\x03\x00\x05\x00",  # a SUBACK that nobody asked for
        b"\x20\x02\x00\x00\xe0\x00",  # a DISCONNECT, which no server of 3.1.1 sends
        b"\x20\x02\x00\x00\x82\x06\x00\x01\x00\x01a\x00",
    ],
)
def test_a_broker_that_talks_nonsense_is_left(house: House, log: Log, fake: FakeBroker, nonsense: bytes) -> None:
    lamp = house.thing()
    talk = house.talk(lamp, house.gateway_with(fake.broker))
    talk.send(Connect(name_of(lamp)))
    connection, _ = fake.accept()
    with connection:
        connection.sendall(nonsense)
        assert connection.recv(1024) == b""
    packet = talk.next()
    assert isinstance(packet, Connack)
    assert packet.code == (0 if nonsense.startswith(b"\x20") else 3)
    assert talk.is_closed()
    reasons = [each["reason"] for each in log if each.get("peer") == talk.address]
    assert reasons == ["upstream-invalid"]


def test_a_broker_that_goes_takes_its_sessions_along(house: House, log: Log, fake: FakeBroker) -> None:
    lamp = house.thing()
    talk = house.talk(lamp, house.gateway_with(fake.broker))
    talk.send(Connect(name_of(lamp), username="x", password=b"y", keep_alive_s=7))
    connection, connect = fake.accept()
    assert (connect.username, connect.password) == (None, None)
    assert connect.client_id != name_of(lamp)
    with connection:
        connection.sendall(render(Connack(ConnackCode.ACCEPTED)))
        assert talk.expect(Connack).code == 0
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["upstream-closed"]


def test_a_failed_handshake_is_logged_with_the_peers_own_port(house: House, log: Log) -> None:
    context = client_context([house.site.root])
    plain = socket.create_connection(("127.0.0.1", house.gateway.port))
    address = "{}:{}".format(*plain.getsockname())
    with (
        pytest.raises(ssl.SSLError, match="certificate required"),
        context.wrap_socket(plain, server_hostname="localhost") as talk,
    ):
        talk.settimeout(10)
        talk.recv(1)
    (event,) = log.of(address, "handshake.failed")
    assert event["reason"] == "no-certificate"
    house.gateway.flush()
    lamp = house.thing()
    house.live(lamp)


def test_a_server_certificate_opens_nothing(house: House, log: Log) -> None:
    server = house.site.server("lamp.home.example")
    with device(house.gateway.port, server, [house.site.root]) as talk:
        address = talk.address
        with pytest.raises(ssl.SSLError, match="unknown ca"):
            talk.connect("lamp")
    (event,) = log.of(address, "handshake.failed")
    assert event["reason"] == "unknown-issuer"
