"""Two devices meet with no server between them: each proves itself, and strangers are refused, whoever calls."""

import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.device.home import Home
from tests.unit.device.neighbourhood import (
    DAY,
    PATIENCE_S,
    Events,
    Neighbourhood,
    Shown,
    lax_call,
    lax_host,
    lax_party,
)

from troth.clock import Clock
from troth.device.connection import ConnectionFault, dial
from troth.device.endpoint import Address
from troth.device.events import Event
from troth.device.meeting import NotMet
from troth.device.neighbours import Host, call
from troth.device.peer import find_peer
from troth.device.slots import Slot
from troth.errors import Fault, Kind
from troth.limits import NEIGHBOURS_AT_ONCE_MAX
from troth.protocols.neighbours import Line, Refused, Welcome
from troth.testing.clock import FakeClock

Lay = Callable[[str, Shown], Path]
ANY_PORT = Address("127.0.0.1", 0)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def here(home: Home) -> Neighbourhood:
    return Neighbourhood(home)


@pytest.fixture(scope="module")
def next_door(other_home: Home) -> Neighbourhood:
    """Another home, whose CAs are called as ours are."""
    return Neighbourhood(other_home)


@pytest.fixture
def identity(here: Neighbourhood, tmp_path: Path) -> Lay:
    """Lay down an identity that shows this to neighbours."""
    numbers = itertools.count()
    return lambda thing, shown: here.identity(tmp_path / f"identity-{next(numbers)}", thing, shown)


@contextmanager
def hosting(path: Path, *allowed: str, clock: Clock | None = None) -> Iterator[tuple[Address, Events]]:
    events = Events()
    echo = "{} said {}".format
    with Host(path, ANY_PORT, allowed or ("*",), echo, events, clock=clock) as host:
        yield host.address, events


def test_two_of_one_home_meet(here: Neighbourhood, identity: Lay) -> None:
    lamp, door = identity("lamp", here.peer("lamp")), identity("Door:1", here.peer("Door:1"))
    with hosting(lamp, "Door:*") as (address, events):
        with call(door, address, "lamp") as neighbour:
            assert neighbour.thing == "lamp"
            assert [neighbour.send(each) for each in ("one", "zwei, ünd\nmore")] == [
                "Door:1 said one",
                "Door:1 said zwei, ünd\nmore",
            ]
        assert events.wait(Event.NEIGHBOUR_IN)["thing"] == "Door:1"
        assert events.wait(Event.MESSAGE)["message"] == "one"
        assert events.wait(Event.MESSAGE)["thing"] == "Door:1"
        assert events.wait(Event.NEIGHBOUR_GONE)["thing"] == "Door:1"


STRANGERS = {
    # What is held against one who calls, and what it hears of that; then the same of one who is called.
    "of another home": ("unknown-issuer", "alert:unknown_ca", "unknown-issuer", "alert:unknown_ca"),
    "signed by itself": ("self-signed", "alert:unknown_ca", "self-signed", "alert:unknown_ca"),
    "a device's at home": ("no-neighbour", "no-neighbour", "wrong-purpose", "alert:unsupported_certificate"),
    "a server's": ("wrong-purpose", "alert:unsupported_certificate", "no-neighbour", "no-neighbour"),
    "of a CA not made for it": ("no-neighbour",) * 4,
    "with a second name": ("no-neighbour",) * 4,
    "expired": ("expired",) * 4,
    "not yet valid": ("not-yet-valid",) * 4,
    "long-lived": ("lives-too-long",) * 4,
    "of another thing": ("not-expected",) * 4,
}


@pytest.fixture
def shown(here: Neighbourhood, next_door: Neighbourhood, kind: str) -> Shown:
    """The certificate of a stranger."""
    strangers: dict[str, Callable[[], Shown]] = {
        "of another home": lambda: next_door.peer("door"),
        "signed by itself": lambda: here.self_signed("door"),
        "a device's at home": lambda: here.device("door"),
        "a server's": lambda: here.server("door"),
        "of a CA not made for it": lambda: here.by_any_ca("door"),
        "with a second name": lambda: here.peer("door", san=["door.troth.alt", "lamp.troth.alt"]),
        "expired": lambda: here.peer("door", ends=-HOUR),
        "not yet valid": lambda: here.peer("door", ends=2 * DAY),
        "long-lived": lambda: here.peer("door", ends=2 * DAY, life=2 * DAY + HOUR),
        "of another thing": lambda: here.peer("window"),
    }
    return strangers[kind]()


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_stranger_who_calls_is_refused(here: Neighbourhood, identity: Lay, shown: Shown, kind: str) -> None:
    why, told, *_ = STRANGERS[kind]
    twin, stranger = identity("door", here.peer("door")), identity("door", shown)
    with hosting(identity("lamp", here.peer("lamp")), "door") as (address, events):
        assert heard_by(lambda: lax_call(lax_party(stranger, shown), address)) == told
        refused = events.wait(Event.NEIGHBOUR_REFUSED)
        assert (refused["why"], refused["by"]) == (why, "us")
        with call(twin, address, "lamp") as neighbour:
            assert neighbour.send("hello") == "door said hello"


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_stranger_who_is_called_is_refused(here: Neighbourhood, identity: Lay, shown: Shown, kind: str) -> None:
    *_, why, told = STRANGERS[kind]
    lamp, twin = identity("lamp", here.peer("lamp")), identity("door", here.peer("door"))
    with lax_host(lax_party(identity("door", shown), shown)) as (address, heard):
        with pytest.raises(NotMet) as caught:
            call(lamp, address, "door")
        assert (caught.value.word, caught.value.is_theirs) == (why, False)
        assert heard_by(lambda: heard.get(timeout=PATIENCE_S)) == told
    with hosting(twin, "lamp") as (address, _), call(lamp, address, "door") as neighbour:
        assert neighbour.send("hello") == "lamp said hello"


