"""Policies, and what they are attached to. Decides nothing: `troth.policy` does."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, select, tuple_, update

from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.limits import DEFAULT, POLICIES_PER_TARGET_MAX, POLICY_VERSIONS_MAX, Limits
from troth.names import parse_policy_name
from troth.policy.attachment import TargetKind
from troth.policy.document import parse_document
from troth.registry import tables
from troth.registry.certificates import lock_certificate
from troth.registry.groups import lock_group
from troth.registry.paging import PAGE_ROWS, page_rows
from troth.registry.things import lock_thing

POLICY_CREATED: Final = "policy.created"
POLICY_UPDATED: Final = "policy.updated"
POLICY_DELETED: Final = "policy.deleted"
POLICY_ATTACHED: Final = "policy.attached"
POLICY_DETACHED: Final = "policy.detached"

_ATTACHMENTS: Final = tables.policy_attachments.c
_VERSIONS: Final = tables.policy_versions.c


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in the version that is in force."""

    name: str
    version: int
    document: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """What a policy is attached to."""

    kind: TargetKind
    name: str
    """A thing's or a group's name, or a certificate's id."""


def create_policy(change: Change, name: str, document: str, limits: Limits = DEFAULT) -> Policy:
    """Create a policy in its version 1; one that exists with this very text stays as it is.

    Raises `Fault`: malformed or too large for a name or a document that cannot be, saying where; conflict when the
    policy exists with another document.
    """
    parse_policy_name(name)
    parse_document(document, limits)
    existing = find_policy(change.connection, name)
    if existing is None:
        change.execute(
            tables.policies.insert().values(name=name, default_version=1, created_at=change.at, updated_at=change.at)
        )
        change.execute(
            tables.policy_versions.insert().values(policy=name, version=1, document=document, created_at=change.at)
        )
        change.record(POLICY_CREATED, name, policy=name, version=1, document=document)
        return Policy(name, 1, document, change.at, change.at)
    if existing.document != document:
        raise Fault(Kind.CONFLICT, f"policy {name!r} exists with another document", hint="choose another name")
    return existing


def update_policy(change: Change, name: str, document: str, limits: Limits = DEFAULT) -> Policy:
    """Put a new version of a policy into force; where the document is this very text, nothing changes.

    The versions before it are kept, `POLICY_VERSIONS_MAX` in all, the oldest go first. Raises `Fault`: not found;
    malformed or too large for a document that cannot be, saying where.
    """
    parse_document(document, limits)
    before = _lock(change, name)
    if before.document == document:
        return before
    version = before.version + 1
    change.execute(
        tables.policy_versions.insert().values(policy=name, version=version, document=document, created_at=change.at)
    )
    in_force = update(tables.policies).where(tables.policies.c.name == name)
    change.execute(in_force.values(default_version=version, updated_at=change.at))
    old = (_VERSIONS.policy == name, _VERSIONS.version <= version - POLICY_VERSIONS_MAX)
    change.execute(delete(tables.policy_versions).where(*old))
    change.record(POLICY_UPDATED, name, policy=name, version=version, before=before.version, document=document)
    return Policy(name, version, document, before.created_at, change.at)


def delete_policy(change: Change, name: str) -> None:
    """Delete a policy with all its versions. Raises `Fault`: not found; conflict while it is attached to anything."""
    found = _lock(change, name)
    if list_targets(change.connection, name, limit=1):
        hint = "detach it first; troth policy show NAME says from what"
        raise Fault(Kind.CONFLICT, f"policy {name!r} is attached", hint=hint)
    change.execute(delete(tables.policy_versions).where(_VERSIONS.policy == name))
    change.execute(delete(tables.policies).where(tables.policies.c.name == name))
    change.record(POLICY_DELETED, name, policy=name, version=found.version, document=found.document)


def _lock(change: Change, name: str) -> Policy:
    """Return the policy, which no other change alters until this one is committed. Raises `Fault` (not found)."""
    change.execute(select(tables.policies.c.name).where(tables.policies.c.name == name).with_for_update())
    return get_policy(change.connection, name)


def find_policy(connection: Connection, name: str) -> Policy | None:
    """Return the policy, or None."""
    row = connection.execute(_select().where(tables.policies.c.name == name)).one_or_none()
    return None if row is None else _policy(row)


def get_policy(connection: Connection, name: str) -> Policy:
    """Return the policy. Raises `Fault` (not found)."""
    found = find_policy(connection, name)
    if found is None:
        hint = "create it first: troth policy create NAME FILE"
        raise Fault(Kind.NOT_FOUND, f"there is no policy {name!r}", hint=hint)
    return found


