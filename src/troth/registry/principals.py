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
    policies = tuple(
        AttachedPolicy(name, version, document, TargetKind(kind), target)
        for name, version, document, kind, target in connection.execute(_POLICIES, {"certificate_id": certificate_id})
    )
    return Principal(certificate, things, policies, head(connection))


def _things() -> Select[Any]:
    things, attached = tables.things.c, tables.thing_principals.c
    return (
        select(things.name, things.type, things.attributes, attached.exclusive)
        .join_from(tables.thing_principals, tables.things, things.name == attached.thing)
        .where(attached.certificate_id == bindparam("certificate_id"))
        .order_by(attached.thing)
    )


def _policies() -> CompoundSelect[Any]:
    attached, principals = tables.policy_attachments.c, tables.thing_principals.c
    policies, versions = tables.policies.c, tables.policy_versions.c
    columns = (policies.name, versions.version, versions.document, attached.target_kind, attached.target)
    joined = tables.policy_attachments.join(tables.policies, policies.name == attached.policy).join(
        tables.policy_versions,
        (versions.policy == policies.name) & (versions.version == policies.default_version),
    )
    of_certificate = (
        select(*columns)
        .select_from(joined)
        .where(attached.target_kind == TargetKind.CERTIFICATE.value, attached.target == bindparam("certificate_id"))
    )
    of_things = (
        select(*columns)
        .select_from(joined.join(tables.thing_principals, principals.thing == attached.target))
        .where(attached.target_kind == TargetKind.THING.value, principals.certificate_id == bindparam("certificate_id"))
    )
    return union_all(of_certificate, of_things).order_by("target_kind", "target", "name")


_THINGS: Final = _things()
_POLICIES: Final = _policies()
