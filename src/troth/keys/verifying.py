"""Whether a signature is one: for keys that sign where we cannot look, and for whoever checks what a key has made."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from troth.x509.algorithms import PublicKey, algorithm_of, signature_hash


def is_signature(public_key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Say whether the private half of `public_key` signed `data`, by the one scheme of its algorithm."""
    digest = signature_hash(algorithm_of(public_key))
    try:
        match public_key:
            case ec.EllipticCurvePublicKey():
                assert digest is not None  # every curve has its hash
                public_key.verify(signature, data, ec.ECDSA(digest))
            case rsa.RSAPublicKey():
                assert digest is not None  # so has RSA
                public_key.verify(signature, data, padding.PKCS1v15(), digest)
            case _:
                public_key.verify(signature, data)
    except InvalidSignature:
        return False
    return True
