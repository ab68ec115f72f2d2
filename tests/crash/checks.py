"""What must hold in a site's database after any crash, once the work has been asked for again."""

import hashlib
import json
from collections import Counter
from datetime import timedelta
from typing import Any

from cryptography import x509
from sqlalchemy import text
from tests.crash.journeys import OPERATOR, REVOKED, Place

from troth.authority.hierarchy import FOUNDED, open_keys
from troth.clock import SystemClock
from troth.enrollment.ownerships import end_ownerships
from troth.evidence.audit import Flaw
from troth.evidence.checkpoint import VerifierKey
from troth.journal.change import change
from troth.journal.entries import list_after
from troth.journal.reading import audit
from troth.journal.record import Entry
from troth.registry.issuers import list_issuers
from troth.store.connect import Database
from troth.store.read import read
from troth.testing.clock import FakeClock
from troth.x509.profiles import Purpose
from troth.x509.verify import verify_issued_by

ANY_KEY = VerifierKey("home.example", bytes(32))


def check(place: Place, journey: str) -> None:
    """Fail unless nothing is lost and nothing is there twice."""
    with place.database() as db:
        OF_ITS_OWN[journey](place, db, check_all(db))


def check_all(db: Database) -> list[Entry]:
    """Check what holds whatever has been done, and return the journal."""
    entries = _journal(db)
    _intents(db, entries)
    _certificates(db, entries)
    return entries


def rows(db: Database, statement: str) -> list[tuple[Any, ...]]:
    with read(db) as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def _journal(db: Database) -> list[Entry]:
    """The journal is gap-free, whole and unbroken: each entry commits to all before it."""
    report = audit(db, ANY_KEY, (), lambda count, total: None)
    # Nobody has signed a checkpoint here.
    assert {each.flaw for each in report.findings} == {Flaw.UNSIGNED}
    entries: list[Entry] = []
    with read(db) as connection:
        while page := list_after(connection, len(entries)):
            entries += page
    assert [entry.number for entry in entries] == list(range(1, report.entries + 1))
    return entries


def _intents(db: Database, entries: list[Entry]) -> None:
    """Every intent is recorded once, and concluded or refused once."""
    intents: dict[str, str] = dict(rows(db, "SELECT id, state FROM intents"))
    assert set(intents.values()) <= {"ISSUED", "REFUSED"}
    recorded = Counter(entry.subject for entry in entries if entry.kind == "certificate.intended")
    assert recorded == Counter(intents.keys())
    ended = Counter(
        entry.data["intent"] for entry in entries if entry.kind in {"certificate.issued", "certificate.refused"}
    )
    leaves = {identity for (identity,) in rows(db, "SELECT id FROM intents WHERE method <> 'ceremony'")}
    assert ended == Counter(leaves)


def _certificates(db: Database, entries: list[Entry]) -> None:
    """Every certificate is that of one intent, is registered as the journal says, and is its issuer's work."""
    serials = rows(db, "SELECT issuer_id, serial FROM intents")
    assert len(set(serials)) == len(serials)
    issued = rows(db, "SELECT certificate_id FROM intents WHERE state = 'ISSUED' AND method <> 'ceremony'")
    found = rows(db, "SELECT certificate_id, issuer_id, serial, der FROM certificates WHERE method <> 'jitp'")
    assert {row[0] for row in found} == {row[0] for row in issued}
    assert {row[1:3] for row in found} <= set(serials)
    assert Counter(row[0] for row in found) == Counter(
        entry.subject for entry in entries if entry.kind == "certificate.issued"
    )
    with read(db) as connection:
        issuers = {issuer.issuer_id: issuer.certificate for issuer in list_issuers(connection)}
    for _, issuer_id, _, der in found:
        assert isinstance(der, bytes)
        certificate = x509.load_der_x509_certificate(der)
        issuer = issuers[str(issuer_id)]
        verify_issued_by(certificate, issuer, at=certificate.not_valid_before_utc, use=None)


