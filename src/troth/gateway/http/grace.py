"""How long ago the certificate of one who comes to renew it may have expired: the longest grace of any profile.

A first look, for the handshake alone; the enrollment then goes by the profile of the very certificate. Knows no TLS.
"""

from collections.abc import Sequence
from datetime import timedelta

from cryptography import x509

from troth.authority.graces import longest_grace
from troth.clock import Clock
from troth.journal.record import Entry
from troth.store.connect import Database
from troth.store.read import read


class Grace:
    """The longest grace, read from the registry, and again when the journal tells of profiles."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self.longest = timedelta(0)

    def load(self) -> None:
        """Read it. Blocks. Raises `Fault` (unavailable)."""
        with read(self._db) as connection:
            self.longest = longest_grace(connection)

    def admits(self, certificate: x509.Certificate) -> bool:
        """Say whether a certificate that has expired may still be one within its grace."""
        return self._clock.now() - certificate.not_valid_after_utc <= self.longest and self.longest > timedelta(0)


def tells_of_profiles(entries: Sequence[Entry]) -> bool:
    """Say whether `entries` make `Grace.load` due."""
    return any(entry.kind.startswith("profile.") for entry in entries)
