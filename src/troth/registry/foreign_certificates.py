"""Certificates of registered CAs of elsewhere, as rows among ours: taken in, and withdrawn when their CA's CRL says so.

What is written of one is what its CA has signed. Their states are AWS IoT's. RFC 5280 section 5.3.1.
"""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, select

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry import states, tables
from troth.registry.certificates import CertificateRow, CertificateState, NewCertificate, find_by_serial, insert_rows
from troth.registry.inventory import Search, all_certificates
from troth.x509.certificates import certificate_id, serial_text, subject_text
from troth.x509.crl import Reason

CERTIFICATE_REGISTERED: Final = "certificate.registered"
PROFILE: Final = "foreign"
"""What stands in the place of a profile: nothing here has decided what is in such a certificate, or renews it."""


def register_certificate(change: Change, leaf: x509.Certificate, *, issuer_id: str, method: str) -> CertificateRow:
    """Take in a certificate that waits to be activated. The caller has found good that the CA `issuer_id` issued it.

    Raises `Fault` (conflict) when it, or another that this CA gave its serial number to, is there already.
    """
    if find_by_serial(change.connection, issuer_id, serial_text(leaf)) is not None:
        raise Fault(Kind.CONFLICT, "the certificate, or another with its serial number, is registered already")
    new = NewCertificate(
        certificate=leaf,
        der=leaf.public_bytes(Encoding.DER),
        certificate_id=certificate_id(leaf),
        subject=subject_text(leaf.subject),
        issuer_id=issuer_id,
        profile=PROFILE,
        thing=None,
        method=method,
        attached=False,
        state=CertificateState.PENDING_ACTIVATION,
    )
    (row,) = insert_rows(change, [new])
    change.record(
        CERTIFICATE_REGISTERED,
        row.certificate_id,
        certificate_id=row.certificate_id,
        issuer_id=issuer_id,
        serial=row.serial,
        names=row.subject[:512],
        method=method,
        state=row.state.value,
        not_after=row.not_after.isoformat(),
    )
    return row


def is_waiting_full(connection: Connection, issuer_id: str, most: int) -> bool:
    """Say whether `most` certificates of a CA, or more, wait to be activated."""
    columns = tables.certificates.c
    pending = select(columns.certificate_id).where(
        columns.state == CertificateState.PENDING_ACTIVATION, columns.issuer_id == issuer_id
    )
    return connection.execute(pending.offset(most - 1).limit(1)).first() is not None


def withdraw_listed(change: Change, issuer_id: str, crl: x509.CertificateRevocationList) -> None:
    """Put every registered certificate of a CA out of force that its CRL names: for good, or on hold where it says so.

    One that the CRL does not name any more stays as it is: an operator may have withdrawn it, too.
    """
    for row in all_certificates(change.connection, Search(issuer_id=issuer_id)):
        entry = crl.get_revoked_certificate_by_serial_number(int(row.serial, 16))
        if entry is None or row.state is CertificateState.REVOKED:
            continue
        reason = _reason(entry)
        if reason is Reason.CERTIFICATE_HOLD:
            states.hold(change, row.certificate_id)
        else:
            states.revoke(change, row.certificate_id, reason)


def _reason(entry: x509.RevokedCertificate) -> Reason:
    try:
        said = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        # It is revoked, whatever the entry cannot say of the reason.
        return Reason.UNSPECIFIED
    # A full CRL takes nothing off; what says so all the same is not good.
    return Reason.UNSPECIFIED if said == Reason.REMOVE_FROM_CRL.value else Reason(said)
