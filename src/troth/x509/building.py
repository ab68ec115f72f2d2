"""A certificate built from its template, first under a throwaway key, then around the signature of the issuer's.

The CA key signs one thing only: the to-be-signed bytes that have been seen, linted and recorded. Knows no CA key and
no clock. RFC 5280 sections 4.1 and 4.2; key identifiers by method 1 of RFC 7093, so that nothing here is SHA-1.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from troth.errors import Bug, Fault, Kind
from troth.x509.algorithms import KeyAlgorithm, PrivateKey, PublicKey, algorithm_of, signature_hash
from troth.x509.certificates import find_extension
from troth.x509.profiles import ExtendedUse, KeyUse, Profile
from troth.x509.signed import assemble_signed

EXTENDED_USES: Final = {
    ExtendedUse.CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedUse.SERVER_AUTH: ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedUse.OCSP_SIGNING: ExtendedKeyUsageOID.OCSP_SIGNING,
}

_KEY_IDENTIFIER_BYTES: Final = 20


@asn1.sequence
class _PublicKeyInfo:
    algorithm: asn1.TLV
    public_key: asn1.BitString


@dataclass(frozen=True, slots=True)
class Template:
    """All that a certificate will say; with the same template, the same to-be-signed bytes."""

    profile: Profile
    serial: int
    subject: x509.Name
    public_key: PublicKey
    issuer_certificate: x509.Certificate | None
    """None: it signs itself."""
    not_before: datetime
    not_after: datetime
    san: tuple[x509.GeneralName, ...] = field(default=())
    permitted: tuple[x509.GeneralName, ...] = field(default=())
    """Name constraints of an issuer (`subjects.permitted_at`)."""
    aia_url: str | None = field(default=None)
    """Where the issuer's certificate can be fetched, http (RFC 5280, 4.2.2.1)."""
    ocsp_url: str | None = field(default=None)
    """Who answers for its status, http (RFC 5280, 4.2.2.1)."""
    crl_url: str | None = field(default=None)
    """Where the CRL that tells of it can be fetched, http (RFC 5280, 4.2.1.13)."""


def build_tbs(template: Template, signer_algorithm: KeyAlgorithm, throwaway_key: PrivateKey) -> x509.Certificate:
    """Return the certificate as it will be but for its signature, which is a throwaway key's and proves nothing.

    `throwaway_key` is of the algorithm of the key that will sign. What to sign is ``.tbs_certificate_bytes``.
    Raises `Fault`: bad key (the profile does not take the subject's key), rejected (values that cannot be encoded, a
    window that is empty or leaves the issuer's).
    """
    if algorithm_of(throwaway_key.public_key()) is not signer_algorithm:
        raise Bug("the throwaway key is not of the signer's algorithm")
    algorithm = algorithm_of(template.public_key)
    if algorithm not in template.profile.algorithms:
        raise Fault(
            Kind.BAD_KEY,
            f"profile {template.profile.name!r} takes no {algorithm} key",
            hint=f"use one of {', '.join(template.profile.algorithms)}",
        )
    _check_window(template)
    issuer = template.issuer_certificate
    try:
        builder = (
            x509.CertificateBuilder()
            .subject_name(template.subject)
            .issuer_name(issuer.subject if issuer else template.subject)
            .public_key(template.public_key)
            .serial_number(template.serial)
            .not_valid_before(template.not_before)
            .not_valid_after(template.not_after)
        )
        for extension, critical in _extensions(template):
            builder = builder.add_extension(extension, critical)
        return builder.sign(throwaway_key, signature_hash(signer_algorithm))
    except ValueError as error:
        raise Fault(Kind.REJECTED, "such a certificate cannot be made", detail=str(error)) from error


def assemble(tbs: bytes, algorithm: KeyAlgorithm, signature: bytes) -> x509.Certificate:
    """Return the certificate of `tbs` and the `signature` that a key of `algorithm` made over it.

    The signature is not checked here: verify the result against the issuer before it leaves. Raises `Bug` when the
    parts do not make a certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(assemble_signed(tbs, algorithm, signature))
    except ValueError as error:
        raise Bug("what was signed is no certificate") from error
    if certificate.tbs_certificate_bytes != tbs:
        raise Bug("the certificate does not hold what was signed")
    return certificate


def key_identifier(public_key: PublicKey) -> bytes:
    """Return the key identifier of a public key: the first 160 bits of its SHA-256 (RFC 7093, 2, method 1)."""
    info = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bits = asn1.decode_der(_PublicKeyInfo, info).public_key.as_bytes()
    return hashlib.sha256(bits).digest()[:_KEY_IDENTIFIER_BYTES]


def _check_window(template: Template) -> None:
    issuer = template.issuer_certificate
    if template.not_before >= template.not_after:
        raise Fault(Kind.REJECTED, "the certificate would never be valid")
    if issuer and template.not_after > issuer.not_valid_after_utc:
        raise Fault(Kind.REJECTED, "the certificate would outlive its issuer")


def _extensions(template: Template) -> Iterator[tuple[x509.ExtensionType, bool]]:
    profile, issuer = template.profile, template.issuer_certificate
    own_identifier = x509.SubjectKeyIdentifier(key_identifier(template.public_key))
    ca = profile.ca
    yield x509.BasicConstraints(ca=ca is not None, path_length=ca.path_length if ca else None), True
    yield key_usage(profile), True
    if profile.extended_key_usage:
        yield x509.ExtendedKeyUsage([EXTENDED_USES[use] for use in profile.extended_key_usage]), False
    if template.san:
        yield x509.SubjectAlternativeName(template.san), False
    if template.permitted:
        yield x509.NameConstraints(permitted_subtrees=template.permitted, excluded_subtrees=None), True
    yield own_identifier, False
    if issuer:
        yield _authority_key_identifier(issuer), False
    if template.crl_url:
        where = [x509.UniformResourceIdentifier(template.crl_url)]
        yield x509.CRLDistributionPoints([x509.DistributionPoint(where, None, None, None)]), False
    accesses = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, template.ocsp_url),
            (AuthorityInformationAccessOID.CA_ISSUERS, template.aia_url),
        )
        if url
    ]
    if accesses:
        yield x509.AuthorityInformationAccess(accesses), False
    if profile.is_ocsp_signer:
        yield x509.OCSPNoCheck(), False


def key_usage(profile: Profile) -> x509.KeyUsage:
    """Return a profile's key usage as the extension."""
    uses = profile.key_usage
    return x509.KeyUsage(
        digital_signature=KeyUse.DIGITAL_SIGNATURE in uses,
        key_encipherment=KeyUse.KEY_ENCIPHERMENT in uses,
        key_agreement=KeyUse.KEY_AGREEMENT in uses,
        key_cert_sign=KeyUse.KEY_CERT_SIGN in uses,
        crl_sign=KeyUse.CRL_SIGN in uses,
        content_commitment=False,
        data_encipherment=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    # The value in the issuer's certificate is what verifiers compare with, however it was made (RFC 5280, 4.2.1.1).
    own = find_extension(issuer, x509.SubjectKeyIdentifier)
    if own is None:
        raise Fault(Kind.REJECTED, "the issuer's certificate has no subject key identifier")
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
