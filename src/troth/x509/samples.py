"""Public keys that belong to nobody: enough to see what a certificate of each kind of key would look like.

Nothing that is made from them is ever signed by a CA.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from troth.x509.algorithms import CURVES, MLDSA, RSA_BITS, RSA_EXPONENT, KeyAlgorithm, PublicKey

_SEED: Final = bytes(32)


def sample_public_key(algorithm: KeyAlgorithm) -> PublicKey:
    """Return a public key of this algorithm, always the same one."""
    if algorithm in CURVES:
        return ec.derive_private_key(1, CURVES[algorithm]).public_key()
    if algorithm in RSA_BITS:
        # No product of two primes, which takes long to find; of the right length, and odd.
        return rsa.RSAPublicNumbers(RSA_EXPONENT, (1 << RSA_BITS[algorithm]) - 1).public_key()
    if algorithm in MLDSA:
        return MLDSA[algorithm].from_seed_bytes(_SEED).public_key()
    return ed25519.Ed25519PrivateKey.from_private_bytes(_SEED).public_key()
