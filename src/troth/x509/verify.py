"""Whether a certificate was issued by a given issuer, for a given use, at a given time. RFC 5280 section 6.1, in steps.

Small on purpose: no revocation (the registry knows), no policies, no choice between paths. Knows no trust store: the
caller says whom it trusts. Deny by default: a critical extension that is not understood here is a refusal.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtensionOID

from troth.errors import Fault, Kind, PeerFault
from troth.limits import CHAIN_CERTIFICATES_MAX
from troth.x509.algorithms import algorithm_of, is_sound_hash
from troth.x509.building import EXTENDED_USES
from troth.x509.certificates import UNREADABLE, certificate_id, find_extension
from troth.x509.constraints import names_outside
from troth.x509.profiles import ExtendedUse

_UNDERSTOOD: Final = frozenset(
    (
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    )
)


def verify_issued_by(
    certificate: x509.Certificate, issuer: x509.Certificate, *, at: datetime, use: ExtendedUse | None, below: int = 0
) -> None:
    """Return if `issuer` has issued `certificate`, and both are good for `use` (None: any) at the time `at`.

    `below` is the number of CAs between `certificate` and the last one of its chain, for the path length. Raises
    `PeerFault` (unauthenticated, expired, unsupported, malformed) whose `detail` names the step.
    """
    try:
        _1_names_chain(certificate, issuer)
        _2_signature_holds(certificate, issuer)
        _3_in_time(certificate, at)
        _3_in_time(issuer, at)
        _4_issuer_may_sign(issuer, below)
        _5_all_critical_understood(certificate)
        _5_all_critical_understood(issuer)
        _6_good_for(certificate, use)
        _6_good_for(issuer, use)
        _7_names_permitted(certificate, issuer)
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "a certificate cannot be read", detail=str(error)) from error


def verify_chain(
    chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], *, at: datetime, use: ExtendedUse
) -> x509.Certificate:
    """Return the anchor that `chain` (the leaf first, each certified by the next) leads to at the time `at`.

    The last of the chain is one of `anchors` or was issued by one. Stricter than RFC 5280 in that a CA that certifies
    itself anew counts for the path length too. Raises `PeerFault` as `verify_issued_by` does.
    """
    if not 1 <= len(chain) <= CHAIN_CERTIFICATES_MAX:
        raise _refusal(0, Kind.UNAUTHENTICATED, f"the chain has not 1 to {CHAIN_CERTIFICATES_MAX} certificates")
    try:
        anchor = _anchor_of(chain[-1], anchors)
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "a certificate cannot be read", detail=str(error)) from error
    path = chain if certificate_id(anchor) == certificate_id(chain[-1]) else (*chain, anchor)
    if len(path) == 1:
        raise _refusal(0, Kind.UNAUTHENTICATED, "the chain is an anchor alone")
    for above_leaf, (certificate, issuer) in enumerate(pairwise(path)):
        verify_issued_by(certificate, issuer, at=at, use=use, below=above_leaf)
        for below in path[:above_leaf]:
            _7_names_permitted(below, issuer)
    return anchor


def _anchor_of(last: x509.Certificate, anchors: Sequence[x509.Certificate]) -> x509.Certificate:
    for anchor in anchors:
        if certificate_id(anchor) == certificate_id(last):
            return anchor
    for anchor in anchors:
        if anchor.subject == last.issuer and _is_signed_by(last, anchor):
            return anchor
    raise _refusal(0, Kind.UNAUTHENTICATED, "the chain leads to no trusted issuer")


def _1_names_chain(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """RFC 5280, 6.1.3 (a) (4), and 4.2.1.1: the name, and the key identifiers where both have one."""
    if certificate.issuer.public_bytes() != issuer.subject.public_bytes():
        raise _refusal(1, Kind.UNAUTHENTICATED, "the certificate names another issuer")
    theirs = find_extension(certificate, x509.AuthorityKeyIdentifier)
    own = find_extension(issuer, x509.SubjectKeyIdentifier)
    if theirs and own and theirs.key_identifier is not None and theirs.key_identifier != own.digest:
        raise _refusal(1, Kind.UNAUTHENTICATED, "the certificate names another key of its issuer")


def _2_signature_holds(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """RFC 5280, 6.1.3 (a) (1), by a key and over a hash that are taken here."""
    try:
        algorithm_of(issuer.public_key())
    except Fault as fault:
        raise _refusal(2, Kind.BAD_KEY, f"the issuer's key is not taken: {fault.message}") from fault
    if not _is_signed_by(certificate, issuer):
        raise _refusal(2, Kind.UNAUTHENTICATED, "the certificate is not signed by its issuer")


def _3_in_time(certificate: x509.Certificate, at: datetime) -> None:
    """RFC 5280, 6.1.3 (a) (2); both ends belong to the window (4.1.2.5)."""
    if at < certificate.not_valid_before_utc:
        raise _refusal(3, Kind.EXPIRED, "the certificate is not yet valid")
    if at.replace(microsecond=0) > certificate.not_valid_after_utc:
        raise _refusal(3, Kind.EXPIRED, "the certificate has expired")


def _4_issuer_may_sign(issuer: x509.Certificate, below: int) -> None:
    """RFC 5280, 6.1.4 (k) to (n): a CA by its basic constraints and key usage, within its path length."""
    constraints = find_extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise _refusal(4, Kind.UNAUTHENTICATED, "the issuer is no CA")
    if constraints.path_length is not None and below > constraints.path_length:
        raise _refusal(4, Kind.UNAUTHENTICATED, "the chain is longer than the issuer allows")
    usage = find_extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise _refusal(4, Kind.UNAUTHENTICATED, "the issuer's key may not sign certificates")


def _5_all_critical_understood(certificate: x509.Certificate) -> None:
    """RFC 5280, 6.1.4 (o) and 6.1.5 (f)."""
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            name = extension.oid.dotted_string
            raise _refusal(5, Kind.UNSUPPORTED, f"the critical extension {name} is not understood")


def _6_good_for(certificate: x509.Certificate, use: ExtendedUse | None) -> None:
    """RFC 5280, 4.2.1.12 and 4.2.1.3. A leaf must name its use; a CA that names uses is held to them."""
    if use is None:
        return
    constraints = find_extension(certificate, x509.BasicConstraints)
    is_ca = constraints is not None and constraints.ca
    uses = find_extension(certificate, x509.ExtendedKeyUsage)
    if (uses is None and not is_ca) or (uses is not None and EXTENDED_USES[use] not in uses):
        raise _refusal(6, Kind.UNAUTHENTICATED, f"the certificate is not for {use}")
    usage = find_extension(certificate, x509.KeyUsage)
    if not is_ca and usage is not None and not usage.digital_signature:
        raise _refusal(6, Kind.UNAUTHENTICATED, "the certificate's key may not sign")


def _7_names_permitted(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """RFC 5280, 6.1.3 (b) and (c)."""
    if names_outside(certificate, issuer):
        raise _refusal(7, Kind.UNAUTHENTICATED, "the certificate holds names that its issuer may not certify")


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        if not is_sound_hash(certificate.signature_hash_algorithm):
            return False
        certificate.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _refusal(step: int, kind: Kind, message: str) -> PeerFault:
    return PeerFault(kind, message, detail=f"verification, step {step}")
