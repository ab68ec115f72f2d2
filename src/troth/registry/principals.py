"""Everything that decides what a connection may do, from one moment of the registry."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import CompoundSelect, Connection, Select, bindparam, null, select, union_all

from troth.journal.entries import position
from troth.policy.attachment import TargetKind
from troth.registry import tables
from troth.registry.certificates import CertificateRow, certificate_row


@dataclass(frozen=True, slots=True)
class AttachedThing:
    """A thing that the certificate is attached to."""

    name: str
    type: str | None
    attributes: Mapping[str, str]
    exclusive: bool
    groups: frozenset[str]
    """Those it is in, and all above them."""


@dataclass(frozen=True, slots=True)
class AttachedPolicy:
    """A policy in force, and through what it reaches the certificate."""

    name: str
    version: int
    document: str
    target_kind: TargetKind
    target: str
    """A thing's or a group's name, or the certificate's id."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A certificate and all it is attached to. Which of the things it speaks for is known only at CONNECT."""

    certificate: CertificateRow
    things: tuple[AttachedThing, ...]
    """In the order of their names."""
    policies: tuple[AttachedPolicy, ...]
    """Those of the certificate, of every one of its things and of all their groups, in the order of target and name."""
    position: int
    """The number of the last journal entry that this reflects: follow from here."""


def find_principal(connection: Connection, certificate_id: str) -> Principal | None:
    """Return the principal with this certificate id, whatever its state; None when it is not registered.

    `connection` must be one snapshot (`store.read`), or the position may lie. Two statements, along indexes only.
    """
    parameters = {"certificate_id": certificate_id}
    row = connection.execute(_CERTIFICATE, parameters).one_or_none()
    if row is None:
        return None
    *columns, position = row
    things: dict[str, AttachedThing] = {}
    groups: dict[str, set[str]] = {}
    # Two things of one certificate may be in the same group.
    policies: dict[tuple[TargetKind, str, str], AttachedPolicy] = {}
    for thing, type_, attributes, exclusive, group, policy, version, document in connection.execute(
        _ATTACHED, parameters
    ):
        if group is not None:
            groups.setdefault(thing, set()).add(group)
            kind, target = TargetKind.GROUP, group
        elif thing is not None:
            things[thing] = AttachedThing(thing, type_, attributes, exclusive, frozenset())
            kind, target = TargetKind.THING, thing
        else:
            kind, target = TargetKind.CERTIFICATE, certificate_id
        if policy is not None:
            policies[kind, target, policy] = AttachedPolicy(policy, version, document, kind, target)
    for thing, held in groups.items():
        things[thing] = replace(things[thing], groups=frozenset(held))
    return Principal(
        certificate_row(columns),
        tuple(sorted(things.values(), key=lambda thing: thing.name)),
        tuple(policies[key] for key in sorted(policies)),
        position,
    )


def _certificate() -> Select[Any]:
    identity = tables.certificates.c.certificate_id
    return select(tables.certificates, position().label("position")).where(identity == bindparam("certificate_id"))


def _attached() -> CompoundSelect[Any]:
    """One row for each thing, for each of its groups with those above it, and for each of their policies (or none); and
    one for each policy of the certificate itself.
    """
    principals, things = tables.thing_principals.c, tables.things.c
    attached, policies, versions = tables.policy_attachments.c, tables.policies.c, tables.policy_versions.c
    of_policy = (policies.name.label("policy"), versions.version, versions.document)
    in_force = (versions.policy == policies.name) & (versions.version == policies.default_version)
    # Outer joins also keep SQLite from starting at the other end, with the attachments of every thing there is.
    of_things = (
        select(things.name, things.type, things.attributes, principals.exclusive, null().label("group"), *of_policy)
        .select_from(tables.thing_principals)
        .join(tables.things, things.name == principals.thing)
        .outerjoin(
            tables.policy_attachments,
            (attached.target_kind == TargetKind.THING.value) & (attached.target == things.name),
        )
        .outerjoin(tables.policies, policies.name == attached.policy)
        .outerjoin(tables.policy_versions, in_force)
        .where(principals.certificate_id == bindparam("certificate_id"))
    )
    members, above = tables.group_members.c, tables.group_ancestors.c
    of_groups = (
        select(principals.thing, null(), null(), null(), above.ancestor, *of_policy)
        .select_from(tables.thing_principals)
        .join(tables.group_members, members.thing == principals.thing)
        .join(tables.group_ancestors, above.group == members.group)
        .outerjoin(
            tables.policy_attachments,
            (attached.target_kind == TargetKind.GROUP.value) & (attached.target == above.ancestor),
        )
        .outerjoin(tables.policies, policies.name == attached.policy)
        .outerjoin(tables.policy_versions, in_force)
        .where(principals.certificate_id == bindparam("certificate_id"))
    )
    of_certificate = (
        select(null(), null(), null(), null(), null(), *of_policy)
        .select_from(tables.policy_attachments)
        .join(tables.policies, policies.name == attached.policy)
        .join(tables.policy_versions, in_force)
        .where(attached.target_kind == TargetKind.CERTIFICATE.value, attached.target == bindparam("certificate_id"))
    )
    return union_all(of_things, of_groups, of_certificate)


_CERTIFICATE: Final = _certificate()
_ATTACHED: Final = _attached()