def _enrolled(place: Place, db: Database, entries: list[Entry]) -> None:
    """The device has one certificate; the token is spent once, on what it got; every answer was the same."""
    ((certificate_id,),) = rows(db, "SELECT certificate_id FROM certificates WHERE thing = 'lamp-1'")
    assert rows(db, "SELECT certificate_id FROM thing_principals WHERE thing = 'lamp-1'") == [(certificate_id,)]
    spent = "SELECT i.certificate_id FROM tokens t JOIN intents i ON i.id = t.intent_id WHERE t.spent_at IS NOT NULL"
    assert rows(db, spent) == [(certificate_id,)]
    assert [entry.kind for entry in entries].count("token.spent") == 1
    assert _answers(place) == {"lamp-1": {certificate_id}}


def _enrolled_together(place: Place, db: Database, entries: list[Entry]) -> None:
    """Each device has one certificate, and its own; each token is spent once, on what it got."""
    lamps = "thing IN ('lamp-1', 'lamp-2', 'lamp-3')"
    found = rows(db, f"SELECT thing, certificate_id FROM certificates WHERE {lamps}")
    assert sorted(thing for thing, _ in found) == ["lamp-1", "lamp-2", "lamp-3"]
    assert Counter(rows(db, f"SELECT thing, certificate_id FROM thing_principals WHERE {lamps}")) == Counter(found)
    spent = "SELECT i.thing, i.certificate_id FROM tokens t JOIN intents i ON i.id = t.intent_id AND i.thing = t.thing"
    assert Counter(rows(db, spent)) == Counter(found)
    told = [entry for entry in entries if entry.kind == "token.spent"]
    assert Counter(entry.data["thing"] for entry in told) == Counter(thing for thing, _ in found)
    assert len({entry.at for entry in told}) == 1, "they did not share a change"
    assert _answers(place) == {thing: {certificate_id} for thing, certificate_id in found}


def _claimed(place: Place, db: Database, entries: list[Entry]) -> None:
    """The device is one thing with one certificate, and what was made in vain ends with its hour."""
    thing = "lamp-claimed"
    ((certificate_id, state),) = rows(db, f"SELECT certificate_id, state FROM certificates WHERE thing = '{thing}'")
    assert state == "ACTIVE"
    assert rows(db, f"SELECT certificate_id FROM thing_principals WHERE thing = '{thing}'") == [(certificate_id,)]
    assert [entry.kind for entry in entries].count("ownership.spent") == 1
    assert _answers(place) == {thing: {certificate_id}}
    with change(db, FakeClock(SystemClock().now() + timedelta(hours=1)), OPERATOR) as changing:
        assert not end_ownerships(changing)
    assert rows(db, "SELECT digest FROM ownerships") == []
    assert rows(db, "SELECT certificate_id FROM certificates WHERE state = 'PENDING_ACTIVATION'") == []


def _let_in(place: Place, db: Database, entries: list[Entry]) -> None:
    """What was asked was filed, decided and fetched once, and one certificate came of it."""
    ((certificate_id,),) = rows(db, "SELECT certificate_id FROM certificates WHERE thing = 'lamp-1'")
    assert rows(db, "SELECT certificate_id FROM thing_principals WHERE thing = 'lamp-1'") == [(certificate_id,)]
    fetched = "SELECT i.certificate_id FROM requests r JOIN intents i ON i.id = r.intent_id WHERE r.state = 'FETCHED'"
    assert rows(db, fetched) == [(certificate_id,)]
    assert rows(db, "SELECT count(*) FROM requests") == [(1,)]
    told = Counter(entry.kind for entry in entries)
    assert [told[f"request.{each}"] for each in ("filed", "approved", "fetched")] == [1, 1, 1]
    assert _answers(place) == {"lamp-1": {certificate_id}}


