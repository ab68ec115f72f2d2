"""Read the journal: forwards for those who follow it, backwards for those who look."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, Row, ScalarSelect, bindparam, select

from troth.journal import tables
from troth.journal.record import Entry, read_entry
from troth.limits import LIST_ROWS_MAX

_HEAD: Final = select(tables.head.c.size)


def head(connection: Connection) -> int:
    """Return the number of the last entry that `connection` sees; 0 in an empty journal."""
    return int(connection.execute(_HEAD).scalar_one())


def position() -> ScalarSelect[int]:
    """Return `head` as an expression, for a statement that needs it beside what it looks up."""
    return _HEAD.scalar_subquery()


def list_after(connection: Connection, number: int, limit: int = LIST_ROWS_MAX) -> list[Entry]:
    """Return the entries after `number`, oldest first, at most `limit` and `LIST_ROWS_MAX`."""
    return _entries(connection.execute(_AFTER, {"after": number, "most": min(limit, LIST_ROWS_MAX)}).all())


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
    return _entries(connection.execute(_ABOUT, {"kind": kind, "subjects": list(subjects)}).all())


# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_AFTER: Final = (
    select(tables.entries.c.body)
    .where(tables.entries.c.number > bindparam("after"))
    .order_by(tables.entries.c.number)
    .limit(bindparam("most"))
)
_ABOUT: Final = (
    select(tables.entries.c.body)
    .where(
        tables.entries.c.subject.in_(bindparam("subjects", expanding=True)),
        tables.entries.c.kind == bindparam("kind"),
    )
    .order_by(tables.entries.c.number)
)


def _entries(rows: Sequence[Row[bytes]]) -> list[Entry]:
    return [read_entry(body) for (body,) in rows]
