"""A one-time token as a part of an enrollment: it names the thing, and is for certificates of its own profile."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from troth.enrollment.definitions import Definition
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.claim import Proof, not_proven
from troth.enrollment.proofs.token import METHOD, TokenClaim
from troth.enrollment.proofs.way import Shown
from troth.journal.change import Change
from troth.x509.requests import Request


@dataclass(frozen=True, slots=True)
class TokenWay:
    """HTTP Basic's user and password, as a thing and its token."""

    definition: Definition
    presented: Presented

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool) -> Shown:
        """Return the token's thing. See `ProvingWay.prove`."""
        proof = self._claim().prove(connection, at, request, lock=lock)
        if proof.profile != self.definition.profile:
            raise not_proven(f"the token is for profile {proof.profile!r}")
        return Shown(proof.evidence, thing=proof.thing, intent_id=proof.intent_id)

    def spend(self, change: Change, shown: Shown, intent_id: str) -> None:
        """Spend the token. See `ProvingWay.spend`."""
        proof = Proof(METHOD, shown.thing or "", self.definition.profile, shown.evidence, None)
        self._claim().spend(change, proof, intent_id)

    def _claim(self) -> TokenClaim:
        if not self.presented.user or not self.presented.password:
            raise not_proven("no token was shown")
        return TokenClaim(self.presented.user, self.presented.password)
