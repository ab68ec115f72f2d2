"""Who is connected now, worker by worker. Not state but a picture of it: it can be remade, so it is not journaled.

A worker sends what has changed at most once a second, in one batch, and with it prolongs its lease. The rows of a
worker that was killed vanish from every count when its lease ends.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, Join, bindparam, delete, func, select, tuple_, update

from troth.registry import tables
from troth.registry.measures import Measures, parse_measures, render_measures
from troth.registry.paging import PAGE_ROWS, page_rows
from troth.store.connect import Database
from troth.store.read import read
from troth.store.write import write

_SESSIONS: Final = tables.sessions.c
_WORKERS: Final = tables.session_workers.c


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A connection that has been let in."""

    worker: str
    connection: str
    """Its id, unique in its worker."""
    certificate_id: str
    thing: str | None
    """The thing that the certificate resolved to at CONNECT."""
    client_id: str
    address: str
    since: datetime


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker that lives."""

    worker: str
    sessions: int
    measures: Measures


@dataclass(frozen=True, slots=True)
class Which:
    """Which sessions are meant: those that meet every condition given."""

    client_id: str | None = None
    thing: str | None = None
    certificate_id: str | None = None


EVERY: Final = Which()
NOTHING: Final = Measures()


def replace_sessions(
    db: Database, worker: str, lease_until: datetime, rows: Sequence[SessionRow], measures: Measures = NOTHING
) -> None:
    """Make `rows` all the sessions of `worker`, and its lease end at `lease_until`. Raises `Fault` (unavailable)."""
    with write(db) as connection:
        _forget(connection, _WORKERS.worker == worker)
        connection.execute(
            tables.session_workers.insert().values(
                worker=worker, lease_until=lease_until, measures=render_measures(measures)
            )
        )
        _insert(connection, rows)


def update_sessions(
    db: Database,
    worker: str,
    lease_until: datetime,
    opened: Sequence[SessionRow],
    closed: Sequence[str],
    measures: Measures = NOTHING,
) -> bool:
    """Add the sessions `opened`, drop those whose ids are in `closed` (of `opened` too), and prolong the lease.

    Returns False, having changed nothing, when the worker is not known: it has never sent its sessions, or its lease
    ended and others have dropped them. Then `replace_sessions` is what to call. Raises `Fault` (unavailable).
    """
    with write(db) as connection:
        told = {"lease_until": lease_until, "measures": render_measures(measures)}
        renewal = update(tables.session_workers).where(_WORKERS.worker == worker).values(told)
        if connection.execute(renewal).rowcount == 0:
            return False
        gone = set(closed)
        if gone:
            # One statement run once per id: a list inside one statement has an upper bound in every database.
            statement = delete(tables.sessions).where(
                _SESSIONS.worker == worker, _SESSIONS.connection == bindparam("gone")
            )
            connection.execute(statement, [{"gone": one} for one in closed])
        _insert(connection, [row for row in opened if row.connection not in gone])
        return True


def drop_worker(db: Database, worker: str) -> None:
    """Drop a worker and its sessions, as it does when it stops. Raises `Fault` (unavailable)."""
    with write(db) as connection:
        _forget(connection, _WORKERS.worker == worker)


def drop_expired_workers(db: Database, at: datetime) -> None:
    """Drop the workers whose lease has ended, and their sessions. Raises `Fault` (unavailable)."""
    with read(db) as connection:
        # Mostly there is none, and nobody need wait for a look.
        if connection.execute(select(_WORKERS.worker).where(_WORKERS.lease_until <= at).limit(1)).first() is None:
            return
    with write(db) as connection:
        _forget(connection, _WORKERS.lease_until <= at)


def list_workers(connection: Connection, at: datetime) -> list[WorkerRow]:
    """Return the workers whose lease has not ended at time `at`, with what they have told of themselves."""
    count = func.count(_SESSIONS.connection)
    joined = tables.session_workers.outerjoin(tables.sessions)
    statement = select(_WORKERS.worker, _WORKERS.measures, count).select_from(joined).where(_WORKERS.lease_until > at)
    rows = connection.execute(statement.group_by(_WORKERS.worker, _WORKERS.measures).order_by(_WORKERS.worker))
    return [WorkerRow(worker, int(sessions), parse_measures(text)) for worker, text, sessions in rows]


def count_sessions(connection: Connection, at: datetime, which: Which = EVERY) -> int:
    """Return how many sessions there are at time `at`, over all workers whose lease has not ended."""
    statement = select(func.count()).select_from(_living()).where(_WORKERS.lease_until > at, *_meets(which))
    return int(connection.execute(statement).scalar_one())


def list_sessions(
    connection: Connection,
    at: datetime,
    which: Which = EVERY,
    *,
    after: SessionRow | None = None,
    limit: int = PAGE_ROWS,
) -> list[SessionRow]:
    """Return the sessions at time `at` that meet every condition of `which`, in the order of worker and id."""
    order = (_SESSIONS.worker, _SESSIONS.connection)
    statement = select(tables.sessions).select_from(_living()).where(_WORKERS.lease_until > at, *_meets(which))
    statement = statement.order_by(*order)
    if after is not None:
        statement = statement.where(tuple_(*order) > (after.worker, after.connection))
    return [SessionRow(*row) for row in connection.execute(statement.limit(page_rows(limit)))]


def _meets(which: Which) -> list[ColumnElement[bool]]:
    return [_SESSIONS[name] == value for name, value in asdict(which).items() if value is not None]


def _living() -> Join:
    return tables.sessions.join(tables.session_workers)


def _forget(connection: Connection, which: ColumnElement[bool]) -> None:
    workers = connection.scalars(select(_WORKERS.worker).where(which).with_for_update()).all()
    connection.execute(delete(tables.sessions).where(_SESSIONS.worker.in_(workers)))
    connection.execute(delete(tables.session_workers).where(_WORKERS.worker.in_(workers)))


def _insert(connection: Connection, rows: Sequence[SessionRow]) -> None:
    if rows:
        connection.execute(tables.sessions.insert(), [asdict(row) for row in rows])
