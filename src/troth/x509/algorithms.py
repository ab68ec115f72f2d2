"""The kinds of key that are taken and made, and the one signature scheme of each.

Knows no private key's whereabouts. RFC 5480 and 5758 (ECDSA), RFC 8410 (Ed25519), RFC 3279 and 4055 (RSA), RFC 9881
(ML-DSA, pure, without a context).
"""

from enum import StrEnum
from functools import cache
from typing import Final, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

from troth.errors import Fault, Kind

MLDSAPublicKey = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
MLDSAPrivateKey = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey | MLDSAPublicKey
ServablePrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
"""What our own TLS servers can show; pyOpenSSL 26 takes no other."""
PrivateKey = ServablePrivateKey | MLDSAPrivateKey


class KeyAlgorithm(StrEnum):
    """A kind of key together with its size: what profiles list and people read."""

    P256 = "P-256"
    P384 = "P-384"
    ED25519 = "Ed25519"
    RSA2048 = "RSA-2048"
    RSA3072 = "RSA-3072"
    RSA4096 = "RSA-4096"
    MLDSA44 = "ML-DSA-44"
    MLDSA65 = "ML-DSA-65"
    MLDSA87 = "ML-DSA-87"


RSA_EXPONENT: Final = 65_537
RSA_BITS: Final = {KeyAlgorithm.RSA2048: 2048, KeyAlgorithm.RSA3072: 3072, KeyAlgorithm.RSA4096: 4096}
CURVES: Final[dict[KeyAlgorithm, ec.EllipticCurve]] = {
    KeyAlgorithm.P256: ec.SECP256R1(),
    KeyAlgorithm.P384: ec.SECP384R1(),
}
MLDSA: Final[dict[KeyAlgorithm, type[MLDSAPrivateKey]]] = {
    KeyAlgorithm.MLDSA44: mldsa.MLDSA44PrivateKey,
    KeyAlgorithm.MLDSA65: mldsa.MLDSA65PrivateKey,
    KeyAlgorithm.MLDSA87: mldsa.MLDSA87PrivateKey,
}

ECDSA: Final[dict[KeyAlgorithm, ec.ECDSA]] = {
    KeyAlgorithm.P256: ec.ECDSA(hashes.SHA256()),
    KeyAlgorithm.P384: ec.ECDSA(hashes.SHA384()),
}
"""The scheme of each curve, with its hash."""

_BY_CLASS: Final[dict[type, KeyAlgorithm]] = {
    ed25519.Ed25519PublicKey: KeyAlgorithm.ED25519,
    mldsa.MLDSA44PublicKey: KeyAlgorithm.MLDSA44,
    mldsa.MLDSA65PublicKey: KeyAlgorithm.MLDSA65,
    mldsa.MLDSA87PublicKey: KeyAlgorithm.MLDSA87,
}
_BY_BITS: Final = {bits: algorithm for algorithm, bits in RSA_BITS.items()}
_BY_CURVE: Final = {curve.name: algorithm for algorithm, curve in CURVES.items()}

_HASHES: Final[dict[KeyAlgorithm, hashes.SHA256 | hashes.SHA384 | None]] = {
    KeyAlgorithm.P256: hashes.SHA256(),
    KeyAlgorithm.P384: hashes.SHA384(),
    KeyAlgorithm.ED25519: None,
    KeyAlgorithm.RSA2048: hashes.SHA256(),
    KeyAlgorithm.RSA3072: hashes.SHA256(),
    KeyAlgorithm.RSA4096: hashes.SHA256(),
    KeyAlgorithm.MLDSA44: None,
    KeyAlgorithm.MLDSA65: None,
    KeyAlgorithm.MLDSA87: None,
}

