"""How many certificates an enrollment has given of late, to whom: counters in the change that gives one more.

A counter is not state: it begins anew with its window, and whoever loses one has given a little more.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update

from troth.enrollment import tables
from troth.enrollment.definitions import Definition
from troth.errors import Fault, Kind
from troth.journal.change import Change

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_COLUMNS: Final = tables.enrollment_counts.c


def count(change: Change, definition: Definition, thing: str, address: str, issuer_id: str, issuer_max: int) -> None:
    """Count one more certificate. Raises `Fault` (rate limited) when it is one too many: the change must not go on.

    `issuer_max` bounds what all enrollments together have an issuing CA sign in an hour.
    """
    limits = definition.limits
    _add(change, "thing", thing, limits.per_thing, _DAY)
    _add(change, "issuer", issuer_id, issuer_max, _HOUR)
    if limits.total is not None:
        _add(change, "enrollment", definition.name, limits.total, _DAY)
    if limits.per_address is not None and address:
        _add(change, "address", f"{definition.name}/{address}"[:200], limits.per_address, _HOUR)


def _add(change: Change, scope: str, name: str, most: int, span: timedelta) -> None:
    own = (_COLUMNS.scope == scope, _COLUMNS.name == name)
    row = change.execute(select(_COLUMNS.until, _COLUMNS["count"]).where(*own).with_for_update()).one_or_none()
    if row is None:
        values = {"scope": scope, "name": name, "until": change.at + span, "count": 1}
        change.execute(tables.enrollment_counts.insert().values(**values))
        return
    until, given = tuple(row)
    if not change.at < until <= change.at + span:
        change.execute(update(tables.enrollment_counts).where(*own).values(until=change.at + span, count=1))
        return
    if given >= most:
        raise _too_many(scope, name, most, until, change.at)
    change.execute(update(tables.enrollment_counts).where(*own).values(count=given + 1))


def _too_many(scope: str, name: str, most: int, until: datetime, at: datetime) -> Fault:
    return Fault(
        Kind.RATE_LIMITED,
        "too many certificates have been asked for",
        detail=f"{scope} {name!r} has had {most} within its time",
        retry_after=max(1.0, (until - at).total_seconds()),
    )
