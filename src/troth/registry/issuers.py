"""The certification authorities of this home, without their keys."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Row, select

from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.limits import CHAIN_CERTIFICATES_MAX, ISSUERS_MAX
from troth.registry import tables
from troth.x509.certificates import certificate_id
from troth.x509.profiles import Purpose

ISSUER_CREATED: Final = "issuer.created"

_COLUMNS: Final = tables.issuers.c


class IssuerState(StrEnum):
    """Whether an issuer signs; AWS IoT's words."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


@dataclass(frozen=True, slots=True)
class Issuer:
    """A certification authority."""

    issuer_id: str
    """Its certificate's id."""
    name: str
    purpose: Purpose
    certificate: x509.Certificate
    parent_id: str | None
    """Who certified it; None for a root."""
    key_name: str
    """Under which name its key is kept."""
    state: IssuerState
    created_at: datetime


def add_issuer(
    change: Change,
    certificate: x509.Certificate,
    *,
    name: str,
    purpose: Purpose,
    parent_id: str | None,
    key_name: str,
) -> Issuer:
    """Add an issuer, in force at once: among those of its purpose the youngest signs.

    Raises `Fault`: conflict when its certificate or its name is taken; not found for a parent that does not exist;
    too large above `ISSUERS_MAX`.
    """
    issuers = list_issuers(change.connection)
    identity = certificate_id(certificate)
    if any(other.issuer_id == identity or other.name == name for other in issuers):
        raise Fault(Kind.CONFLICT, f"issuer {name!r} or its certificate is registered already", hint="troth ca list")
    if parent_id is not None and all(other.issuer_id != parent_id for other in issuers):
        raise Fault(Kind.NOT_FOUND, f"there is no issuer {parent_id[:12]} that could be a parent")
    if len(issuers) >= ISSUERS_MAX:
        raise Fault(Kind.TOO_LARGE, f"a home may have at most {ISSUERS_MAX} issuers")
    issuer = Issuer(identity, name, purpose, certificate, parent_id, key_name, IssuerState.ACTIVE, change.at)
    change.execute(
        tables.issuers.insert().values(
            issuer_id=identity,
            name=name,
            purpose=purpose,
            parent_id=parent_id,
            key_name=key_name,
            state=issuer.state,
            der=certificate.public_bytes(Encoding.DER),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            created_at=change.at,
        )
    )
    change.record(ISSUER_CREATED, identity, issuer_id=identity, name=name, purpose=purpose.value, parent_id=parent_id)
    return issuer


def find_issuer(connection: Connection, issuer_id: str) -> Issuer | None:
    """Return the issuer with this id, or None."""
    row = connection.execute(select(tables.issuers).where(_COLUMNS.issuer_id == issuer_id)).one_or_none()
    return None if row is None else _issuer(row)


def get_issuer(connection: Connection, purpose: Purpose) -> Issuer:
    """Return the issuer that signs for `purpose` now. Raises `Fault` (not found) when none does."""
    row = connection.execute(
        select(tables.issuers)
        .where(_COLUMNS.purpose == purpose, _COLUMNS.state == IssuerState.ACTIVE)
        .order_by(_COLUMNS.created_at.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        hint = "troth init makes one for each purpose"
        raise Fault(Kind.NOT_FOUND, f"no certification authority signs for {purpose.value}", hint=hint)
    return _issuer(row)


def list_issuers(connection: Connection) -> list[Issuer]:
    """Return all issuers, oldest first; there are at most `ISSUERS_MAX`."""
    rows = connection.execute(select(tables.issuers).order_by(_COLUMNS.created_at, _COLUMNS.name))
    return [_issuer(row) for row in rows]


def chain_of(connection: Connection, issuer_id: str) -> tuple[x509.Certificate, ...]:
    """Return the issuer's certificate, its parent's, and so on to the root's, which comes last.

    Raises `Fault` (not found) for an unknown issuer.
    """
    chain: list[x509.Certificate] = []
    wanted: str | None = issuer_id
    while wanted is not None:
        issuer = find_issuer(connection, wanted)
        if issuer is None:
            raise Fault(Kind.NOT_FOUND, f"there is no issuer {wanted[:12]}", hint="troth ca list shows those there are")
        if len(chain) >= CHAIN_CERTIFICATES_MAX:
            raise Bug("a chain of issuers has no end")
        chain.append(issuer.certificate)
        wanted = issuer.parent_id
    return tuple(chain)


def _issuer(row: Row[Any]) -> Issuer:
    return Issuer(
        row.issuer_id,
        row.name,
        Purpose(row.purpose),
        x509.load_der_x509_certificate(row.der),
        row.parent_id,
        row.key_name,
        IssuerState(row.state),
        row.created_at,
    )
