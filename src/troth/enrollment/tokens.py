"""One-time tokens: made for a thing, shown once, good for one certification request. Only their digests are kept.

A thing that is enrolled anew with a new token keeps its old certificate in force until that is revoked.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select, update

from troth.enrollment import tables
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.keys.randomness import random_id, random_token
from troth.limits import DEFAULT, LIST_ROWS_MAX, Limits
from troth.registry.profiles import get_profile
from troth.registry.things import get_thing
from troth.store.query import Query
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import SubjectRule

TOKEN_CREATED: Final = "token.created"  # noqa: S105 - the kind of an entry
TOKEN_SPENT: Final = "token.spent"  # noqa: S105 - the kind of an entry
TOKEN_REVOKED: Final = "token.revoked"  # noqa: S105 - the kind of an entry

_COLUMNS: Final = tables.tokens.c
_DIGEST: Final = select(tables.tokens).where(_COLUMNS.digest == bindparam("digest"))
_BY_DIGEST: Final = Query(_DIGEST)
_BY_DIGEST_LOCKED: Final = Query(_DIGEST.with_for_update())
_SPEND: Final = (
    update(tables.tokens)
    .where(_COLUMNS.id == bindparam("own"), _COLUMNS.thing == bindparam("own_thing"))
    .values(spent_at=bindparam("now"), intent_id=bindparam("spent_on"))
)


class TokenState(StrEnum):
    """What a token is good for."""

    UNUSED = "UNUSED"
    SPENT = "SPENT"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret."""

    token_id: str
    thing: str
    profile: str
    created_at: datetime
    expires_at: datetime
    spent_at: datetime | None
    intent_id: str | None
    """What it was spent on."""
    revoked_at: datetime | None
    created_by: str

    def state(self, at: datetime) -> TokenState:
        """Return what it is good for at the time `at`. Its last moment is the one before `expires_at`."""
        if self.revoked_at is not None:
            return TokenState.REVOKED
        if self.spent_at is not None:
            return TokenState.SPENT
        return TokenState.UNUSED if at < self.expires_at else TokenState.EXPIRED


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made, with its secret: this is the only time that it can be shown."""

    token: Token
    secret: str = field(repr=False)


def create_token(
    change: Change, thing: str, ttl: timedelta, *, profile: str = "device", limits: Limits = DEFAULT
) -> NewToken:
    """Make a token that lets the thing `thing` enroll once within `ttl`, by the server's clock.

    Raises `Fault`: not found (thing, profile), rejected (a profile that is not for things, a span that is not
    positive), too large (above ``limits.token_ttl_s_max``).
    """
    get_thing(change.connection, thing)
    if parse_profile(get_profile(change.connection, profile).document).subject is not SubjectRule.THING:
        raise Fault(Kind.REJECTED, f"profile {profile!r} is not for things")
    if ttl <= timedelta(0):
        raise Fault(Kind.REJECTED, "a token must live for some time")
    if ttl > timedelta(seconds=limits.token_ttl_s_max):
        days = limits.token_ttl_s_max // 86_400
        raise Fault(Kind.TOO_LARGE, f"a token may live for at most {days} days", hint="give a shorter --ttl")
    secret = random_token()
    token = Token(
        token_id=random_id(),
        thing=thing,
        profile=profile,
        created_at=change.at,
        expires_at=change.at + ttl,
        spent_at=None,
        intent_id=None,
        revoked_at=None,
        created_by=change.actor,
    )
    values = {name: getattr(token, name) for name in token.__slots__ if name != "token_id"}
    change.execute(tables.tokens.insert().values(id=token.token_id, digest=digest_of(secret), **values))
    change.record(
        TOKEN_CREATED,
        token.token_id,
        token_id=token.token_id,
        thing=thing,
        profile=profile,
        expires_at=token.expires_at.isoformat(),
    )
    return NewToken(token, secret)


def list_tokens(
    connection: Connection, *, thing: str | None = None, after: str | None = None, limit: int = 100
) -> list[Token]:
    """Return tokens after the id `after` in the order of their ids, all or those of one thing, at most `limit`."""
    statement = select(tables.tokens).order_by(_COLUMNS.id).limit(max(1, min(limit, LIST_ROWS_MAX)))
    if thing is not None:
        statement = statement.where(_COLUMNS.thing == thing)
    if after is not None:
        statement = statement.where(_COLUMNS.id > after)
    return [_token(row) for row in connection.execute(statement)]


def find_token(connection: Connection, secret: str, *, lock: bool = False) -> Token | None:
    """Return the token with this secret, or None; with `lock` (in a change) nobody else touches it until the commit."""
    query = _BY_DIGEST_LOCKED if lock else _BY_DIGEST
    row = query.one_or_none(connection, {"digest": digest_of(secret)})
    return None if row is None else _token(row)


def spend_token(change: Change, token_id: str, thing: str, intent_id: str) -> None:
    """Spend a token of a thing, found with `lock` in the same change, on an intent."""
    own = {"own": token_id, "own_thing": thing}
    if change.execute(_SPEND, {**own, "now": change.at, "spent_on": intent_id}).rowcount != 1:
        raise Bug("a token is spent that was not proven")
    change.record(TOKEN_SPENT, token_id, token_id=token_id, thing=thing, intent=intent_id)


def revoke_token(change: Change, token_id: str) -> Token:
    """Take a token out of use, spent or not; one that is revoked stays as it is. Raises `Fault` (not found).

    The certificate that a spent one has brought stays in force; only the answer is not given again.
    """
    row = change.execute(select(tables.tokens).where(_COLUMNS.id == token_id).with_for_update()).one_or_none()
    if row is None:
        hint = "troth token list shows those that exist"
        raise Fault(Kind.NOT_FOUND, f"there is no token {token_id[:64]!r}", hint=hint)
    if row.revoked_at is not None:
        return _token(row)
    change.execute(update(tables.tokens).where(_COLUMNS.id == token_id).values(revoked_at=change.at))
    change.record(TOKEN_REVOKED, token_id, token_id=token_id, thing=row.thing)
    return _token(change.connection.execute(select(tables.tokens).where(_COLUMNS.id == token_id)).one())


def digest_of(secret: str) -> str:
    """Return what is kept of a token: the lower-case hex SHA-256. No salt: 128 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token(row: Row[Any]) -> Token:
    return Token(
        row.id,
        row.thing,
        row.profile,
        row.created_at,
        row.expires_at,
        row.spent_at,
        row.intent_id,
        row.revoked_at,
        row.created_by,
    )
