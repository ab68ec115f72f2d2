"""How many certificates an enrollment has given of late, to whom: counters in the change that gives one more.

A counter is not state: it begins anew with its window, and whoever loses one has given a little more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, tuple_, update

from troth.enrollment import tables
from troth.enrollment.definitions import Definition
from troth.errors import Fault, Kind
from troth.journal.change import Change

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_NAME_CHARS_MAX: Final = 200
_COLUMNS: Final = tables.enrollment_counts.c


def count(change: Change, definition: Definition, thing: str, address: str, issuer_id: str, issuer_max: int) -> None:
    """Count one more certificate. Raises `Fault` (rate limited) when it is one too many: the change must not go on.

    `issuer_max` bounds what all enrollments together have an issuing CA sign in an hour.
    """
    limits = definition.limits
    bounds = {("thing", thing): (limits.per_thing, _DAY), ("issuer", issuer_id): (issuer_max, _HOUR)}
    if limits.total is not None:
        bounds["enrollment", definition.name] = (limits.total, _DAY)
    if limits.per_address is not None and address:
        bounds["address", f"{definition.name}/{address}"[:_NAME_CHARS_MAX]] = (limits.per_address, _HOUR)
    rows: Sequence[Any] = change.execute(_FIND, {"own": list(bounds)}).all()
    found: dict[tuple[str, str], tuple[datetime, int]] = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    fresh: list[dict[str, object]] = []
    again: list[dict[str, object]] = []
    for (scope, name), (most, span) in bounds.items():
        until, given = found.get((scope, name), (change.at, 0))
        if not change.at < until <= change.at + span:
            until, given = change.at + span, 0
        if given >= most:
            raise _too_many(scope, name, most, until, change.at)
        row = {"own_scope": scope, "own_name": name, "now_until": until, "now_given": given + 1}
        (again if (scope, name) in found else fresh).append(row)
    if fresh:
        change.execute(_ADD, fresh)
    if again:
        change.execute(_COUNT, again)


def _too_many(scope: str, name: str, most: int, until: datetime, at: datetime) -> Fault:
    return Fault(
        Kind.RATE_LIMITED,
        "too many certificates have been asked for",
        detail=f"{scope} {name!r} has had {most} within its time",
        retry_after=max(1.0, (until - at).total_seconds()),
    )


# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_FIND: Final = (
    select(_COLUMNS.scope, _COLUMNS.name, _COLUMNS.until, _COLUMNS["count"])
    .where(tuple_(_COLUMNS.scope, _COLUMNS.name).in_(bindparam("own", expanding=True)))
    .order_by(_COLUMNS.scope, _COLUMNS.name)
    .with_for_update()
)
_ADD: Final = insert(tables.enrollment_counts).values(
    scope=bindparam("own_scope"), name=bindparam("own_name"), until=bindparam("now_until"), count=bindparam("now_given")
)
_COUNT: Final = (
    update(tables.enrollment_counts)
    .where(_COLUMNS.scope == bindparam("own_scope"), _COLUMNS.name == bindparam("own_name"))
    .values(until=bindparam("now_until"), count=bindparam("now_given"))
)
