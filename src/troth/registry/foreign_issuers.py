"""CAs of elsewhere whose certificates count for something here: a maker's, whose devices introduce themselves with what
they were born with (IEEE 802.1AR), and a customer's own.

Who registers one proves to hold its key, by a certificate over a code that is made here and good once. Knows no TLS.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import Connection, Row, bindparam, select, update

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.keys.randomness import random_id
from troth.limits import ISSUERS_MAX, REGISTRATION_CODE_S_MAX
from troth.names import parse_policy_name
from troth.registry import tables
from troth.registry.foreign_certificates import withdraw_listed
from troth.x509 import steps
from troth.x509.certificates import certificate_id
from troth.x509.verify import verify_issued_by

FOREIGN_ISSUER_REGISTERED: Final = "foreign-issuer.registered"
FOREIGN_ISSUER_CRL_REPLACED: Final = "foreign-issuer.crl-replaced"
FOREIGN_ISSUER_DEACTIVATED: Final = "foreign-issuer.deactivated"
FOREIGN_ISSUER_ACTIVATED: Final = "foreign-issuer.activated"
FOREIGN_ISSUER_REVOKED: Final = "foreign-issuer.revoked"
FOREIGN_ISSUER_UPDATED: Final = "foreign-issuer.updated"
REGISTRATION_CODE_MADE: Final = "registration-code.made"

_COLUMNS: Final = tables.foreign_issuers.c
_CODES: Final = tables.registration_codes.c


class ForeignPurpose(StrEnum):
    """What the certificates of such a CA are taken for."""

    MANUFACTURER = "manufacturer"
    CUSTOMER = "customer"


class ForeignState(StrEnum):
    """Whether they are taken now."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    REVOKED = "REVOKED"
    """For good: not those either that are registered here."""


@dataclass(frozen=True, slots=True)
class ForeignIssuer:
    """A registered CA of elsewhere."""

    issuer_id: str
    """Its certificate's id."""
    name: str
    purpose: ForeignPurpose
    state: ForeignState
    certificate: x509.Certificate
    crl: x509.CertificateRevocationList | None
    """When there is one, every certificate below must be told of by it: an old one lets nobody in."""
    is_proven: bool
    """Whether whoever registered it holds its key."""
    registers: bool
    """Whether its devices' certificates are registered when they connect for the first time (AWS: JITR)."""
    template: str | None
    """What then makes things of them at once (AWS: JITP); None leaves that to an operator."""
    created_at: datetime

    def without_crl(self) -> "ForeignIssuer":
        """Return the same, asking nobody who is revoked."""
        return replace(self, crl=None)


def make_code(change: Change) -> str:
    """Return a new registration code, good for one registration within `REGISTRATION_CODE_S_MAX`. Not a secret."""
    code = random_id()
    expires_at = change.at + timedelta(seconds=REGISTRATION_CODE_S_MAX)
    values = {"code": code, "created_at": change.at, "expires_at": expires_at, "used_at": None}
    change.execute(tables.registration_codes.insert().values(**values))
    change.record(REGISTRATION_CODE_MADE, code, code=code, expires_at=expires_at.isoformat())
    return code


