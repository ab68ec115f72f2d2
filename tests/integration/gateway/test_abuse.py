"""Who takes more than a share, or talks nonsense, at the front door: bounded, logged, and nobody else's trouble.

In each test the honest come from another address, are served while it goes on, and are let in anew. What happens inside
of TLS (renegotiation, compression, versions, broken records) is tried in tests/unit/tls.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.fixtures.fake_broker import FakeBroker
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import House, Log, name_of
from tests.fixtures.mqtt import Talk, device

from troth.gateway.mqtt.upstream import Broker
from troth.protocols.mqtt import Connack, ConnackCode, Connect, Version, build_publish, render
from troth.testing.authority import Held, TestAuthority
from troth.tls.client import client_context

ABUSER, HONEST = "127.0.0.1", "127.0.0.2"
"""Two addresses of the loopback."""
VERSIONS = pytest.mark.parametrize("version", Version, ids=("3.1.1", "5"))
CLIENT_HELLO_BEGINS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def plain(gateway: RunningGateway, address: str = ABUSER) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=10, source_address=(address, 0))


class Honest:
    """A device that is served from the beginning, and others like it that come while another does as it does."""

    def __init__(self, house: House, gateway: RunningGateway, stack: contextlib.ExitStack) -> None:
        self._house, self._gateway, self._stack = house, gateway, stack
        self._talk, self._held = self._come()

    def _come(self) -> tuple[Talk, Held]:
        held = self._house.thing()
        context = client_context([self._house.site.root], chain_path=held.chain_file, key_path=held.key_file)
        shaken = context.wrap_socket(plain(self._gateway, HONEST), server_hostname="localhost")
        talk = self._stack.enter_context(Talk(shaken))
        assert talk.connect(name_of(held)).code == 0
        return talk, held

    def is_served(self) -> bool:
        """Say that what it publishes is acknowledged, and that another is let in."""
        self._talk.publish(f"home/{name_of(self._held)}/x", b"served", qos=1)
        return self._come()[0].is_alive()


HonestAt = Callable[[RunningGateway], Honest]


@pytest.fixture(scope="module")
def gateway(site: TestAuthority, nats_broker: Broker) -> Iterator[RunningGateway]:
    """A gateway as `troth up` starts it by default."""
    running = RunningGateway(site, nats_broker)
    yield running
    running.close()


@pytest.fixture
def house(gateway: RunningGateway, nats_broker: Broker) -> Iterator[House]:
    made = House(gateway, nats_broker)
    yield made
    made.close()


@pytest.fixture
def honest_at(house: House) -> Iterator[HonestAt]:
    """Makes the honest of a gateway."""
    with contextlib.ExitStack() as stack:
        yield lambda gateway: Honest(house, gateway, stack)


def is_cut_off(connection: socket.socket) -> bool:
    """Say whether the other end goes, whatever it says before."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(4096):
            pass
    return True


def reasons(log: Log, connections: list[socket.socket], event: str = "handshake.failed") -> list[str]:
    own = {"{}:{}".format(*each.getsockname()) for each in connections}
    return [each["reason"] for each in log if each["event"] == event and each.get("peer") in own]


@pytest.fixture
def strict(house: House) -> RunningGateway:
    return house.gateway_with(
        handshake_s=1.0, handshakes_pending_per_address_max=8, connects_per_address_per_second_max=0
    )


def test_slow_and_half_open_handshakes_take_the_places_of_their_address_alone(
    log: Log, strict: RunningGateway, honest_at: HonestAt
) -> None:
    honest = honest_at(strict)
    with contextlib.ExitStack() as stack:
        flood = [stack.enter_context(plain(strict)) for _ in range(20)]
        for number, each in enumerate(flood):
            with contextlib.suppress(ConnectionError):
                # Some say nothing at all, some a byte now and the others never.
                each.sendall(CLIENT_HELLO_BEGINS[: number % 3])
        assert honest.is_served()
        assert all(map(is_cut_off, flood))
        told = reasons(log, flood)
        assert told.count("timeout") >= 8
        assert told.count("too-many-of-address") == len(flood) - told.count("timeout") > 0
    assert honest.is_served()


