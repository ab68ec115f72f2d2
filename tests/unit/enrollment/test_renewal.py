"""Renewals that nobody comes to use: they end in time, and never with the last certificate that lets a thing in."""

from datetime import timedelta

from tests.fixtures.issuance import certificates, entries
from tests.fixtures.renewing import begin_renewal, renew

from troth.authority.intents import get_intent
from troth.enrollment.renewal import UNUSED_FOR, note_first_use, sweep_unused
from troth.enrollment.retention import prune_renewals
from troth.journal.change import change
from troth.keys.file import generate
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm

SECOND = timedelta(seconds=1)
VALID = timedelta(days=90)


def sweep(site: TestAuthority) -> None:
    with change(site.db, site.clock, "system:authority") as changing:
        assert not sweep_unused(changing)


def states(site: TestAuthority) -> dict[str, str]:
    return {row.certificate_id: row.state.value for row in certificates(site.db, "lamp-1")}


def outcomes(site: TestAuthority) -> list[str]:
    return [str(entry.data["outcome"]) for entry in entries(site.db, "renewal.ended")]


def test_one_that_nobody_uses_ends_in_time(authority: TestAuthority, clock: FakeClock) -> None:
    held = authority.device("lamp-1")
    renewed = renew(authority, held)
    clock.advance(UNUSED_FOR - SECOND)
    sweep(authority)
    assert states(authority) == {held.certificate_id: "ACTIVE", renewed.certificate_id: "ACTIVE"}
    clock.advance(SECOND)
    sweep(authority)
    assert states(authority) == {held.certificate_id: "ACTIVE", renewed.certificate_id: "INACTIVE"}
    assert outcomes(authority) == ["UNUSED"]
    sweep(authority)
    assert outcomes(authority) == ["UNUSED"]


def test_one_that_was_used_stays(authority: TestAuthority, clock: FakeClock) -> None:
    held = authority.device("lamp-1")
    renewed = renew(authority, held)
    assert note_first_use(authority.db, clock, renewed.certificate_id)
    clock.advance(UNUSED_FOR)
    sweep(authority)
    assert states(authority) == {held.certificate_id: "INACTIVE", renewed.certificate_id: "ACTIVE"}
    assert outcomes(authority) == ["USED"]


def test_the_only_one_that_lets_a_thing_in_stays_until_it_is_over(authority: TestAuthority, clock: FakeClock) -> None:
    held = authority.device("lamp-1")
    clock.advance(VALID - timedelta(days=1))
    renewed = renew(authority, held)
    clock.advance(UNUSED_FOR)
    # What it shows to its neighbours lets it in nowhere.
    authority.peer("lamp-1")
    sweep(authority)
    assert states(authority)[renewed.certificate_id] == "ACTIVE"
    assert outcomes(authority) == []
    # Used at last, it settles the renewal; unused, its own end does.
    clock.advance(VALID + SECOND)
    sweep(authority)
    assert outcomes(authority) == ["VOID"]


def test_what_is_not_signed_in_time_is_refused_when_another_takes_its_place(authority: TestAuthority) -> None:
    held = authority.device("lamp-1")
    waiting = begin_renewal(authority, held, generate(KeyAlgorithm.P256))
    renewed = renew(authority, held)
    with read(authority.db) as connection:
        assert get_intent(connection, waiting).state == "REFUSED"
    assert states(authority) == {held.certificate_id: "ACTIVE", renewed.certificate_id: "ACTIVE"}


def test_a_first_use_is_settled_once_whoever_notices_it(authority: TestAuthority, clock: FakeClock) -> None:
    renewed = renew(authority, authority.device("lamp-1"))
    assert [note_first_use(authority.db, clock, renewed.certificate_id) for _ in range(3)] == [True, False, False]
    assert len(entries(authority.db, "certificate.superseded")) == 1


def test_what_has_ended_is_let_go_after_its_time(authority: TestAuthority, clock: FakeClock) -> None:
    first = renew(authority, authority.device("lamp-1"))
    note_first_use(authority.db, clock, first.certificate_id)
    renew(authority, first)
    clock.advance(timedelta(days=400))
    with change(authority.db, clock, "system:authority") as changing:
        assert not prune_renewals(changing, clock.now() - timedelta(days=365))
    (pruned,) = entries(authority.db, "renewals.pruned")
    # The second goes on: nobody has used it and nobody has looked after it.
    assert len(pruned.data["intents"]) == 1
