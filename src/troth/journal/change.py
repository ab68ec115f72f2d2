"""The only way to change anything: open a change, say what it does, record it; all of it is committed, or nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, Executable, update

from troth.clock import Clock
from troth.errors import Bug
from troth.journal import tables
from troth.journal.entries import head
from troth.journal.record import Entry, leaf_hash, render_entry
from troth.store.connect import Database
from troth.store.write import write

CHANNEL: Final = "troth_journal"
"""The PostgreSQL channel that says a change was committed; its payload is the number of the last entry."""


class Change:
    """A change under way. Use it only inside its ``with`` block, in one thread."""

    def __init__(self, connection: Connection, at: datetime, actor: str, why: str) -> None:
        self.connection = connection
        """For look-ups, which see what this change has done so far. What writes goes through `execute`."""
        self.at = at
        """The time of this change: that of every row and entry it makes."""
        self.actor = actor
        self.why = why
        self._records: list[tuple[str, str, dict[str, object]]] = []
        self._writes = False
        self._last: int | None = None

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a statement as part of the change. Raises `Fault` as `store.write` does."""
        self._writes = self._writes or not statement.is_select
        return self.connection.execute(statement, parameters)

    def record(self, kind: str, subject: str, **data: object) -> None:
        """Say what the change does: the entry that followers will read. Raises `Bug` for data that JSON cannot say."""
        self._records.append((kind, subject, data))

    @property
    def last(self) -> int:
        """The number of the change's last entry, once it is committed; of the journal's, when it changed nothing."""
        if self._last is None:
            raise Bug("a change has no number before it is committed")
        return self._last

    def _settle(self) -> int:
        """Number the records and store them, as the very last statements before the commit.

        Taking the head's row puts changes in order: on PostgreSQL the next change waits here until this one is
        committed, so nobody ever reads entry n + 1 before entry n is there.
        """
        count = len(self._records)
        size = self.connection.execute(
            update(tables.head).values(size=tables.head.c.size + count).returning(tables.head.c.size)
        ).scalar_one()
        self.connection.execute(
            tables.entries.insert(),
            [self._row(number, *record) for number, record in enumerate(self._records, start=size - count + 1)],
        )
        if self.connection.dialect.name == "postgresql":
            self.connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (CHANNEL, str(size)))
        return int(size)

    def _row(self, number: int, kind: str, subject: str, data: dict[str, object]) -> dict[str, Any]:
        body = render_entry(Entry(number, self.at, self.actor, kind, subject, data, self.why))
        return {
            "number": number,
            "at": self.at,
            "actor": self.actor,
            "kind": kind,
            "subject": subject,
            "body": body,
            "leaf": leaf_hash(body),
        }


@contextmanager
def change(db: Database, clock: Clock, actor: str, why: str = "") -> Iterator[Change]:
    """Yield a change that is committed with its entries when the block ends, and undone whole when it raises.

    `actor` is who makes it, `why` the reason given. The time is taken once the change may begin. On PostgreSQL commits
    are put in order one by one: many small changes of one cause go faster as one.
    Raises `Fault` as `store.write` does, and `Bug`, undoing the change, when it wrote and recorded nothing. A change
    that found nothing to do, and so neither wrote nor recorded, is no error.
    """
    with write(db) as connection:
        changing = Change(connection, clock.now(), actor, why)
        yield changing
        changing._last = _settle(changing)


def _settle(changing: Change) -> int:
    if changing._records:
        return changing._settle()
    if changing._writes:
        raise Bug("a change was made and not recorded")
    return head(changing.connection)
