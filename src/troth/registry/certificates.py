"""Certificates: which there are, whose they are and whether they are in force. Signs and verifies nothing."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Select, bindparam, select

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry import tables
from troth.store.query import Query
from troth.x509.certificates import serial_text, subject_text

CERTIFICATE_ISSUED: Final = "certificate.issued"

ID_CHARS: Final = 64
ID_PREFIX_CHARS_MIN: Final = 4

_COLUMNS: Final = tables.certificates.c


class CertificateState(StrEnum):
    """Whether a certificate is in force; AWS IoT's words. Only ACTIVE lets its holder in."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    PENDING_ACTIVATION = "PENDING_ACTIVATION"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate as the registry knows it."""

    certificate_id: str
    issuer_id: str
    """The certificate id of its issuer."""
    serial: str
    """Lower-case hex."""
    subject: str
    """As RFC 4514 writes it."""
    thing: str | None
    """The thing it was issued for."""
    profile: str
    method: str
    """How it came here: the way in which its holder proved who it is."""
    state: CertificateState
    der: bytes
    not_before: datetime
    not_after: datetime
    created_at: datetime
    changed_at: datetime
    """When `state` last changed."""
    revoked_at: datetime | None
    """Since when it is revoked or on hold, as its CRL says."""
    reason: str | None
    """Why it is REVOKED, or INACTIVE by a hold or a renewal, in the words of RFC 5280, section 5.3.1."""
    key_protection: str | None
    """What keeps its key, by the word of whoever let it be enrolled: ``tpm``, ``hsm``."""


_columns: Final = attrgetter(*(field.name for field in fields(CertificateRow)))
"""The values of a row: the fields stand in the order of the table's columns."""
_STATE: Final = [field.name for field in fields(CertificateRow)].index("state")


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """A certificate that is to be added."""

    certificate: x509.Certificate
    der: bytes
    certificate_id: str
    subject: str
    """As RFC 4514 writes it."""
    issuer_id: str
    profile: str
    thing: str | None
    method: str
    attached: bool
    """Whether the same change attaches it to its thing, and to no other ever; the entry says so."""
    intent: str | None = None
    """The id under which the authority was asked for it; the entry names it."""
    state: CertificateState = CertificateState.ACTIVE
    key_protection: str | None = None

    def row(self, at: datetime) -> CertificateRow:
        """Return it as the registry knows it, added at `at`."""
        certificate = self.certificate
        return CertificateRow(
            certificate_id=self.certificate_id,
            issuer_id=self.issuer_id,
            serial=serial_text(certificate),
            subject=self.subject,
            thing=self.thing,
            profile=self.profile,
            method=self.method,
            state=self.state,
            der=self.der,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            created_at=at,
            changed_at=at,
            revoked_at=None,
            reason=None,
            key_protection=self.key_protection,
        )


def insert_rows(change: Change, certificates: Sequence[NewCertificate]) -> list[CertificateRow]:
    """Write the rows alone: the caller records what they are. Raises `Fault` (conflict) as `add_certificates` does."""
    rows = [each.row(change.at) for each in certificates]
    change.insert(tables.certificates, [_columns(row) for row in rows])
    return rows


def add_certificates(change: Change, certificates: Sequence[NewCertificate]) -> list[CertificateRow]:
    """Add certificates. Raises `Fault` (conflict) when one, or another with its issuer and serial, is there already."""
    rows = insert_rows(change, certificates)
    for row, new in zip(rows, certificates, strict=True):
        change.record(
            CERTIFICATE_ISSUED,
            row.certificate_id,
            certificate_id=row.certificate_id,
            thing=row.thing,
            issuer_id=row.issuer_id,
            serial=row.serial,
            profile=row.profile,
            method=row.method,
            state=row.state.value,
            not_after=row.not_after.isoformat(),
            attached=new.attached,
            intent=new.intent,
        )
    return rows


