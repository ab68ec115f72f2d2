"""Static thing groups: things that are looked after together, nested; policies of a group reach all things in it.

A group's place never changes, so that all that is above it is written down once (``group_ancestors``) and found without
a walk. AWS IoT developer guide, "Static thing groups".
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.limits import GROUP_DEPTH_MAX, GROUP_DESCRIPTION_CHARS_MAX, GROUPS_PER_THING_MAX, THING_ATTRIBUTES_MAX
from troth.names import parse_attribute, parse_group_name
from troth.policy.attachment import TargetKind
from troth.registry import tables
from troth.registry.paging import PAGE_ROWS, page_rows
from troth.registry.things import lock_thing

GROUP_CREATED: Final = "group.created"
GROUP_UPDATED: Final = "group.updated"
GROUP_DELETED: Final = "group.deleted"
GROUP_MEMBER_ADDED: Final = "group.member-added"
GROUP_MEMBER_REMOVED: Final = "group.member-removed"

_COLUMNS: Final = tables.thing_groups.c
_MEMBERS: Final = tables.group_members.c
_ANCESTORS: Final = tables.group_ancestors.c
_ATTACHED: Final = tables.policy_attachments.c


@dataclass(frozen=True, slots=True)
class Group:
    """A group and what is said of it."""

    name: str
    parent: str | None
    depth: int
    """1 for a group without a parent."""
    description: str
    attributes: Mapping[str, str]
    version: int
    """Grows by one with every update."""
    created_at: datetime
    updated_at: datetime


def create_group(
    change: Change,
    name: str,
    parent: str | None = None,
    description: str = "",
    attributes: Mapping[str, str] | None = None,
) -> Group:
    """Create a group, below `parent` for good; one that exists just so stays as it is (as AWS CreateThingGroup).

    Raises `Fault`: malformed for names that cannot be; too large for too many attributes, a long description, and below
    `GROUP_DEPTH_MAX` levels; not found for the parent; conflict when the group exists otherwise.
    """
    parse_group_name(name)
    attributes = _checked(description, attributes or {})
    existing = find_group(change.connection, name)
    if existing is not None:
        if (existing.parent, existing.description, existing.attributes) != (parent, description, attributes):
            hint = "choose another name; description and attributes: troth group update NAME"
            raise Fault(Kind.CONFLICT, f"group {name!r} exists otherwise", hint=hint)
        return existing
    depth = 1 if parent is None else lock_group(change, parent).depth + 1
    if depth > GROUP_DEPTH_MAX:
        raise Fault(Kind.TOO_LARGE, f"groups lie at most {GROUP_DEPTH_MAX} deep")
    group = Group(name, parent, depth, description, attributes, 1, change.at, change.at)
    change.execute(
        tables.thing_groups.insert().values(
            name=name,
            parent=parent,
            depth=depth,
            description=description,
            attributes=attributes,
            version=1,
            created_at=change.at,
            updated_at=change.at,
        )
    )
    above = list_ancestors(change.connection, parent) if parent is not None else []
    change.insert(tables.group_ancestors, [(name, each) for each in (name, *above)])
    said = {"parent": parent, "description": description, "attributes": attributes}
    change.record(GROUP_CREATED, name, group=name, **said)
    return group


def update_group(change: Change, name: str, description: str, attributes: Mapping[str, str]) -> Group:
    """Give a group this description and these attributes, and no others; where it has them, nothing changes.

    Raises `Fault`: malformed, too large, not found.
    """
    before = lock_group(change, name)
    attributes = _checked(description, attributes)
    if (before.description, before.attributes) == (description, attributes):
        return before
    version = before.version + 1
    values = {"description": description, "attributes": attributes}
    change.execute(
        update(tables.thing_groups).where(_COLUMNS.name == name).values(version=version, updated_at=change.at, **values)
    )
    was = {"description": before.description, "attributes": dict(before.attributes)}
    change.record(GROUP_UPDATED, name, group=name, version=version, before=was, **values)
    return get_group(change.connection, name)


def delete_group(change: Change, name: str) -> None:
    """End a group: its things stay, and lose what its policies allowed them.

    Raises `Fault`: not found; conflict while there are groups below it, as on AWS.
    """
    before = lock_group(change, name)
    below = list_groups(change.connection, limit=1, parent=name)
    if below:
        hint = "delete those below it first"
        raise Fault(Kind.CONFLICT, f"group {below[0].name!r} is below group {name!r}", hint=hint)
    change.execute(delete(tables.group_members).where(_MEMBERS.group == name))
    change.execute(
        delete(tables.policy_attachments).where(
            _ATTACHED.target_kind == TargetKind.GROUP.value, _ATTACHED.target == name
        )
    )
    change.execute(delete(tables.group_ancestors).where(_ANCESTORS.group == name))
    change.execute(delete(tables.thing_groups).where(_COLUMNS.name == name))
    said = {"parent": before.parent, "description": before.description, "attributes": dict(before.attributes)}
    change.record(GROUP_DELETED, name, group=name, **said)


def add_member(change: Change, name: str, thing: str) -> bool:
    """Put a thing into a group; say whether it was not there. One in a group below is not in this one by itself.

    Raises `Fault`: not found for the group or the thing; too large above `GROUPS_PER_THING_MAX`; conflict for a thing
    that is elsewhere in the same hierarchy, as on AWS.
    """
    lock_group(change, name)
    lock_thing(change, thing)
    held = list_groups_of(change.connection, thing)
    if name in held:
        return False
    if len(held) >= GROUPS_PER_THING_MAX:
        raise Fault(Kind.TOO_LARGE, f"a thing may be in at most {GROUPS_PER_THING_MAX} groups")
    root = _root(change.connection, name)
    relative = next((each for each in held if _root(change.connection, each) == root), None)
    if relative is not None:
        hint = f"take it out first: troth group remove {relative} {thing}"
        message = f"thing {thing!r} is in group {relative!r}, of the same hierarchy"
        raise Fault(Kind.CONFLICT, message, hint=hint)
    change.execute(tables.group_members.insert().values(thing=thing, group=name, added_at=change.at))
    change.record(GROUP_MEMBER_ADDED, name, group=name, thing=thing)
    return True


def remove_member(change: Change, name: str, thing: str) -> None:
    """Take a thing out of a group. Raises `Fault` (not found) when it is not in it."""
    done = change.execute(delete(tables.group_members).where(_MEMBERS.thing == thing, _MEMBERS.group == name))
    if done.rowcount == 0:
        hint = "troth group show NAME says what is in it"
        raise Fault(Kind.NOT_FOUND, f"thing {thing!r} is not in group {name!r} itself", hint=hint)
    change.record(GROUP_MEMBER_REMOVED, name, group=name, thing=thing)


def put_into(change: Change, thing: str, groups: Collection[str]) -> None:
    """Put a thing into just these groups, and out of all others. Raises `Fault` as `add_member` does."""
    held = list_groups_of(change.connection, thing)
    for each in held:
        if each not in groups:
            remove_member(change, each, thing)
    for each in groups:
        add_member(change, each, thing)


def find_group(connection: Connection, name: str) -> Group | None:
    """Return the group, or None."""
    row = connection.execute(select(tables.thing_groups).where(_COLUMNS.name == name)).one_or_none()
    return None if row is None else _group(row)


def get_group(connection: Connection, name: str) -> Group:
    """Return the group. Raises `Fault` (not found)."""
    return _require(find_group(connection, name), name)


def lock_group(change: Change, name: str) -> Group:
    """Return the group, which no other change touches until this one is committed. Raises `Fault` (not found)."""
    row = change.execute(select(tables.thing_groups).where(_COLUMNS.name == name).with_for_update()).one_or_none()
    return _require(None if row is None else _group(row), name)


def list_groups(
    connection: Connection, after: str | None = None, limit: int = PAGE_ROWS, *, parent: str | None = None
) -> list[Group]:
    """Return the groups after `after` in the order of their names, all or those right below one, at most `limit`."""
    statement = select(tables.thing_groups).order_by(_COLUMNS.name).limit(page_rows(limit))
    if parent is not None:
        statement = statement.where(_COLUMNS.parent == parent)
    if after is not None:
        statement = statement.where(_COLUMNS.name > after)
    return [_group(row) for row in connection.execute(statement)]


def list_ancestors(connection: Connection, name: str) -> list[str]:
    """Return the names of a group and of all groups above it, itself first and the topmost last."""
    rows = connection.execute(_ANCESTORS_OF, {"group": name})
    return [ancestor for _, ancestor in sorted(((depth, each) for each, depth in rows), reverse=True)]


def list_groups_of(connection: Connection, thing: str) -> list[str]:
    """Return the names of the groups that a thing was put into, in order; those above them are not named."""
    return list(connection.scalars(select(_MEMBERS.group).where(_MEMBERS.thing == thing).order_by(_MEMBERS.group)))


def list_members(connection: Connection, name: str, after: str | None = None, limit: int = PAGE_ROWS) -> Sequence[str]:
    """Return the things in a group itself, after `after` in the order of their names, at most `limit`."""
    statement = select(_MEMBERS.thing).where(_MEMBERS.group == name).order_by(_MEMBERS.thing).limit(page_rows(limit))
    if after is not None:
        statement = statement.where(_MEMBERS.thing > after)
    return list(connection.scalars(statement))


def _root(connection: Connection, name: str) -> str:
    return list_ancestors(connection, name)[-1]


def _checked(description: str, attributes: Mapping[str, str]) -> dict[str, str]:
    if len(description) > GROUP_DESCRIPTION_CHARS_MAX:
        raise Fault(Kind.TOO_LARGE, f"a description may have at most {GROUP_DESCRIPTION_CHARS_MAX} characters")
    checked = dict(parse_attribute(*pair) for pair in attributes.items())
    if len(checked) > THING_ATTRIBUTES_MAX:
        raise Fault(Kind.TOO_LARGE, f"a group may have at most {THING_ATTRIBUTES_MAX} attributes")
    return checked


def _require(group: Group | None, name: str) -> Group:
    if group is None:
        hint = "create it first: troth group create NAME"
        raise Fault(Kind.NOT_FOUND, f"there is no group {name[:128]!r}", hint=hint)
    return group


def _group(row: Row[Any]) -> Group:
    return Group(
        row.name,
        row.parent,
        row.depth,
        row.description,
        row.attributes,
        row.version,
        row.created_at,
        row.updated_at,
    )


_ANCESTORS_OF: Final = (
    select(_ANCESTORS.ancestor, _COLUMNS.depth)
    .join(tables.thing_groups, _COLUMNS.name == _ANCESTORS.ancestor)
    .where(_ANCESTORS.group == bindparam("group"))
)
