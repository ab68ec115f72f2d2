"""A certificate built from its template, first under a throwaway key, then around the signature of the issuer's.

The CA key signs one thing only: the to-be-signed bytes that have been seen, linted and recorded. Knows no CA key and
no clock. RFC 5280 sections 4.1 and 4.2; key identifiers by method 1 of RFC 7093, so that nothing here is SHA-1.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Final

from cryptography import x509

from troth.errors import Bug, Fault, Kind
from troth.x509.algorithms import KeyAlgorithm, PrivateKey, PublicKey, algorithm_of
from troth.x509.der import BIT_STRING, SEQUENCE, Reader
from troth.x509.extensions import EXTENDED_USES, key_usage
from troth.x509.profiles import Profile
from troth.x509.public_keys import P256_INFO_BYTES, P256_INFO_HEAD, P256_POINT_AT, render_public_key
from troth.x509.signed import assemble_signed
from troth.x509.signing import sign
from troth.x509.tbs import (
    access_at,
    crl_at,
    extension,
    names_of,
    of_profile,
    subject_key_identifier,
    write_tbs,
)

__all__ = ["EXTENDED_USES", "Template", "assemble", "build_tbs", "key_identifier", "key_usage", "show", "to_be_signed"]

_KEY_IDENTIFIER_BYTES: Final = 20
_ENDS_KEPT: Final = 1024
_ALL_ADDRESSES: Final = tuple(x509.IPAddress(ip_network(text)) for text in ("0.0.0.0/0", "::/0"))


@dataclass(frozen=True, slots=True)
class Template:
    """All that a certificate will say; with the same template, the same to-be-signed bytes."""

    profile: Profile
    serial: int
    subject: x509.Name | bytes
    """Or a DER Name."""
    public_key: PublicKey
    issuer_certificate: x509.Certificate | None
    """None: it signs itself."""
    not_before: datetime
    not_after: datetime
    san: tuple[x509.GeneralName, ...] = field(default=())
    public_key_info: bytes | None = field(default=None)
    """`public_key` as DER SubjectPublicKeyInfo, where the caller has it written."""
    permitted: tuple[x509.GeneralName, ...] = field(default=())
    """Name constraints of an issuer (`subjects.permitted_at`): where no address is among them, none is permitted."""
    aia_url: str | None = field(default=None)
    """Where the issuer's certificate can be fetched, http (RFC 5280, 4.2.2.1)."""
    ocsp_url: str | None = field(default=None)
    """Who answers for its status, http (RFC 5280, 4.2.2.1)."""
    crl_url: str | None = field(default=None)
    """Where the CRL that tells of it can be fetched, http (RFC 5280, 4.2.1.13)."""


def build_tbs(template: Template, signer_algorithm: KeyAlgorithm, throwaway_key: PrivateKey) -> x509.Certificate:
    """Return the certificate as it will be but for its signature, which is a throwaway key's and proves nothing.

    `throwaway_key` is of the algorithm of the key that will sign. What to sign is ``.tbs_certificate_bytes``.
    Raises `Fault` as `to_be_signed` does.
    """
    return show(to_be_signed(template, signer_algorithm), signer_algorithm, throwaway_key)


def to_be_signed(template: Template, signer_algorithm: KeyAlgorithm) -> bytes:
    """Return the bytes that a key of `signer_algorithm` is to sign.

    Raises `Fault`: bad key (the profile does not take the subject's key), rejected (values that cannot be encoded, a
    window that is empty or leaves the issuer's).
    """
    algorithm = algorithm_of(template.public_key)
    if algorithm not in template.profile.algorithms:
        raise Fault(
            Kind.BAD_KEY,
            f"profile {template.profile.name!r} takes no {algorithm} key",
            hint=f"use one of {', '.join(template.profile.algorithms)}",
        )
    _check_window(template)
    return _tbs(template, signer_algorithm)


def show(tbs: bytes, signer_algorithm: KeyAlgorithm, throwaway_key: PrivateKey) -> x509.Certificate:
    """Return the certificate of `tbs` under a throwaway key. Raises `Fault` (rejected) when it would be none."""
    if algorithm_of(throwaway_key.public_key()) is not signer_algorithm:
        raise Bug("the throwaway key is not of the signer's algorithm")
    try:
        return assemble(tbs, signer_algorithm, sign(throwaway_key, tbs))
    except Bug as error:
        raise Fault(Kind.REJECTED, "such a certificate cannot be made", detail=str(error.__cause__ or error)) from error


def _tbs(template: Template, algorithm: KeyAlgorithm) -> bytes:
    subject = template.subject if isinstance(template.subject, bytes) else template.subject.public_bytes()
    issuer = template.issuer_certificate
    try:
        return write_tbs(
            algorithm,
            template.serial,
            names_of(issuer).subject if issuer else subject,
            (template.not_before, template.not_after),
            subject,
            _info(template),
            _extensions(template),
        )
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
    return _identifier(render_public_key(public_key))


def _identifier(info: bytes) -> bytes:
    if len(info) == P256_INFO_BYTES and info.startswith(P256_INFO_HEAD):
        bits = info[P256_POINT_AT:]
    else:
        parts = Reader(info).inside(SEQUENCE)
        parts.skip()
        # The first octet says how many bits of the last are unused: none.
        bits = parts.content(BIT_STRING)[1:]
    return hashlib.sha256(bits).digest()[:_KEY_IDENTIFIER_BYTES]


def _info(template: Template) -> bytes:
    return template.public_key_info or render_public_key(template.public_key)


def _check_window(template: Template) -> None:
    issuer = template.issuer_certificate
    if template.not_before >= template.not_after:
        raise Fault(Kind.REJECTED, "the certificate would never be valid")
    if issuer and template.not_after > issuer.not_valid_after_utc:
        raise Fault(Kind.REJECTED, "the certificate would outlive its issuer")


def _extensions(template: Template) -> Iterator[bytes]:
    yield of_profile(template.profile)
    if template.san:
        yield extension(x509.SubjectAlternativeName(template.san))
    if template.permitted:
        has_addresses = any(isinstance(each, x509.IPAddress) for each in template.permitted)
        # A kind that is not mentioned is not restricted (RFC 5280, 4.2.1.10).
        constraints = x509.NameConstraints(template.permitted, None if has_addresses else _ALL_ADDRESSES)
        yield extension(constraints, critical=True)
    yield subject_key_identifier(_identifier(_info(template)))
    yield _last(
        template.issuer_certificate,
        template.crl_url,
        template.ocsp_url,
        template.aia_url,
        template.profile.is_ocsp_signer,
    )


@lru_cache(_ENDS_KEPT)
def _last(
    issuer: x509.Certificate | None, crl_url: str | None, ocsp_url: str | None, aia_url: str | None, no_check: bool
) -> bytes:
    """Return the extensions behind the key's identifier, which the certificates of one issuer and CRL shard share."""
    return b"".join(
        (
            names_of(issuer).key_identifier if issuer else b"",
            crl_at(crl_url) if crl_url else b"",
            access_at(ocsp_url, aia_url) if ocsp_url or aia_url else b"",
            extension(x509.OCSPNoCheck()) if no_check else b"",
        )
    )