def add_certificate(
    change: Change,
    certificate: x509.Certificate,
    *,
    issuer_id: str,
    profile: str,
    thing: str | None,
    method: str,
    state: CertificateState = CertificateState.ACTIVE,
    intent: str | None = None,
) -> CertificateRow:
    """Add a certificate. `intent` is the id under which the authority was asked for it; the entry names it.

    Raises `Fault` (conflict) when the certificate, or another with its issuer and serial, is there already.
    """
    der = certificate.public_bytes(Encoding.DER)
    identity = hashlib.sha256(der).hexdigest()
    connection = change.connection
    if find_certificate(connection, identity) or find_by_serial(connection, issuer_id, serial_text(certificate)):
        raise Fault(Kind.CONFLICT, "the certificate, or its serial number, is registered already", detail=identity)
    subject = subject_text(certificate.subject)
    new = NewCertificate(certificate, der, identity, subject, issuer_id, profile, thing, method, False, intent, state)
    return add_certificates(change, [new])[0]


def find_certificate(connection: Connection, identity: str, *, lock: bool = False) -> CertificateRow | None:
    """Return the certificate with this whole id, or None; with `lock` (in a change) nobody else changes it."""
    return _one(connection, _BY_ID.with_for_update() if lock else _BY_ID, {"certificate_id": identity})


def find_certificates(connection: Connection, identities: Collection[str]) -> dict[str, CertificateRow]:
    """Return those of these whole ids that are there, by id."""
    if not identities:
        return {}
    rows = _BY_IDS.all(connection, {"identities": list(identities)})
    return {row.certificate_id: row for row in map(certificate_row, rows)}


def find_by_serial(connection: Connection, issuer_id: str, serial: str) -> CertificateRow | None:
    """Return the certificate that this issuer gave this serial number (lower-case hex), or None."""
    return _one(connection, _BY_SERIAL, {"issuer_id": issuer_id, "serial": serial})


def get_certificate(connection: Connection, prefix: str) -> CertificateRow:
    """Return the one certificate whose id begins with `prefix`, of `ID_PREFIX_CHARS_MIN` hex digits or more.

    Raises `Fault`: malformed; not found; conflict when several begin so.
    """
    prefix = prefix.lower()
    if not ID_PREFIX_CHARS_MIN <= len(prefix) <= ID_CHARS or not set(prefix) <= set("0123456789abcdef"):
        hint = f"give {ID_PREFIX_CHARS_MIN} to {ID_CHARS} hex digits: troth cert list shows them"
        raise Fault(Kind.MALFORMED, f"{prefix[:ID_CHARS]!r} is not the beginning of a certificate id", hint=hint)
    # Bounds of full length order alike under every collation, which LIKE or a shorter bound would not.
    within = _COLUMNS.certificate_id.between(prefix.ljust(ID_CHARS, "0"), prefix.ljust(ID_CHARS, "f"))
    rows = connection.execute(_select().where(within).limit(2)).all()
    if not rows:
        hint = "troth cert list shows those that exist"
        raise Fault(Kind.NOT_FOUND, f"there is no certificate {prefix!r}", hint=hint)
    if len(rows) > 1:
        raise Fault(Kind.CONFLICT, f"several certificates begin with {prefix!r}", hint="give more of its digits")
    return certificate_row(rows[0])


def lock_certificate(change: Change, identity: str) -> CertificateRow:
    """Return the certificate with this whole id, which no other change touches until this one is committed.

    Raises `Fault` (not found).
    """
    row = change.execute(_select().where(_COLUMNS.certificate_id == identity).with_for_update()).one_or_none()
    if row is None:
        hint = "troth cert list shows those that exist"
        raise Fault(Kind.NOT_FOUND, f"there is no certificate {identity[:ID_CHARS]!r}", hint=hint)
    return certificate_row(row)


def _select() -> Select[Any]:
    return select(tables.certificates)


# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_BY_ID: Final = _select().where(_COLUMNS.certificate_id == bindparam("certificate_id"))
_BY_IDS: Final = Query(_select().where(_COLUMNS.certificate_id.in_(bindparam("identities", expanding=True))))
_BY_SERIAL: Final = _select().where(
    _COLUMNS.issuer_id == bindparam("issuer_id"), _COLUMNS.serial == bindparam("serial")
)


def _one(connection: Connection, statement: Select[Any], parameters: Mapping[str, str]) -> CertificateRow | None:
    row = connection.execute(statement, parameters).one_or_none()
    return None if row is None else certificate_row(row)


def certificate_row(columns: Sequence[Any]) -> CertificateRow:
    """Return the value of one row of the table: the columns stand in the order of the fields."""
    values = list(columns)
    values[_STATE] = CertificateState(values[_STATE])
    return CertificateRow(*values)
