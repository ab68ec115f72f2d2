"""Put certificates into force and out of it: the state, what its CRL will say, and the entry, always in one change.

AWS IoT's states, and RFC 5280's hold: an INACTIVE certificate whose reason is certificateHold stands on its CRL. Who
follows the journal acts on the entries.
"""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import update

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry import tables
from troth.registry.certificates import CertificateRow, CertificateState, get_certificate, lock_certificate
from troth.registry.keys_seen import block_key, key_digest
from troth.registry.revocations import enter, take_off
from troth.x509.crl import PASSING, Reason

CERTIFICATE_ACTIVATED: Final = "certificate.activated"
CERTIFICATE_DEACTIVATED: Final = "certificate.deactivated"
CERTIFICATE_HELD: Final = "certificate.held"
CERTIFICATE_RELEASED: Final = "certificate.released"
CERTIFICATE_REVOKED: Final = "certificate.revoked"
CERTIFICATE_SUPERSEDED: Final = "certificate.superseded"

CRL_CHANGES: Final = frozenset({CERTIFICATE_HELD, CERTIFICATE_RELEASED, CERTIFICATE_REVOKED})
"""The entries after which a CRL is to be published anew; their data name issuer and serial number."""

_ON_CRL: Final = frozenset({CERTIFICATE_HELD, CERTIFICATE_REVOKED})
_HELD: Final = Reason.CERTIFICATE_HOLD.value


def activate(change: Change, identity: str) -> CertificateRow:
    """Let a certificate's holder in. One that is ACTIVE stays so.

    `identity` is the whole certificate id, here and below. Raises `Fault`: not found; conflict when it is revoked or
    on hold.
    """
    row = _lock(change, identity)
    if row.state is CertificateState.ACTIVE:
        return row
    if is_held(row):
        hint = "release it: troth cert release"
        raise Fault(Kind.CONFLICT, f"certificate {identity[:12]} is on hold", hint=hint)
    return _enter(change, row, CertificateState.ACTIVE, None, CERTIFICATE_ACTIVATED)


def deactivate(change: Change, identity: str) -> CertificateRow:
    """Refuse a certificate's holder at our own doors until it is activated again; no CRL says so.

    One that is INACTIVE stays as it is, on hold or not. Raises `Fault`: not found; conflict when it is revoked.
    """
    row = _lock(change, identity)
    if row.state is CertificateState.INACTIVE:
        return row
    return _enter(change, row, CertificateState.INACTIVE, None, CERTIFICATE_DEACTIVATED)


def supersede(change: Change, identity: str, by: str) -> CertificateRow:
    """Refuse a certificate's holder at our own doors because the certificate `by` does its work; no CRL says so.

    One that is not ACTIVE stays as it is. Raises `Fault` (not found).
    """
    row = lock_certificate(change, identity)
    if row.state is not CertificateState.ACTIVE:
        return row
    return _enter(change, row, CertificateState.INACTIVE, Reason.SUPERSEDED, CERTIFICATE_SUPERSEDED, by=by)


def hold(change: Change, identity: str) -> CertificateRow:
    """Refuse a certificate's holder everywhere, until it is released or revoked: the CRL says certificateHold.

    One that is on hold stays so. Raises `Fault`: not found; conflict when it is revoked.
    """
    row = _lock(change, identity)
    if is_held(row):
        return row
    enter(change, row.issuer_id, int(row.serial, 16), row.not_after, Reason.CERTIFICATE_HOLD)
    return _enter(change, row, CertificateState.INACTIVE, Reason.CERTIFICATE_HOLD, CERTIFICATE_HELD)


def release(change: Change, identity: str) -> CertificateRow:
    """End a hold: the certificate is ACTIVE and leaves the CRL; deltas say removeFromCRL.

    Raises `Fault`: not found; conflict when it is not on hold.
    """
    row = _lock(change, identity)
    if not is_held(row):
        raise Fault(Kind.CONFLICT, f"certificate {identity[:12]} is not on hold", hint="troth cert show says its state")
    take_off(change, row.issuer_id, int(row.serial, 16))
    return _enter(change, row, CertificateState.ACTIVE, None, CERTIFICATE_RELEASED)


def revoke(change: Change, identity: str, reason: Reason) -> CertificateRow:
    """Refuse a certificate's holder everywhere and for ever. One that is revoked keeps its date and reason.

    For keyCompromise its key is never certified again. Raises `Fault`: not found; rejected for a reason that is not
    for good.
    """
    if reason in PASSING:
        raise Fault(Kind.REJECTED, f"{reason} revokes nothing for good", hint="troth cert hold, troth cert release")
    row = lock_certificate(change, identity)
    if row.state is CertificateState.REVOKED:
        return row
    enter(change, row.issuer_id, int(row.serial, 16), row.not_after, reason)
    revoked = _enter(change, row, CertificateState.REVOKED, reason, CERTIFICATE_REVOKED)
    if reason is Reason.KEY_COMPROMISE:
        block_key(change, key_digest(_public_key(row)), reason.value)
    return revoked


def _public_key(row: CertificateRow) -> bytes:
    key = x509.load_der_x509_certificate(row.der).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def is_held(row: CertificateRow) -> bool:
    """Say whether a certificate is on hold."""
    return row.state is CertificateState.INACTIVE and row.reason == _HELD


def _lock(change: Change, identity: str) -> CertificateRow:
    row = lock_certificate(change, identity)
    if row.state is CertificateState.REVOKED:
        hint = "a revoked certificate stays revoked: enroll the device anew"
        raise Fault(Kind.CONFLICT, f"certificate {identity[:12]} is revoked", hint=hint)
    return row


def _enter(
    change: Change, row: CertificateRow, state: CertificateState, reason: Reason | None, kind: str, **said: str
) -> CertificateRow:
    change.execute(
        update(tables.certificates)
        .where(tables.certificates.c.certificate_id == row.certificate_id)
        .values(
            state=state,
            reason=reason.value if reason else None,
            changed_at=change.at,
            # A hold that becomes a revocation has been one since it began.
            revoked_at=(row.revoked_at or change.at) if kind in _ON_CRL else None,
        )
    )
    change.record(
        kind,
        row.certificate_id,
        certificate_id=row.certificate_id,
        thing=row.thing,
        issuer_id=row.issuer_id,
        serial=row.serial,
        before=row.state.value,
        state=state.value,
        reason=reason.value if reason else None,
        **said,
    )
    return get_certificate(change.connection, row.certificate_id)
