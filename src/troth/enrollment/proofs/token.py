"""Proof by a one-time token: who holds it may enroll the thing that it was made for, once, with one key.

The same token with the same request is answered again, so that a lost answer costs nothing; with another it is spent.
"""

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from troth.authority.intents import IntentState, find_intent
from troth.enrollment.proofs.claim import Proof, not_proven
from troth.enrollment.tokens import Token, TokenState, find_token, spend_token
from troth.journal.change import Change
from troth.limits import NAME_CHARS_MAX, TOKEN_CHARS_MAX
from troth.x509.requests import Request

METHOD: Final = "token"


@dataclass(frozen=True, slots=True)
class TokenClaim:
    """A thing's name, and a token shown for it."""

    thing: str
    secret: str = field(repr=False)

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool = False) -> Proof:
        """Return what the token proves. See `Claim.prove`."""
        if len(self.secret) > TOKEN_CHARS_MAX or len(self.thing) > NAME_CHARS_MAX:
            raise not_proven("longer than any token or name")
        # The look-up is by digest: what can be learnt from its timing says nothing of a secret.
        token = find_token(connection, self.secret, lock=lock)
        if token is None:
            raise not_proven("no such token")
        if not hmac.compare_digest(token.thing.encode(), self.thing.encode("utf-8", "surrogatepass")):
            raise not_proven(f"token {token.token_id} is for thing {token.thing!r}")
        intent_id = _earlier(connection, token, at, request)
        return Proof(METHOD, token.thing, token.profile, {"token_id": token.token_id}, intent_id)

    def spend(self, change: Change, proof: Proof, intent_id: str) -> None:
        """Spend the token. See `Claim.spend`."""
        spend_token(change, str(proof.evidence["token_id"]), self.thing, intent_id)


def _earlier(connection: Connection, token: Token, at: datetime, request: Request) -> str | None:
    """Return the intent that this token and this request have led to; None when it may lead to one now."""
    state = token.state(at)
    if state is TokenState.SPENT:
        intent = find_intent(connection, token.intent_id or "")
        if intent is None or intent.request_digest != request.digest:
            raise not_proven(f"token {token.token_id} is spent on another request")
        if intent.state is not IntentState.REFUSED:
            return intent.intent_id
        # Nothing came of it. The same key may try again for as long as the token would have lived.
        state = TokenState.UNUSED if at < token.expires_at else TokenState.EXPIRED
    if state is not TokenState.UNUSED:
        raise not_proven(f"token {token.token_id} is {state.lower()}")
    return None
