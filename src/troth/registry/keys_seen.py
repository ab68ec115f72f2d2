"""Whose key is whose: a key is one thing's for ever, and one that was compromised is nobody's ever again.

Knows digests only. A device that makes its key well never meets another's; one that does was copied, or copies.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry import tables
from troth.store.query import Query

KEY_BLOCKED: Final = "key.blocked"

_COLUMNS: Final = tables.keys_seen.c


@dataclass(frozen=True, slots=True)
class SeenKey:
    """A key that has been met."""

    key_digest: str
    """SHA-256 of the SubjectPublicKeyInfo, 64 lower-case hex digits."""
    thing: str | None
    """Whose it is; None where it was blocked before any thing had it."""
    blocked_at: datetime | None
    """Since when nobody gets a certificate for it."""


def key_digest(public_key: bytes) -> str:
    """Return by what a key is known here: the SHA-256 of its DER SubjectPublicKeyInfo in lower-case hex."""
    return hashlib.sha256(public_key).hexdigest()


def find_key(connection: Connection, digest: str) -> SeenKey | None:
    """Return the key with this digest, or None."""
    row = _BY_DIGESTS.one_or_none(connection, {"digests": [digest]})
    return None if row is None else _seen(row)


def take_keys(change: Change, keys: Sequence[tuple[str, str | None]]) -> list[Fault | None]:
    """Give keys, by digest, to things; in their order, why one cannot be had, or None.

    Where the thing is None, a name is certified and not a thing: its key is only looked up. Two changes that give one
    key to two things at once cannot both be committed.
    """
    digests = list({digest for digest, _ in keys})
    seen = {row.key_digest: _seen(row) for row in _BY_DIGESTS.all(change.connection, {"digests": digests})}
    faults: list[Fault | None] = []
    fresh: dict[str, str] = {}
    for digest, thing in keys:
        known = seen.get(digest)
        owner = fresh.get(digest) or (known.thing if known else None)
        if known is not None and known.blocked_at is not None:
            faults.append(_refused(f"key {digest} is blocked since {known.blocked_at.isoformat()}"))
        elif thing is not None and owner not in {None, thing}:
            faults.append(_refused(f"key {digest} is that of thing {owner!r}, asked for by {thing!r}"))
        else:
            faults.append(None)
            if thing is not None and owner is None:
                fresh[digest] = thing
    if fresh:
        change.insert(tables.keys_seen, [(digest, thing, None) for digest, thing in fresh.items()])
    return faults


def other_things_key(seen: SeenKey) -> Fault:
    """Return the fault for a key that somebody brings who is no thing yet; its detail says whose it is."""
    if seen.blocked_at is not None:
        return _refused(f"key {seen.key_digest} is blocked since {seen.blocked_at.isoformat()}")
    return _refused(f"key {seen.key_digest} is that of thing {seen.thing!r}, brought by another certificate")


def block_key(change: Change, digest: str, reason: str) -> None:
    """See to it that nobody gets a certificate for this key any more; one that is blocked stays so."""
    known = find_key(change.connection, digest)
    if known is not None and known.blocked_at is not None:
        return
    if known is None:
        change.execute(_ADD_BLOCKED, {"key_digest": digest, "thing": None, "blocked_at": change.at})
    else:
        change.execute(update(tables.keys_seen).where(_COLUMNS.key_digest == digest).values(blocked_at=change.at))
    change.record(KEY_BLOCKED, digest, key_digest=digest, thing=known.thing if known else None, reason=reason)


def _seen(row: Sequence[Any]) -> SeenKey:
    digest, thing, blocked_at = row
    return SeenKey(digest, thing, blocked_at)


def _refused(detail: str) -> Fault:
    message = "this key cannot be certified"
    return Fault(Kind.BAD_KEY, message, detail=detail, hint="make a new key on the device, and ask again")


_BY_DIGESTS: Final = Query(
    select(_COLUMNS.key_digest, _COLUMNS.thing, _COLUMNS.blocked_at).where(
        _COLUMNS.key_digest.in_(bindparam("digests", expanding=True))
    )
)
_ADD_BLOCKED: Final = tables.keys_seen.insert()
