"""Everything that decides what a connection may do, from one moment of the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class AttachedPolicy:
    """A policy in force, and through what it reaches the certificate."""

    name: str
    version: int
    document: str
    target_kind: TargetKind
    target: str
    """A thing's name or the certificate's id."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A certificate and all it is attached to. Which of the things it speaks for is known only at CONNECT."""

    certificate: CertificateRow
    things: tuple[AttachedThing, ...]
    """In the order of their names."""
    policies: tuple[AttachedPolicy, ...]
    """Those of the certificate and those of every one of its things, in the order of target and name."""
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
    policies: list[AttachedPolicy] = []
    for thing, type_, attributes, exclusive, policy, version, document in connection.execute(_ATTACHED, parameters):
        if thing is not None:
            things[thing] = AttachedThing(thing, type_, attributes, exclusive)
        if policy is not None:
            kind, target = (TargetKind.CERTIFICATE, certificate_id) if thing is None else (TargetKind.THING, thing)
            policies.append(AttachedPolicy(policy, version, document, kind, target))
    return Principal(
        certificate_row(columns),
        tuple(sorted(things.values(), key=lambda thing: thing.name)),
        tuple(sorted(policies, key=lambda policy: (policy.target_kind, policy.target, policy.name))),
        position,
    )


def _certificate() -> Select[Any]:
    identity = tables.certificates.c.certificate_id
    return select(tables.certificates, position().label("position")).where(identity == bindparam("certificate_id"))


def _attached() -> CompoundSelect[Any]:
    """One row for each thing and each of its policies (or none), and one for each policy of the certificate itself."""
    principals, things = tables.thing_principals.c, tables.things.c
    attached, policies, versions = tables.policy_attachments.c, tables.policies.c, tables.policy_versions.c
    of_policy = (policies.name.label("policy"), versions.version, versions.document)
    in_force = (versions.policy == policies.name) & (versions.version == policies.default_version)
    # Outer joins also keep SQLite from starting at the other end, with the attachments of every thing there is.
    of_things = (
        select(things.name, things.type, things.attributes, principals.exclusive, *of_policy)
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
    of_certificate = (
        select(null(), null(), null(), null(), *of_policy)
        .select_from(tables.policy_attachments)
        .join(tables.policies, policies.name == attached.policy)
        .join(tables.policy_versions, in_force)
        .where(attached.target_kind == TargetKind.CERTIFICATE.value, attached.target == bindparam("certificate_id"))
    )
    return union_all(of_things, of_certificate)


_CERTIFICATE: Final = _certificate()
_ATTACHED: Final = _attached()