def heard_by(listen: Callable[[], Line | NotMet | None]) -> str:
    """Return what a stranger was told, by an alert or in a word."""
    try:
        line = listen()
    except NotMet as fault:
        line = fault
    match line:
        case Refused(word):
            return word
        case NotMet(is_theirs=True):
            return line.word
        case _:
            return f"nothing but {line!r}"


def test_who_shows_no_certificate_is_refused(here: Neighbourhood, identity: Lay) -> None:
    door = here.peer("door")
    with hosting(identity("lamp", here.peer("lamp"))) as (address, events):
        alert, first = by_hand(here, address, None)
        assert (alert, first) == ("certificate required", b"")
        assert events.wait(Event.NEIGHBOUR_REFUSED)["why"] == "no-certificate"
        assert by_hand(here, address, identity("door", door)) == ("", b'{"welcome": "door"}\n')


def test_no_older_tls_is_spoken(here: Neighbourhood, identity: Lay) -> None:
    door = identity("door", here.peer("door"))
    with hosting(identity("lamp", here.peer("lamp"))) as (address, events):
        alert, _ = by_hand(here, address, door, ssl.TLSVersion.TLSv1_2)
        assert alert == "protocol version"
        assert events.wait(Event.NEIGHBOUR_REFUSED)["why"] == "no-shared-protocol"


def by_hand(
    here: Neighbourhood, address: Address, path: Path | None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[str, bytes]:
    """Come as a client of few lines; return the alert that came, and what was said first."""
    context = ssl.create_default_context(cafile=str(here.home.root_file))
    context.maximum_version = newest
    if path is not None:
        slot = shown_slot(path)
        context.load_cert_chain(slot.chain_file, slot.key_file)
    try:
        with (
            socket.create_connection((address.host, address.port), PATIENCE_S) as plain,
            # Any stack can hold a neighbour to its name as that of a host.
            context.wrap_socket(plain, server_hostname="lamp.troth.alt") as connection,
        ):
            return "", connection.recv(1000)
    except ssl.SSLError as error:
        return str(error.reason).partition("ALERT_")[2].replace("_", " ").lower(), b""


def test_the_life_of_a_neighbour_is_judged_by_ones_own_time(here: Neighbourhood, identity: Lay) -> None:
    """However right the system's clock: whoever goes by another one, refuses what is over by that."""
    lamp, door = identity("lamp", here.peer("lamp", ends=3 * DAY, life=4 * DAY)), identity("door", here.peer("door"))
    clock = FakeClock(datetime.now(UTC))
    with hosting(lamp, clock=clock) as (address, events):
        call(door, address, "lamp", life_max=5 * DAY).close()
        assert events.wait(Event.NEIGHBOUR_IN)["thing"] == "door"
        assert events.wait(Event.NEIGHBOUR_GONE)["thing"] == "door"
        clock.set(clock.now() + DAY + HOUR)
        with pytest.raises(NotMet) as caught:
            call(door, address, "lamp", life_max=5 * DAY)
        assert (caught.value.word, caught.value.is_theirs) == ("expired", True)
        assert events.wait(Event.NEIGHBOUR_REFUSED)["why"] == "expired"


@pytest.mark.slow
def test_who_is_here_when_its_certificate_ends_is_heard_no_longer(here: Neighbourhood, identity: Lay) -> None:
    own = here.peer("door")
    lamp, door = identity("lamp", here.peer("lamp")), identity("door", own)
    # Its last second.
    clock = FakeClock(own.signed.certificate.not_valid_after_utc)
    with hosting(lamp, clock=clock) as (address, events), call(door, address, "lamp") as neighbour:
        assert neighbour.send("in time") == "door said in time"
        with pytest.raises(NotMet) as caught:
            while True:
                neighbour.send("still here")
        assert caught.value.word in {"closed", "reset"}
        while (told := events.get(timeout=60))[0] is not Event.NEIGHBOUR_GONE:
            assert told[0] in {Event.NEIGHBOUR_IN, Event.MESSAGE}
        assert "expired" in str(told)


class _Doubtful(FakeClock):
    """A clock that can lose the time."""

    is_lost = False

    def now(self) -> datetime:
        if self.is_lost:
            raise Fault(Kind.UNAVAILABLE, "the time server does not answer")
        return super().now()


def test_without_a_trusted_time_nobody_is_met(here: Neighbourhood, identity: Lay) -> None:
    lamp, door = identity("lamp", here.peer("lamp")), identity("door", here.peer("door"))
    clock = _Doubtful(datetime.now(UTC))
    with hosting(lamp, clock=clock) as (address, events):
        clock.is_lost = True
        with pytest.raises(NotMet) as caught:
            call(door, address, "lamp")
        assert (caught.value.word, caught.value.is_theirs) == ("time-unknown", True)
        assert str(events.wait(Event.NEIGHBOUR_REFUSED)["reason"]).endswith("the time server does not answer")
        with pytest.raises(Fault, match="the time server does not answer"):
            call(door, address, "lamp", clock=clock)
        clock.is_lost = False
        call(door, address, "lamp", clock=clock).close()


def test_a_neighbour_cannot_pose_as_the_home(here: Neighbourhood, identity: Lay) -> None:
    """Not even a thing that is called as the home's server is: its certificate names it where no host has a name."""
    with lax_server(shown_slot(identity("localhost", here.peer("localhost")))) as address:
        with pytest.raises(ConnectionFault) as caught:
            dial(address, "localhost", [here.home.root])
        assert caught.value.refusal.word == "wrong-name"
    with lax_server(here.home.server) as address:
        dial(address, "localhost", [here.home.root]).close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "home.example"])
