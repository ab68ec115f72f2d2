"""Which certificate speaks for which thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, select

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.limits import THINGS_PER_CERTIFICATE_MAX
from troth.registry import tables
from troth.registry.certificates import lock_certificate
from troth.registry.paging import PAGE_ROWS, page_rows
from troth.registry.things import get_thing

PRINCIPAL_ATTACHED: Final = "principal.attached"
PRINCIPAL_DETACHED: Final = "principal.detached"

_COLUMNS: Final = tables.thing_principals.c


@dataclass(frozen=True, slots=True)
class Attachment:
    """A certificate attached to a thing."""

    thing: str
    certificate_id: str
    exclusive: bool
    """Whether the certificate stands for this thing whatever client id it connects with (AWS: EXCLUSIVE_THING)."""


def attach_principal(change: Change, thing: str, certificate_id: str, exclusive: bool = True) -> Attachment:
    """Attach a certificate to a thing; where it is attached so already, nothing changes.

    An exclusive certificate has one thing only. Raises `Fault`: not found for the thing or the certificate; conflict
    when the certificate is attached otherwise; too large above `THINGS_PER_CERTIFICATE_MAX`.
    """
    wanted = Attachment(thing, certificate_id, exclusive)
    get_thing(change.connection, thing)
    lock_certificate(change, certificate_id)
    attached = list_things_of(change.connection, certificate_id)
    if wanted in attached:
        return wanted
    if any(other.exclusive or exclusive or other.thing == thing for other in attached):
        raise Fault(
            Kind.CONFLICT,
            f"certificate {certificate_id[:12]} is attached to thing {attached[0].thing!r}",
            hint="an exclusive certificate has one thing only: detach it first",
        )
    if len(attached) >= THINGS_PER_CERTIFICATE_MAX:
        message = f"a certificate may be attached to at most {THINGS_PER_CERTIFICATE_MAX} things"
        raise Fault(Kind.TOO_LARGE, message, hint="detach one first")
    _add(change, [wanted])
    change.record(PRINCIPAL_ATTACHED, certificate_id, certificate_id=certificate_id, thing=thing, exclusive=exclusive)
    return wanted


def attach_new(change: Change, attachments: Sequence[Attachment]) -> None:
    """Attach certificates that were added in the same change, each to one thing, as their own entries say.

    Raises `Fault` (conflict) when a thing has gone.
    """
    _add(change, attachments)


def _add(change: Change, attachments: Sequence[Attachment]) -> None:
    rows = [(each.certificate_id, each.thing, each.exclusive, change.at) for each in attachments]
    change.insert(tables.thing_principals, rows)


def detach_principal(change: Change, thing: str, certificate_id: str) -> None:
    """Detach a certificate from a thing. Raises `Fault` (not found) when it is not attached."""
    done = change.execute(
        delete(tables.thing_principals).where(_COLUMNS.certificate_id == certificate_id, _COLUMNS.thing == thing)
    )
    if done.rowcount == 0:
        message = f"certificate {certificate_id[:12]} is not attached to thing {thing!r}"
        raise Fault(Kind.NOT_FOUND, message, hint="see what is attached: troth thing show NAME")
    change.record(PRINCIPAL_DETACHED, certificate_id, certificate_id=certificate_id, thing=thing)


def list_things_of(connection: Connection, certificate_id: str) -> list[Attachment]:
    """Return the things that a certificate is attached to, in the order of their names."""
    statement = select(_COLUMNS.thing, _COLUMNS.certificate_id, _COLUMNS.exclusive)
    statement = statement.where(_COLUMNS.certificate_id == certificate_id).order_by(_COLUMNS.thing)
    return [Attachment(*row) for row in connection.execute(statement)]


def list_principals_of(
    connection: Connection, thing: str, after: str | None = None, limit: int = PAGE_ROWS
) -> list[Attachment]:
    """Return the certificates attached to a thing, after the id `after` in the order of their ids, at most `limit`."""
    statement = select(_COLUMNS.thing, _COLUMNS.certificate_id, _COLUMNS.exclusive).where(_COLUMNS.thing == thing)
    statement = statement.order_by(_COLUMNS.certificate_id).limit(page_rows(limit))
    if after is not None:
        statement = statement.where(_COLUMNS.certificate_id > after)
    return [Attachment(*row) for row in connection.execute(statement)]
