"""A CRL of a CA whose key is on another machine: asked for, made there, carried over, proven, and put in force here.

Trusts no byte of it but what the CA's own key has signed. RFC 5280 section 5.
"""

import hashlib
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from troth.authority.status.elsewhere import NUMBER_MAX, CRLRequest, Listed, list_revoked
from troth.authority.status.publish import CRL_PUBLISHED, told_of
from troth.authority.status.stored import (
    CRLKind,
    Scope,
    StoredCRL,
    as_base,
    find_crl,
    follow_number,
    last_number,
    put_in_force,
)
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.points import Point, reached
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.revocations import list_revocations
from troth.x509.algorithms import is_sound_hash
from troth.x509.certificates import UNREADABLE
from troth.x509.profiles import Purpose

_COMPLETE: Final = frozenset((x509.CRLNumber.oid, x509.AuthorityKeyIdentifier.oid, x509.FreshestCRL.oid))
"""What stands on a CRL that is about all certificates of its issuer; any other may make it a part, or a delta."""


def request_crl(connection: Connection, issuer: Issuer) -> CRLRequest:
    """Return what the next CRL of a CA whose key is on another machine has to say."""
    names = {each.certificate.serial_number: each.name for each in list_issuers(connection)}
    listed = tuple(
        Listed(each.serial, each.revoked_at, each.reason, names.get(each.serial, ""))
        for each in list_revocations(connection, issuer.issuer_id)
    )
    return CRLRequest(issuer.name, issuer.issuer_id, last_number(connection, Scope(issuer.issuer_id, None)), listed)


def list_unlisted(connection: Connection, issuer: Issuer, crl: x509.CertificateRevocationList) -> list[Listed]:
    """Return what has been revoked here below `issuer`, and what its CRL says nothing of.

    Raises `PeerFault` (malformed): the CRL has entries that cannot be read or revoke nothing for good.
    """
    told = {each.serial for each in list_revoked(crl)}
    return [each for each in request_crl(connection, issuer).listed if each.serial not in told]


def bring_crl(change: Change, crl: x509.CertificateRevocationList) -> tuple[Issuer, StoredCRL]:
    """Put a complete CRL into force that one of our CAs has signed elsewhere; the one in force changes nothing.

    Raises `Fault`: rejected (no CA of ours has signed it; it is a part or a delta; what has been revoked here is not on
    it), expired (its time has not come or is over), conflict (the CA makes its own here, or a later one is known),
    malformed (its entries).
    """
    issuer = _signer(change.connection, crl)
    # That of a root may lie in a safe: nothing here makes the CRL by itself, and both count in one line of numbers.
    if issuer.key_name and issuer.purpose is not Purpose.ROOT:
        hint = f"make it anew: troth crl publish --ca {issuer.name}"
        raise Fault(Kind.CONFLICT, f"the CRLs of {issuer.name} are made here, where its key is", hint=hint)
    stored = _stored(issuer, crl, change.at)
    _require_all(list_unlisted(change.connection, issuer, crl), issuer)
    there = find_crl(change.connection, stored.scope, CRLKind.COMPLETE)
    if there is not None and there.sha256 == stored.sha256:
        return issuer, there
    follow_number(change, stored.scope, stored.number)
    if there is not None and stored.this_update < there.this_update:
        # Whoever asks only for what is newer than the one before would never be given it.
        hint = "set the clock of the machine that has the key, and make it anew there"
        raise Fault(Kind.CONFLICT, "the CRL says that it was made before the one in force", hint=hint)
    for each in (stored, as_base(stored)):
        put_in_force(change, each)
    change.record(CRL_PUBLISHED, issuer.issuer_id, issuer_id=issuer.issuer_id, crls=[told_of(stored)], brought=True)
    reached(Point.CRL_IN_FORCE)
    return issuer, stored


def list_withdrawn(connection: Connection, issuer: Issuer, crl: x509.CertificateRevocationList) -> list[Issuer]:
    """Return the CAs below `issuer` that its CRL revokes, and that are still trusted here."""
    return [
        each
        for each in list_issuers(connection)
        if each.parent_id == issuer.issuer_id
        and each.is_trusted
        and crl.get_revoked_certificate_by_serial_number(each.certificate.serial_number) is not None
    ]


def _require_all(unlisted: list[Listed], issuer: Issuer) -> None:
    if unlisted:
        raise Fault(
            Kind.REJECTED,
            f"the CRL of {issuer.name} says nothing of what has been revoked here",
            parts=[Fault(Kind.REJECTED, each.text) for each in unlisted],
            hint=f"make it anew of what this writes: troth crl request --ca {issuer.name} --out FILE",
        )


def _signer(connection: Connection, crl: x509.CertificateRevocationList) -> Issuer:
    for issuer in list_issuers(connection):
        if issuer.is_trusted and issuer.certificate.subject == crl.issuer and _is_signed(crl, issuer):
            return issuer
    hint = "troth ca list shows the CAs of this home; a CRL is of the CA whose name stands on it"
    raise Fault(Kind.REJECTED, "no CA of this home has signed the CRL", hint=hint)


def _is_signed(crl: x509.CertificateRevocationList, issuer: Issuer) -> bool:
    try:
        sound = is_sound_hash(crl.signature_hash_algorithm)
        return sound and crl.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type] # any key
    except UNREADABLE:
        return False


def _stored(issuer: Issuer, crl: x509.CertificateRevocationList, now: datetime) -> StoredCRL:
    number = next((each.value.crl_number for each in crl.extensions if isinstance(each.value, x509.CRLNumber)), None)
    if number is None or any(each.critical or each.oid not in _COMPLETE for each in crl.extensions):
        hint = "bring the whole one: troth crl publish --ca NAME --out FILE, where its key is"
        raise Fault(Kind.REJECTED, "the CRL is not a complete one with a number", hint=hint)
    if number > NUMBER_MAX:
        raise Fault(Kind.UNSUPPORTED, f"a CRL's number is at most {NUMBER_MAX} here")
    begin, end = crl.last_update_utc, crl.next_update_utc
    if end is None or not begin <= now < end:
        shown = f"it is good from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC" if end else "it has no end"
        hint = "make it anew where the key is; check both machines' clocks"
        raise Fault(Kind.EXPIRED, "the CRL is not in force now", detail=shown, hint=hint)
    der = crl.public_bytes(Encoding.DER)
    return StoredCRL(
        scope=Scope(issuer.issuer_id, None),
        kind=CRLKind.COMPLETE,
        number=number,
        base_number=None,
        this_update=begin,
        next_update=end,
        entries=len(crl),
        sha256=hashlib.sha256(der).hexdigest(),
        der=der,
    )
