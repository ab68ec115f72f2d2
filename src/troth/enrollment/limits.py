"""How many certificates an enrollment has given of late, to whom: counters in the change that gives more.

A counter is not state: it begins anew with its window, and whoever loses one has given a little more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, insert, select, tuple_, update

from troth.enrollment import tables
from troth.enrollment.definitions import Definition
from troth.errors import Fault, Kind
from troth.journal.change import Change

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
_NAME_CHARS_MAX: Final = 200
_COLUMNS: Final = tables.enrollment_counts.c

Bounds = Mapping[tuple[str, str], tuple[int, timedelta]]
"""By scope and name, how many there may be, and in which time."""


@dataclass(frozen=True, slots=True)
class Given:
    """A certificate that is about to be given."""

    definition: Definition
    """The enrollment that gives it."""
    thing: str
    address: str
    """Where it was asked for; empty where that is not known."""
    issuer_id: str

    def bounds(self, issuer_max: int) -> Bounds:
        """Return what it counts for."""
        limits = self.definition.limits
        bounds = {("thing", self.thing): (limits.per_thing, DAY), ("issuer", self.issuer_id): (issuer_max, HOUR)}
        if limits.total is not None:
            bounds["enrollment", self.definition.name] = (limits.total, DAY)
        if limits.per_address is not None and self.address:
            bounds["address", f"{self.definition.name}/{self.address}"[:_NAME_CHARS_MAX]] = (limits.per_address, HOUR)
        return bounds


def count(change: Change, given: Sequence[Given], issuer_max: int) -> list[Fault | None]:
    """Count certificates that one change gives; in their order, why one is one too many (rate limited), or None.

    Where one is, none is counted: the change must not go on with it. `issuer_max` bounds what all enrollments together
    have an issuing CA sign in an hour.
    """
    return _count(change, [each.bounds(issuer_max) for each in given])


def count_each(change: Change, bounds: Bounds) -> None:
    """Count one more under each scope and name, of which there may be so many in so long. Raises `Fault` for more."""
    (fault,) = _count(change, [bounds])
    if fault is not None:
        raise fault


def _count(change: Change, wanted: Sequence[Bounds]) -> list[Fault | None]:
    own = sorted({own for bounds in wanted for own in bounds})
    rows: Sequence[Any] = change.execute(_FIND, {"own": own}).all()
    found = {(row[0], row[1]): _Window(row[2], row[3]) for row in rows}
    now = dict(found)
    faults = [_take(bounds, now, change.at) for bounds in wanted]
    if not any(faults):
        for statement, is_there in ((_ADD, False), (_COUNT, True)):
            values = [
                {"own_scope": scope, "own_name": name, "now_until": window.until, "now_given": window.given}
                for (scope, name), window in now.items()
                if ((scope, name) in found) is is_there
            ]
            if values:
                change.execute(statement, values)
    return faults


class _Window(NamedTuple):
    until: datetime
    given: int


def _take(bounds: Bounds, now: dict[tuple[str, str], _Window], at: datetime) -> Fault | None:
    """Count one more in all of its windows; in none of them, and why, where one of them is full."""
    counted = {}
    for own, (most, span) in bounds.items():
        until, given = now.get(own, (at, 0))
        if not at < until <= at + span:
            until, given = at + span, 0
        if given >= most:
            return _too_many(*own, most, until, at)
        counted[own] = _Window(until, given + 1)
    now.update(counted)
    return None


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
