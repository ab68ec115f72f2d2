"""What a request is to hold, told before it is made: EST's CSR attributes in DER. RFC 7030 section 4.5, RFC 9908.

Both styles side by side: a template of the whole request for clients of RFC 9908, the kind of key as an attribute for
those before. Knows no profile and no HTTP.
"""

from typing import Final

from troth.x509.algorithms import RSA_BITS, KeyAlgorithm
from troth.x509.der import SEQUENCE, constructed, integer, tlv

CONTENT_TYPE: Final = "application/csrattrs"

_SET: Final = 0x31
_TEMPLATE: Final = bytes.fromhex("060b2a864886f70d010910023d")
"""id-aa-certificationRequestInfoTemplate (RFC 9908, 3.4)."""
_CHALLENGE_PASSWORD: Final = bytes.fromhex("06092a864886f70d010907")
_COMMON_NAME: Final = bytes.fromhex("0603550403")
_EC_PUBLIC_KEY: Final = bytes.fromhex("06072a8648ce3d0201")
_RSA: Final = bytes.fromhex("06092a864886f70d010101")
_NULL: Final = bytes.fromhex("0500")
_CURVES: Final = {
    KeyAlgorithm.P256: bytes.fromhex("06082a8648ce3d030107"),
    KeyAlgorithm.P384: bytes.fromhex("06052b81040022"),
}
_ALONE: Final = {
    KeyAlgorithm.ED25519: bytes.fromhex("06032b6570"),
    KeyAlgorithm.MLDSA44: bytes.fromhex("0609608648016503040311"),
    KeyAlgorithm.MLDSA65: bytes.fromhex("0609608648016503040312"),
    KeyAlgorithm.MLDSA87: bytes.fromhex("0609608648016503040313"),
}
"""Kinds of key whose identifier says all (RFC 8410, RFC 9881)."""


def build_csr_attributes(algorithm: KeyAlgorithm, *, linked: bool) -> bytes:
    """Return CsrAttrs: a key of this kind, a common name to be filled in, and no extensions.

    `linked` asks for a challengePassword too, which ties the request to its connection (RFC 7030, 3.5).
    """
    subject = tlv(SEQUENCE, tlv(_SET, tlv(SEQUENCE, _COMMON_NAME)))
    key = tlv(constructed(0), tlv(SEQUENCE, *_identifier(algorithm)))
    template = tlv(SEQUENCE, integer(0), subject, key, tlv(constructed(1)))
    told = [tlv(SEQUENCE, _TEMPLATE, tlv(_SET, template)), _legacy(algorithm)]
    if linked:
        told.append(_CHALLENGE_PASSWORD)
    return tlv(SEQUENCE, *told)


def _identifier(algorithm: KeyAlgorithm) -> tuple[bytes, ...]:
    """Return what is in the AlgorithmIdentifier of such a key."""
    if algorithm in _CURVES:
        return _EC_PUBLIC_KEY, _CURVES[algorithm]
    if algorithm in RSA_BITS:
        return _RSA, _NULL
    return (_ALONE[algorithm],)


def _legacy(algorithm: KeyAlgorithm) -> bytes:
    """Return the kind of key as RFC 7030, 4.5.2 has it: an attribute with the curve or the length, or an identifier."""
    if algorithm in _CURVES:
        return tlv(SEQUENCE, _EC_PUBLIC_KEY, tlv(_SET, _CURVES[algorithm]))
    if algorithm in RSA_BITS:
        return tlv(SEQUENCE, _RSA, tlv(_SET, integer(RSA_BITS[algorithm])))
    return _ALONE[algorithm]