def _met(place: Place, db: Database, entries: list[Entry]) -> None:
    """The device is one thing with its one certificate, its policy and its key, or has met nobody yet."""
    found = rows(db, "SELECT certificate_id, thing, state FROM certificates WHERE method = 'jitp'")
    ((certificate_id, thing, state),) = found
    assert (thing, state) == ("meter-7", "ACTIVE")
    assert rows(db, f"SELECT certificate_id FROM thing_principals WHERE thing = '{thing}'") == [(certificate_id,)]
    assert len(rows(db, f"SELECT policy FROM policy_attachments WHERE target = '{thing}'")) == 1
    assert len(rows(db, f"SELECT key_digest FROM keys_seen WHERE thing = '{thing}'")) == 1
    assert len(rows(db, f"SELECT credential FROM bindings WHERE thing = '{thing}'")) == 1
    assert [entry.kind for entry in entries].count("certificate.registered") == 1
    assert _answers(place) == {thing: {certificate_id}}


def _issued_in_bulk(place: Place, db: Database, entries: list[Entry]) -> None:
    """Each thing has one certificate, although one of them was asked for twice and the run twice."""
    found = rows(db, f"SELECT thing, certificate_id FROM certificates WHERE thing <> '{REVOKED}'")
    assert len(found) == len(place.requests())
    assert _answers(place) == {thing: {certificate_id} for thing, certificate_id in found}


def _answers(place: Place) -> dict[object, set[object]]:
    answers: dict[object, set[object]] = {}
    for line in place.answers.read_text().splitlines():
        thing, certificate_id = json.loads(line)
        answers.setdefault(thing, set()).add(certificate_id)
    return answers


def _born(place: Place, db: Database, entries: list[Entry]) -> None:
    """Each CA is there once, with its key."""
    with read(db) as connection:
        purposes = Counter(issuer.purpose for issuer in list_issuers(connection))
        # Raises for a key that is not that of its certificate.
        keys = open_keys(connection, place.cabinet(), (*FOUNDED, Purpose.ROOT))
    assert purposes == Counter((*FOUNDED, Purpose.ROOT))
    assert len(keys) == len(purposes)
    assert [entry.kind for entry in entries].count("issuer.created") == len(purposes)


def _revoked(place: Place, db: Database, entries: list[Entry]) -> None:
    """The certificate is revoked once."""
    ((certificate_id, state),) = rows(db, f"SELECT certificate_id, state FROM certificates WHERE thing = '{REVOKED}'")
    assert state == "REVOKED"
    told = [entry for entry in entries if entry.kind == "certificate.revoked"]
    assert [(entry.subject, entry.actor) for entry in told] == [(certificate_id, OPERATOR)]
    assert len(rows(db, "SELECT serial FROM revocations")) == 1


def _published(place: Place, db: Database, entries: list[Entry]) -> None:
    """What is in force is what the journal says last; no number was ever given to two CRLs."""
    told: dict[tuple[object, ...], str] = {}
    for entry in entries:
        if entry.kind == "crl.published":
            for crl in entry.data["crls"]:
                key = (crl["shard"], crl["kind"], crl["number"])
                assert told.setdefault(key, crl["sha256"]) == crl["sha256"]
    intended = [
        (crl["shard"], crl["kind"], crl["number"])
        for entry in entries
        if entry.kind == "crl.intended"
        for crl in entry.data["crls"]
    ]
    assert len(set(intended)) == len(intended)
    in_force = rows(db, "SELECT shard, kind, number, sha256, der FROM crls WHERE kind = 'complete'")
    assert len(in_force) == 3
    for shard, kind, number, digest, der in in_force:
        assert isinstance(der, bytes)
        assert hashlib.sha256(der).hexdigest() == digest
        assert told[None if shard == -1 else shard, kind, number] == digest


OF_ITS_OWN = {
    "enroll": _enrolled,
    "crowd": _enrolled_together,
    "claim": _claimed,
    "ask": _let_in,
    "meet": _met,
    "bulk": _issued_in_bulk,
    "birth": _born,
    "revoke": _revoked,
    "crl": _published,
}
