"""Certificates read and written: PEM and DER, the id, and the attributes that policy variables are made of.

Decides nothing about trust (`troth.x509.verify`). RFC 5280 sections 4.1 and 4.2.1.6; RFC 4514 for names as text.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from troth.errors import Kind, PeerFault
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX
from troth.x509.der import BIT_STRING, tlv
from troth.x509.pem import is_pem, parse_pem

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

UNREADABLE: Final = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    Warning,  # where warnings are errors; the checks beside each use refuse the same without them
)
"""What `cryptography` raises on bytes that it cannot make sense of."""


def certificate_id(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the DER as 64 lower-case hex digits: the id that AWS IoT gives a certificate."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def parse_certificate(data: bytes) -> x509.Certificate:
    """Read one certificate of version 3 in DER or PEM (a single block), extensions included.

    Raises `PeerFault` (malformed, too large): above `CERTIFICATE_BYTES_MAX` bytes of DER, bytes behind its end, a
    serial number that is not positive, extensions that cannot be read.
    """
    _bound(data, 2 * CERTIFICATE_BYTES_MAX, "certificate")
    if is_pem(data):
        data = parse_pem(data, "CERTIFICATE", blocks_max=1)[0]
    return _parse_der(data)


def parse_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Read a PEM chain of 1 to `CHAIN_CERTIFICATES_MAX` certificates, in the order given. Raises `PeerFault`."""
    _bound(pem, 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX, "chain")
    blocks = parse_pem(pem, "CERTIFICATE", blocks_max=CHAIN_CERTIFICATES_MAX)
    return tuple(_parse_der(block) for block in blocks)


def render_chain(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return the certificates as PEM, one block after the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def serial_text(certificate: x509.Certificate) -> str:
    """Return the serial number in lower-case hex, without leading zeros."""
    return f"{certificate.serial_number:x}"


def subject_text(name: x509.Name) -> str:
    """Return a name as RFC 4514 writes it, most specific part first: ``CN=thermostat-1``."""
    return name.rfc4514_string()


def find_extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return the value of one kind of extension; None when the certificate has none."""
    for extension in certificate.extensions:
        if extension.oid == kind.oid and isinstance(extension.value, kind):
            return extension.value
    return None


def _parse_der(der: bytes) -> x509.Certificate:
    _bound(der, CERTIFICATE_BYTES_MAX, "certificate")
    try:
        certificate = x509.load_der_x509_certificate(der)
        serial = certificate.serial_number
        # These are read on demand; reading them now is what makes the value returned a readable one.
        _ = (certificate.extensions, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the certificate cannot be read", detail=str(error)) from error
    if certificate.version is not x509.Version.v3:
        raise PeerFault(Kind.MALFORMED, "the certificate is not of version 3")
    if serial <= 0:
        raise PeerFault(Kind.MALFORMED, "the certificate's serial number is not positive (RFC 5280, 4.1.2.2)")
    # How many bits of the last octet are unused stands outside of what is signed: one certificate would have eight ids.
    if not der.endswith(tlv(BIT_STRING, b"\x00", certificate.signature)):
        raise PeerFault(Kind.MALFORMED, "the certificate does not end with a signature of whole octets")
    return certificate


def _bound(data: bytes, bytes_max: int, what: str) -> None:
    if len(data) > bytes_max:
        raise PeerFault(Kind.TOO_LARGE, f"the {what} has more than {bytes_max} bytes")


NAME_ATTRIBUTES: Final[Mapping[x509.ObjectIdentifier, str]] = {
    NameOID.DN_QUALIFIER: "DistinguishedNameQualifier",
    NameOID.COUNTRY_NAME: "Country",
    NameOID.ORGANIZATION_NAME: "Organization",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OrganizationalUnit",
    NameOID.STATE_OR_PROVINCE_NAME: "State",
    NameOID.COMMON_NAME: "CommonName",
    NameOID.SERIAL_NUMBER: "SerialNumber",
    NameOID.TITLE: "Title",
    NameOID.SURNAME: "Surname",
    NameOID.GIVEN_NAME: "GivenName",
    NameOID.INITIALS: "Initials",
    NameOID.PSEUDONYM: "Pseudonym",
    NameOID.GENERATION_QUALIFIER: "GenerationQualifier",
}
"""The parts of a name that are policy variables, by AWS's word for each ("X.509 certificate policy variables")."""

_DIRECTORY_TYPES: Final[Mapping[x509.ObjectIdentifier, str]] = {
    NameOID.COMMON_NAME: "cn",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "ou",
    NameOID.ORGANIZATION_NAME: "o",
    NameOID.LOCALITY_NAME: "l",
    NameOID.STATE_OR_PROVINCE_NAME: "st",
    NameOID.COUNTRY_NAME: "c",
    NameOID.STREET_ADDRESS: "street",
    NameOID.DOMAIN_COMPONENT: "dc",
    NameOID.USER_ID: "uid",
    NameOID.DN_QUALIFIER: "dnqualifier",
    NameOID.SERIAL_NUMBER: "serialnumber",
    NameOID.TITLE: "title",
    NameOID.SURNAME: "sn",
    NameOID.GIVEN_NAME: "gn",
    NameOID.INITIALS: "initials",
    NameOID.PSEUDONYM: "pseudonym",
    NameOID.GENERATION_QUALIFIER: "generationqualifier",
}
_ESCAPED: Final = frozenset(',"\\+=<>;')


@dataclass(frozen=True, slots=True)
class CertificateAttributes:
    r"""What policy variables can say of a certificate, under AWS's words: ``subject["CommonName"] == ("lamp-9",)``.

    Values are raw, all of them, in certificate order: policy keeps the first five and writes ``, " \ + = < > ;`` in
    them with a backslash. The one exception is ``DirectoryName``: it is the text ``cn=lamp,o=Acme\, Inc.,c=US``, with
    the parts escaped already, since outside the parts these characters separate.
    """

    certificate_id: str
    serial_number: str
    """Decimal."""
    subject: Mapping[str, tuple[str, ...]]
    issuer: Mapping[str, tuple[str, ...]]
    san: Mapping[str, tuple[str, ...]]
    issuer_alternative_name: Mapping[str, tuple[str, ...]]


def attributes(certificate: x509.Certificate) -> CertificateAttributes:
    """Return what policy variables can say of a certificate. Raises `PeerFault` (malformed) on an unreadable name."""
    try:
        return CertificateAttributes(
            certificate_id=certificate_id(certificate),
            serial_number=str(certificate.serial_number),
            subject=_name_attributes(certificate.subject),
            issuer=_name_attributes(certificate.issuer),
            san=_alternative_names(certificate, x509.SubjectAlternativeName),
            issuer_alternative_name=_alternative_names(certificate, x509.IssuerAlternativeName),
        )
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "a name in the certificate cannot be read", detail=str(error)) from error


