"""The client against a server that says whatever the test wants it to, over a pair of sockets."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from troth.clock import Clock, SystemClock
from troth.device.connack import Refused
from troth.device.connection import ConnectionFault
from troth.device.mqtt import Client
from troth.errors import Fault, Kind, OurFault, PeerFault
from troth.limits import DEVICE_INBOX_MESSAGES_MAX
from troth.protocols.mqtt import (
    SUBSCRIPTION_REFUSED,
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Reader,
    Role,
    Suback,
    build_publish,
    render,
)


class Hasty:
    """A clock that goes on by a minute each time it is looked at."""

    def __init__(self) -> None:
        self._time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._time += timedelta(minutes=1)
        return self._time


class Server:
    """The other end: says what it is told to, before it is asked, and reads what it was sent."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._reader = Reader(1 << 20, Role.SERVER)

    def say(self, *packets: Packet | bytes) -> None:
        self._end.sendall(b"".join(each if isinstance(each, bytes) else render(each) for each in packets))

    def heard(self) -> list[Packet]:
        """Return everything that has been sent by now."""
        self._end.setblocking(False)
        packets: list[Packet] = []
        try:
            while data := self._end.recv(65_536):
                packets += self._reader.feed(data)
        except BlockingIOError:
            pass
        return packets

    def say_no_more(self) -> None:
        self._end.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        self._end.close()


class Pair:
    """A client and its scripted server."""

    def __init__(self, clock: Clock, keep_alive_s: int = 0) -> None:
        ours, theirs = socket.socketpair()
        # Room for all that a test says before it is read.
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.server = Server(theirs)
        self.client = Client(_InTheInternet(ours), clock)
        self.server.say(Connack(ConnackCode.ACCEPTED))
        self.client.open(Connect("c", keep_alive_s=keep_alive_s))
        (heard,) = self.server.heard()
        assert isinstance(heard, Connect)

    def close(self) -> None:
        self.client.close()
        self.server.hang_up()


