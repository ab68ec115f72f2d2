"""Read the journal: forwards for those who follow it, backwards for those who look."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, ScalarSelect, bindparam, select

from troth.journal import tables
from troth.journal.record import Entry, read_entry
from troth.limits import LIST_ROWS_MAX
from troth.store.query import Query

_ENTRIES_KEPT: Final = 256

# Several in one process follow the journal, each by itself, and nobody changes what an entry says.
_read_once: Final = lru_cache(_ENTRIES_KEPT)(read_entry)

_HEAD: Final = select(tables.head.c.size)
_SIZE: Final = Query(_HEAD)


def head(connection: Connection) -> int:
    """Return the number of the last entry that `connection` sees; 0 in an empty journal."""
    ((size,),) = _SIZE.all(connection, {})
    return int(size)


def position() -> ScalarSelect[int]:
    """Return `head` as an expression, for a statement that needs it beside what it looks up."""
    return _HEAD.scalar_subquery()


def list_after(connection: Connection, number: int, limit: int = LIST_ROWS_MAX) -> list[Entry]:
    """Return the entries after `number`, oldest first, at most `limit` and `LIST_ROWS_MAX`."""
    rows = _AFTER.all(connection, {"after": number, "most": min(limit, LIST_ROWS_MAX)})
    return [_read_once(body) for (body,) in rows]


def list_before(
    connection: Connection, number: int | None = None, subject: str | None = None, limit: int = LIST_ROWS_MAX
) -> list[Entry]:
    """Return the entries before `number` (None: from the end), newest first, all of them or those of one subject."""
    statement = select(tables.entries.c.body).order_by(tables.entries.c.number.desc())
    if number is not None:
        statement = statement.where(tables.entries.c.number < number)
    if subject is not None:
        statement = statement.where(tables.entries.c.subject == subject)
    return _entries(connection.execute(statement.limit(min(limit, LIST_ROWS_MAX))).all())


def list_about(connection: Connection, kind: str, subjects: Collection[str]) -> list[Entry]:
    """Return all entries of one kind about any of these subjects, oldest first."""
    return _entries(_ABOUT.all(connection, {"kind": kind, "subjects": list(subjects)}))


_AFTER: Final = Query(
    select(tables.entries.c.body)
    .where(tables.entries.c.number > bindparam("after"))
    .order_by(tables.entries.c.number)
    .limit(bindparam("most"))
)
_ABOUT: Final = Query(
    select(tables.entries.c.body)
    .where(
        tables.entries.c.subject.in_(bindparam("subjects", expanding=True)),
        tables.entries.c.kind == bindparam("kind"),
    )
    .order_by(tables.entries.c.number)
)


def _entries(rows: Sequence[Sequence[bytes]]) -> list[Entry]:
    return [read_entry(body) for (body,) in rows]
