"""The frame that certificates and requests share, and the parts of a certificate as they are encoded.

`cryptography` tells what a certificate means; how it says so (which kind of time, which parameters) is read here.
RFC 5280 sections 4.1 and 4.1.1.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding

from troth.x509.algorithms import KeyAlgorithm, signature_identifier
from troth.x509.der import BIT_STRING, SEQUENCE, tlv


@asn1.sequence
class _Signed:
    content: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


@asn1.sequence
class _Validity:
    not_before: asn1.TLV
    not_after: asn1.TLV


@asn1.sequence
class _Extension:
    type: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]
    value: bytes


@asn1.sequence
class _NamePart:
    type: x509.ObjectIdentifier
    value: asn1.TLV


@asn1.sequence
class _Certificate:
    version: Annotated[int, asn1.Explicit(0), asn1.Default(0)]
    serial: int
    algorithm: asn1.TLV
    issuer: asn1.TLV
    validity: _Validity
    subject: list[asn1.SetOf[_NamePart]]
    public_key: asn1.TLV
    issuer_id: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    subject_id: Annotated[asn1.BitString | None, asn1.Implicit(2)]
    extensions: Annotated[list[_Extension] | None, asn1.Explicit(3)]


def assemble_signed(content: bytes, algorithm: KeyAlgorithm, signature: bytes) -> bytes:
    """Return DER of `content` (DER itself) with the `signature` that a key of `algorithm` made over it."""
    return tlv(SEQUENCE, content, signature_identifier(algorithm), tlv(BIT_STRING, b"\x00", signature))


def signature_identifiers(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """Return the DER AlgorithmIdentifiers inside what is signed and beside the signature."""
    signed = asn1.decode_der(_Signed, certificate.public_bytes(Encoding.DER))
    inner = asn1.decode_der(_Certificate, certificate.tbs_certificate_bytes)
    return asn1.encode_der(inner.algorithm), asn1.encode_der(signed.algorithm)


class EncodedTime(NamedTuple):
    """A time as it is written."""

    tag: bytes
    characters: bytes


class EncodedExtension(NamedTuple):
    """An extension as it is written."""

    type: x509.ObjectIdentifier
    critical: bool
    value: bytes
    """DER, without the octet string around it."""


class NamePart(NamedTuple):
    """One attribute of a name as it is written."""

    type: x509.ObjectIdentifier
    tag: bytes
    """Which kind of string."""
    characters: bytes


@dataclass(frozen=True, slots=True)
class EncodedParts:
    """The parts of a certificate as they are encoded."""

    inner_algorithm: bytes
    """The DER AlgorithmIdentifier inside what is signed."""
    outer_algorithm: bytes
    """And the one beside the signature."""
    not_before: EncodedTime
    not_after: EncodedTime
    subject: tuple[tuple[NamePart, ...], ...]
    """By relative distinguished name."""
    has_unique_identifiers: bool
    extensions: tuple[EncodedExtension, ...] | None
    """None where there is no list of extensions at all."""


def read_parts(certificate: x509.Certificate) -> EncodedParts:
    """Return how a certificate is encoded. Raises `ValueError` on what is not DER."""
    outer = asn1.decode_der(_Signed, certificate.public_bytes(Encoding.DER)).algorithm
    inner = asn1.decode_der(_Certificate, certificate.tbs_certificate_bytes)
    before, after = inner.validity.not_before, inner.validity.not_after
    return EncodedParts(
        inner_algorithm=asn1.encode_der(inner.algorithm),
        outer_algorithm=asn1.encode_der(outer),
        not_before=EncodedTime(bytes(before.tag_bytes), bytes(before.data)),
        not_after=EncodedTime(bytes(after.tag_bytes), bytes(after.data)),
        subject=tuple(tuple(_name_part(part) for part in each.as_list()) for each in inner.subject),
        has_unique_identifiers=inner.issuer_id is not None or inner.subject_id is not None,
        extensions=None if inner.extensions is None else tuple(_extension(each) for each in inner.extensions),
    )


def _name_part(part: _NamePart) -> NamePart:
    return NamePart(part.type, bytes(part.value.tag_bytes), bytes(part.value.data))


def _extension(extension: _Extension) -> EncodedExtension:
    return EncodedExtension(extension.type, extension.critical, extension.value)
