"""The to-be-signed part of a certificate, in DER. What certificates of one profile and issuer share is encoded once.

`cryptography` encodes every value that has a structure of its own; the frame around them is written here, and what
comes out is read back by `cryptography` before anybody signs it. RFC 5280 section 4.1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from troth.errors import Fault, Kind
from troth.x509.algorithms import KeyAlgorithm, signature_identifier
from troth.x509.certificates import find_extension
from troth.x509.der import BOOLEAN, OCTET_STRING, SEQUENCE, constructed, generalized_time, integer, tlv, utc_time
from troth.x509.extensions import EXTENDED_USES, key_usage
from troth.x509.profiles import Profile

_KEPT: Final = 1024
_VERSION_3: Final = tlv(constructed(0), integer(2))
_TRUE: Final = tlv(BOOLEAN, b"\xff")
_SERIAL_MAX: Final = 1 << 159
_FIRST_YEAR: Final = 1950
_FIRST_GENERALIZED_YEAR: Final = 2050


@dataclass(frozen=True, slots=True)
class Names:
    """What a certificate says of its issuer: the subject and the key identifier in the issuer's own certificate."""

    subject: bytes
    """A DER Name."""
    key_identifier: bytes
    """The whole extension in DER."""


def write_tbs(
    algorithm: KeyAlgorithm,
    serial: int,
    issuer: bytes,
    window: tuple[datetime, datetime],
    subject: bytes,
    public_key: bytes,
    extensions: Iterable[bytes],
) -> bytes:
    """Return a DER TBSCertificate; `issuer`, `subject` and `public_key` are DER themselves, and so are extensions.

    Raises `Fault` (rejected) for a serial number or a time that X.509 cannot say.
    """
    if not 0 < serial < _SERIAL_MAX:
        raise Fault(Kind.REJECTED, "such a certificate cannot be made", detail="the serial number is out of bounds")
    return tlv(
        SEQUENCE,
        _VERSION_3,
        integer(serial),
        signature_identifier(algorithm),
        issuer,
        _validity(window),
        subject,
        public_key,
        tlv(constructed(3), tlv(SEQUENCE, *extensions)),
    )


def extension(value: x509.ExtensionType, *, critical: bool = False) -> bytes:
    """Return one extension in DER."""
    return tlv(
        SEQUENCE,
        asn1.encode_der(value.oid),
        _TRUE if critical else b"",
        tlv(OCTET_STRING, value.public_bytes()),
    )


def subject_key_identifier(identifier: bytes) -> bytes:
    """Return the extension that names the certificate's own key."""
    return tlv(SEQUENCE, _SUBJECT_KEY_IDENTIFIER, tlv(OCTET_STRING, tlv(OCTET_STRING, identifier)))


@lru_cache(_KEPT)
def of_profile(profile: Profile) -> bytes:
    """Return the extensions that all certificates of a profile begin with."""
    ca = profile.ca
    constraints = x509.BasicConstraints(ca=ca is not None, path_length=ca.path_length if ca else None)
    first = extension(constraints, critical=True) + extension(key_usage(profile), critical=True)
    if not profile.extended_key_usage:
        return first
    return first + extension(x509.ExtendedKeyUsage([EXTENDED_USES[use] for use in profile.extended_key_usage]))


@lru_cache(_KEPT)
def names_of(issuer: x509.Certificate) -> Names:
    """Return what certificates say of this issuer. Raises `Fault` (rejected) when it has no key identifier."""
    # The value in the issuer's certificate is what verifiers compare with, however it was made (RFC 5280, 4.2.1.1).
    own = find_extension(issuer, x509.SubjectKeyIdentifier)
    if own is None:
        raise Fault(Kind.REJECTED, "the issuer's certificate has no subject key identifier")
    theirs = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return Names(issuer.subject.public_bytes(), extension(theirs))


@lru_cache(_KEPT)
def crl_at(url: str) -> bytes:
    """Return the extension that says where the CRL is (RFC 5280, 4.2.1.13)."""
    where = [x509.UniformResourceIdentifier(url)]
    return extension(x509.CRLDistributionPoints([x509.DistributionPoint(where, None, None, None)]))


@lru_cache(_KEPT)
def access_at(ocsp_url: str | None, aia_url: str | None) -> bytes:
    """Return the extension that says where to ask for its status and to fetch its issuer (RFC 5280, 4.2.2.1)."""
    named = ((AuthorityInformationAccessOID.OCSP, ocsp_url), (AuthorityInformationAccessOID.CA_ISSUERS, aia_url))
    return extension(
        x509.AuthorityInformationAccess(
            [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in named if url]
        )
    )


_SUBJECT_KEY_IDENTIFIER: Final = asn1.encode_der(ExtensionOID.SUBJECT_KEY_IDENTIFIER)


@lru_cache(_KEPT)
def _validity(window: tuple[datetime, datetime]) -> bytes:
    return tlv(SEQUENCE, _time(window[0]), _time(window[1]))


def _time(at: datetime) -> bytes:
    if at.year < _FIRST_YEAR:
        raise Fault(Kind.REJECTED, "such a certificate cannot be made", detail=f"X.509 has no year {at.year}")
    return utc_time(at) if at.year < _FIRST_GENERALIZED_YEAR else generalized_time(at)
