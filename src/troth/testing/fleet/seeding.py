"""Keys, numbers and signatures that follow from a seed, for as long as a simulated fleet lives. Never for real ones.

Whether a device renews today or tomorrow is drawn by its certificate's id, so that the same seed leads to the same
ten years only if it leads to the same certificates.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from troth.authority.derive import _throwaway
from troth.errors import Fault, Kind
from troth.keys import randomness
from troth.keys.file import FileKey, generate
from troth.x509.algorithms import KeyAlgorithm, PublicKey

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (SEC 2, 2.4.2)."""


@contextmanager
def seeded(random: Random) -> Iterator[None]:
    """Let all randomness of this process that decides anything come from `random` while the block runs."""
    # Made once in a process, and so in the first life of several only: before anything is drawn.
    _throwaway(KeyAlgorithm.P256)
    own, make = vars(randomness)["secrets"], ec.generate_private_key

    def generate_private_key(curve: ec.EllipticCurve, backend: object = None) -> ec.EllipticCurvePrivateKey:
        if not isinstance(curve, ec.SECP256R1):
            return make(curve)
        return ec.derive_private_key(random.randrange(1, _ORDER), curve)

    vars(randomness)["secrets"] = SimpleNamespace(token_bytes=random.randbytes, randbelow=random.randrange)
    ec.generate_private_key = generate_private_key
    try:
        yield
    finally:
        vars(randomness)["secrets"], ec.generate_private_key = own, make


@dataclass(frozen=True, slots=True)
class CAKey:
    """A CA's key in memory, whose signatures follow from what is signed (RFC 6979). A `SigningKey`."""

    key: FileKey

    @property
    def algorithm(self) -> KeyAlgorithm:
        """P-256."""
        return self.key.algorithm

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self.key.public_key

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`."""
        private = self.key.private_key
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            return self.key.sign(data)
        return private.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


class Cabinet:
    """The keys of the CAs, in memory. A `troth.authority.hierarchy.KeyCabinet`."""

    def __init__(self) -> None:
        self._keys: dict[str, CAKey] = {}

    def make(self, name: str, algorithm: KeyAlgorithm) -> CAKey:
        """Return the key of this name, made now if there is none."""
        if name not in self._keys:
            self._keys[name] = CAKey(generate(algorithm))
        return self._keys[name]

    def open(self, name: str, public_key: PublicKey | None = None) -> CAKey:
        """Return the key of this name. Raises `Fault` (not found)."""
        if name not in self._keys:
            raise Fault(Kind.NOT_FOUND, f"there is no key {name}")
        return self._keys[name]
