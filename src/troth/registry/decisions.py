"""What was decided lately, and how often, for people to look at. Bounded and not journaled: no state hangs on it.

A worker sends its rows and counts at most once a second, in one batch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Insert, Row, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from troth.limits import DECISION_TEXT_CHARS_MAX, DEFAULT
from troth.policy.decision import Outcome
from troth.registry import tables
from troth.registry.paging import PAGE_ROWS, page_rows
from troth.store.connect import Database
from troth.store.write import write

_COLUMNS: Final = tables.decisions.c
_COUNTS: Final = tables.decision_counts.c


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision of the gateway."""

    at: datetime
    worker: str
    connection: str
    """The connection's id in its worker."""
    address: str
    certificate_id: str | None
    """None when the peer was refused before it had shown a certificate."""
    thing: str | None
    client_id: str | None
    action: str
    resource: str
    outcome: str
    """A value of `troth.policy.engine.Outcome`."""
    reason: str
    id: int = 0
    """Its number in the log, which the log gives."""


@dataclass(frozen=True, slots=True, order=True)
class DecisionKey:
    """What decisions are counted by. Each is one of a few fixed words, never anything that a peer wrote."""

    action: str
    outcome: str
    reason: str


def append(
    db: Database,
    rows: Sequence[DecisionRow],
    counts: Mapping[DecisionKey, int] | None = None,
    rows_max: int = DEFAULT.decision_rows_max,
) -> None:
    """Append rows to the log, in this order, add `counts`, and drop the oldest rows above `rows_max`.

    Texts longer than `DECISION_TEXT_CHARS_MAX` are cut. Raises `Fault` (unavailable).
    """
    kept = rows[-rows_max:] if rows_max > 0 else []
    if not kept and not counts:
        return
    with write(db) as connection:
        if kept:
            connection.execute(tables.decisions.insert(), [_values(row) for row in kept])
            newest = connection.execute(select(func.max(_COLUMNS.id))).scalar_one()
            connection.execute(delete(tables.decisions).where(_COLUMNS.id <= newest - rows_max))
        if counts:
            connection.execute(_add(connection), _ordered(counts))


def list_decisions(
    connection: Connection, *, denied: bool = False, after: int = 0, limit: int = PAGE_ROWS
) -> list[DecisionRow]:
    """Return the newest `limit` decisions (or denials) whose number is above `after`, oldest of them first."""
    statement = select(tables.decisions).where(_COLUMNS.id > after).order_by(_COLUMNS.id.desc())
    if denied:
        statement = statement.where(_COLUMNS.outcome != Outcome.ALLOW.value)
    rows = connection.execute(statement.limit(page_rows(limit))).all()
    return [_row(row) for row in reversed(rows)]


def find_decision(connection: Connection, number: int) -> DecisionRow | None:
    """Return the decision with this number in the log; None when there is none, or no longer."""
    row = connection.execute(select(tables.decisions).where(_COLUMNS.id == number)).one_or_none()
    return None if row is None else _row(row)


def list_counts(connection: Connection) -> dict[DecisionKey, int]:
    """Return how often each kind of decision has been made since the home was created."""
    rows = connection.execute(select(tables.decision_counts).order_by(*tables.decision_counts.primary_key))
    return {DecisionKey(row.action, row.outcome, row.reason): row._mapping["count"] for row in rows}


def _add(connection: Connection) -> Insert:
    # Both dialects have the same ON CONFLICT, under two names.
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(tables.decision_counts)
    return statement.on_conflict_do_update(
        index_elements=[_COUNTS.action, _COUNTS.outcome, _COUNTS.reason],
        set_={"count": _COUNTS.count + statement.excluded.count},
    )


def _ordered(counts: Mapping[DecisionKey, int]) -> list[dict[str, Any]]:
    sums: Counter[DecisionKey] = Counter()
    for key, count in counts.items():
        # As much as the columns hold.
        sums[DecisionKey(key.action[:64], key.outcome[:32], key.reason[:128])] += count
    # Always in one order, so that two workers never wait for each other's rows.
    return [asdict(key) | {"count": sums[key]} for key in sorted(sums)]


def _values(row: DecisionRow) -> dict[str, Any]:
    return {name: _text(getattr(row, name)) for name in DecisionRow.__slots__ if name != "id"}


def _text(value: object) -> object:
    # PostgreSQL cannot store U+0000, and one hostile topic must not cost the whole batch.
    return value[:DECISION_TEXT_CHARS_MAX].replace("\x00", "\ufffd") if isinstance(value, str) else value


def _row(row: Row[Any]) -> DecisionRow:
    values = dict(row._mapping)
    return DecisionRow(**values)
