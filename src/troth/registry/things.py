"""Things: what has an identity. A thing keeps its name and its policies through every certificate it will ever have."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select, update

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.limits import THING_ATTRIBUTES_MAX
from troth.names import parse_attribute, parse_thing_name
from troth.registry import tables
from troth.registry.paging import PAGE_ROWS, page_rows
from troth.registry.types import get_type
from troth.store.query import Query

THING_CREATED: Final = "thing.created"
THING_UPDATED: Final = "thing.updated"

_COLUMNS: Final = tables.things.c


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing and what is said of it."""

    name: str
    type: str | None
    attributes: Mapping[str, str]
    version: int
    """Grows by one with every update."""
    created_at: datetime
    updated_at: datetime


def create_thing(
    change: Change, name: str, type: str | None = None, attributes: Mapping[str, str] | None = None
) -> Thing:
    """Create a thing; one that exists with this type and these attributes stays as it is (as AWS CreateThing).

    Raises `Fault`: malformed for names that cannot be; too large above `THING_ATTRIBUTES_MAX`; not found for a type
    that does not exist; conflict when the thing exists otherwise.
    """
    parse_thing_name(name)
    attributes = _checked(change, type, attributes or {})
    existing = find_thing(change.connection, name)
    if existing is None:
        thing = Thing(name, type, attributes, version=1, created_at=change.at, updated_at=change.at)
        change.execute(
            tables.things.insert().values(
                name=name, type=type, attributes=attributes, version=1, created_at=change.at, updated_at=change.at
            )
        )
        change.record(THING_CREATED, name, thing=name, type=type, attributes=attributes)
        return thing
    if (existing.type, existing.attributes) != (type, attributes):
        hint = "choose another name, or leave type and attributes as they are"
        raise Fault(Kind.CONFLICT, f"thing {name!r} exists with another type or other attributes", hint=hint)
    return existing


def update_thing(change: Change, name: str, type: str | None, attributes: Mapping[str, str]) -> Thing:
    """Give a thing this type and these attributes, and no others; where it has them, nothing changes.

    Raises `Fault`: malformed, too large and not found (the thing or the type) as `create_thing` does.
    """
    before = lock_thing(change, name)
    attributes = _checked(change, type, attributes)
    if (before.type, before.attributes) == (type, attributes):
        return before
    version = before.version + 1
    statement = update(tables.things).where(_COLUMNS.name == name)
    change.execute(statement.values(type=type, attributes=attributes, version=version, updated_at=change.at))
    change.record(
        THING_UPDATED,
        name,
        thing=name,
        version=version,
        before={"type": before.type, "attributes": dict(before.attributes)},
        type=type,
        attributes=attributes,
    )
    return Thing(name, type, attributes, version, before.created_at, change.at)


def create_things(change: Change, names: Collection[str]) -> dict[str, Fault]:
    """Create things without type or attributes, none of which is there; return why some names cannot be (malformed)."""
    refused: dict[str, Fault] = {}
    for name in names:
        try:
            parse_thing_name(name)
        except Fault as fault:
            refused[name] = fault
    new = [name for name in names if name not in refused]
    if new:
        change.insert(tables.things, [(name, None, {}, 1, change.at, change.at) for name in new])
    for name in new:
        change.record(THING_CREATED, name, thing=name, type=None, attributes={})
    return refused


def _checked(change: Change, type: str | None, attributes: Mapping[str, str]) -> dict[str, str]:
    checked = dict(parse_attribute(*pair) for pair in attributes.items())
    if len(checked) > THING_ATTRIBUTES_MAX:
        raise Fault(Kind.TOO_LARGE, f"a thing may have at most {THING_ATTRIBUTES_MAX} attributes")
    if type is not None:
        get_type(change.connection, type)
    return checked


def find_thing(connection: Connection, name: str) -> Thing | None:
    """Return the thing, or None."""
    row = _BY_NAME.one_or_none(connection, {"name": name})
    return None if row is None else _thing(row)


def find_things(connection: Connection, names: Collection[str]) -> set[str]:
    """Return those of these names that things have."""
    return {name for (name,) in _NAMES.all(connection, {"names": list(names)})} if names else set()


def get_thing(connection: Connection, name: str) -> Thing:
    """Return the thing. Raises `Fault` (not found)."""
    return _require(find_thing(connection, name), name)


def lock_thing(change: Change, name: str) -> Thing:
    """Return the thing, which no other change touches until this one is committed. Raises `Fault` (not found)."""
    row = change.execute(select(tables.things).where(_COLUMNS.name == name).with_for_update()).one_or_none()
    return _require(None if row is None else _thing(row), name)


def list_things(
    connection: Connection, after: str | None = None, limit: int = PAGE_ROWS, *, type: str | None = None
) -> list[Thing]:
    """Return the things after `after` in the order of their names, all or those of one type, at most `limit`."""
    statement = select(tables.things).order_by(_COLUMNS.name).limit(page_rows(limit))
    if type is not None:
        statement = statement.where(_COLUMNS.type == type)
    if after is not None:
        statement = statement.where(_COLUMNS.name > after)
    return [_thing(row) for row in connection.execute(statement)]


# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_BY_NAME: Final = Query(select(tables.things).where(_COLUMNS.name == bindparam("name")))
_NAMES: Final = Query(select(_COLUMNS.name).where(_COLUMNS.name.in_(bindparam("names", expanding=True))))


def _require(thing: Thing | None, name: str) -> Thing:
    if thing is None:
        raise no_thing(name)
    return thing


def no_thing(name: str) -> Fault:
    """Return the fault for a thing that does not exist."""
    return Fault(Kind.NOT_FOUND, f"there is no thing {name!r}", hint="create it first: troth thing create NAME")


def _thing(row: Row[Any]) -> Thing:
    return Thing(row.name, row.type, row.attributes, row.version, row.created_at, row.updated_at)
