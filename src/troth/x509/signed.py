"""The frame that certificates and requests share, and the parts of a certificate as they are encoded.

`cryptography` tells what a certificate means; how it says so (which kind of time, which parameters) is read here.
RFC 5280 sections 4.1 and 4.1.1.
"""

from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding

from troth.x509.algorithms import KeyAlgorithm, signature_identifier


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
class _Certificate:
    version: Annotated[int, asn1.Explicit(0), asn1.Default(0)]
    serial: int
    algorithm: asn1.TLV
    issuer: asn1.TLV
    validity: _Validity
    subject: asn1.TLV
    public_key: asn1.TLV
    issuer_id: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    subject_id: Annotated[asn1.BitString | None, asn1.Implicit(2)]
    extensions: Annotated[list[asn1.TLV] | None, asn1.Explicit(3)]


def assemble_signed(content: bytes, algorithm: KeyAlgorithm, signature: bytes) -> bytes:
    """Return DER of `content` (DER itself) with the `signature` that a key of `algorithm` made over it."""
    return asn1.encode_der(
        _Signed(
            content=asn1.decode_der(asn1.TLV, content),
            algorithm=asn1.decode_der(asn1.TLV, signature_identifier(algorithm)),
            signature=asn1.BitString(signature, 0),
        )
    )


def signature_identifiers(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """Return the DER AlgorithmIdentifiers inside what is signed and beside the signature."""
    signed = asn1.decode_der(_Signed, certificate.public_bytes(Encoding.DER))
    inner = asn1.decode_der(_Certificate, certificate.tbs_certificate_bytes)
    return asn1.encode_der(inner.algorithm), asn1.encode_der(signed.algorithm)


def validity_times(certificate: x509.Certificate) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """Return not-before and not-after as they are encoded: (tag, characters) of each."""
    validity = asn1.decode_der(_Certificate, certificate.tbs_certificate_bytes).validity
    before, after = validity.not_before, validity.not_after
    return (bytes(before.tag_bytes), bytes(before.data)), (bytes(after.tag_bytes), bytes(after.data))
