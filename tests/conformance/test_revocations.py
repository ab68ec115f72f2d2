"""What stands on CRLs follows the states of certificates, whichever way they went."""

from datetime import datetime, timedelta

import pytest
from tests.fixtures.certificates import make_certificate
from tests.fixtures.databases import NOON, StepClock

from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.journal.entries import list_after
from troth.keys.randomness import random_bytes
from troth.registry.certificates import CertificateRow, CertificateState, add_certificate
from troth.registry.revocations import find_revocation, list_crl_entries, list_touched_shards
from troth.registry.states import activate, deactivate, hold, is_held, release, revoke
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.crl import Reason, build_entry
from troth.x509.serials import make_serial

ISSUER = "aa" * 32


def add(changing: Change, shard: int = 3, days: int = 90, issuer_id: str = ISSUER) -> CertificateRow:
    certificate = make_certificate(serial=make_serial(shard, random_bytes(13)), not_after=NOON + timedelta(days=days))
    return add_certificate(changing, certificate, issuer_id=issuer_id, profile="device", thing=None, method="test")


def entry_of(row: CertificateRow, at: datetime, reason: Reason) -> bytes:
    return build_entry(int(row.serial, 16), at, reason)


def listed(db: Database, shard: int | None = None, expired_before: datetime | None = None) -> list[bytes]:
    with read(db) as connection:
        return list(list_crl_entries(connection, ISSUER, shard, expired_before))


def test_a_revocation_is_on_the_crl_of_its_issuer_and_shard(db: Database, clock: StepClock) -> None:
    with change(db, clock, "test") as changing:
        row, other = add(changing), add(changing, shard=9)
        add(changing)
        elsewhere = add(changing, issuer_id="bb" * 32)
    with change(db, clock, "test") as changing:
        revoke(changing, row.certificate_id, Reason.KEY_COMPROMISE)
        revoke(changing, other.certificate_id, Reason.UNSPECIFIED)
        revoke(changing, elsewhere.certificate_id, Reason.UNSPECIFIED)
    entries = [
        entry_of(row, changing.at, Reason.KEY_COMPROMISE),
        entry_of(other, changing.at, Reason.UNSPECIFIED),
    ]
    assert listed(db) == entries
    assert [listed(db, shard) for shard in (3, 9, 4)] == [entries[:1], entries[1:], []]
    with read(db) as connection:
        assert list_touched_shards(connection, ISSUER, changing.at) == {3, 9}
        assert list_touched_shards(connection, ISSUER, changing.at + timedelta(seconds=1)) == set()


def test_a_hold_is_told_and_its_end_untold(db: Database, clock: StepClock) -> None:
    with change(db, clock, "test") as changing:
        row = add(changing)
    with change(db, clock, "test") as changing:
        held = hold(changing, row.certificate_id)
        assert hold(changing, row.certificate_id) == held
    assert (held.state, held.reason, held.revoked_at) == (CertificateState.INACTIVE, "certificateHold", changing.at)
    assert is_held(held)
    assert listed(db) == [entry_of(row, changing.at, Reason.CERTIFICATE_HOLD)]
    with pytest.raises(Fault) as caught, change(db, clock, "test") as changing:
        activate(changing, row.certificate_id)
    assert caught.value.kind is Kind.CONFLICT
    with change(db, clock, "test") as changing:
        assert deactivate(changing, row.certificate_id) == held
        released = release(changing, row.certificate_id)
    assert (released.state, released.reason, released.revoked_at) == (CertificateState.ACTIVE, None, None)
    assert listed(db) == []
    with read(db) as connection:
        kinds = [entry.kind for entry in list_after(connection, 1)]
    assert kinds == ["certificate.held", "certificate.released"]


def test_a_hold_that_becomes_a_revocation_keeps_its_date(db: Database, clock: StepClock) -> None:
    with change(db, clock, "test") as changing:
        row = add(changing)
    with change(db, clock, "test") as changing:
        hold(changing, row.certificate_id)
    since = changing.at
    with change(db, clock, "test") as changing:
        revoked = revoke(changing, row.certificate_id, Reason.KEY_COMPROMISE)
    assert (revoked.revoked_at, revoked.changed_at) == (since, changing.at)
    assert listed(db) == [entry_of(row, since, Reason.KEY_COMPROMISE)]
    with read(db) as connection:
        found = find_revocation(connection, ISSUER, int(row.serial, 16))
    assert found is not None
    assert (found.revoked_at, found.changed_at, found.reason) == (since, changing.at, Reason.KEY_COMPROMISE)
    for step in (release, hold, activate, deactivate):
        with pytest.raises(Fault) as caught, change(db, clock, "test") as changing:
            step(changing, row.certificate_id)
        assert caught.value.kind is Kind.CONFLICT


def test_what_is_deactivated_is_on_no_crl_and_can_be_held(db: Database, clock: StepClock) -> None:
    with change(db, clock, "test") as changing:
        row = add(changing)
        deactivate(changing, row.certificate_id)
    assert listed(db) == []
    with pytest.raises(Fault) as caught, change(db, clock, "test") as changing:
        release(changing, row.certificate_id)
    assert caught.value.kind is Kind.CONFLICT
    with change(db, clock, "test") as changing:
        assert is_held(hold(changing, row.certificate_id))
    assert len(listed(db)) == 1


@pytest.mark.parametrize("reason", [Reason.CERTIFICATE_HOLD, Reason.REMOVE_FROM_CRL])
def test_a_reason_that_passes_revokes_nothing(sqlite_db: Database, clock: StepClock, reason: Reason) -> None:
    with change(sqlite_db, clock, "test") as changing:
        row = add(changing)
    with pytest.raises(Fault) as caught, change(sqlite_db, clock, "test") as changing:
        revoke(changing, row.certificate_id, reason)
    assert caught.value.kind is Kind.REJECTED


def test_what_has_expired_can_be_left_out(db: Database, clock: StepClock) -> None:
    with change(db, clock, "test") as changing:
        short, long = add(changing, days=1), add(changing, days=2)
        for row in (short, long):
            revoke(changing, row.certificate_id, Reason.SUPERSEDED)
    ends = short.not_after
    assert len(listed(db, expired_before=ends)) == 2
    assert listed(db, expired_before=ends + timedelta(seconds=1)) == [entry_of(long, changing.at, Reason.SUPERSEDED)]