def register_foreign_issuer(
    change: Change,
    certificate: x509.Certificate,
    *,
    name: str,
    purpose: ForeignPurpose,
    verification: x509.Certificate | None,
    crl: x509.CertificateRevocationList | None = None,
) -> ForeignIssuer:
    """Take certificates of this CA from now on.

    `verification` is a certificate that the CA's key has signed, with a code of `make_code` as its common name. Without
    one a maker's CA may be registered all the same: nobody but the CA can ask its key for anything, and what it is
    trusted with is who its devices are. Raises `Fault`: malformed (the name), rejected (no CA, no proof, a CRL of
    somebody else), expired, bad key, conflict, too large above `ISSUERS_MAX`.
    """
    parse_policy_name(name)
    _require_ca(certificate, change.at)
    others = list_foreign_issuers(change.connection)
    identity = certificate_id(certificate)
    if any(other.issuer_id == identity or other.name == name for other in others):
        raise Fault(Kind.CONFLICT, f"CA {name!r} or its certificate is registered already", hint="troth ca list")
    if len(others) >= ISSUERS_MAX:
        raise Fault(Kind.TOO_LARGE, f"a home may have at most {ISSUERS_MAX} CAs of elsewhere")
    if verification is not None:
        code = _require_possession(change, certificate, verification)
        change.execute(update(tables.registration_codes).where(_CODES.code == code).values(used_at=change.at))
    elif purpose is not ForeignPurpose.MANUFACTURER:
        hint = "troth ca code makes a code; sign a certificate with it as CN by the CA's key, and give it with --proof"
        raise Fault(Kind.REJECTED, "a CA is registered by who proves to hold its key", hint=hint)
    if crl is not None:
        _require_own_crl(crl, certificate)
    change.execute(
        tables.foreign_issuers.insert().values(
            issuer_id=identity,
            name=name,
            purpose=purpose,
            state=ForeignState.ACTIVE,
            der=certificate.public_bytes(Encoding.DER),
            crl=crl.public_bytes(Encoding.DER) if crl is not None else None,
            proven=verification is not None,
            auto_registration=False,
            template=None,
            created_at=change.at,
        )
    )
    proven = verification is not None
    said = {"issuer_id": identity, "name": name, "purpose": purpose.value, "proven": proven, "crl": crl is not None}
    change.record(FOREIGN_ISSUER_REGISTERED, identity, **said)
    return get_foreign_issuer(change.connection, name)


def replace_crl(change: Change, name: str, crl: x509.CertificateRevocationList) -> ForeignIssuer:
    """Give a CA the CRL that it has issued since, which withdraws those certificates that are registered here.

    Raises `Fault`: not found; rejected for an older or another's one.
    """
    found = get_foreign_issuer(change.connection, name)
    _require_own_crl(crl, found.certificate)
    if found.crl is not None and crl.last_update_utc < found.crl.last_update_utc:
        raise Fault(Kind.REJECTED, "the CRL is older than the one that is there")
    der = crl.public_bytes(Encoding.DER)
    change.execute(update(tables.foreign_issuers).where(_COLUMNS.name == name).values(crl=der))
    said = {"issuer_id": found.issuer_id, "name": name, "this_update": crl.last_update_utc.isoformat()}
    change.record(FOREIGN_ISSUER_CRL_REPLACED, found.issuer_id, **said)
    withdraw_listed(change, found.issuer_id, crl)
    return get_foreign_issuer(change.connection, name)


def set_registration(change: Change, name: str, *, registers: bool, template: str | None) -> ForeignIssuer:
    """Say what is done about a device of this CA that connects for the first time; nothing else changes.

    Raises `Fault`: not found; rejected for a maker's CA, and for a template that nothing would be registered by.
    """
    found = get_foreign_issuer(change.connection, name)
    if registers and found.purpose is not ForeignPurpose.CUSTOMER:
        hint = "let its devices enroll: an enrollment with the proof idevid"
        raise Fault(Kind.REJECTED, "certificates of a maker open no session", hint=hint)
    if template is not None and not registers:
        raise Fault(Kind.REJECTED, "a template goes with auto-registration", hint="give --auto-registration too")
    if (found.registers, found.template) == (registers, template):
        return found
    values = {"auto_registration": registers, "template": template}
    change.execute(update(tables.foreign_issuers).where(_COLUMNS.name == name).values(values))
    before = {"auto_registration": found.registers, "template": found.template}
    change.record(
        FOREIGN_ISSUER_UPDATED, found.issuer_id, issuer_id=found.issuer_id, name=name, before=before, **values
    )
    return get_foreign_issuer(change.connection, name)


def set_foreign_state(change: Change, name: str, state: ForeignState) -> ForeignIssuer:
    """Take a CA's certificates no more, or again; those that are registered stay as they are, as on AWS.

    With REVOKED nothing that it has signed is taken any more, and sessions end, as with a CA of ours; what its devices
    got from us stays. Raises `Fault`: not found; conflict for one that is revoked.
    """
    found = get_foreign_issuer(change.connection, name)
    if found.state is state:
        return found
    if found.state is ForeignState.REVOKED:
        raise Fault(Kind.CONFLICT, f"CA {name!r} is revoked", hint="register the CA's next one under another name")
    change.execute(update(tables.foreign_issuers).where(_COLUMNS.name == name).values(state=state))
    change.record(_STATE_KINDS[state], found.issuer_id, issuer_id=found.issuer_id, name=name)
    return get_foreign_issuer(change.connection, name)


