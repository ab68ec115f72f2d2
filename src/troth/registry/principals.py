"""Everything that decides what a connection may do, from one moment of the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import CompoundSelect, Connection, Select, bindparam, select, union_all

from troth.journal.entries import head
from troth.registry import tables
from troth.registry.certificates import CertificateRow, find_certificate
from troth.registry.policies import TargetKind


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

    `connection` must be one snapshot (`store.read`), or the position may lie. Four look-ups by index.
    """
    certificate = find_certificate(connection, certificate_id)
    if certificate is None:
        return None
    things = tuple(AttachedThing(*row) for row in connection.execute(_THINGS, {"certificate_id": certificate_id}))
    names = [thing.name for thing in things]
    found = connection.execute(_POLICIES, {"certificate_id": certificate_id, "things": names})
    policies = (
        AttachedPolicy(name, version, document, TargetKind(kind), target)
        for name, version, document, kind, target in found
    )
    in_order = tuple(sorted(policies, key=lambda policy: (policy.target_kind, policy.target, policy.name)))
    return Principal(certificate, things, in_order, head(connection))


def _things() -> Select[Any]:
    things, attached = tables.things.c, tables.thing_principals.c
    return (
        select(things.name, things.type, things.attributes, attached.exclusive)
        .join_from(tables.thing_principals, tables.things, things.name == attached.thing)
        .where(attached.certificate_id == bindparam("certificate_id"))
        .order_by(attached.thing)
    )


def _policies() -> CompoundSelect[Any]:
    # Two statements in one, and things by name rather than by a join: SQLite would walk through the attachments of
    # every thing there is. A thing may be named like a certificate's id, so each name is looked for under its kind.
    of_certificate = _attached_to(TargetKind.CERTIFICATE).where(
        tables.policy_attachments.c.target == bindparam("certificate_id")
    )
    of_things = _attached_to(TargetKind.THING).where(
        tables.policy_attachments.c.target.in_(bindparam("things", expanding=True))
    )
    return union_all(of_certificate, of_things)


def _attached_to(kind: TargetKind) -> Select[Any]:
    attached, policies, versions = tables.policy_attachments.c, tables.policies.c, tables.policy_versions.c
    return (
        select(policies.name, versions.version, versions.document, attached.target_kind, attached.target)
        .select_from(tables.policy_attachments)
        .join(tables.policies, policies.name == attached.policy)
        .join(
            tables.policy_versions,
            (versions.policy == policies.name) & (versions.version == policies.default_version),
        )
        .where(attached.target_kind == kind.value)
    )


_THINGS: Final = _things()
_POLICIES: Final = _policies()
