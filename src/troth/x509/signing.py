"""A signature made and checked by the one scheme of each algorithm, for keys that are values in this process."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from troth.x509.algorithms import PrivateKey, PublicKey, algorithm_of, signature_hash


def sign(key: PrivateKey, data: bytes) -> bytes:
    """Return the signature over `data`, as X.509 carries it. Raises `Fault` (bad key) for a key that is not listed."""
    digest = signature_hash(algorithm_of(key.public_key()))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        assert digest is not None  # every curve has its hash
        return key.sign(data, ec.ECDSA(digest))
    if isinstance(key, rsa.RSAPrivateKey):
        assert digest is not None  # so has RSA
        return key.sign(data, padding.PKCS1v15(), digest)
    return key.sign(data)


def is_signature(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Say whether `signature` over `data` was made by the private half of `key`. Raises `Fault` (bad key)."""
    digest = signature_hash(algorithm_of(key))
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            assert digest is not None  # every curve has its hash
            key.verify(signature, data, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey):
            assert digest is not None  # so has RSA
            key.verify(signature, data, padding.PKCS1v15(), digest)
        else:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return True
