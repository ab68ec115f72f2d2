"""The only way to change anything: open a change, say what it does, record it; all of it is committed, or nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, Executable, Table, bindparam, select, update

from troth.clock import Clock
from troth.errors import Bug, Fault, Kind, PeerFault
from troth.evidence.entry import Entry, render_entry
from troth.evidence.merkle import Frontier, leaf_hash, parse_frontier
from troth.journal import tables
from troth.journal.entries import head
from troth.store.connect import Database
from troth.store.query import Query
from troth.store.rows import insert_rows
from troth.store.write import write

CHANNEL: Final = "troth_journal"
"""The PostgreSQL channel that says a change was committed; its payload is the number of the last entry."""

# Built once: every change makes these statements.
_TAKE_HEAD: Final = Query(select(tables.head.c.size, tables.head.c.frontier).with_for_update())
_LEAVE_HEAD: Final = update(tables.head).values(size=bindparam("grown"), frontier=bindparam("left"))


@dataclass(slots=True)
class _Done:
    """What a change has come to, whoever made which part of it."""

    records: list[tuple[str, str, str, dict[str, object]]] = field(default_factory=list)
    """Actor, kind, subject and data of each."""
    writes: bool = False
    last: int | None = None


class Change:
    """A change under way. Use it only inside its ``with`` block, in one thread."""

    def __init__(self, connection: Connection, at: datetime, actor: str, why: str, done: "_Done | None" = None) -> None:
        self.connection = connection
        """For look-ups, which see what this change has done so far. What writes goes through `execute`."""
        self.at = at
        """The time of this change: that of every row and entry it makes."""
        self.actor = actor
        self.why = why
        self._done = done or _Done()

    def acting_for(self, actor: str) -> "Change":
        """Return this very change as the part of it that `actor` makes: what is recorded through it names them."""
        return self if actor == self.actor else Change(self.connection, self.at, actor, self.why, self._done)

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a statement as part of the change. Raises `Fault` as `store.write` does."""
        self._done.writes = self._done.writes or not statement.is_select
        return self.connection.execute(statement, parameters)

    def insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows with a value for every column, in the table's order. Raises `Fault` as `store.write` does."""
        self._done.writes = True
        insert_rows(self.connection, table, rows)

    def record(self, kind: str, subject: str, **data: object) -> None:
        """Say what the change does: the entry that followers will read. Raises `Bug` for data that JSON cannot say."""
        self._done.records.append((self.actor, kind, subject, data))

    @property
    def last(self) -> int:
        """The number of the change's last entry, once it is committed; of the journal's, when it changed nothing."""
        if self._done.last is None:
            raise Bug("a change has no number before it is committed")
        return self._done.last

    def _settle(self) -> int:
        """Number the records and store them, as the very last statements before the commit.

        Taking the head's row puts changes in order: on PostgreSQL the next change waits here until this one is
        committed, so nobody ever reads entry n + 1 before entry n is there, and each entry names the tree's head as
        the one before left it.
        """
        connection = self.connection
        ((size, stored),) = _TAKE_HEAD.all(connection, {})
        try:
            frontier = parse_frontier(size, stored)
        except PeerFault as fault:
            hint = "troth journal verify tells what was changed"
            raise Fault(Kind.REJECTED, "the journal's head is not whole", detail=fault.message, hint=hint) from fault
        insert_rows(connection, tables.entries, [self._row(frontier, *record) for record in self._done.records])
        connection.execute(_LEAVE_HEAD, {"grown": frontier.size, "left": frontier.render()})
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_notify(%s, %s)", (CHANNEL, str(frontier.size)))
        return frontier.size

    def _row(self, frontier: Frontier, actor: str, kind: str, subject: str, data: dict[str, object]) -> tuple[Any, ...]:
        number = frontier.size + 1
        body = render_entry(Entry(number, self.at, actor, kind, subject, data, self.why, frontier.root()))
        return number, self.at, actor, kind, subject, body, frontier.append(leaf_hash(body))


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
        changing._done.last = _settle(changing)


def _settle(changing: Change) -> int:
    if changing._done.records:
        return changing._settle()
    if changing._done.writes:
        raise Bug("a change was made and not recorded")
    return head(changing.connection)
