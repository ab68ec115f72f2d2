"""Which certificates of CAs elsewhere a handshake lets in, to enroll: a first look, from memory, that never blocks.

The enrollment then decides by the database, and by what it asks for itself. Knows no TLS.
"""

from collections.abc import Sequence
from typing import Final

from cryptography import x509

from troth.clock import Clock
from troth.enrollment.proofs.foreign import issuer_of
from troth.errors import PeerFault
from troth.journal.record import Entry
from troth.registry.foreign_issuers import ForeignIssuer, ForeignState, list_foreign_issuers
from troth.store.connect import Database
from troth.store.read import read

_KIND: Final = "foreign-issuer."


class Strangers:
    """The registered CAs, read from the registry, and again when the journal tells of them."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._issuers: list[ForeignIssuer] = []

    def load(self) -> None:
        """Read them. Blocks. Raises `Fault` (unavailable)."""
        with read(self._db) as connection:
            self._issuers = [each for each in list_foreign_issuers(connection) if each.state is ForeignState.ACTIVE]

    def knows(self, chain: Sequence[x509.Certificate]) -> bool:
        """Say whether `chain`, a device's certificate first, leads to a registered CA, signatures and all."""
        try:
            issuer_of(chain[0], chain[1:], self._issuers, self._clock.now())
        except PeerFault:
            return False
        return True


def tells_of_strangers(entries: Sequence[Entry]) -> bool:
    """Say whether `entries` make `Strangers.load` due."""
    return any(entry.kind.startswith(_KIND) for entry in entries)
