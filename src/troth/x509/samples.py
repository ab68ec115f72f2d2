"""Public keys that belong to nobody: enough to see what a certificate of each kind of key would look like.

Nothing that is made from them is ever signed by a CA.
"""

import math
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from troth.x509.algorithms import CURVES, MLDSA, RSA_BITS, RSA_EXPONENT, KeyAlgorithm, PublicKey
from troth.x509.lint.rsa_modulus import SMALL_PRIMES

_SEED: Final = bytes(32)


def sample_public_key(algorithm: KeyAlgorithm) -> PublicKey:
    """Return a public key of this algorithm, always the same one."""
    if algorithm in CURVES:
        return ec.derive_private_key(1, CURVES[algorithm]).public_key()
    if algorithm in RSA_BITS:
        return rsa.RSAPublicNumbers(RSA_EXPONENT, _modulus(RSA_BITS[algorithm])).public_key()
    if algorithm in MLDSA:
        return MLDSA[algorithm].from_seed_bytes(_SEED).public_key()
    return ed25519.Ed25519PrivateKey.from_private_bytes(_SEED).public_key()


def _modulus(bits: int) -> int:
    # No product of two large primes, which takes long to find, but without a small factor, as the lint wants it.
    candidate = (1 << bits) - 1
    while math.gcd(candidate, SMALL_PRIMES) != 1:
        candidate -= 2
    return candidate