def test_a_byte_at_a_time_does_not_lengthen_a_handshake(
    house: House, log: Log, strict: RunningGateway, honest_at: HonestAt
) -> None:
    honest = honest_at(strict)
    with plain(strict) as slow:
        # As long as it is let; what ends it is the time.
        with contextlib.suppress(ConnectionError):
            for byte in CLIENT_HELLO_BEGINS + bytes(400):
                slow.sendall(bytes((byte,)))
                house.let_pass(0.03)
        assert honest.is_served()
        assert reasons(log, [slow]) == ["timeout"]


def test_an_address_that_connects_too_often_is_refused_before_any_handshake(
    house: House, log: Log, honest_at: HonestAt
) -> None:
    strict = house.gateway_with(connects_per_address_per_second_max=5)
    honest = honest_at(strict)
    with contextlib.ExitStack() as stack:
        flood = [stack.enter_context(plain(strict)) for _ in range(50)]
        assert honest.is_served()
        for each in flood:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_WR)
        assert all(map(is_cut_off, flood))
        told = reasons(log, flood)
        assert len(told) == 50
        assert told.count("too-often") >= 25
        assert told.count("peer-closed") >= 5
    strict.flush()


@VERSIONS
def test_a_flood_of_connects_of_one_device_is_nobody_else_s_trouble(
    house: House, log: Log, honest_at: HonestAt, version: Version
) -> None:
    """Proven each time, and refused each time: as another, which policy denies, or as itself, too often."""
    strict = house.gateway_with(connects_per_client_id_per_second_max=1)
    victim, abuser, honest = house.thing(), house.thing(), honest_at(strict)
    codes: list[int] = []

    def flood(client_id: str) -> None:
        for _ in range(20):
            with device(strict.port, abuser, [house.site.root], version) as talk:
                codes.append(talk.connect(client_id).code)

    floods = [threading.Thread(target=flood, args=(name_of(held),)) for held in (victim, abuser)]
    for each in floods:
        each.start()
    served = 0
    while any(each.is_alive() for each in floods):
        assert honest.is_served()
        served += 1
    for each in floods:
        each.join()
    denied, too_often = (5, 3) if version is Version.MQTT_3_1_1 else (0x87, 0x9F)
    assert served
    assert codes.count(denied) == 20
    assert codes.count(0) + codes.count(too_often) == 20
    assert 0 in codes
    # Whose client id was tried is let in at once: another's attempts count for nothing.
    assert house.live(victim, strict, version).is_alive()