_STATE_KINDS: Final = {
    ForeignState.ACTIVE: FOREIGN_ISSUER_ACTIVATED,
    ForeignState.INACTIVE: FOREIGN_ISSUER_DEACTIVATED,
    ForeignState.REVOKED: FOREIGN_ISSUER_REVOKED,
}


def find_foreign_issuer(connection: Connection, name: str) -> ForeignIssuer | None:
    """Return the CA of this name, or None."""
    row = connection.execute(select(tables.foreign_issuers).where(_COLUMNS.name == name)).one_or_none()
    return None if row is None else _issuer(row)


def get_foreign_issuer(connection: Connection, name: str) -> ForeignIssuer:
    """Return the CA of this name. Raises `Fault` (not found)."""
    found = find_foreign_issuer(connection, name)
    if found is None:
        hint = "troth ca list shows those there are; troth ca register takes another"
        raise Fault(Kind.NOT_FOUND, f"no CA {name[:64]!r} is registered", hint=hint)
    return found


def find_foreign_purpose(connection: Connection, issuer_id: str) -> ForeignPurpose | None:
    """Return what the certificates of the CA are taken for whose own has this id; None where there is none in force."""
    found = connection.scalar(_PURPOSE, {"issuer_id": issuer_id})
    return None if found is None else ForeignPurpose(found)


def list_foreign_issuers(connection: Connection, purpose: ForeignPurpose | None = None) -> list[ForeignIssuer]:
    """Return all CAs of elsewhere, or those of one purpose, in the order of their names."""
    statement = select(tables.foreign_issuers).order_by(_COLUMNS.name)
    if purpose is not None:
        statement = statement.where(_COLUMNS.purpose == purpose)
    return [_issuer(row) for row in connection.execute(statement)]


def _require_ca(certificate: x509.Certificate, at: datetime) -> None:
    steps.issuer_may_sign(certificate, 0)
    steps.in_time(certificate, at)
    steps.all_critical_understood(certificate)


def _require_possession(change: Change, certificate: x509.Certificate, verification: x509.Certificate) -> str:
    """Return the code in the verification certificate."""
    names = verification.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    code = str(names[0].value) if len(names) == 1 else ""
    statement = select(tables.registration_codes).where(_CODES.code == code).with_for_update()
    row = change.execute(statement).one_or_none()
    hint = "troth ca code makes one"
    if row is None:
        raise Fault(Kind.REJECTED, "the common name of the proof is no registration code of this home", hint=hint)
    if row.used_at is not None or change.at >= row.expires_at:
        raise Fault(Kind.EXPIRED, "the registration code has been used, or its time is over", hint=hint)
    verify_issued_by(verification, certificate, at=change.at, use=None)
    return code


def _require_own_crl(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    try:
        is_own = crl.issuer == certificate.subject and crl.is_signature_valid(key)  # type: ignore[arg-type] # any key
    except (TypeError, ValueError):
        is_own = False
    if not is_own:
        raise Fault(Kind.REJECTED, "the CRL is not signed by the CA")


def _issuer(row: Row[Any]) -> ForeignIssuer:
    return ForeignIssuer(
        issuer_id=row.issuer_id,
        name=row.name,
        purpose=ForeignPurpose(row.purpose),
        state=ForeignState(row.state),
        certificate=x509.load_der_x509_certificate(row.der),
        crl=None if row.crl is None else x509.load_der_x509_crl(row.crl),
        is_proven=row.proven,
        registers=row.auto_registration,
        template=row.template,
        created_at=row.created_at,
    )


_PURPOSE: Final = select(_COLUMNS.purpose).where(
    _COLUMNS.issuer_id == bindparam("issuer_id"), _COLUMNS.state != ForeignState.REVOKED
)
