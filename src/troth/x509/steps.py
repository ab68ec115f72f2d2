"""The numbered steps that each certificate of a path must pass, with the one above it. RFC 5280 section 6.1.

`troth.x509.verify` puts them together; step 8, revocation, is `troth.x509.revocation`. Deny by default: a critical
extension that is not understood here is a refusal.
"""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import ExtensionOID

from troth.errors import Fault, Kind, PeerFault
from troth.x509.algorithms import algorithm_of, is_sound_hash
from troth.x509.building import EXTENDED_USES
from troth.x509.certificates import UNREADABLE, find_extension
from troth.x509.constraints import names_outside
from troth.x509.distinguished_names import is_self_issued, same_name
from troth.x509.profiles import ExtendedUse
from troth.x509.signed import signature_identifiers
from troth.x509.times import has_ended

_UNDERSTOOD: Final = frozenset(
    (
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
    )
)


class Refusal(PeerFault):
    """A path that does not pass `step`; the number is in its detail, too."""

    def __init__(self, step: int, kind: Kind, message: str) -> None:
        super().__init__(kind, message, detail=f"verification, step {step}")
        self.step = step


def names_chain(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Step 1. RFC 5280, 6.1.3 (a) (4), and 4.2.1.1: the name, and the key identifiers where both have one."""
    if not same_name(certificate.issuer, issuer.subject):
        raise Refusal(1, Kind.UNAUTHENTICATED, "the certificate names another issuer")
    theirs = find_extension(certificate, x509.AuthorityKeyIdentifier)
    own = find_extension(issuer, x509.SubjectKeyIdentifier)
    if theirs and own and theirs.key_identifier is not None and theirs.key_identifier != own.digest:
        raise Refusal(1, Kind.UNAUTHENTICATED, "the certificate names another key of its issuer")


def signature_holds(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Step 2. RFC 5280, 6.1.3 (a) (1), by a key and over a hash that are taken here."""
    try:
        algorithm_of(issuer.public_key())
    except Fault as fault:
        raise Refusal(2, Kind.BAD_KEY, f"the issuer's key is not taken: {fault.message}") from fault
    if not is_signed_by(certificate, issuer):
        raise Refusal(2, Kind.UNAUTHENTICATED, "the certificate is not signed by its issuer")


def in_time(certificate: x509.Certificate, at: datetime) -> None:
    """Step 3. RFC 5280, 6.1.3 (a) (2); both ends belong to the window (4.1.2.5)."""
    if at < certificate.not_valid_before_utc:
        raise Refusal(3, Kind.EXPIRED, "the certificate is not yet valid")
    if has_ended(certificate.not_valid_after_utc, at):
        raise Refusal(3, Kind.EXPIRED, "the certificate has expired")


def issuer_may_sign(issuer: x509.Certificate, below: int) -> None:
    """Step 4. RFC 5280, 6.1.4 (k) to (n): a CA by its basic constraints and key usage, within its path length.

    `below` is the number of CAs under it that are not self-issued.
    """
    constraints = find_extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise Refusal(4, Kind.UNAUTHENTICATED, "the issuer is no CA")
    if constraints.path_length is not None and below > constraints.path_length:
        raise Refusal(4, Kind.UNAUTHENTICATED, "the chain is longer than the issuer allows")
    usage = find_extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise Refusal(4, Kind.UNAUTHENTICATED, "the issuer's key may not sign certificates")


def all_critical_understood(certificate: x509.Certificate) -> None:
    """Step 5. RFC 5280, 6.1.4 (o) and 6.1.5 (f)."""
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            name = extension.oid.dotted_string
            raise Refusal(5, Kind.UNSUPPORTED, f"the critical extension {name} is not understood")


def good_for(certificate: x509.Certificate, use: ExtendedUse | None) -> None:
    """Step 6. RFC 5280, 4.2.1.12 and 4.2.1.3. A leaf must name its use; a CA that names uses is held to them."""
    if use is None:
        return
    constraints = find_extension(certificate, x509.BasicConstraints)
    is_ca = constraints is not None and constraints.ca
    uses = find_extension(certificate, x509.ExtendedKeyUsage)
    if (uses is None and not is_ca) or (uses is not None and EXTENDED_USES[use] not in uses):
        raise Refusal(6, Kind.UNAUTHENTICATED, f"the certificate is not for {use}")
    usage = find_extension(certificate, x509.KeyUsage)
    if not is_ca and usage is not None and not usage.digital_signature:
        raise Refusal(6, Kind.UNAUTHENTICATED, "the certificate's key may not sign")


def names_permitted(certificate: x509.Certificate, issuer: x509.Certificate, *, is_last: bool) -> None:
    """Step 7. RFC 5280, 6.1.3 (b) and (c); a self-issued certificate that is not the last of its path is free."""
    if not is_last and is_self_issued(certificate):
        return
    if names_outside(certificate, issuer):
        raise Refusal(7, Kind.UNAUTHENTICATED, "the certificate holds names that its issuer may not certify")


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Say whether the issuer's key has made the signature, over a hash that counts for something."""
    try:
        if not is_sound_hash(certificate.signature_hash_algorithm):
            return False
        try:
            certificate.verify_directly_issued_by(issuer)
        except ValueError:
            # `cryptography` wants the names alike to the byte, which RFC 5280 does not.
            return _is_signature(certificate, issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _is_signature(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    inner, outer = signature_identifiers(certificate)
    if inner != outer:
        return False
    key, scheme = issuer.public_key(), certificate.signature_algorithm_parameters
    signed = certificate.signature, certificate.tbs_certificate_bytes
    match key, scheme:
        case ec.EllipticCurvePublicKey(), ec.ECDSA():
            key.verify(*signed, scheme)
        case rsa.RSAPublicKey(), padding.PKCS1v15() if certificate.signature_hash_algorithm is not None:
            key.verify(*signed, scheme, certificate.signature_hash_algorithm)
        case (
            ed25519.Ed25519PublicKey() | mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey(),
            None,
        ):
            key.verify(*signed)
        case _:
            return False
    return True
