"""Cross certificates: one root's name and key, certified by another root, so that who trusts either follows both.

RFC 4210 section 4.4 (old with new, new with old).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Row, select

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry import tables
from troth.x509.certificates import certificate_id

CROSS_CREATED: Final = "issuer.crossed"

_COLUMNS: Final = tables.cross_certificates.c


@dataclass(frozen=True, slots=True)
class CrossCertificate:
    """A root certified by another."""

    certificate_id: str
    subject_id: str
    """The issuer id of the root whose name and key it holds."""
    issuer_id: str
    """The issuer id of the root that has signed it."""
    certificate: x509.Certificate
    created_at: datetime


def add_cross_certificate(
    change: Change, certificate: x509.Certificate, *, subject_id: str, issuer_id: str
) -> CrossCertificate:
    """Add a cross certificate. Raises `Fault`: conflict when the one root has certified the other already."""
    if find_cross_certificate(change.connection, subject_id, issuer_id) is not None:
        raise Fault(Kind.CONFLICT, "the one root has certified the other already", hint="troth ca list")
    cross = CrossCertificate(certificate_id(certificate), subject_id, issuer_id, certificate, change.at)
    change.execute(
        tables.cross_certificates.insert().values(
            certificate_id=cross.certificate_id,
            subject_id=subject_id,
            issuer_id=issuer_id,
            der=certificate.public_bytes(Encoding.DER),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            created_at=change.at,
        )
    )
    change.record(CROSS_CREATED, subject_id, certificate_id=cross.certificate_id, issuer_id=issuer_id)
    return cross


def find_cross_certificate(connection: Connection, subject_id: str, issuer_id: str) -> CrossCertificate | None:
    """Return the certificate of the one root by the other, or None."""
    statement = select(tables.cross_certificates).where(
        _COLUMNS.subject_id == subject_id, _COLUMNS.issuer_id == issuer_id
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _cross(row)


def list_cross_certificates(connection: Connection) -> list[CrossCertificate]:
    """Return all cross certificates, oldest first: two for each generation of the root but the first."""
    rows = connection.execute(select(tables.cross_certificates).order_by(_COLUMNS.created_at, _COLUMNS.certificate_id))
    return [_cross(row) for row in rows]


def _cross(row: Row[Any]) -> CrossCertificate:
    certificate = x509.load_der_x509_certificate(row.der)
    return CrossCertificate(row.certificate_id, row.subject_id, row.issuer_id, certificate, row.created_at)
