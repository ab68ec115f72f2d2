"""Two changes at once, each right by itself: the second meets what the first has done."""

import threading
from collections.abc import Callable

import psycopg
import pytest
from tests.fixtures.certificates import make_certificate
from tests.fixtures.databases import StepClock

from troth.errors import Fault, Kind
from troth.journal.change import CHANNEL, Change, change
from troth.journal.entries import list_after
from troth.registry.attachments import attach_principal, list_things_of
from troth.registry.certificates import add_certificate
from troth.registry.states import deactivate, revoke
from troth.registry.things import create_thing, get_thing
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.crl import Reason

OPEN_S = 0.2
"""How long the first change stays open for the second, which waits for it where it must."""

Act = Callable[[Change], object]


def race(db: Database, clock: StepClock, first: Act, second: Act) -> Fault | None:
    """Begin `second` while `first` is done and not committed; return the fault that it ended with, if any."""
    faults: list[Fault] = []

    def run() -> None:
        try:
            with change(db, clock, "test:second") as changing:
                second(changing)
        except Fault as fault:
            faults.append(fault)

    thread = threading.Thread(target=run)
    with change(db, clock, "test:first") as changing:
        first(changing)
        thread.start()
        thread.join(OPEN_S)
    thread.join()
    return faults[0] if faults else None


@pytest.fixture
def certificate_id(db: Database, clock: StepClock) -> str:
    with change(db, clock, "test:setup") as changing:
        create_thing(changing, "lamp-1")
        create_thing(changing, "lamp-2")
        row = add_certificate(
            changing, make_certificate(), issuer_id="ab" * 32, profile="device", thing="lamp-1", method="token"
        )
    return row.certificate_id


def test_a_name_is_taken_once(db: Database, clock: StepClock) -> None:
    fault = race(
        db,
        clock,
        lambda changing: create_thing(changing, "lamp-1", attributes={"room": "hall"}),
        lambda changing: create_thing(changing, "lamp-1", attributes={"room": "cellar"}),
    )
    assert fault is not None
    assert fault.kind is Kind.CONFLICT
    with read(db) as connection:
        assert get_thing(connection, "lamp-1").attributes == {"room": "hall"}
        assert len(list_after(connection, 0)) == 1


def test_an_exclusive_certificate_gets_one_thing(db: Database, clock: StepClock, certificate_id: str) -> None:
    fault = race(
        db,
        clock,
        lambda changing: attach_principal(changing, "lamp-1", certificate_id),
        lambda changing: attach_principal(changing, "lamp-2", certificate_id),
    )
    assert fault is not None
    assert fault.kind is Kind.CONFLICT
    with read(db) as connection:
        assert [one.thing for one in list_things_of(connection, certificate_id)] == ["lamp-1"]


def test_nothing_undoes_a_revocation(db: Database, clock: StepClock, certificate_id: str) -> None:
    fault = race(
        db,
        clock,
        lambda changing: revoke(changing, certificate_id, Reason.KEY_COMPROMISE),
        lambda changing: deactivate(changing, certificate_id),
    )
    assert fault is not None
    assert fault.kind is Kind.CONFLICT


@pytest.mark.needs("postgresql")
def test_the_bell_rings_with_the_commit(postgresql_db: Database, clock: StepClock) -> None:
    address = postgresql_db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}".encode())
        with change(postgresql_db, clock, "test:bell") as changing:
            create_thing(changing, "lamp-1")
            create_thing(changing, "lamp-2")
        (notice,) = listener.notifies(timeout=30, stop_after=1)
    assert (notice.channel, notice.payload) == (CHANNEL, "2")
