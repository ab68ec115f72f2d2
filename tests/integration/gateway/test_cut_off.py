"""Two hosts on one PostgreSQL, the wire of one of them cut or silent: it trusts nobody until it knows again."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import House, Log, name_of
from tests.fixtures.postgresql import PostgreSQLServer

from troth.clock import SystemClock
from troth.gateway.mqtt.upstream import Broker
from troth.protocols.mqtt import Connack, Connect
from troth.store.connect import Database, connect
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock

pytestmark = [pytest.mark.needs("postgresql"), pytest.mark.slow]

UNKNOWN_STATE_FOR = timedelta(seconds=30)


class Wire:
    """The way from a host to the database's Unix socket: whole, cut, or silent."""

    def __init__(self, beyond: str) -> None:
        self._beyond = beyond
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._is_cut = False
        self._speaks = threading.Event()
        self._speaks.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and take no other."""
        self._is_cut = True
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let everything through again, also what has waited."""
        self._is_cut = False
        self._speaks.set()

    def mute(self) -> None:
        """Let nothing through, and close nothing."""
        self._speaks.clear()

    def close(self) -> None:
        """Be gone."""
        self._listening.close()
        self._speaks.set()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if self._is_cut:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._beyond)
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self._speaks.wait()
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def site(postgresql_db: Database, tmp_path: Path) -> Iterator[TestAuthority]:
    """A site on PostgreSQL whose time stands still."""
    with TestAuthority(tmp_path, db=postgresql_db, clock=FakeClock(SystemClock().now())) as authority:
        yield authority


@pytest.fixture
def wire(postgresql_server: PostgreSQLServer) -> Iterator[Wire]:
    """The far host's way to the database."""
    made = Wire(f"{postgresql_server.directory}/.s.PGSQL.5432")
    yield made
    made.close()


@pytest.fixture
def house(site: TestAuthority, nats_broker: Broker) -> Iterator[House]:
    """Things of the site, which talk to the near gateway unless told otherwise."""
    near = RunningGateway(site, nats_broker, unknown_state_for=UNKNOWN_STATE_FOR)
    made = House(near, nats_broker)
    yield made
    made.close()
    near.close()


@pytest.fixture
def far(house: House, wire: Wire, tmp_path: Path) -> Iterator[RunningGateway]:
    """The gateway of the host that can be cut off."""
    database = make_url(str(house.site.db.engine.url)).database
    db = connect(f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/{database}", tmp_path)
    running = RunningGateway(house.site, house.broker, unknown_state_for=UNKNOWN_STATE_FOR, db=db)
    yield running
    wire.mend()
    running.close()
    db.dispose()


def until_known(far: RunningGateway, *, known: bool) -> None:
    async def wait() -> None:
        while far.gateway._control.is_state_known() is not known:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    far.run(wait())


def test_what_was_revoked_while_a_host_was_cut_off_ends_there_when_it_heals(
    house: House, far: RunningGateway, wire: Wire, log: Log
) -> None:
    lamp, twin, other = house.thing(), house.thing(), house.thing()
    here, there, kept = house.live(lamp), house.live(twin, far), house.live(other, far)
    wire.cut()
    until_known(far, known=False)
    house.site.revoke(lamp)
    house.site.revoke(twin)
    assert here.is_closed()
    # Nobody can know there, so that nobody new comes in; who was in goes on for a while.
    for each in (lamp, twin, other):
        assert house.talk(each, far).connect(name_of(each)).code == 3
    assert kept.is_alive()
    wire.mend()
    assert there.is_closed()
    assert [each["reason"] for each in log.of(there, "session.closed")] == ["certificate-revoked"]
    assert house.talk(twin, far).connect(name_of(twin)).code == 5
    assert kept.is_alive()
    kept.publish(f"home/{name_of(other)}/x", b"x", qos=1)


def test_a_host_that_cannot_know_for_long_lets_everybody_go(
    house: House, far: RunningGateway, wire: Wire, log: Log
) -> None:
    one, other = house.thing(), house.thing()
    here, there = house.live(one), house.live(other, far)
    wire.cut()
    until_known(far, known=False)
    clock = house.site.clock
    assert isinstance(clock, FakeClock)
    clock.advance(UNKNOWN_STATE_FOR - timedelta(seconds=1))
    assert there.is_alive()
    clock.advance(timedelta(seconds=2))
    assert there.is_closed()
    assert [each["reason"] for each in log.of(there, "session.closed")] == ["state-unknown"]
    assert here.is_alive()
    wire.mend()
    until_known(far, known=True)
    assert house.live(other, far).is_alive()


def test_who_knocks_while_the_wire_is_silent_is_judged_by_what_was_committed_before_it_speaks(
    house: House, far: RunningGateway, wire: Wire
) -> None:
    """What is kept there says that it is in force; the answer waits until that is known."""
    lamp, other = house.thing(), house.thing()
    for each in (lamp, other):
        house.live(each, far).close()
    wire.mute()
    knocking = {each: house.talk(each, far) for each in (lamp, other)}
    for each, talk in knocking.items():
        talk.send(Connect(name_of(each), keep_alive_s=60))
    house.site.revoke(lamp)
    wire.mend()
    assert [knocking[each].expect(Connack).code for each in (lamp, other)] == [5, 0]
