"""The whole journal from its first row to its last, page by page: exported to a file, or audited where it stands.

What was committed when it began is what is read; what comes later is not waited for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, LargeBinary, Row, cast, func, select, type_coerce

from troth.errors import PeerFault
from troth.evidence.audit import Audit, Flaw, Report, Witness
from troth.evidence.checkpoint import VerifierKey, parse_checkpoint
from troth.evidence.entry import Entry
from troth.evidence.export import render_end, render_head, render_row
from troth.evidence.merkle import HASH_BYTES, parse_frontier
from troth.journal import tables
from troth.limits import CHECKPOINTS_KEPT_MAX, LIST_ROWS_MAX
from troth.store.connect import Database
from troth.store.read import read

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Told = Callable[[int, int], None]
"""Hears now and then how many entries are done, of how many."""

# Whoever edits rows may leave values of other types there, which SQLite takes; they are read as what they are.
_ROWS: Final = select(
    tables.entries.c.number,
    type_coerce(tables.entries.c.at, BigInteger).label("at"),
    tables.entries.c.actor,
    tables.entries.c.kind,
    tables.entries.c.subject,
    cast(tables.entries.c.body, LargeBinary).label("body"),
    cast(tables.entries.c.nodes, LargeBinary).label("nodes"),
).order_by(tables.entries.c.number)
_HEAD: Final = select(tables.head.c.size, cast(tables.head.c.frontier, LargeBinary))
_NOTES: Final = select(cast(tables.checkpoints.c.note, LargeBinary)).order_by(tables.checkpoints.c.size)


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What the journal says of itself at one moment."""

    size: int
    frontier: bytes
    last: int
    notes: tuple[bytes, ...]


def export(db: Database, key: VerifierKey, write: Callable[[bytes], object], told: Told) -> int:
    """Give the lines of an export to `write`, and return how many entries it has. Raises `Fault` (unavailable)."""
    beginning = _begin(db)
    for line in render_head(key, beginning.size, iter(beginning.notes)):
        write(line)
    count = 0
    for page in _pages(db, beginning.last):
        for row in page:
            write(render_row(row.body, row.nodes[:HASH_BYTES]))
        count += len(page)
        told(count, beginning.last)
    write(render_end(count))
    return count


def audit(db: Database, key: VerifierKey, outside: Sequence[Witness], told: Told) -> Report:
    """Go through the journal where it stands, its own checkpoints beside those `outside`. Raises `Fault` (unavailable).

    Finds, besides what an export shows, columns, stored subtrees and a head that do not fit.
    """
    beginning = _begin(db)
    witnesses, unreadable = _own(beginning.notes)
    auditing = Audit(key, [*witnesses, *outside])
    for reason in unreadable:
        auditing.find(Flaw.CHECKPOINT_FORGED, 1, beginning.size, f"a checkpoint in the database: {reason}")
    for page in _pages(db, beginning.last):
        for row in page:
            entry = auditing.take(row.body, row.nodes)
            if entry is not None and not _columns_fit(row, entry):
                text = f"the columns of entry {row.number} were edited: they do not say what the entry says"
                auditing.find(Flaw.COLUMNS_EDITED, row.number, row.number, text)
        told(auditing.count, beginning.last)
    if not _head_fits(beginning, auditing):
        text = f"the stored head, of {beginning.size} entries, is not that of the {auditing.count} entries"
        auditing.find(Flaw.HEAD_EDITED, max(1, min(beginning.size, auditing.count)), auditing.count, text)
    return auditing.finish()


def _begin(db: Database) -> _Beginning:
    with read(db) as connection:
        size, frontier = connection.execute(_HEAD).one()
        last = connection.execute(select(func.max(tables.entries.c.number))).scalar_one() or 0
        notes = connection.scalars(_NOTES.limit(CHECKPOINTS_KEPT_MAX)).all()
        return _Beginning(size if isinstance(size, int) else -1, frontier or b"", last, tuple(notes))


def _pages(db: Database, last: int) -> Iterator[Sequence[Row[Any]]]:
    number = 0
    while number < last:
        # One snapshot a page: a long one would keep SQLite's log from shrinking.
        with read(db) as connection:
            within = tables.entries.c.number.between(number + 1, last)
            page = connection.execute(_ROWS.where(within).limit(LIST_ROWS_MAX)).all()
        if not page:
            return
        yield page
        number = page[-1].number


def _own(notes: Sequence[bytes]) -> tuple[list[Witness], list[str]]:
    witnesses: list[Witness] = []
    unreadable: list[str] = []
    for note in notes:
        try:
            signed = parse_checkpoint(note)
        except PeerFault as fault:
            unreadable.append(fault.message)
        else:
            source = f"the database's checkpoint of {signed.checkpoint.size} entries"
            witnesses.append(Witness(signed, kept_outside=False, source=source))
    return witnesses, unreadable


def _columns_fit(row: Row[Any], entry: Entry) -> bool:
    said = (entry.number, (entry.at - _EPOCH) // timedelta(microseconds=1), entry.actor, entry.kind, entry.subject)
    return bool((row.number, row.at, row.actor, row.kind, row.subject) == said)


def _head_fits(beginning: _Beginning, auditing: Audit) -> bool:
    if beginning.size != auditing.count:
        return False
    root = auditing.root()
    try:
        return root is None or parse_frontier(beginning.size, beginning.frontier).root() == root
    except PeerFault:
        return False
