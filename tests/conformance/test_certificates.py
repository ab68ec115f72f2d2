"""Certificates and issuers, in the registry."""

from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.fixtures.certificates import make_certificate
from tests.fixtures.databases import NOON, StepClock

from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.journal.entries import list_after
from troth.registry.certificates import (
    CertificateRow,
    CertificateState,
    add_certificate,
    find_by_serial,
    find_certificate,
    get_certificate,
)
from troth.registry.inventory import Search, all_certificates, list_certificates
from troth.registry.issuers import add_issuer, chain_of, find_issuer, get_issuer, list_issuers
from troth.registry.states import activate, deactivate, hold, release, revoke
from troth.registry.tables import certificates
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.certificates import certificate_id, parse_certificate
from troth.x509.crl import Reason
from troth.x509.profiles import Purpose

ISSUER = "ab" * 32


def add(changing: Change, serial: int | None = None, thing: str | None = "lamp-1", days: int = 90) -> CertificateRow:
    certificate = make_certificate(serial=serial, not_after=NOON + timedelta(days=days))
    return add_certificate(
        changing, certificate, issuer_id=ISSUER, profile="device", thing=thing, method="token", intent="i1"
    )


def test_a_certificate_is_found_by_id_and_by_serial(db: Database, clock: StepClock) -> None:
    with change(db, clock, "system:authority") as changing:
        row = add(changing, serial=0xABCDEF)
    with read(db) as connection:
        assert find_certificate(connection, row.certificate_id) == row
        assert find_by_serial(connection, ISSUER, "abcdef") == row
        assert find_by_serial(connection, "cd" * 32, "abcdef") is None
        assert find_certificate(connection, "0" * 64) is None
        (entry,) = list_after(connection, 0)
    assert certificate_id(parse_certificate(row.der)) == row.certificate_id
    assert (row.subject, row.state, row.not_after) == ("CN=lamp-1", CertificateState.ACTIVE, NOON + timedelta(days=90))
    assert (entry.kind, entry.subject) == ("certificate.issued", row.certificate_id)
    assert (entry.data["thing"], entry.data["intent"], entry.data["serial"]) == ("lamp-1", "i1", "abcdef")


def test_a_certificate_or_a_serial_number_is_registered_once(db: Database, clock: StepClock) -> None:
    with change(db, clock, "system:authority") as changing:
        add(changing, serial=7)
    with pytest.raises(Fault) as caught, change(db, clock, "system:authority") as changing:
        add(changing, serial=7)
    assert caught.value.kind is Kind.CONFLICT


def test_a_prefix_finds_the_one_certificate(db: Database, clock: StepClock) -> None:
    with change(db, clock, "system:authority") as changing:
        ids = sorted(add(changing).certificate_id for _ in range(40))
    with read(db) as connection:
        for identity in ids:
            assert get_certificate(connection, identity).certificate_id == identity
            assert get_certificate(connection, identity[:16].upper()).certificate_id == identity
        for prefix, kind in [("f" * 63, Kind.NOT_FOUND), ("abc", Kind.MALFORMED), ("xyzw", Kind.MALFORMED)]:
            with pytest.raises(Fault) as caught:
                get_certificate(connection, prefix)
            assert caught.value.kind is kind


def test_a_prefix_of_several_is_a_conflict(sqlite_db: Database, clock: StepClock) -> None:
    with change(sqlite_db, clock, "system:authority") as changing:
        first, second = add(changing), add(changing)
        # Two ids that begin alike take long to find, so one is made.
        twin = first.certificate_id[:32] + "0" * 32
        changing.execute(
            update(certificates)
            .where(certificates.c.certificate_id == second.certificate_id)
            .values(certificate_id=twin)
        )
    with read(sqlite_db) as connection, pytest.raises(Fault) as caught:
        get_certificate(connection, twin[:32])
    assert caught.value.kind is Kind.CONFLICT


def test_revoked_is_for_ever(db: Database, clock: StepClock) -> None:
    with change(db, clock, "system:authority") as changing:
        identity = add(changing).certificate_id
    with change(db, clock, "operator:cli", why="stolen") as changing:
        revoked = revoke(changing, identity, Reason.KEY_COMPROMISE)
    assert (revoked.state, revoked.reason) == (CertificateState.REVOKED, "keyCompromise")
    assert revoked.revoked_at == revoked.changed_at == changing.at
    with change(db, clock, "operator:cli") as changing:
        assert revoke(changing, identity, Reason.SUPERSEDED) == revoked
    with pytest.raises(Fault) as caught, change(db, clock, "operator:cli") as changing:
        activate(changing, identity)
    assert caught.value.kind is Kind.CONFLICT
    with read(db) as connection:
        entry, blocked = list_after(connection, 1)
    assert (entry.kind, entry.subject, entry.why) == ("certificate.revoked", identity, "stolen")
    assert (blocked.kind, blocked.why) == ("key.blocked", "stolen")
    assert (entry.data["thing"], entry.data["reason"]) == ("lamp-1", "keyCompromise")