def test_nor_can_who_steals_the_key_of_the_ca_for_neighbours(here: Neighbourhood, identity: Lay, name: str) -> None:
    with lax_server(shown_slot(identity("lamp", here.peer("lamp", san=[name])))) as address:
        with pytest.raises(ConnectionFault) as caught:
            dial(address, name, [here.home.root])
        assert "subtree violation" in caught.value.refusal.detail
    with lax_server(here.home.server) as address:
        dial(address, name, [here.home.root]).close()


def shown_slot(path: Path) -> Slot:
    peer = find_peer(path)
    assert peer is not None
    return peer.slot


@contextmanager
def lax_server(own: Slot) -> Iterator[Address]:
    """Serve TLS with this certificate, to one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.chain_file, own.key_file)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def work() -> None:
            plain, _ = listening.accept()
            with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(1)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield Address("127.0.0.1", listening.getsockname()[1])
        finally:
            thread.join(PATIENCE_S)


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"taken": true}\n', b"[" * 70_000])
def test_who_does_not_keep_to_the_lines_is_parted_from(here: Neighbourhood, identity: Lay, line: bytes) -> None:
    door = identity("door", here.peer("door"))
    with hosting(identity("lamp", here.peer("lamp"))) as (address, events):
        party = lax_party(door, here.peer("door"))
        stream = party.meet(socket.create_connection((address.host, address.port)), address, listens=False)
        assert stream.hear(PATIENCE_S) == Welcome("door")
        with suppress(NotMet, OSError):
            stream._connection.sendall(line)
            assert stream.hear(PATIENCE_S) is None
        stream.close()
        events.wait(Event.NEIGHBOUR_REFUSED if b"taken" not in line else Event.NEIGHBOUR_IN)
        with call(door, address, "lamp") as neighbour:
            assert neighbour.send("hello") == "door said hello"


def test_nobody_is_there(here: Neighbourhood, identity: Lay, unused_port: int) -> None:
    with pytest.raises(NotMet) as caught:
        call(identity("door", here.peer("door")), Address("127.0.0.1", unused_port), "lamp")
    assert (caught.value.word, caught.value.kind) == ("unreachable", Kind.UNAVAILABLE)


def test_who_says_nothing_keeps_nobody_out_and_ends_with_the_host(here: Neighbourhood, identity: Lay) -> None:
    door = identity("door", here.peer("door"))
    with hosting(identity("lamp", here.peer("lamp"))) as (address, _):
        silent = [socket.create_connection((address.host, address.port)) for _ in range(NEIGHBOURS_AT_ONCE_MAX - 1)]
        with call(door, address, "lamp") as neighbour:
            assert neighbour.send("hello") == "door said hello"
    # Long before a handshake would be given up.
    for each in silent:
        with each:
            each.settimeout(PATIENCE_S)
            assert each.recv(1) == b""
