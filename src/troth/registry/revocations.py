"""What stands on CRLs: one row for each certificate that is revoked or on hold, with its entry ready to be published.

Adding one costs the same whatever has been revoked before. Rows lie together by issuer and shard, so that a CRL is
read in one go. Signs nothing (`troth.authority.status`). RFC 5280 section 5.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, select, update

from troth.journal.change import Change
from troth.registry import tables
from troth.x509.crl import Reason, build_entry
from troth.x509.serials import shard_of

_COLUMNS: Final = tables.revocations.c


@dataclass(frozen=True, slots=True)
class Revocation:
    """That a certificate is not in force, as its issuer's CRL says it."""

    issuer_id: str
    serial: int
    revoked_at: datetime
    """Since when; one that was first on hold keeps the date of that (X.509, 9.5.3.1)."""
    reason: Reason
    changed_at: datetime
    """When `reason` became what it is."""


def enter(change: Change, issuer_id: str, serial: int, not_after: datetime, reason: Reason) -> None:
    """Put a certificate on its issuer's CRL, or let it stand there for another reason.

    `not_after` is the certificate's; it leaves the CRL some time after it. The caller has locked what stands for it.
    """
    earlier = find_revocation(change.connection, issuer_id, serial)
    revoked_at = earlier.revoked_at if earlier else change.at
    values = {
        "revoked_at": revoked_at,
        "reason": reason.value,
        "not_after": not_after,
        "changed_at": change.at,
        "entry": build_entry(serial, revoked_at, reason),
    }
    if earlier:
        change.execute(update(tables.revocations).where(*_own(issuer_id, serial)).values(values))
    else:
        key = {"issuer_id": issuer_id, "shard": shard_of(serial), "serial": f"{serial:x}"}
        change.execute(_ADD, key | values)


def take_off(change: Change, issuer_id: str, serial: int) -> None:
    """Take a certificate that was on hold off its issuer's CRL."""
    change.execute(delete(tables.revocations).where(*_own(issuer_id, serial)))


def find_revocation(connection: Connection, issuer_id: str, serial: int) -> Revocation | None:
    """Return what the CRL of this issuer says, or is about to say, of a serial number; None when it says nothing."""
    key = {"issuer_id": issuer_id, "shard": shard_of(serial), "serial": f"{serial:x}"}
    row = connection.execute(_FIND, key).one_or_none()
    return None if row is None else Revocation(issuer_id, serial, row.revoked_at, Reason(row.reason), row.changed_at)


def list_revocations(connection: Connection, issuer_id: str) -> list[Revocation]:
    """Return all that this issuer has revoked, oldest first: for a root, of which there is a handful."""
    statement = (
        select(_COLUMNS.serial, _COLUMNS.revoked_at, _COLUMNS.reason, _COLUMNS.changed_at)
        .where(_COLUMNS.issuer_id == issuer_id)
        .order_by(_COLUMNS.revoked_at, _COLUMNS.serial)
    )
    return [
        Revocation(issuer_id, int(row.serial, 16), row.revoked_at, Reason(row.reason), row.changed_at)
        for row in connection.execute(statement)
    ]


def list_crl_entries(
    connection: Connection, issuer_id: str, shard: int | None = None, expired_before: datetime | None = None
) -> Sequence[bytes]:
    """Return the DER entries of an issuer's CRL, or of one shard, in the order of their shards and serial numbers.

    Those of certificates whose time was over before `expired_before` are left out.
    """
    statement = _ENTRIES[shard is not None, expired_before is not None]
    parameters = {"issuer_id": issuer_id, "shard": shard, "expired_before": expired_before}
    return connection.execute(statement, parameters).scalars().all()


def list_touched_shards(connection: Connection, issuer_id: str, since: datetime) -> frozenset[int]:
    """Return the shards of an issuer in which something was entered since. Reads all that it has revoked."""
    rows = connection.execute(
        select(_COLUMNS.shard).distinct().where(_COLUMNS.issuer_id == issuer_id, _COLUMNS.changed_at >= since)
    )
    return frozenset(rows.scalars())


def _own(issuer_id: str, serial: int) -> tuple[ColumnElement[bool], ...]:
    return _COLUMNS.issuer_id == issuer_id, _COLUMNS.shard == shard_of(serial), _COLUMNS.serial == f"{serial:x}"


_ADD: Final = tables.revocations.insert()
_FIND: Final = select(_COLUMNS.revoked_at, _COLUMNS.reason, _COLUMNS.changed_at).where(
    _COLUMNS.issuer_id == bindparam("issuer_id"),
    _COLUMNS.shard == bindparam("shard"),
    _COLUMNS.serial == bindparam("serial"),
)


def _entries(*, of_shard: bool, unexpired: bool) -> Select[bytes]:
    statement = select(_COLUMNS.entry).where(_COLUMNS.issuer_id == bindparam("issuer_id"))
    if of_shard:
        statement = statement.where(_COLUMNS.shard == bindparam("shard"))
    if unexpired:
        statement = statement.where(_COLUMNS.not_after >= bindparam("expired_before"))
    return statement.order_by(_COLUMNS.shard, _COLUMNS.serial)


_ENTRIES: Final = {
    (of_shard, unexpired): _entries(of_shard=of_shard, unexpired=unexpired)
    for of_shard in (False, True)
    for unexpired in (False, True)
}
"""By whether they are of one shard, and whether those that have expired are left out."""
