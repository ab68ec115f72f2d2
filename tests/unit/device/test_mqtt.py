"""The client against Mosquitto, which is nobody's mirror image of our own codec."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.fixtures.mosquitto import Mosquitto, mosquitto
from tests.unit.device.home import THING, Home

from troth.clock import SystemClock
from troth.device.connack import Refused
from troth.device.connection import ConnectionFault, dial
from troth.device.endpoint import Address
from troth.device.enroll import enroll_by
from troth.device.identity import Identity
from troth.device.mqtt import Client, connect
from troth.device.slots import Slot
from troth.errors import Kind, OurFault
from troth.protocols.mqtt import ConnackCode, Connect, Will

pytestmark = pytest.mark.needs("mosquitto")

CLOCK = SystemClock()
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def broker(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with _mosquitto(home, tmp_path_factory.mktemp("mosquitto"), "use_identity_as_username true") as server:
        yield server


def _mosquitto(home: Home, folder: Path, settings: str) -> AbstractContextManager[Mosquitto]:
    own = home.server
    return mosquitto(folder, anchors=home.root_file, chain=own.chain_file, key=own.key_file, settings=settings)


@pytest.fixture(scope="module")
def identity(broker: Mosquitto, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """A thermostat that has enrolled."""
    wanted = home.wanted(mqtt=Address("localhost", broker.port))
    return enroll_by(tmp_path_factory.mktemp("device") / "identity", wanted, home.answer, CLOCK).identity


def dialled(broker: Mosquitto, home: Home, own: Slot | None) -> Client:
    """A client over a connection made by hand, not yet opened."""
    address = Address("127.0.0.1", broker.port)
    return Client(dial(address, "home.example", (home.root,), own), CLOCK, address=address)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_message_arrives_as_it_was_sent(identity: Identity, qos: int) -> None:
    payload = bytes(range(256))
    with connect(identity, CLOCK, client_id="sender") as sender, connect(identity, CLOCK) as receiver:
        assert receiver.subscribe([f"lab/{qos}/#"], qos=qos) == (qos,)
        sender.publish(f"lab/{qos}/a", payload, qos=qos)
        message = receiver.receive(PATIENCE_S)
    assert message is not None
    assert (message.topic, message.payload, message.qos, message.retain) == (f"lab/{qos}/a", payload, qos, False)


def test_messages_that_come_before_an_answer_are_kept_in_order(identity: Identity) -> None:
    with connect(identity, CLOCK) as client:
        client.subscribe(["lab/order"])
        for number in range(20):
            client.publish("lab/order", str(number).encode())
        came = [client.receive(PATIENCE_S) for _ in range(20)]
    assert [message.payload for message in came if message] == [str(number).encode() for number in range(20)]


def test_a_large_message_passes(identity: Identity) -> None:
    payload = b"x" * 200_000
    with connect(identity, CLOCK) as client:
        client.subscribe(["lab/large"])
        client.publish("lab/large", payload)
        message = client.receive(PATIENCE_S)
    assert message is not None
    assert message.payload == payload


def test_where_nothing_comes_the_wait_ends(identity: Identity) -> None:
    with connect(identity, CLOCK) as client:
        client.subscribe(["lab/silence"])
        assert client.receive(0.05) is None
        assert client.receive(0) is None
        client.ping()


def test_a_retained_message_waits_for_who_comes_later(identity: Identity) -> None:
    with connect(identity, CLOCK) as client:
        client.publish("lab/retained", b"21.5", retain=True)
    with connect(identity, CLOCK) as client:
        client.subscribe(["lab/retained"])
        message = client.receive(PATIENCE_S)
        client.publish("lab/retained", b"", retain=True)
    assert message is not None
    assert (message.payload, message.retain) == (b"21.5", True)


def test_a_kept_session_keeps_messages(identity: Identity) -> None:
    with connect(identity, CLOCK, client_id="kept", clean_session=False) as client:
        client.subscribe(["lab/kept"])
    with connect(identity, CLOCK) as sender:
        sender.publish("lab/kept", b"meanwhile")
    with connect(identity, CLOCK, client_id="kept", clean_session=False) as client:
        message = client.receive(PATIENCE_S)
    assert message is not None
    assert message.payload == b"meanwhile"


def test_a_will_is_sent_for_who_goes_without_a_word(identity: Identity) -> None:
    with connect(identity, CLOCK) as watcher:
        watcher.subscribe(["lab/will"])
        connect(identity, CLOCK, client_id="mortal", will=Will("lab/will", b"gone", 1)).close()
        message = watcher.receive(PATIENCE_S)
    assert message is not None
    assert message.payload == b"gone"


def test_no_will_is_sent_for_who_takes_leave(broker: Mosquitto, identity: Identity) -> None:
    with connect(identity, CLOCK) as watcher:
        watcher.subscribe(["lab/will"])
        client = connect(identity, CLOCK, client_id="polite", will=Will("lab/will", b"gone", 1))
        client.disconnect()
        client.disconnect()  # once more does nothing
        assert broker.wait_for("Client polite disconnected.")
        watcher.ping()
        assert watcher.receive(0) is None


def test_our_own_address_is_what_the_server_sees(broker: Mosquitto, identity: Identity) -> None:
    client = connect(identity, CLOCK, client_id="seen-at")
    host, port = client.local_address
    client.disconnect()
    assert client.local_address == (host, port)
    assert broker.wait_for(f"New client connected from {host}:{port} as seen-at")


def test_a_certificate_of_another_home_is_refused_by_an_alert(broker: Mosquitto, home: Home, other_home: Home) -> None:
    client = dialled(broker, home, other_home.device())
    with pytest.raises(ConnectionFault, match="refused this device with the TLS alert unknown_ca") as caught:
        client.open(Connect(THING))
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert caught.value.refusal.alert == "unknown_ca"
    # The connection is closed then, and says so.
    with pytest.raises(OurFault, match="closed"):
        client.ping()


def test_no_certificate_is_refused_by_an_alert(broker: Mosquitto, home: Home) -> None:
    client = dialled(broker, home, None)
    with pytest.raises(ConnectionFault) as caught:
        client.open(Connect(THING))
    assert caught.value.refusal.alert == "certificate_required"


def test_a_refusal_of_the_server_has_its_code(home: Home, tmp_path: Path) -> None:
    with _mosquitto(home, tmp_path, "allow_anonymous false") as strict:
        client = dialled(strict, home, home.device())
        with pytest.raises(Refused, match="CONNACK 5") as caught:
            client.open(Connect(THING))
    assert caught.value.code is ConnackCode.NOT_AUTHORIZED
    assert caught.value.kind is Kind.FORBIDDEN


def test_a_server_of_another_home_is_refused_before_a_byte_is_sent(
    identity: Identity, other_home: Home, tmp_path: Path
) -> None:
    with _mosquitto(other_home, tmp_path, "allow_anonymous true") as fake:
        with pytest.raises(ConnectionFault, match="CA that this device does not trust") as caught:
            dial(Address("127.0.0.1", fake.port), "home.example", identity.trust, identity.slot)
        assert caught.value.kind is Kind.UNAUTHENTICATED
        assert fake.wait_for("alert")


def test_a_connection_taken_over_by_another_is_told_as_closed(identity: Identity) -> None:
    first = connect(identity, CLOCK, client_id="twin")
    with connect(identity, CLOCK, client_id="twin"), pytest.raises(ConnectionFault, match="it closed the connection"):
        first.receive(PATIENCE_S)


@pytest.mark.parametrize("qos", [2, -1])
def test_a_qos_that_this_client_has_not_is_refused_here(identity: Identity, qos: int) -> None:
    with connect(identity, CLOCK) as client:
        with pytest.raises(OurFault):
            client.publish("lab/a", b"", qos=qos)
        with pytest.raises(OurFault):
            client.subscribe(["lab/a"], qos=qos)
        with pytest.raises(OurFault, match="wildcard"):
            client.publish("lab/#", b"")
        client.ping()