def _name_attributes(name: x509.Name) -> dict[str, tuple[str, ...]]:
    return _gather(
        (NAME_ATTRIBUTES[part.oid], part.value)
        for part in name
        if part.oid in NAME_ATTRIBUTES and isinstance(part.value, str)
    )


def _alternative_names(
    certificate: x509.Certificate, kind: type[x509.SubjectAlternativeName | x509.IssuerAlternativeName]
) -> dict[str, tuple[str, ...]]:
    names = find_extension(certificate, kind)
    return _gather(pair for name in names or () if (pair := _alternative_name(name)))


def _alternative_name(name: x509.GeneralName) -> tuple[str, str] | None:
    match name:
        case x509.RFC822Name():
            return "RFC822Name", name.value
        case x509.DNSName():
            return "DNSName", name.value
        case x509.UniformResourceIdentifier():
            return "UniformResourceIdentifier", name.value
        case x509.IPAddress():
            return "IPAddress", str(name.value)
        case x509.DirectoryName():
            return "DirectoryName", _directory_text(name.value)
        case _:
            return None


def _directory_text(name: x509.Name) -> str:
    return ",".join(
        "+".join(
            f"{_DIRECTORY_TYPES.get(part.oid, part.oid.dotted_string)}={_escape(part.value)}"
            for part in sorted(rdn, key=lambda part: part.oid.dotted_string)
        )
        for rdn in reversed(name.rdns)
    )


def _escape(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return f"#{value.hex()}"
    return "".join(f"\\{character}" if character in _ESCAPED else character for character in value)


def _gather(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for word, value in pairs:
        found[word] = (*found.get(word, ()), value)
    return found
