"""What each kind of key is in PKCS#11's words, and its values from there to X.509's and back.

PKCS#11 2.40, 2.3 (elliptic curves) and 2.1 (RSA); 3.0, 2.3.5 (Edwards). ML-DSA came with 3.2, which tokens do not have.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import Attribute, KeyType, Mechanism

from troth.errors import Fault, Kind
from troth.x509.algorithms import CURVES, RSA_BITS, RSA_EXPONENT, KeyAlgorithm, PublicKey, algorithm_of

_P256: Final = bytes.fromhex("06082a8648ce3d030107")
_P384: Final = bytes.fromhex("06052b81040022")
_ED25519: Final = bytes.fromhex("06032b6570")
# The name of the curve as a printable string, the other form that 3.0 allows.
_ED25519_NAME: Final = b"\x13\x0cedwards25519"
_CURVES: Final = {_P256: KeyAlgorithm.P256, _P384: KeyAlgorithm.P384}


@dataclass(frozen=True, slots=True)
class TokenKind:
    """How a token makes and uses keys of one kind."""

    key_type: KeyType
    parameters: bytes | None
    """CKA_EC_PARAMS; None for RSA."""
    bits: int | None
    """The modulus's; None for curves."""
    mechanism: Mechanism
    prepare: Callable[[bytes], bytes]
    """From the data to what the mechanism is given."""
    finish: Callable[[bytes], bytes]
    """From what the mechanism returns to the signature that X.509 carries."""


def kind_of(algorithm: KeyAlgorithm) -> TokenKind:
    """Return how a token has keys of this algorithm. Raises `Fault` (unsupported) for those that tokens have not."""
    found = _KINDS.get(algorithm)
    if found is None:
        raise Fault(Kind.UNSUPPORTED, f"no {algorithm} key is used in a token", hint=f"use {', '.join(_KINDS)}")
    return found


def public_key_of(attributes: Mapping[Attribute, Any]) -> PublicKey:
    """Return the public key that a public key object has. Raises `Fault` (bad key) for kinds that are not taken."""
    try:
        key = _public_key(attributes)
    except (KeyError, ValueError, TypeError) as error:
        raise Fault(Kind.BAD_KEY, "the token's public key cannot be read", detail=repr(error)) from error
    algorithm_of(key)
    return key


def _public_key(attributes: Mapping[Attribute, Any]) -> PublicKey:
    match attributes[Attribute.KEY_TYPE]:
        case KeyType.RSA:
            exponent = int.from_bytes(attributes[Attribute.PUBLIC_EXPONENT], "big")
            return rsa.RSAPublicNumbers(exponent, int.from_bytes(attributes[Attribute.MODULUS], "big")).public_key()
        case KeyType.EC if attributes[Attribute.EC_PARAMS] in _CURVES:
            curve = CURVES[_CURVES[attributes[Attribute.EC_PARAMS]]]
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, _point(attributes))
        case KeyType.EC_EDWARDS if attributes[Attribute.EC_PARAMS] in {_ED25519, _ED25519_NAME}:
            return ed25519.Ed25519PublicKey.from_public_bytes(_point(attributes))
    raise ValueError("a kind of key that is not taken")


def _point(attributes: Mapping[Attribute, Any]) -> bytes:
    return asn1.decode_der(bytes, attributes[Attribute.EC_POINT])


def _ecdsa(signature: bytes) -> bytes:
    middle = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:middle], "big"), int.from_bytes(signature[middle:], "big"))


def _as_it_is(value: bytes) -> bytes:
    return value


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


_KINDS: Final = {
    KeyAlgorithm.P256: TokenKind(KeyType.EC, _P256, None, Mechanism.ECDSA, _sha256, _ecdsa),
    KeyAlgorithm.P384: TokenKind(KeyType.EC, _P384, None, Mechanism.ECDSA, _sha384, _ecdsa),
    KeyAlgorithm.ED25519: TokenKind(KeyType.EC_EDWARDS, _ED25519, None, Mechanism.EDDSA, _as_it_is, _as_it_is),
    **{
        algorithm: TokenKind(KeyType.RSA, None, bits, Mechanism.SHA256_RSA_PKCS, _as_it_is, _as_it_is)
        for algorithm, bits in RSA_BITS.items()
    },
}
PUBLIC_EXPONENT: Final = RSA_EXPONENT.to_bytes(3, "big")
