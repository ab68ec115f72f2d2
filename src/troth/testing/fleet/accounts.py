"""What the books of a home must say at the end of it all: the journal, and everything that was ever issued."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from sqlalchemy import text

from troth.evidence.checkpoint import VerifierKey
from troth.journal.reading import audit
from troth.registry.issuers import list_issuers
from troth.store.connect import Database
from troth.store.read import read
from troth.testing.fleet.watcher import Broken, Promise
from troth.x509.verify import verify_issued_by

STALE: Final = timedelta(days=30)


def examine(db: Database, key: VerifierKey, at: datetime) -> int:
    """Return how many entries the journal has. Raises `Broken`."""
    report = audit(db, key, (), lambda _count, _total: None)
    if report.findings:
        raise Broken(Promise.JOURNAL, at, "; ".join(each.text for each in report.findings[:3]))
    _no_orphans(db, at)
    _certificates(db, at)
    return report.entries


def _no_orphans(db: Database, at: datetime) -> None:
    queries = {
        "intents wait that nobody comes to": "SELECT id FROM intents WHERE state NOT IN ('ISSUED', 'REFUSED')"
        " AND created_at < :before",
        "intents are issued without a certificate": "SELECT id FROM intents WHERE state = 'ISSUED' AND"
        " method <> 'ceremony' AND certificate_id NOT IN (SELECT certificate_id FROM certificates)",
        "certificates came of no intent": "SELECT certificate_id FROM certificates WHERE certificate_id NOT IN"
        " (SELECT certificate_id FROM intents WHERE certificate_id IS NOT NULL)",
        "certificates are attached that are gone": "SELECT certificate_id FROM thing_principals WHERE certificate_id"
        " NOT IN (SELECT certificate_id FROM certificates)",
        "certificates of things are attached to none": "SELECT certificate_id FROM certificates WHERE thing IS NOT"
        " NULL AND certificate_id NOT IN (SELECT certificate_id FROM thing_principals)",
        "renewals go on that should have been ended": "SELECT intent_id FROM renewals WHERE due_at IS NOT NULL"
        " AND due_at < :before",
    }
    for what, query in queries.items():
        found = _rows(db, query, at - STALE)
        if found:
            raise Broken(Promise.INVENTORY, at, f"{len(found)} {what}: {found[0][0]}")
    serials = Counter(_rows(db, "SELECT issuer_id, serial FROM intents"))
    if serials and max(serials.values()) > 1:
        raise Broken(Promise.INVENTORY, at, "a serial number was given twice")


def _certificates(db: Database, at: datetime) -> None:
    """Each is its issuer's work, and says what is on record about it."""
    with read(db) as connection:
        issuers = {issuer.issuer_id: issuer.certificate for issuer in list_issuers(connection)}
    for identity, issuer_id, thing, der in _rows(db, "SELECT certificate_id, issuer_id, thing, der FROM certificates"):
        leaf = x509.load_der_x509_certificate(der)
        verify_issued_by(leaf, issuers[issuer_id], at=leaf.not_valid_before_utc, use=None)
        names = [str(each.value) for each in leaf.subject]
        if thing is not None and names != [thing]:
            raise Broken(Promise.INVENTORY, at, f"certificate {identity} of {thing} is for {names}")


def _rows(db: Database, statement: str, before: datetime | None = None) -> list[tuple[Any, ...]]:
    bound = {"before": int(before.timestamp() * 1_000_000)} if before is not None else {}
    with read(db) as connection:
        return [tuple(row) for row in connection.execute(text(statement), bound)]