BEFORE_TLS: dict[str, tuple[bytes, set[str]]] = {
    "mqtt-in-the-clear": (render(Connect("lamp")), {"not-tls"}),
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", {"not-tls"}),
    "sslv2": (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", {"not-tls"}),
    "a-record-of-64-kib": (b"\x16\x03\x01\xff\xff" + b"\x01" * 65_535, {"other", "not-tls"}),
    "an-alert-first": (b"\x15\x03\x01\x00\x02\x02\x28", {"not-tls"}),
    "nonsense-in-a-record": (b"\x16\x03\x01\x00\x40" + b"\xee" * 64, {"other", "no-shared-protocol"}),
}


@pytest.mark.parametrize("name", BEFORE_TLS)
def test_what_is_no_handshake_is_refused(house: House, log: Log, name: str, honest_at: HonestAt) -> None:
    said, expected = BEFORE_TLS[name]
    honest = honest_at(house.gateway)
    with plain(house.gateway) as nonsense:
        nonsense.sendall(said)
        assert is_cut_off(nonsense)
        (reason,) = reasons(log, [nonsense])
        assert reason in expected
        assert honest.is_served()


def test_who_speaks_another_protocol_is_refused(house: House, log: Log, honest_at: HonestAt) -> None:
    lamp, honest = house.thing(), honest_at(house.gateway)
    context = client_context([house.site.root], chain_path=lamp.chain_file, key_path=lamp.key_file)
    context.set_alpn_protocols(["h2"])
    with plain(house.gateway) as stranger, pytest.raises(ssl.SSLError, match="no application protocol"):
        address = "{}:{}".format(*stranger.getsockname())
        context.wrap_socket(stranger, server_hostname="localhost")
    assert [each["reason"] for each in log.of(address, "handshake.failed")] == ["no-shared-protocol"]
    assert honest.is_served()


GIANT = b"\xff\xff\xff\x7f"
"""The longest remaining length that there is: 256 MiB."""
AFTER_CONNECT: dict[str, tuple[bytes, str]] = {
    "a-giant-publish": (b"\x30" + GIANT, "packet-too-large"),
    "a-giant-subscribe": (b"\x82" + GIANT, "packet-too-large"),
    "a-length-without-end": (b"\x30\xff\xff\xff\xff\x01", "protocol-error"),
    "reserved-flags": (b"\x83\x06\x00\x01\x00\x01a\x00", "protocol-error"),
    "type-0": (b"\x00\x00", "protocol-error"),
    "a-topic-that-is-no-utf-8": (b"\x30\x05\x00\x02\xed\xa0x", "protocol-error"),
    "a-topic-longer-than-its-packet": (b"\x30\x04\xff\xffab", "protocol-error"),
    "qos-3": (b"\x36\x06\x00\x01a\x00\x01x", "protocol-error"),
    "what-only-servers-say": (b"\x20\x02\x00\x00", "protocol-error"),
}


@VERSIONS
@pytest.mark.parametrize("name", AFTER_CONNECT)
def test_what_is_no_packet_ends_its_connection_alone(house: House, log: Log, name: str, version: Version) -> None:
    said, reason = AFTER_CONNECT[name]
    lamp, twin = house.thing(), house.live(house.thing(), version=version)
    talk = house.live(lamp, version=version)
    talk.send(said)
    assert not isinstance(talk.next(), Connack)
    assert [each["reason"] for each in log.of(talk, "session.closed")] == [reason]
    assert twin.is_alive()
    assert house.live(lamp, version=version).is_alive()


@pytest.fixture
def stalled() -> Iterator[FakeBroker]:
    broker = FakeBroker()
    yield broker
    broker.close()


@pytest.mark.slow
def test_what_waits_for_a_stalled_broker_is_memory_in_flight(house: House, log: Log, stalled: FakeBroker) -> None:
    """A broker that says yes and reads no more: what its devices send is bounded for all of them together."""
    # More than 64 KiB wait for each before it is read no further.
    bound, count = 512 * 1024, 12
    gateway = house.gateway_with(stalled.broker, in_flight_bytes_max=bound)
    lamps = [house.thing() for _ in range(count)]
    talks, ends = zip(*(_behind(house, gateway, stalled, lamp) for lamp in lamps), strict=True)
    floods = [threading.Thread(target=_flood, args=each) for each in zip(talks, lamps, strict=True)]
    for flood in floods:
        flood.start()
    flight = gateway.gateway._flight
    highest = ended = 0
    for _ in range(400):
        highest = max(highest, flight.total)
        ended = sum(bool(log.of(talk, "session.closed")) for talk in talks)
        if ended and not flight.is_full:
            break
        house.let_pass(0.05)
    causes = {each["reason"] for talk in talks for each in log.of(talk, "session.closed")}
    for end in ends:
        end.close()
    for flood in floods:
        flood.join(30)
    # One read of each may come on top of what was there when the bound was reached.
    assert bound < highest <= bound + count * 2 * 256 * 1024
    assert 1 <= ended < count
    assert causes == {"memory-held"}


def _behind(house: House, gateway: RunningGateway, broker: FakeBroker, lamp: Held) -> tuple[Talk, socket.socket]:
    talk = house.talk(lamp, gateway)
    talk.send(Connect(name_of(lamp), keep_alive_s=60))
    end, _ = broker.accept()
    end.sendall(render(Connack(ConnackCode.ACCEPTED)))
    assert talk.expect(Connack).code == 0
    talk.socket.settimeout(60)
    return talk, end


def _flood(talk: Talk, lamp: Held) -> None:
    """Send what no kernel holds, unless the connection is ended before."""
    message = build_publish(f"home/{name_of(lamp)}/x", b"x" * 60 * 1024).raw
    with contextlib.suppress(OSError):
        for _ in range(200):
            talk.send(message)
