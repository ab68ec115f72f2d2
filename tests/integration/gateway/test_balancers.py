"""Load balancers: whom they name is who has come, to policy, logs and lists; and nobody else names anybody."""

import select
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.balancers import LISTED, all_that_comes, dial, haproxy, header
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import OWN, House, Log, name_of
from tests.fixtures.mqtt import Talk, allow, device

from troth.gateway.mqtt.upstream import Broker
from troth.registry.sessions import list_sessions
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority
from troth.tls.client import client_context

CLIENT = "192.0.2.7"
PORT = 4711


@pytest.fixture(scope="session")
def broker(nats_broker: Broker) -> Broker:
    """What stands behind the gateway changes nothing here."""
    return nats_broker


@pytest.fixture(scope="module")
def fronted(site: TestAuthority, broker: Broker) -> Iterator[RunningGateway]:
    """A gateway that listens to `LISTED`, and in one network that nobody comes from."""
    running = RunningGateway(site, broker, balancers=["2001:db8::/32", f"{LISTED}/32"])
    yield running
    running.close()


def talk_over(house: House, plain: socket.socket, held: Held) -> Talk:
    context = client_context([house.site.root], chain_path=held.chain_file, key_path=held.key_file)
    return Talk(context.wrap_socket(plain, server_hostname="localhost"))


def named(house: House, gateway: RunningGateway, held: Held, host: str = CLIENT) -> Talk:
    """Return a connection that a balancer has passed on for a client at `host`."""
    plain = dial(gateway.port)
    plain.sendall(header(host, PORT))
    return talk_over(house, plain, held)


def from_address(address: str) -> dict[str, object]:
    connect = allow("iot:Connect", "client/*")
    return connect | {"Condition": {"IpAddress": {"aws:SourceIp": address}}}


@pytest.mark.parametrize("host", [CLIENT, "2001:db8::7"])
def test_policy_logs_and_lists_know_the_client(house: House, log: Log, fronted: RunningGateway, host: str) -> None:
    shown = f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"
    lamp, other = house.thing(from_address(host), *OWN[1:]), house.thing(from_address("127.0.0.0/8"))
    with named(house, fronted, lamp, host) as talk, named(house, fronted, other, host) as denied:
        assert talk.connect(name_of(lamp)).code == 0
        fronted.flush()
        with read(house.site.db) as connection:
            rows = list_sessions(connection, house.site.clock.now())
        assert [row.address for row in rows if row.certificate_id == lamp.certificate_id] == [shown]
        assert denied.connect(name_of(other)).code == 5
        assert [event["reason"] for event in log.of(shown, "connection.refused")] == ["connect-denied"]


def test_a_header_in_pieces_and_with_what_follows_it(house: House, fronted: RunningGateway) -> None:
    lamp = house.thing(from_address(CLIENT))
    plain, said = dial(fronted.port), header(CLIENT, PORT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(len(said) - 1):
        plain.sendall(said[at : at + 1])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = client_context([house.site.root], chain_path=lamp.chain_file, key_path=lamp.key_file)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    plain.sendall(said[-1:] + outgoing.read())
    with plain:
        assert plain.recv(1) == b"\x16"
    with named(house, fronted, lamp) as talk:
        assert talk.connect(name_of(lamp)).code == 0


def test_who_is_not_listed_comes_in_as_before(house: House, log: Log, fronted: RunningGateway) -> None:
    lamp = house.thing(from_address("127.0.0.1/32"))
    with device(fronted.port, lamp, [house.site.root]) as talk:
        assert talk.connect(name_of(lamp)).code == 0


@pytest.mark.parametrize("answered", [True, False], ids=["listed", "not-listed"])
def test_who_is_not_listed_names_nobody(house: House, log: Log, fronted: RunningGateway, answered: bool) -> None:
    """A client that writes the header itself: garbage before TLS."""
    lamp = house.thing(from_address(CLIENT))
    plain = dial(fronted.port, source=LISTED if answered else "127.0.0.1")
    address = "{}:{}".format(*plain.getsockname())
    with plain:
        plain.sendall(header(CLIENT, PORT))
        if answered:
            with talk_over(house, plain, lamp) as talk:
                assert talk.connect(name_of(lamp)).code == 0
        else:
            assert all_that_comes(plain) == b""
            (event,) = log.of(address, "handshake.failed")
            assert event["reason"] == "not-tls"


def test_a_second_header_is_no_tls(house: House, log: Log, fronted: RunningGateway) -> None:
    """A client behind a balancer that writes one of its own: the balancer's word came first."""
    with dial(fronted.port) as plain:
        plain.sendall(header(CLIENT, 4712) + header("198.51.100.1", 1))
        assert all_that_comes(plain) == b""
    (event,) = log.of(f"{CLIENT}:4712", "handshake.failed")
    assert event["reason"] == "not-tls"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", "there is no PROXY header"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 8883\r\n", "version 1 of the PROXY protocol is not read"),
        (header(CLIENT, PORT)[:13] + b"\x12\x00\x0c" + bytes(12), "which is not TCP"),
    ],
)
def test_a_balancer_without_a_header_of_version_2_is_refused(
    house: House, log: Log, fronted: RunningGateway, said: bytes, why: str
) -> None:
    with dial(fronted.port) as plain:
        address = "{}:{}".format(*plain.getsockname())
        plain.sendall(said)
        assert all_that_comes(plain) == b""
    (event,) = log.of(address, "handshake.failed")
    assert event["reason"] == "proxy-header"
    assert why in event["detail"]


