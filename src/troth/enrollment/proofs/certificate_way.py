"""Proof by a certificate that a thing of ours has already: for another one, of this enrollment's profile.

Not a renewal (`troth.enrollment.proofs.certificate`): the one that is shown stays as it is, and one that has expired
proves nothing. RFC 7030 section 3.3.2.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from troth.enrollment.definitions import Definition
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.certificate import require_in_force
from troth.enrollment.proofs.claim import not_proven
from troth.enrollment.proofs.foreign import name_facts
from troth.enrollment.proofs.way import Shown
from troth.errors import PeerFault
from troth.journal.change import Change
from troth.registry.certificates import find_certificate
from troth.x509.certificates import certificate_id, parse_certificate
from troth.x509.requests import Request


@dataclass(frozen=True, slots=True)
class CertificateWay:
    """The certificate of the connection, held against the registry."""

    definition: Definition
    presented: Presented

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool) -> Shown:
        """Return the thing that it is in force for. See `ProvingWay.prove`."""
        if not self.presented.peer_chain or self.presented.is_stranger or self.presented.is_expired:
            raise not_proven("no certificate of ours was shown")
        try:
            leaf = parse_certificate(self.presented.peer_chain[0])
        except PeerFault as fault:
            raise not_proven(f"the certificate cannot be read: {fault.message}") from fault
        row = find_certificate(connection, certificate_id(leaf), lock=lock)
        if row is None or row.thing is None:
            raise not_proven(f"certificate {certificate_id(leaf)} is no thing's")
        if require_in_force(connection, row, at) > timedelta(0):
            raise not_proven(f"certificate {row.certificate_id} has expired")
        return Shown({"certificate_id": row.certificate_id}, thing=row.thing, facts=name_facts(leaf))

    def spend(self, change: Change, shown: Shown, intent_id: str) -> None:
        """Nothing is used up: the enrollment's bounds count."""
