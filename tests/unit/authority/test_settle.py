from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.fixtures.issuance import certificates, entries, intend, intend_all, reread, tamper

from troth.authority.door import Door
from troth.authority.intents import IntentState
from troth.authority.settle import settle, settle_waiting
from troth.errors import Kind
from troth.limits import INTENT_AGE_S_MAX, INTENTS_PER_CHANGE_MAX
from troth.store.write import write
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock


def test_several_that_wait_are_concluded_in_one_change(authority: TestAuthority, clock: FakeClock) -> None:
    waiting = []
    for number in range(3):
        waiting.append(intend(authority, f"lamp-{number}"))
        clock.advance(timedelta(seconds=1))
    progress = settle_waiting(authority.db, clock, authority.door())
    assert (progress.settled, progress.obstacle) == (3, None)
    issued = entries(authority.db, "certificate.issued")
    assert [entry.data["intent"] for entry in issued] == [intent.intent_id for intent in waiting]
    assert [(entry.data["thing"], entry.data["attached"]) for entry in issued] == [
        ("lamp-0", True),
        ("lamp-1", True),
        ("lamp-2", True),
    ]
    numbers = [entry.number for entry in issued]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert len({entry.at for entry in issued}) == 1
    assert settle_waiting(authority.db, clock, authority.door()).settled == 0


@pytest.mark.slow
def test_one_round_is_bounded(authority: TestAuthority, clock: FakeClock) -> None:
    intend_all(authority, [f"lamp-{number}" for number in range(INTENTS_PER_CHANGE_MAX + 1)])
    door = authority.door()
    assert [settle_waiting(authority.db, clock, door).settled for _ in range(3)] == [INTENTS_PER_CHANGE_MAX, 1, 0]


def test_one_that_is_forged_does_not_hold_up_the_others(authority: TestAuthority, clock: FakeClock) -> None:
    forged, honest = intend(authority, "lamp-1"), intend(authority, "lamp-2")
    tamper(authority.db, forged, thing="lamp-2")
    assert settle_waiting(authority.db, clock, authority.door()).settled == 2
    assert reread(authority.db, forged).state is IntentState.REFUSED
    assert reread(authority.db, honest).state is IntentState.ISSUED


def test_one_that_no_longer_fits_does_not_hold_up_the_others(authority: TestAuthority, clock: FakeClock) -> None:
    first, second, third = (intend(authority, f"lamp-{number}") for number in (1, 2, 3))
    # The first certificate takes the serial number that the second intent has too, in the registry alone.
    settle(authority.db, clock, authority.door(), first.intent_id)
    with write(authority.db) as connection:
        connection.execute(text("UPDATE certificates SET serial = :serial"), {"serial": f"{second.serial:x}"})
    assert settle_waiting(authority.db, clock, authority.door()).settled == 2
    assert reread(authority.db, second).refused().kind is Kind.CONFLICT
    assert reread(authority.db, third).state is IntentState.ISSUED


@pytest.mark.slow
def test_one_that_breaks_the_conclusion_does_not_hold_up_the_others(authority: TestAuthority, clock: FakeClock) -> None:
    first, second, third = (intend(authority, f"lamp-{number}") for number in (1, 2, 3))
    with write(authority.db) as connection:
        # What no fault stands for: SQLite is asked for a value larger than any can be.
        connection.exec_driver_sql(
            "CREATE TRIGGER breaks BEFORE INSERT ON certificates WHEN NEW.thing = 'lamp-2' "
            "BEGIN SELECT zeroblob(3000000000); END"
        )
    assert settle_waiting(authority.db, clock, authority.door()).settled == 3
    assert reread(authority.db, first).state is IntentState.ISSUED
    refused = reread(authority.db, second).refused()
    assert (refused.kind, refused.message) == (Kind.REJECTED, "internal error")
    assert reread(authority.db, third).state is IntentState.ISSUED


def test_a_thing_that_is_gone_gets_no_certificate(authority: TestAuthority, clock: FakeClock) -> None:
    intent = intend(authority)
    with write(authority.db) as connection:
        connection.execute(text("DELETE FROM things"))
    settled = settle(authority.db, clock, authority.door(), intent.intent_id)
    assert settled.refused().kind is Kind.REJECTED


def test_what_waited_too_long_for_any_key_is_refused(authority: TestAuthority, clock: FakeClock) -> None:
    intent = intend(authority)
    keyless = Door({}, authority.public_url)
    assert settle_waiting(authority.db, clock, keyless).settled == 0
    clock.advance(timedelta(seconds=INTENT_AGE_S_MAX + 1))
    assert settle_waiting(authority.db, clock, keyless).settled == 1
    assert reread(authority.db, intent).refused().kind is Kind.EXPIRED


def test_a_crash_between_intent_and_conclusion_is_finished_by_the_next_door(authority: TestAuthority) -> None:
    intent = intend(authority)
    # The first process signs and dies before it commits: what it signed has left nowhere.
    lost = authority.door().sign(authority.db, intent.intent_id, authority.clock.now())
    assert settle_waiting(authority.db, authority.clock, authority.door()).settled == 1
    (row,) = certificates(authority.db, "lamp-1")
    assert row.serial == f"{lost.certificate.serial_number:x}"
    assert len(entries(authority.db, "certificate.issued")) == 1


def test_two_authorities_conclude_one_intent_once(authority: TestAuthority) -> None:
    intents = intend_all(authority, [f"lamp-{number}" for number in range(8)])
    with ThreadPoolExecutor(2) as threads:
        rounds = [threads.submit(settle_waiting, authority.db, authority.clock, authority.door()) for _ in range(2)]
        for each in rounds:
            each.result()
    assert all(reread(authority.db, intent).state is IntentState.ISSUED for intent in intents)
    assert len(entries(authority.db, "certificate.issued")) == 8
    assert [len(certificates(authority.db, f"lamp-{number}")) for number in range(8)] == [1] * 8


def test_an_intent_that_breaks_our_code_is_refused_without_showing_how(authority: TestAuthority) -> None:
    intent = intend(authority)
    with write(authority.db) as connection:
        connection.execute(text("UPDATE issuers SET der = :der WHERE purpose = 'devices'"), {"der": b"nothing"})
    door = Door({intent.issuer_id: authority.cabinet.open("keys/devices-1.key")}, authority.public_url)
    refused = settle(authority.db, authority.clock, door, intent.intent_id).refused()
    assert (refused.kind, refused.message) == (Kind.REJECTED, "internal error")