def test_a_balancer_may_speak_for_itself(house: House, fronted: RunningGateway) -> None:
    lamp = house.thing(from_address(LISTED))
    plain = dial(fronted.port)
    plain.sendall(header(CLIENT, PORT)[:12] + b"\x20\x00\x00\x00")
    with talk_over(house, plain, lamp) as talk:
        assert talk.connect(name_of(lamp)).code == 0


def test_a_header_that_does_not_come_has_its_time_and_its_place(house: House, log: Log) -> None:
    hasty = house.gateway_with(balancers=[LISTED], handshake_s=0.2, handshakes_pending_max=1)
    with dial(hasty.port) as slow:
        slow.sendall(header(CLIENT, PORT)[:20])
        with dial(hasty.port) as late:
            assert all_that_comes(late) == b""
            refused = "{}:{}".format(*late.getsockname())
        assert all_that_comes(slow) == b""
        waited = "{}:{}".format(*slow.getsockname())
    assert [event["reason"] for event in log.of(refused, "handshake.failed")] == ["too-many"]
    assert [event["reason"] for event in log.of(waited, "handshake.failed")] == ["timeout"]
    lamp = house.thing(from_address(CLIENT))
    with named(house, hasty, lamp) as talk:
        assert talk.connect(name_of(lamp)).code == 0


def test_places_and_rates_are_the_clients_and_not_the_balancer_s(house: House, log: Log) -> None:
    strict = house.gateway_with(balancers=[LISTED], handshakes_pending_per_address_max=1)
    with dial(strict.port) as one, dial(strict.port) as other, dial(strict.port) as again:
        one.sendall(header("192.0.2.1", 1))
        other.sendall(header("2001:db8::1", 2))
        # Of the same /64, and so of the same site: whoever comes second is refused.
        again.sendall(header("2001:db8::2", 3))
        (refused,), _, _ = select.select([one, other, again], [], [], 10)
        assert all_that_comes(refused) == b""
        told = [each for host in ("1]:2", "2]:3") for each in log.of(f"[2001:db8::{host}", "handshake.failed")]
        assert [each["reason"] for each in told] == ["too-many-of-address"]
    lamp = house.thing(from_address("192.0.2.9"), *OWN[1:])
    with named(house, strict, lamp, "192.0.2.9") as talk:
        assert talk.connect(name_of(lamp)).code == 0


def test_a_balancer_that_goes_away_is_noted(house: House, log: Log, fronted: RunningGateway) -> None:
    with dial(fronted.port) as plain:
        address = "{}:{}".format(*plain.getsockname())
        plain.sendall(header(CLIENT, PORT)[:20])
        plain.shutdown(socket.SHUT_WR)
        assert all_that_comes(plain) == b""
    (event,) = log.of(address, "handshake.failed")
    assert (event["reason"], event["detail"]) == ("peer-closed", "after 20 bytes of a PROXY header")


@pytest.mark.needs("haproxy")
def test_haproxy_says_who_comes(house: House, log: Log, fronted: RunningGateway, tmp_path: Path) -> None:
    """The client has another address of the loopback than HAProxy, which comes from the listed one."""
    lamp = house.thing(from_address("127.0.0.55"), *OWN[1:])
    with haproxy(tmp_path, fronted.port) as port:
        for source, code in (("127.0.0.55", 0), ("127.0.0.56", 5)):
            with talk_over(house, dial(port, source=source), lamp) as talk:
                assert talk.connect(name_of(lamp)).code == code
                if code == 0:
                    topic = f"home/{name_of(lamp)}/x"
                    assert talk.subscribe(topic) == (0,)
                    talk.publish(topic, b"nonce")
                    assert talk.message() == (topic, b"nonce")


@pytest.mark.needs("haproxy")
def test_haproxy_of_version_1_is_told_off(house: House, log: Log, fronted: RunningGateway, tmp_path: Path) -> None:
    with haproxy(tmp_path, fronted.port, version="v1") as port, dial(port) as plain:
        plain.sendall(b"\x16")
        assert all_that_comes(plain) == b""
    (event,) = [each for each in log if each["event"] == "handshake.failed" and "version 1" in each["detail"]]
    assert event["reason"] == "proxy-header"
    assert event["peer"].startswith(LISTED)
