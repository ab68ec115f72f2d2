"""When a certificate is to be renewed: spread over a fleet, brought forward with its CA, and told to nobody else."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.renewing import renew

from troth.enrollment.presented import Presented
from troth.enrollment.renewal import note_first_use
from troth.enrollment.renewal_info import REPLACED_WITHIN, find_window
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.protocols.renewal_info import Window
from troth.registry.issuers import IssuerState, get_issuer, set_issuer_state
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.profiles import Purpose

DAY = timedelta(days=1)


def window(site: TestAuthority, held: Held | None) -> Window:
    chain = (held.certificate.public_bytes(Encoding.DER),) if held else ()
    with read(site.db) as connection:
        return find_window(connection, Presented(peer_chain=chain))


def test_a_fleet_that_was_enrolled_at_once_does_not_come_back_at_once(authority: TestAuthority) -> None:
    fleet = [authority.device(f"lamp-{number}") for number in range(24)]
    windows = [window(authority, each) for each in fleet]
    ends = fleet[0].certificate.not_valid_after_utc
    starts = sorted(each.start for each in windows)
    # By the built-in profile a third of 90 days is left for it; its first half is for those who are in time.
    assert all(ends - 30 * DAY <= each.start < each.end <= ends - 15 * DAY for each in windows)
    assert starts[-1] - starts[0] > 6 * DAY
    assert window(authority, fleet[0]) == windows[0]


def test_it_is_brought_forward_when_the_ca_is_replaced(authority: TestAuthority, clock: FakeClock) -> None:
    fleet = [authority.device(f"lamp-{number}") for number in range(12)]
    assert all(window(authority, each).start > clock.now() + 50 * DAY for each in fleet)
    with change(authority.db, clock, "operator:anna") as changing:
        issuer = get_issuer(changing.connection, Purpose.DEVICES)
        set_issuer_state(changing, issuer.issuer_id, IssuerState.SUPERSEDED)
    windows = [window(authority, each) for each in fleet]
    assert all(clock.now() <= each.start < each.end <= clock.now() + REPLACED_WITHIN for each in windows)
    assert len({each.start for each in windows}) == len(windows)


def test_it_never_comes_later_for_that(authority: TestAuthority, clock: FakeClock) -> None:
    held = authority.device("lamp-1")
    before = window(authority, held)
    clock.advance(80 * DAY)
    with change(authority.db, clock, "operator:anna") as changing:
        issuer = get_issuer(changing.connection, Purpose.DEVICES)
        set_issuer_state(changing, issuer.issuer_id, IssuerState.SUPERSEDED)
    assert window(authority, held).start == before.start


def test_it_is_told_to_who_holds_a_certificate_in_force(authority: TestAuthority, clock: FakeClock) -> None:
    revoked, old = authority.device("lamp-1"), authority.device("lamp-2")
    renewed = renew(authority, old)
    assert window(authority, renewed).start > clock.now()
    # To look at it is no use of it: the old one is still told of.
    assert window(authority, old).start > clock.now()
    note_first_use(authority.db, clock, renewed.certificate_id)
    authority.revoke(revoked)
    for held, kind in ((revoked, Kind.UNAUTHENTICATED), (old, Kind.UNAUTHENTICATED), (None, Kind.FORBIDDEN)):
        with pytest.raises(Fault) as caught:
            window(authority, held)
        assert caught.value.kind is kind
