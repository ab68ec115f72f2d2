"""The CRLs in force, and the numbers that were given out: rows that whoever publishes writes and gateways read.

A number is taken before anything is signed under it and never given twice, so that after a crash no two CRLs of one
scope share it. RFC 5280 section 5.2.3.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from troth.authority import tables
from troth.errors import Fault, Kind
from troth.journal.change import Change

_CRLS: Final = tables.crls.c
_SCOPES: Final = tables.crl_scopes.c
_WHOLE: Final = -1


class CRLKind(StrEnum):
    """What a stored CRL is for."""

    COMPLETE = "complete"
    DELTA = "delta"
    BASE = "base"
    """The complete one that deltas add to: the last that was made by the rhythm. Not served under a name of its own."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a line of CRLs is about."""

    issuer_id: str
    shard: int | None
    """One shard of the issuer's certificates; None: all of them."""


@dataclass(frozen=True, slots=True)
class StoredCRL:
    """A CRL in force."""

    scope: Scope
    kind: CRLKind
    number: int
    base_number: int | None
    """Which complete CRL a delta adds to."""
    this_update: datetime
    next_update: datetime
    entries: int
    sha256: str
    """Of its DER, in lower-case hex."""
    der: bytes = field(repr=False)
    """Empty where a list was asked for."""


def find_crl(connection: Connection, scope: Scope, kind: CRLKind) -> StoredCRL | None:
    """Return the CRL in force of a scope, or None."""
    row = connection.execute(_FIND, _key(scope, kind)).one_or_none()
    return None if row is None else _stored(row, row.der)


def find_made_at(connection: Connection, scope: Scope, kind: CRLKind) -> datetime | None:
    """Return when the CRL in force of a scope was made, or None. Does not read it, which may be long."""
    return connection.execute(_MADE_AT, _key(scope, kind)).scalar_one_or_none()


def list_crls(connection: Connection, issuer_id: str) -> list[StoredCRL]:
    """Return all CRLs of an issuer, without their DER: the whole one's first, then by shard."""
    return [_stored(row, b"") for row in connection.execute(_LIST, {"own_issuer": issuer_id})]


def last_number(connection: Connection, scope: Scope) -> int:
    """Return the last number that was given in a scope; 0 for none."""
    return int(connection.execute(_NUMBER, _key(scope)).scalar_one_or_none() or 0)


def take_number(change: Change, scope: Scope, number: int) -> None:
    """Take `number`, the one after the last, for what is about to be signed. Raises `Fault` (conflict): it is taken."""
    _move_number(change, scope, number - 1, number)


def follow_number(change: Change, scope: Scope, number: int) -> None:
    """Take note of a number given elsewhere, so that none up to it is given here. Raises `Fault` (conflict): it was."""
    last = last_number(change.connection, scope)
    if number <= last:
        raise Fault(Kind.CONFLICT, f"CRL number {number} is not above {last}, which is known here")
    _move_number(change, scope, last, number)


def _move_number(change: Change, scope: Scope, before: int, number: int) -> None:
    if before == 0:
        values = {"issuer_id": scope.issuer_id, "shard": _column(scope), "number": number}
        change.execute(_FIRST_NUMBER, values)
        return
    if change.execute(_NEXT_NUMBER, _key(scope) | {"taken": number, "before": before}).rowcount != 1:
        raise Fault(Kind.CONFLICT, f"CRL number {number} has been taken by another process", retry_after=1.0)


def put_in_force(change: Change, crl: StoredCRL) -> bool:
    """Store a CRL in place of the one of its scope and kind; False when that has a higher number, and is kept."""
    key = _key(crl.scope, crl.kind)
    change.execute(_LOCK, _key(crl.scope))
    there = change.execute(_THERE, key).scalar_one_or_none()
    if there is not None and there >= crl.number:
        return False
    change.execute(_DROP, key)
    values = {name: getattr(crl, name) for name in crl.__slots__ if name != "scope"}
    change.execute(_PUT, values | {"issuer_id": crl.scope.issuer_id, "shard": _column(crl.scope)})
    return True


def as_base(crl: StoredCRL) -> StoredCRL:
    """Return a complete CRL as the one that deltas add to from now on."""
    return replace(crl, kind=CRLKind.BASE)


def _key(scope: Scope, kind: CRLKind | None = None) -> dict[str, object]:
    of_kind = {} if kind is None else {"own_kind": kind}
    return {"own_issuer": scope.issuer_id, "own_shard": _column(scope)} | of_kind


def _column(scope: Scope) -> int:
    return _WHOLE if scope.shard is None else scope.shard


def _stored(row: Row[Any], der: bytes) -> StoredCRL:
    return StoredCRL(
        scope=Scope(row.issuer_id, None if row.shard == _WHOLE else row.shard),
        kind=CRLKind(row.kind),
        number=row.number,
        base_number=row.base_number,
        this_update=row.this_update,
        next_update=row.next_update,
        entries=row.entries,
        sha256=row.sha256,
        der=der,
    )


# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_OWN: Final = (
    _CRLS.issuer_id == bindparam("own_issuer"),
    _CRLS.shard == bindparam("own_shard"),
    _CRLS.kind == bindparam("own_kind"),
)
_OWN_SCOPE: Final = (_SCOPES.issuer_id == bindparam("own_issuer"), _SCOPES.shard == bindparam("own_shard"))
_FIND: Final = select(tables.crls).where(*_OWN)
_MADE_AT: Final = select(_CRLS.this_update).where(*_OWN)
_THERE: Final = select(_CRLS.number).where(*_OWN)
_DROP: Final = delete(tables.crls).where(*_OWN)
_PUT: Final = tables.crls.insert()
_LIST: Final = (
    select(*(column for column in _CRLS if column is not _CRLS.der))
    .where(_CRLS.issuer_id == bindparam("own_issuer"))
    .order_by(_CRLS.shard, _CRLS.kind)
)
_NUMBER: Final = select(_SCOPES.number).where(*_OWN_SCOPE)
_LOCK: Final = _NUMBER.with_for_update()
_FIRST_NUMBER: Final = tables.crl_scopes.insert()
_NEXT_NUMBER: Final = (
    update(tables.crl_scopes)
    .where(*_OWN_SCOPE, _SCOPES.number == bindparam("before"))
    .values(number=bindparam("taken"))
)
