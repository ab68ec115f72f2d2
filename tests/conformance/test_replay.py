"""The windows of sequence numbers that workers share: nothing that either has seen is lost, on either database."""

from datetime import timedelta
from pathlib import Path

from troth.authority.retention import prune
from troth.evidence.outcome import Outcome
from troth.evidence.window import Window
from troth.journal.change import change
from troth.journal.entries import head
from troth.limits import READING_SIGNERS_MAX
from troth.registry.replay import find_windows, merge_windows
from troth.registry.signers import list_signers
from troth.registry.states import supersede
from troth.store.connect import Database
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import NOON, FakeClock

ONE, OTHER = "1" * 64, "2" * 64


def window(*numbers: int) -> Window:
    made = Window()
    for number in numbers:
        made.take(number, b"%08d" % number)
    return made


def find(db: Database, *certificate_ids: str) -> dict[str, Window]:
    with read(db) as connection:
        return find_windows(connection, certificate_ids)


def test_what_two_workers_have_seen_is_stored_together_and_told_to_both(db: Database) -> None:
    with read(db) as connection:
        before = head(connection)
    first = merge_windows(db, {ONE: window(1, 2, 5).render()}, NOON)
    assert first[ONE].highest == 5
    second = merge_windows(db, {ONE: window(3, 4).render(), OTHER: window(7).render()}, NOON)
    assert (second[ONE].highest, second[OTHER].highest) == (5, 7)
    stored = find(db, ONE, OTHER, "3" * 64)
    assert stored.keys() == {ONE, OTHER}
    for number in (1, 2, 3, 4, 5):
        assert stored[ONE].take(number, b"") is Outcome.REPLAYED
    assert stored[ONE].take(5, b"00000005", again=True) is Outcome.REPEATED
    assert stored[ONE].take(6, b"") is Outcome.VERIFIED
    # It is derived, and so no change of state.
    with read(db) as connection:
        assert head(connection) == before


def test_the_signers_of_a_thing_are_its_certificates_and_a_window_goes_with_its_certificate(
    db: Database, tmp_path: Path
) -> None:
    clock = FakeClock()
    authority = TestAuthority(tmp_path, db=db, clock=clock)
    old = authority.device("meter-7")
    clock.advance(timedelta(days=1))
    new, other = authority.device("meter-7"), authority.device("meter-8")
    with change(db, clock, "operator:test") as changing:
        supersede(changing, old.certificate_id, by=new.certificate_id)
    with read(db) as connection:
        of_thing = list_signers(connection, "meter-7", new.certificate_id)
        alone = list_signers(connection, None, other.certificate_id)
        assert list_signers(connection, None, "0" * 64) == []
    assert [row.certificate_id for row in of_thing] == [new.certificate_id, old.certificate_id]
    assert [row.certificate_id for row in alone] == [other.certificate_id]
    clock.advance(timedelta(seconds=1))
    for _ in range(READING_SIGNERS_MAX):
        authority.device("meter-7")
    with read(db) as connection:
        many = [row.certificate_id for row in list_signers(connection, "meter-7", old.certificate_id)]
    assert (len(many), many[-1]) == (READING_SIGNERS_MAX + 1, old.certificate_id)
    assert new.certificate_id not in many
    merge_windows(db, {old.certificate_id: window(1).render(), other.certificate_id: window(1).render()}, NOON)
    with change(db, clock, "system:authority") as changing:
        prune(changing, old.certificate.not_valid_after_utc + timedelta(seconds=1))
    assert find(db, old.certificate_id, other.certificate_id).keys() == {other.certificate_id}