def list_policies(connection: Connection, after: str | None = None, limit: int = PAGE_ROWS) -> list[Policy]:
    """Return the policies after `after` in the order of their names, at most `limit`."""
    statement = _select().order_by(tables.policies.c.name).limit(page_rows(limit))
    if after is not None:
        statement = statement.where(tables.policies.c.name > after)
    return [_policy(row) for row in connection.execute(statement)]


def list_attached(connection: Connection, target: Target) -> list[str]:
    """Return the names of the policies attached to `target`, in order; there are at most `POLICIES_PER_TARGET_MAX`."""
    return list(connection.scalars(select(_ATTACHMENTS.policy).where(*_is(target)).order_by(_ATTACHMENTS.policy)))


def list_targets(
    connection: Connection, name: str, after: Target | None = None, limit: int = PAGE_ROWS
) -> list[Target]:
    """Return what policy `name` is attached to, after `after`, certificates first and things last, at most `limit`."""
    statement = (
        select(_ATTACHMENTS.target_kind, _ATTACHMENTS.target)
        .where(_ATTACHMENTS.policy == name)
        .order_by(_ATTACHMENTS.target_kind, _ATTACHMENTS.target)
        .limit(page_rows(limit))
    )
    if after is not None:
        place = tuple_(_ATTACHMENTS.target_kind, _ATTACHMENTS.target)
        statement = statement.where(place > (after.kind, after.name))
    return [Target(TargetKind(kind), target) for kind, target in connection.execute(statement)]


def attach_policy(
    change: Change,
    name: str,
    *,
    thing: str | None = None,
    group: str | None = None,
    certificate_id: str | None = None,
) -> None:
    """Attach a policy to one thing, one group or one certificate; where it is attached already, nothing changes.

    Raises `Fault`: not found for the policy or its target; too large above `POLICIES_PER_TARGET_MAX`.
    """
    get_policy(change.connection, name)
    target = _lock_target(change, thing, group, certificate_id)
    attached = list_attached(change.connection, target)
    if name in attached:
        return
    if len(attached) >= POLICIES_PER_TARGET_MAX:
        hint = "detach one, or join two into one document"
        message = f"a {target.kind} may have at most {POLICIES_PER_TARGET_MAX} policies"
        raise Fault(Kind.TOO_LARGE, message, hint=hint)
    change.execute(
        tables.policy_attachments.insert().values(
            policy=name, target_kind=target.kind, target=target.name, attached_at=change.at
        )
    )
    change.record(POLICY_ATTACHED, name, policy=name, target_kind=target.kind.value, target=target.name)


def detach_policy(
    change: Change,
    name: str,
    *,
    thing: str | None = None,
    group: str | None = None,
    certificate_id: str | None = None,
) -> None:
    """Detach a policy from what `attach_policy` attached it to. Raises `Fault` (not found) when it is not attached."""
    target = _target(thing, group, certificate_id)
    done = change.execute(delete(tables.policy_attachments).where(*_is(target), _ATTACHMENTS.policy == name))
    if done.rowcount == 0:
        message = f"policy {name!r} is not attached to {target.kind} {target.name!r}"
        raise Fault(Kind.NOT_FOUND, message, hint="see what is attached: troth policy show NAME")
    change.record(POLICY_DETACHED, name, policy=name, target_kind=target.kind.value, target=target.name)


def _select() -> Select[Any]:
    policies, versions = tables.policies, tables.policy_versions
    in_force = (versions.c.policy == policies.c.name) & (versions.c.version == policies.c.default_version)
    return select(policies, versions.c.document).join(versions, in_force)


def _policy(row: Row[Any]) -> Policy:
    return Policy(row.name, row.default_version, row.document, row.created_at, row.updated_at)


def _is(target: Target) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _ATTACHMENTS.target_kind == target.kind, _ATTACHMENTS.target == target.name


def _target(thing: str | None, group: str | None, certificate_id: str | None) -> Target:
    named = {TargetKind.THING: thing, TargetKind.GROUP: group, TargetKind.CERTIFICATE: certificate_id}
    targets = [Target(kind, name) for kind, name in named.items() if name is not None]
    if len(targets) != 1:
        raise Bug("a policy is attached to one thing, one group or one certificate")
    return targets[0]


def _lock_target(change: Change, thing: str | None, group: str | None, certificate_id: str | None) -> Target:
    # The lock keeps two changes from both finding room for the last policy.
    target = _target(thing, group, certificate_id)
    match target.kind:
        case TargetKind.THING:
            lock_thing(change, target.name)
        case TargetKind.GROUP:
            lock_group(change, target.name)
        case TargetKind.CERTIFICATE:
            lock_certificate(change, target.name)
    return target