def test_a_certificate_is_deactivated_and_activated(db: Database, clock: StepClock) -> None:
    with change(db, clock, "system:authority") as changing:
        identity = add(changing).certificate_id
    for step, state, kind in [
        (deactivate, CertificateState.INACTIVE, "deactivated"),
        (activate, CertificateState.ACTIVE, "activated"),
    ]:
        with change(db, clock, "operator:cli") as changing:
            assert step(changing, identity).state is state
            assert step(changing, identity).state is state
        with read(db) as connection:
            assert list_after(connection, changing.last - 1)[0].kind == f"certificate.{kind}"
    for step in (activate, deactivate, hold, release):
        with pytest.raises(Fault) as caught, change(db, clock, "operator:cli") as changing:
            step(changing, "0" * 64)
        assert caught.value.kind is Kind.NOT_FOUND


def test_certificates_are_listed_by_thing_state_and_expiry(db: Database, clock: StepClock) -> None:
    with change(db, clock, "system:authority") as changing:
        # Two by two they expire together, so that a page may end between them.
        rows = [add(changing, thing=f"thing-{number % 3}", days=1 + number // 2) for number in range(9)]
        revoke(changing, rows[4].certificate_id, Reason.SUPERSEDED)
    ids = sorted(row.certificate_id for row in rows)
    by_expiry = [row.certificate_id for row in sorted(rows, key=lambda row: (row.not_after, row.certificate_id))]
    with read(db) as connection:

        def listed(after: str | None = None, limit: int = 100, **search: object) -> list[str]:
            wanted = Search(**search)  # type: ignore[arg-type]
            return [row.certificate_id for row in list_certificates(connection, wanted, after=after, limit=limit)]

        assert listed() == ids
        assert listed(after=ids[3], limit=2) == ids[4:6]
        assert listed(thing="thing-1") == sorted(row.certificate_id for row in rows[1::3])
        assert listed(state=CertificateState.REVOKED) == [rows[4].certificate_id]
        assert (
            listed(state=CertificateState.ACTIVE, issuer_id=ISSUER, limit=3, after=ids[3])
            == [each for each in ids[4:] if each != rows[4].certificate_id][:3]
        )
        assert sorted(listed(issuer_id=ISSUER)) == ids
        assert listed(issuer_id=ISSUER, after=listed(issuer_id=ISSUER)[4]) == listed(issuer_id=ISSUER)[5:]
        assert listed(issuer_id="0" * 64) == listed(profile="server") == []
        assert listed(expires_from=rows[7].not_after) == by_expiry[6:]
        assert [row.certificate_id for row in all_certificates(connection)] == ids
        assert listed(state=CertificateState.ACTIVE, thing="thing-1") == sorted(
            row.certificate_id for row in (rows[1], rows[7])
        )
        soon = NOON + timedelta(days=4)
        pages = [listed(expires_before=soon, limit=4)]
        while pages[-1]:
            pages.append(listed(expires_before=soon, limit=1, after=pages[-1][-1]))
        assert [identity for page in pages for identity in page] == by_expiry[:6]


def test_issuers_make_a_chain_and_the_youngest_signs(db: Database, clock: StepClock) -> None:
    root, old, new = (make_certificate(name) for name in ("root", "devices", "devices 2"))
    with change(db, clock, "system:init") as changing:
        top = add_issuer(changing, root, name="root", purpose=Purpose.ROOT, parent_id=None, key_name="root")
        for certificate, name in ((old, "devices-1"), (new, "devices-2")):
            last = add_issuer(
                changing, certificate, name=name, purpose=Purpose.DEVICES, parent_id=top.issuer_id, key_name=name
            )
    with change(db, clock, "system:init") as changing:
        third = make_certificate("devices 3")
        last = add_issuer(
            changing, third, name="devices-3", purpose=Purpose.DEVICES, parent_id=top.issuer_id, key_name="3"
        )
    with read(db) as connection:
        assert get_issuer(connection, Purpose.DEVICES) == last
        assert get_issuer(connection, Purpose.ROOT) == top == find_issuer(connection, top.issuer_id)
        assert [issuer.name for issuer in list_issuers(connection)] == ["devices-1", "devices-2", "root", "devices-3"]
        assert chain_of(connection, last.issuer_id) == (third, root)
        assert chain_of(connection, top.issuer_id) == (root,)
        assert find_issuer(connection, "0" * 64) is None
        for missing in (lambda: get_issuer(connection, Purpose.SERVERS), lambda: chain_of(connection, "0" * 64)):
            with pytest.raises(Fault) as caught:
                missing()
            assert caught.value.kind is Kind.NOT_FOUND


def test_an_issuer_is_registered_once_and_under_a_known_parent(db: Database, clock: StepClock) -> None:
    root, other = make_certificate("root"), make_certificate("other")
    with change(db, clock, "system:init") as changing:
        add_issuer(changing, root, name="root", purpose=Purpose.ROOT, parent_id=None, key_name="root")
    for certificate, name, parent, kind in [
        (root, "another", None, Kind.CONFLICT),
        (other, "root", None, Kind.CONFLICT),
        (other, "other", "0" * 64, Kind.NOT_FOUND),
    ]:
        with pytest.raises(Fault) as caught, change(db, clock, "system:init") as changing:
            add_issuer(changing, certificate, name=name, purpose=Purpose.ROOT, parent_id=parent, key_name="x")
        assert caught.value.kind is kind
