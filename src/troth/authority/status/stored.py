"""The CRLs in force, and the numbers that were given out: rows that whoever publishes writes and gateways read.

A number is taken before anything is signed under it and never given twice, so that after a crash no two CRLs of one
scope share it. RFC 5280 section 5.2.3.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select, update

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
    own = select(tables.crls).where(*_in(scope), _CRLS.kind == kind)
    row = connection.execute(own).one_or_none()
    return None if row is None else _stored(row, row.der)


def list_crls(connection: Connection, issuer_id: str) -> list[StoredCRL]:
    """Return all CRLs of an issuer, without their DER: the whole one's first, then by shard."""
    columns = [column for column in tables.crls.c if column is not _CRLS.der]
    rows = connection.execute(select(*columns).where(_CRLS.issuer_id == issuer_id).order_by(_CRLS.shard, _CRLS.kind))
    return [_stored(row, b"") for row in rows]


def last_number(connection: Connection, scope: Scope) -> int:
    """Return the last number that was given in a scope; 0 for none."""
    own = (_SCOPES.issuer_id == scope.issuer_id, _SCOPES.shard == _column(scope))
    return int(connection.execute(select(_SCOPES.number).where(*own)).scalar_one_or_none() or 0)


def take_number(change: Change, scope: Scope, number: int) -> None:
    """Take `number`, the one after the last, for what is about to be signed. Raises `Fault` (conflict): it is taken."""
    own = (_SCOPES.issuer_id == scope.issuer_id, _SCOPES.shard == _column(scope))
    if number == 1:
        values = {"issuer_id": scope.issuer_id, "shard": _column(scope), "number": number}
        change.execute(tables.crl_scopes.insert().values(values))
        return
    step = update(tables.crl_scopes).where(*own, _SCOPES.number == number - 1).values(number=number)
    if change.execute(step).rowcount != 1:
        raise Fault(Kind.CONFLICT, f"CRL number {number} has been taken by another process", retry_after=1.0)


def put_in_force(change: Change, crl: StoredCRL) -> bool:
    """Store a CRL in place of the one of its scope and kind; False when that has a higher number, and is kept."""
    scope = (_SCOPES.issuer_id == crl.scope.issuer_id, _SCOPES.shard == _column(crl.scope))
    change.execute(select(_SCOPES.number).where(*scope).with_for_update())
    own = (*_in(crl.scope), _CRLS.kind == crl.kind)
    there = change.execute(select(_CRLS.number).where(*own)).scalar_one_or_none()
    if there is not None and there >= crl.number:
        return False
    change.execute(delete(tables.crls).where(*own))
    values = {name: getattr(crl, name) for name in crl.__slots__ if name != "scope"}
    change.execute(tables.crls.insert().values(issuer_id=crl.scope.issuer_id, shard=_column(crl.scope), **values))
    return True


def as_base(crl: StoredCRL) -> StoredCRL:
    """Return a complete CRL as the one that deltas add to from now on."""
    return replace(crl, kind=CRLKind.BASE)


def _in(scope: Scope) -> tuple[Any, ...]:
    return _CRLS.issuer_id == scope.issuer_id, _CRLS.shard == _column(scope)


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
