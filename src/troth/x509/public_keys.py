"""Public keys as certificates and requests carry them: read once, though several look at the same one in turn.

RFC 5280 section 4.1.2.7; RFC 5480 for keys on NIST's curves.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from troth.x509.algorithms import KeyAlgorithm, PublicKey, algorithm_of

_KEPT: Final = 1024

P256_INFO_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""How the SubjectPublicKeyInfo of every P-256 key begins that is written with both coordinates: they follow."""
P256_INFO_BYTES: Final = len(P256_INFO_HEAD) + 64
P256_POINT_AT: Final = len(P256_INFO_HEAD) - 1
"""Where in it the bits of the key begin: the octet that says that both coordinates follow."""


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """A public key of a listed kind, and how it is written."""

    public_key: PublicKey
    algorithm: KeyAlgorithm
    info: bytes
    """DER SubjectPublicKeyInfo, as we write it."""


@lru_cache(_KEPT)
def read_subject_key(info: bytes) -> SubjectKey:
    """Return the key of a DER SubjectPublicKeyInfo; the same bytes are read once.

    Raises `Fault` (bad key) for a kind that is not listed, and what `cryptography` raises on bytes that are no key.
    """
    public_key = load_der_public_key(info)
    algorithm = algorithm_of(public_key)
    assert isinstance(public_key, PublicKey)  # algorithm_of has just said so
    # Every P-256 key that begins so is written as we write it; writing it anew takes a third as long as reading it.
    is_ours = len(info) == P256_INFO_BYTES and info.startswith(P256_INFO_HEAD)
    return SubjectKey(public_key, algorithm, info if is_ours else render_public_key(public_key))


def render_public_key(public_key: PublicKey) -> bytes:
    """Return a public key as DER SubjectPublicKeyInfo."""
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
