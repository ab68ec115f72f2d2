"""The one small interface to a private key: what it is, its public half, and signing. It never shows the key."""

from typing import Protocol

from troth.x509.algorithms import KeyAlgorithm, PublicKey


class SigningKey(Protocol):
    """A private key, wherever it lives: in a file, a token, a chip."""

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm, which decides how it signs."""
        ...

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`, by the one scheme of the algorithm, as X.509 carries it.

        ECDSA in DER over SHA-256 (P-256) or SHA-384 (P-384), Ed25519, RSA PKCS#1 v1.5 over SHA-256, ML-DSA. Raises
        `Fault` (unavailable) when the key cannot be reached now.
        """
        ...
