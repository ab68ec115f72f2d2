"""Which certificates of CAs elsewhere a handshake lets in: a first look, from memory, at every door.

Never blocks. The enrollment, or the admission, then decides by the database, and by what it asks for itself. Knows no
TLS.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from cryptography import x509

from troth.clock import Clock
from troth.enrollment.proofs.foreign import issuer_of
from troth.errors import PeerFault
from troth.journal.record import Entry
from troth.registry.foreign_issuers import ForeignIssuer, ForeignPurpose, ForeignState, list_foreign_issuers
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.certificates import UNREADABLE
from troth.x509.distinguished_names import name_key

_KIND: Final = "foreign-issuer."


class Strangers:
    """The registered CAs, read from the registry, and again when the journal tells of them."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._enrolling: _ByName = {}
        self._connecting: _ByName = {}

    def load(self) -> None:
        """Read them. Blocks. Raises `Fault` (unavailable)."""
        with read(self._db) as connection:
            issuers = list_foreign_issuers(connection)
        self._enrolling = _by_name(each for each in issuers if each.state is ForeignState.ACTIVE)
        # Certificates that are registered stay in force when their CA is not taken any more, or its CRL is old.
        self._connecting = _by_name(
            each.without_crl()
            for each in issuers
            if each.purpose is ForeignPurpose.CUSTOMER and each.state is not ForeignState.REVOKED
        )

    def may_enroll(self, chain: Sequence[x509.Certificate]) -> bool:
        """Say whether `chain`, a device's certificate first, leads to a CA that is taken, signatures and all."""
        return self._leads(chain, chain[1:], self._enrolling)

    def may_connect(self, chain: Sequence[x509.Certificate]) -> bool:
        """Say whether a registered customer's CA has itself issued the first of `chain`; who may, is yet to be seen."""
        return self._leads(chain, (), self._connecting)

    def _leads(self, chain: Sequence[x509.Certificate], above: Sequence[x509.Certificate], known: "_ByName") -> bool:
        try:
            names = {name_key(each.issuer) for each in (chain[0], *above)}
            issuers = [issuer for name in names for issuer in known.get(name, ())]
            issuer_of(chain[0], above, issuers, self._clock.now())
        except (PeerFault, *UNREADABLE):
            return False
        return True


_ByName = dict[Hashable, list[ForeignIssuer]]
"""By the names of the CAs: each handshake looks at those alone that can have signed something of it."""


def _by_name(issuers: Iterable[ForeignIssuer]) -> _ByName:
    found: _ByName = {}
    for each in issuers:
        found.setdefault(name_key(each.certificate.subject), []).append(each)
    return found


def tells_of_strangers(entries: Sequence[Entry]) -> bool:
    """Say whether `entries` make `Strangers.load` due."""
    return any(entry.kind.startswith(_KIND) for entry in entries)
