"""Whether a CA that was certified elsewhere may sign here: numbered steps, all of which must hold.

Pure: knows no database and no key. RFC 5280 sections 4.2.1.2, 4.2.1.3, 4.2.1.9, 4.2.1.12 and 6.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from troth.errors import Fault, Kind
from troth.limits import CHAIN_CERTIFICATES_MAX
from troth.x509.algorithms import PublicKey, algorithm_of, is_sound_hash
from troth.x509.building import EXTENDED_USES
from troth.x509.certificates import find_extension, subject_text
from troth.x509.profiles import ExtendedUse, Profile, Purpose
from troth.x509.verify import verify_issued_by

_USES: Final = {
    Purpose.DEVICES: (ExtendedUse.CLIENT_AUTH,),
    Purpose.OPERATORS: (ExtendedUse.CLIENT_AUTH,),
    Purpose.SERVERS: (ExtendedUse.SERVER_AUTH,),
    Purpose.PEERS: (ExtendedUse.CLIENT_AUTH, ExtendedUse.SERVER_AUTH),
}
# Below it stand its issuers, and the next root with its own.
_ROOT_PATH_LENGTH: Final = 2


@dataclass(frozen=True, slots=True)
class Offered:
    """A CA's certificate and what stands above it, as somebody brought them."""

    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...]
    """Each certified by the next; the last certifies itself or is registered here."""


def arrange(certificates: Sequence[x509.Certificate], key: PublicKey, known: Sequence[x509.Certificate]) -> Offered:
    """Return the certificate of `key` among those brought, and its path up through them and those `known` here.

    Raises `Fault`: bad key when none is of this key, rejected when the path does not end.
    """
    own = [each for each in certificates if each.public_key() == key]
    if not own:
        raise Fault(Kind.BAD_KEY, "none of these certificates is that of the key", hint="give the certificate with it")
    path = [own[0]]
    pool = sorted([*known, *certificates], key=lambda each: each.subject != each.issuer)
    while path[-1].subject != path[-1].issuer:
        above = [each for each in pool if each.subject == path[-1].issuer and each not in path]
        if not above or len(path) > CHAIN_CERTIFICATES_MAX:
            raise Fault(
                Kind.REJECTED,
                f"what certified {subject_text(path[-1].subject)!r} is not here",
                detail=subject_text(path[-1].issuer),
                hint="give the certificates above it too, up to its root, in the same file or with --chain FILE",
            )
        path.append(above[0])
    return Offered(path[0], tuple(path[1:]))


def check(
    offered: Offered,
    purpose: Purpose,
    key: PublicKey,
    profile: Profile,
    at: datetime,
    taken: Sequence[x509.Certificate],
) -> None:
    """Return if the CA may sign for `purpose` here, among those `taken` already.

    `profile` is that of our own CAs for the purpose: which keys are taken. Raises `Fault` (rejected, bad key, expired,
    conflict), with the step in its detail.
    """
    certificate = offered.certificate
    _1_key_matches(certificate, key)
    _2_key_is_strong(offered, key, profile)
    _3_is_new(certificate, taken)
    _4_may_certify(certificate, purpose)
    _5_is_for_the_purpose(offered, purpose)
    _6_can_be_named(certificate)
    _7_path_holds(offered, at)


def _1_key_matches(certificate: x509.Certificate, key: PublicKey) -> None:
    if certificate.public_key() != key:
        raise _refusal(1, Kind.BAD_KEY, "the key is not that of the certificate")


def _2_key_is_strong(offered: Offered, key: PublicKey, profile: Profile) -> None:
    algorithm = algorithm_of(key)
    if algorithm not in profile.algorithms:
        raise _refusal(
            2, Kind.BAD_KEY, f"a CA with a {algorithm} key does not sign here", ", ".join(profile.algorithms)
        )
    for certificate in (offered.certificate, *offered.above):
        algorithm_of(certificate.public_key())
        if not is_sound_hash(certificate.signature_hash_algorithm):
            raise _refusal(2, Kind.REJECTED, f"{subject_text(certificate.subject)!r} is signed over a weak hash")


def _3_is_new(certificate: x509.Certificate, taken: Sequence[x509.Certificate]) -> None:
    identifier = find_extension(certificate, x509.SubjectKeyIdentifier)
    for other in taken:
        if other.subject == certificate.subject:
            raise _refusal(3, Kind.CONFLICT, f"there is a CA {subject_text(other.subject)!r} already")
        theirs = find_extension(other, x509.SubjectKeyIdentifier)
        if other.public_key() == certificate.public_key() or (identifier and theirs and identifier == theirs):
            raise _refusal(3, Kind.CONFLICT, f"{subject_text(other.subject)!r} has the same key already")


def _4_may_certify(certificate: x509.Certificate, purpose: Purpose) -> None:
    """RFC 5280, 4.2.1.3 and 4.2.1.9."""
    constraints = find_extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise _refusal(4, Kind.REJECTED, "it is no CA (basic constraints)")
    if purpose is Purpose.ROOT and constraints.path_length is not None and constraints.path_length < _ROOT_PATH_LENGTH:
        raise _refusal(4, Kind.REJECTED, f"a root's path length is {_ROOT_PATH_LENGTH} or more, or not bounded")
    usage = find_extension(certificate, x509.KeyUsage)
    if usage is None or not usage.key_cert_sign or not usage.crl_sign:
        raise _refusal(4, Kind.REJECTED, "its key usage is not keyCertSign and cRLSign")


def _5_is_for_the_purpose(offered: Offered, purpose: Purpose) -> None:
    """RFC 5280, 4.2.1.12: who names uses is held to them, all along the path. Who names none may certify for any."""
    own = find_extension(offered.certificate, x509.ExtendedKeyUsage) or ()
    if purpose is Purpose.PEERS and not all(EXTENDED_USES[use] in own for use in _USES[purpose]):
        raise _refusal(5, Kind.REJECTED, "devices take a CA for peers by both uses that it names itself")
    for certificate in (offered.certificate, *offered.above):
        uses = find_extension(certificate, x509.ExtendedKeyUsage)
        if uses is None or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses:
            continue
        for use in _USES.get(purpose, ()):
            if EXTENDED_USES[use] not in uses:
                name = subject_text(certificate.subject)
                raise _refusal(5, Kind.REJECTED, f"{name!r} may not certify for {use} (extended key usage)")


def _6_can_be_named(certificate: x509.Certificate) -> None:
    if find_extension(certificate, x509.SubjectKeyIdentifier) is None:
        raise _refusal(6, Kind.REJECTED, "it has no subject key identifier (RFC 5280, 4.2.1.2)")
    if not list(certificate.subject):
        raise _refusal(6, Kind.REJECTED, "it has no subject")


def _7_path_holds(offered: Offered, at: datetime) -> None:
    """RFC 5280, 6.1: signatures, validity, path lengths, up to the top; the top signs itself."""
    path = (offered.certificate, *offered.above)
    # Below an issuing CA of ours stands the last certificate of a chain; it counts for no path length.
    for position, certificate in enumerate(path):
        issuer = path[position + 1] if position + 1 < len(path) else certificate
        if issuer is certificate and certificate.subject != certificate.issuer:
            continue
        verify_issued_by(certificate, issuer, at=at, use=None, below=position + (issuer is not certificate))


def _refusal(step: int, kind: Kind, message: str, taken: str | None = None) -> Fault:
    hint = f"use one of {taken}" if taken else None
    return Fault(kind, f"this CA cannot sign here: {message}", detail=f"acceptance, step {step}", hint=hint)