# AlgorithmIdentifier in DER. The parameters are absent for ECDSA (RFC 5758, 3.2) and Ed25519 (RFC 8410, 3), NULL for
# RSA (RFC 4055, 5), and absent for ML-DSA (RFC 9881, 2).
_ECDSA_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")
_ECDSA_SHA384: Final = bytes.fromhex("300a06082a8648ce3d040303")
_ED25519: Final = bytes.fromhex("300506032b6570")
_RSA_SHA256: Final = bytes.fromhex("300d06092a864886f70d01010b0500")
_IDENTIFIERS: Final = {
    KeyAlgorithm.P256: _ECDSA_SHA256,
    KeyAlgorithm.P384: _ECDSA_SHA384,
    KeyAlgorithm.ED25519: _ED25519,
    KeyAlgorithm.RSA2048: _RSA_SHA256,
    KeyAlgorithm.RSA3072: _RSA_SHA256,
    KeyAlgorithm.RSA4096: _RSA_SHA256,
    KeyAlgorithm.MLDSA44: bytes.fromhex("300b0609608648016503040311"),
    KeyAlgorithm.MLDSA65: bytes.fromhex("300b0609608648016503040312"),
    KeyAlgorithm.MLDSA87: bytes.fromhex("300b0609608648016503040313"),
}


SIGNATURE_OCTETS_MAX: Final = {
    KeyAlgorithm.P256: 72,
    KeyAlgorithm.P384: 104,
    KeyAlgorithm.ED25519: 64,
    KeyAlgorithm.RSA2048: 256,
    KeyAlgorithm.RSA3072: 384,
    KeyAlgorithm.RSA4096: 512,
    KeyAlgorithm.MLDSA44: 2420,
    KeyAlgorithm.MLDSA65: 3309,
    KeyAlgorithm.MLDSA87: 4627,
}
"""The length of a signature, as X.509 carries it; ECDSA's is shorter now and then."""


def algorithm_of(public_key: object) -> KeyAlgorithm:
    """Return the algorithm of a public key of `cryptography`. Raises `Fault` (bad key) for any that is not listed."""
    kind: object = type(public_key)
    family = _family(kind)
    if isinstance(family, KeyAlgorithm):
        return family
    found, what = None, f"a {type(public_key).__name__.removesuffix('PublicKey')} key"
    if family is ec.EllipticCurvePublicKey:
        curve = cast("ec.EllipticCurvePublicKey", public_key).curve.name
        found, what = _BY_CURVE.get(curve), f"curve {curve}"
    elif family is rsa.RSAPublicKey:
        rsa_key = cast("rsa.RSAPublicKey", public_key)
        if rsa_key.public_numbers().e != RSA_EXPONENT:
            raise Fault(Kind.BAD_KEY, f"an RSA key's public exponent must be {RSA_EXPONENT}")
        found, what = _BY_BITS.get(rsa_key.key_size), f"RSA with {rsa_key.key_size} bits"
    if found is None:
        raise Fault(Kind.BAD_KEY, f"{what} is not taken", hint=f"use one of {', '.join(KeyAlgorithm)}")
    return found


@cache
def _family(kind: object) -> KeyAlgorithm | type | None:
    """Return what a class of keys is one of. Asking an abstract class takes microseconds, and this is asked often."""
    assert isinstance(kind, type)
    for abstract, algorithm in _BY_CLASS.items():
        if issubclass(kind, abstract):
            return algorithm
    return next((each for each in (ec.EllipticCurvePublicKey, rsa.RSAPublicKey) if issubclass(kind, each)), None)


def signature_hash(algorithm: KeyAlgorithm) -> hashes.SHA256 | hashes.SHA384 | None:
    """Return the hash that a key of this algorithm signs with; None where the scheme has its own (Ed25519, ML-DSA)."""
    return _HASHES[algorithm]


def signature_identifier(algorithm: KeyAlgorithm) -> bytes:
    """Return the DER AlgorithmIdentifier of the signatures that a key of this algorithm makes."""
    return _IDENTIFIERS[algorithm]


def is_sound_hash(used: hashes.HashAlgorithm | None) -> bool:
    """Say whether a signature over this hash counts for anything: SHA-2 of 256 bits or more, or the scheme's own."""
    return used is None or isinstance(used, hashes.SHA256 | hashes.SHA384 | hashes.SHA512)