class _InTheInternet(socket.socket):
    """A socket of a pair, with the address that it would have elsewhere."""

    def __init__(self, ours: socket.socket) -> None:
        super().__init__(fileno=ours.detach())

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.7", 40_000


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A client that is connected."""
    pair = Pair(SystemClock())
    yield pair
    pair.close()


@pytest.fixture
def hasty_pair() -> Iterator[Pair]:
    """A client that is connected, and in a hurry."""
    pair = Pair(Hasty())
    yield pair
    pair.close()


def assert_closed(pair: Pair) -> None:
    with pytest.raises(OurFault, match="closed"):
        pair.client.ping()


@pytest.mark.parametrize("code", [code for code in ConnackCode if code])
def test_every_code_of_a_refusal_has_words(code: ConnackCode) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(render(Connack(code)))
        client = Client(_InTheInternet(ours), SystemClock())
        with pytest.raises(Refused, match=f"CONNACK {code:d}") as caught:
            client.open(Connect("c"))
    assert caught.value.code is code


def test_the_server_says_filter_by_filter_what_it_grants(pair: Pair) -> None:
    pair.server.say(Suback(1, (1, SUBSCRIPTION_REFUSED, 0)))
    assert pair.client.subscribe(["a", "b", "c"]) == (1, SUBSCRIPTION_REFUSED, 0)


def test_fewer_answers_than_filters_are_no_answer(pair: Pair) -> None:
    pair.server.say(Suback(1, (1,)))
    with pytest.raises(PeerFault, match="filter by filter"):
        pair.client.subscribe(["a", "b"])
    assert_closed(pair)


@pytest.mark.parametrize("answer", [Puback(2), Suback(1, (0,))])
def test_an_answer_to_what_was_not_asked_ends_the_connection(pair: Pair, answer: Packet) -> None:
    pair.server.say(answer)
    with pytest.raises(PeerFault, match="out of turn"):
        pair.client.publish("a", b"", qos=1)
    assert_closed(pair)


def test_what_is_no_mqtt_ends_the_connection(pair: Pair) -> None:
    pair.server.say(b"\xf0\x00")
    with pytest.raises(PeerFault, match="no packet begins"):
        pair.client.receive(5)
    assert_closed(pair)


def test_what_came_whole_before_nonsense_in_the_same_bytes_is_not_lost(pair: Pair) -> None:
    pair.server.say(build_publish("home/light", b"on", qos=0, retain=False, packet_id=0), b"\x00\x00")
    message = pair.client.receive(1.0)
    assert message is not None
    assert message.payload == b"on"
    with pytest.raises(PeerFault, match="no packet begins"):
        pair.client.receive(1.0)
    assert_closed(pair)


def test_a_message_is_acknowledged_when_it_is_taken_and_not_before(pair: Pair) -> None:
    pair.server.say(build_publish("a", b"1", qos=1, packet_id=9), Pingresp())
    pair.client.ping()
    assert Puback(9) not in pair.server.heard()
    message = pair.client.receive(5)
    assert message is not None
    assert message.payload == b"1"
    assert pair.server.heard() == [Puback(9)]


def test_a_message_of_qos_2_was_not_asked_for(pair: Pair) -> None:
    pair.server.say(build_publish("a", b"1", qos=2, packet_id=9))
    with pytest.raises(PeerFault, match="QoS 2"):
        pair.client.receive(5)
    assert_closed(pair)


def test_messages_that_nobody_takes_are_bounded(pair: Pair) -> None:
    pair.server.say(*[build_publish("a", b"")] * DEVICE_INBOX_MESSAGES_MAX, Pingresp())
    pair.client.ping()
    pair.server.say(build_publish("a", b""), Pingresp())
    with pytest.raises(Fault, match="wait to be taken") as caught:
        pair.client.ping()
    assert caught.value.kind is Kind.TOO_LARGE
    assert_closed(pair)


def test_the_end_of_the_stream_is_told_as_closed(pair: Pair) -> None:
    pair.server.hang_up()
    with pytest.raises(ConnectionFault, match="it closed the connection") as caught:
        pair.client.receive(5)
    assert caught.value.refusal.word == "closed"
    assert_closed(pair)


def test_a_write_into_a_broken_connection_is_told(pair: Pair) -> None:
    pair.server.hang_up()
    with pytest.raises(ConnectionFault) as caught:
        pair.client.publish("a", b"", qos=0)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert_closed(pair)


def test_a_server_that_does_not_answer_is_given_up(hasty_pair: Pair) -> None:
    with pytest.raises(Fault, match="no PUBACK within 30 s") as caught:
        hasty_pair.client.publish("a", b"")
    assert caught.value.kind is Kind.UNAVAILABLE
    assert_closed(hasty_pair)


def test_a_ping_goes_out_when_half_the_keep_alive_has_gone() -> None:
    pair = Pair(Hasty(), keep_alive_s=100)
    pair.server.say(Pingresp())
    assert pair.client.receive(30) is None
    assert Pingreq() in pair.server.heard()
    pair.close()


def test_without_a_keep_alive_no_ping_goes_out(hasty_pair: Pair) -> None:
    assert hasty_pair.client.receive(30) is None
    assert Pingreq() not in hasty_pair.server.heard()


@pytest.mark.slow
def test_a_server_silent_for_a_whole_keep_alive_is_given_up() -> None:
    pair = Pair(SystemClock(), keep_alive_s=1)
    with pytest.raises(ConnectionFault, match="does not answer") as caught:
        pair.client.receive()
    assert caught.value.refusal.word == "timeout"
    heard = pair.server.heard()
    assert Pingreq() in heard
    pair.close()


def test_an_answer_to_an_earlier_ping_does_not_pass_for_the_answer_to_this_one() -> None:
    pair = Pair(Hasty(), keep_alive_s=100)
    assert pair.client.receive(30) is None
    pinged = pair.server.heard().count(Pingreq())
    assert pinged >= 1
    pair.server.say(*[Pingresp()] * pinged)
    with pytest.raises(Fault, match="no PINGRESP"):
        pair.client.ping()
    pair.close()


def test_no_leave_is_taken_where_something_went_wrong(pair: Pair) -> None:
    with pytest.raises(RuntimeError), pair.client:
        raise RuntimeError
    assert Disconnect() not in pair.server.heard()


def test_leave_is_taken_in_words_and_what_still_comes_is_read_until_the_server_closes(pair: Pair) -> None:
    with pair.client:
        pair.server.say(*[build_publish("a", b"late")] * 5000)
        pair.server.say_no_more()
    # Closing over unread bytes would have reset the connection.
    assert pair.server.heard() == [Disconnect()]


def test_packet_identifiers_go_round_and_are_never_0(pair: Pair) -> None:
    seen: set[int] = set()
    for _ in range(3):
        pair.server.say(Suback(len(seen) + 1, (0,)))
        pair.client.subscribe(["a"])
        seen |= {each.packet_id for each in pair.server.heard() if hasattr(each, "packet_id")}
    assert seen == {1, 2, 3}


def test_our_own_address_is_known_also_afterwards(pair: Pair) -> None:
    pair.client.close()
    assert pair.client.local_address == ("192.0.2.7", 40_000)


def test_a_message_split_between_reads_is_whole(pair: Pair) -> None:
    raw = build_publish("a", b"payload").raw
    for at in range(len(raw)):
        pair.server.say(raw[:at])
        assert pair.client.receive(0) is None
        pair.server.say(raw[at:])
        message = pair.client.receive(5)
        assert isinstance(message, Publish)
        assert message.payload == b"payload"
