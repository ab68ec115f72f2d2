"""Withdraw a thing whole: what would let it back in, what waits for a signature, and its certificates."""

from dataclasses import dataclass

from troth.authority.revoke import revoke_thing
from troth.enrollment.newcomers import bar
from troth.enrollment.requests import WaitingRequest, deny_requests_of
from troth.enrollment.tokens import Token, TokenState, list_tokens, revoke_token
from troth.journal.change import Change
from troth.limits import LIST_ROWS_MAX
from troth.registry.certificates import CertificateRow
from troth.x509.crl import Reason


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was taken from a thing."""

    certificates: list[CertificateRow]
    tokens: list[Token]
    requests: list[WaitingRequest]
    """What waited for a person, or to be fetched."""


def withdraw_thing(change: Change, thing: str, reason: Reason = Reason.UNSPECIFIED) -> Withdrawn:
    """Revoke the thing's unspent tokens and its certificates, deny its requests, refuse what it has yet to get.

    Raises `Fault` as `troth.authority.revoke.revoke_thing` does.
    """
    # Tokens first: who is spending one at this moment has committed the intent by the time that we hold the token.
    tokens = [revoke_token(change, token.token_id) for token in _good_tokens(change, thing)]
    requests = deny_requests_of(change, thing)
    bar(change, thing)
    return Withdrawn(revoke_thing(change, thing, reason), tokens, requests)


def _good_tokens(change: Change, thing: str) -> list[Token]:
    found: list[Token] = []
    after: str | None = None
    while True:
        page = list_tokens(change.connection, thing=thing, after=after, limit=LIST_ROWS_MAX)
        found += [token for token in page if token.state(change.at) is TokenState.UNUSED]
        if len(page) < LIST_ROWS_MAX:
            return found
        after = page[-1].token_id
