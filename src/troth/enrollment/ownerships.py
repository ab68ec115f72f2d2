"""Ownership tokens: who holds one may make a certificate that nobody has yet a thing's. One hour, one use.

As on AWS a token is bound to its certificate and not to the connection that it was handed to. Only digests are kept.
The very request that it was spent on is answered again, so that a lost answer costs nothing. A certificate that nobody
has claimed when its hour is over is revoked.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, select, update

from troth.authority.intents import IntentState, find_intent
from troth.enrollment import tables
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.keys.randomness import random_token
from troth.limits import OWNERSHIP_S_MAX, OWNERSHIPS_PER_CHANGE_MAX, TOKEN_CHARS_MAX
from troth.registry.attachments import list_things_of
from troth.registry.certificates import CertificateRow, CertificateState, find_certificate
from troth.registry.states import revoke
from troth.x509.crl import Reason

OWNERSHIP_CREATED: Final = "ownership.created"
OWNERSHIP_SPENT: Final = "ownership.spent"
OWNERSHIPS_ENDED: Final = "ownership.ended"

_COLUMNS: Final = tables.ownerships.c


@dataclass(frozen=True, slots=True)
class Ownership:
    """A token without its secret, and the certificate that it is for."""

    digest: str
    intent_id: str
    claim_id: str
    """The certificate of the connection that asked."""
    server_key: bool
    """The server has made the key."""
    created_at: datetime
    expires_at: datetime
    spent_at: datetime | None = None
    spent_on: str | None = None
    """The digest of the request that it was spent on."""
    answer: Mapping[str, Any] | None = None
    """What that was answered with."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A token that is good, and the certificate that waits for it."""

    ownership: Ownership
    row: CertificateRow


def create_ownership(change: Change, intent_id: str, claim_id: str, *, server_key: bool) -> str:
    """Make a token for the certificate that an intent is to become; return its secret, for this one time."""
    secret = random_token()
    expires_at = change.at + timedelta(seconds=OWNERSHIP_S_MAX)
    row = Ownership(_digest(secret), intent_id, claim_id, server_key, change.at, expires_at)
    change.execute(tables.ownerships.insert().values({name: getattr(row, name) for name in row.__slots__}))
    change.record(OWNERSHIP_CREATED, intent_id, intent=intent_id, claim_id=claim_id, server_key=server_key)
    return secret


def find_owned(
    connection: Connection, secret: str, asked: str, at: datetime, *, lock: bool = False
) -> Owned | Mapping[str, Any]:
    """Return what a token is for, if it is good at the time `at`; with `lock`, in a change, it stays so.

    `asked` is the digest of the request that it is shown with (`digest_of`); where it was spent on the same, the answer
    of then. Raises `Fault` (unauthenticated), the same for every reason, the true one in its detail.
    """
    if len(secret) > TOKEN_CHARS_MAX:
        raise _not_owned("longer than any token")
    statement = select(tables.ownerships).where(_COLUMNS.digest == _digest(secret))
    found = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if found is None:
        raise _not_owned("no such token")
    ownership = _ownership(found)
    if at >= ownership.expires_at:
        raise _not_owned(f"the token for intent {ownership.intent_id} has expired")
    if ownership.spent_on == asked and ownership.answer is not None:
        return ownership.answer
    if ownership.spent_at is not None:
        raise _not_owned(f"the token for intent {ownership.intent_id} is spent on another request")
    row = _certificate(connection, ownership)
    if row is None or row.state is not CertificateState.PENDING_ACTIVATION or row.thing is not None:
        raise _not_owned(f"what intent {ownership.intent_id} has led to does not wait for a thing")
    return Owned(ownership, row)


def digest_of(template: str, parameters: Mapping[str, str]) -> str:
    """Return by what a request is known again: the SHA-256 of what it asks for, in lower-case hex."""
    return hashlib.sha256(json.dumps([template, sorted(parameters.items())]).encode()).hexdigest()


def spend_ownership(change: Change, owned: Owned, asked: str, answer: Mapping[str, Any], **said: object) -> None:
    """Use up a token, found with `lock` in the same change, for `answer`; `said` is for the journal."""
    ownership = owned.ownership
    own = _COLUMNS.digest == ownership.digest
    values = {"spent_at": change.at, "spent_on": asked, "answer": dict(answer)}
    change.execute(update(tables.ownerships).where(own).values(**values))
    change.record(
        OWNERSHIP_SPENT,
        ownership.intent_id,
        intent=ownership.intent_id,
        claim_id=ownership.claim_id,
        certificate_id=owned.row.certificate_id,
        **said,
    )


def count_unclaimed(connection: Connection, claim_id: str) -> int:
    """Return how many certificates wait for their things that were made for this claim certificate."""
    waiting = (_COLUMNS.claim_id == claim_id) & _COLUMNS.spent_at.is_(None)
    return connection.execute(select(func.count()).select_from(tables.ownerships).where(waiting)).scalar_one()


def end_ownerships(change: Change) -> bool:
    """Forget tokens that have expired, and revoke what nobody has claimed; say whether more remain.

    A certificate that an operator has put into force, or attached, meanwhile stays.
    """
    over = select(tables.ownerships).where(_COLUMNS.expires_at <= change.at).order_by(_COLUMNS.expires_at)
    ended = [_ownership(row) for row in change.execute(over.limit(OWNERSHIPS_PER_CHANGE_MAX))]
    if not ended:
        return False
    revoked = []
    for each in ended:
        row = _certificate(change.connection, each) if each.spent_at is None else None
        if row is not None and _is_unclaimed(change.connection, row):
            revoke(change, row.certificate_id, Reason.CESSATION_OF_OPERATION)
            revoked.append(row.certificate_id)
    change.execute(delete(tables.ownerships).where(_COLUMNS.digest.in_([each.digest for each in ended])))
    change.record(OWNERSHIPS_ENDED, ended[0].intent_id, intents=[each.intent_id for each in ended], revoked=revoked)
    return len(ended) == OWNERSHIPS_PER_CHANGE_MAX


def _is_unclaimed(connection: Connection, row: CertificateRow) -> bool:
    return row.state is CertificateState.PENDING_ACTIVATION and not list_things_of(connection, row.certificate_id)


def _certificate(connection: Connection, ownership: Ownership) -> CertificateRow | None:
    intent = find_intent(connection, ownership.intent_id)
    if intent is None or intent.state is not IntentState.ISSUED:
        return None
    return find_certificate(connection, intent.certificate_id or "")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _not_owned(reason: str) -> Fault:
    # The look-up is by digest: what can be learnt from its timing says nothing of a secret.
    message = "the certificate ownership token is not good, or no longer"
    return Fault(Kind.UNAUTHENTICATED, message, detail=reason, hint="ask for a certificate again")


def _ownership(row: Row[Any]) -> Ownership:
    return Ownership(**row._mapping)
