"""A signature made and checked by the one scheme of each algorithm, for keys that are values in this process."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from troth.x509.algorithms import ECDSA, PrivateKey, PublicKey, algorithm_of, signature_hash


def sign(key: PrivateKey, data: bytes) -> bytes:
    """Return the signature over `data`, as X.509 carries it. Raises `Fault` (bad key) for a key that is not listed."""
    algorithm = algorithm_of(key.public_key())
    digest = signature_hash(algorithm)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ECDSA[algorithm])
    if isinstance(key, rsa.RSAPrivateKey):
        assert digest is not None  # so has RSA
        return key.sign(data, padding.PKCS1v15(), digest)
    return key.sign(data)


def is_signature(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Say whether `signature` over `data` was made by the private half of `key`. Raises `Fault` (bad key)."""
    algorithm = algorithm_of(key)
    digest = signature_hash(algorithm)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ECDSA[algorithm])
        elif isinstance(key, rsa.RSAPublicKey):
            assert digest is not None  # so has RSA
            key.verify(signature, data, padding.PKCS1v15(), digest)
        else:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return True
