"""Thing types: the kinds of thing that a fleet has."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, select

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.names import parse_type_name
from troth.registry import tables
from troth.registry.paging import PAGE_ROWS, page_rows

TYPE_CREATED: Final = "type.created"

_COLUMNS: Final = tables.thing_types.c


@dataclass(frozen=True, slots=True)
class ThingType:
    """A kind of thing."""

    name: str
    created_at: datetime


def create_type(change: Change, name: str) -> ThingType:
    """Create a thing type; one that exists stays as it is. Raises `Fault` (malformed) for a name that cannot be."""
    parse_type_name(name)
    existing = find_type(change.connection, name)
    if existing is not None:
        return existing
    change.execute(tables.thing_types.insert().values(name=name, created_at=change.at))
    change.record(TYPE_CREATED, name)
    return ThingType(name, change.at)


def find_type(connection: Connection, name: str) -> ThingType | None:
    """Return the thing type, or None."""
    row = connection.execute(select(tables.thing_types).where(_COLUMNS.name == name)).one_or_none()
    return None if row is None else _type(row)


def get_type(connection: Connection, name: str) -> ThingType:
    """Return the thing type. Raises `Fault` (not found)."""
    found = find_type(connection, name)
    if found is None:
        raise Fault(Kind.NOT_FOUND, f"there is no thing type {name!r}", hint="create it first: troth type create NAME")
    return found


def list_types(connection: Connection, after: str | None = None, limit: int = PAGE_ROWS) -> list[ThingType]:
    """Return the types after `after` in the order of their names, at most `limit`."""
    statement = select(tables.thing_types).order_by(_COLUMNS.name).limit(page_rows(limit))
    if after is not None:
        statement = statement.where(_COLUMNS.name > after)
    return [_type(row) for row in connection.execute(statement)]


def _type(row: Row[str, datetime]) -> ThingType:
    return ThingType(row.name, row.created_at)
