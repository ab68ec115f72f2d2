"""Which roots each device is known to hold, and who still leans on an issuer that is to go.

A device counts as *told* once it has fetched the bundle over a connection on which it proved who it is, and as
*holding* it once it has come back for it with the bundle's own tag.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, func, or_, select, update

from troth.journal.change import Change
from troth.registry import tables
from troth.registry.certificates import CertificateState
from troth.registry.paging import PAGE_ROWS, page_rows

TRUST_TOLD: Final = "trust.told"
TRUST_HELD: Final = "trust.held"
RENEWAL: Final = "certificate"
"""The method of certificates that were issued to who showed another one."""

_UPTAKE: Final = tables.trust_uptake.c
_CERTIFICATES: Final = tables.certificates.c


class UptakeState(StrEnum):
    """How far a device has come."""

    HELD = "HELD"
    """It has shown that it holds a young enough root."""
    TOLD = "TOLD"
    """It has fetched one, and not yet shown that it kept it."""
    BEHIND = "BEHIND"
    """Nothing is known of it, or an older root only."""


@dataclass(frozen=True, slots=True)
class Uptake:
    """What a device is known to hold."""

    thing: str
    root_id: str
    """The youngest root of the bundle."""
    bundle: str
    """The digest of the bundle (`trust.TrustBundle.digest`)."""
    told_at: datetime
    held_at: datetime | None


@dataclass(frozen=True, slots=True)
class Laggard:
    """A device that would be lost, and how far it has come."""

    thing: str
    state: UptakeState


def find_uptake(connection: Connection, thing: str) -> Uptake | None:
    """Return what is known of a device, or None."""
    row = connection.execute(select(tables.trust_uptake).where(_UPTAKE.thing == thing)).one_or_none()
    return None if row is None else Uptake(row.thing, row.root_id, row.bundle, row.told_at, row.held_at)


def is_news(known: Uptake | None, bundle: str, *, held: bool) -> bool:
    """Say whether `record_uptake` would change anything: looked at first, so that a fetch alone writes nothing."""
    return known is None or known.bundle != bundle or (held and known.held_at is None)


def record_uptake(change: Change, thing: str, *, root_id: str, bundle: str, held: bool) -> None:
    """Note that a device was told of a bundle, or has shown that it holds it; what is known already changes nothing."""
    known = find_uptake(change.connection, thing)
    if not is_news(known, bundle, held=held):
        return
    # Who has shown that it holds a root holds it, whatever else the bundle has got since.
    before = known.held_at if known is not None and known.root_id == root_id else None
    values = {"root_id": root_id, "bundle": bundle, "told_at": change.at, "held_at": change.at if held else before}
    if known is not None and known.bundle == bundle:
        values["told_at"] = known.told_at
    if known is None:
        change.execute(tables.trust_uptake.insert().values(thing=thing, **values))
    else:
        change.execute(update(tables.trust_uptake).where(_UPTAKE.thing == thing).values(values))
    change.record(TRUST_HELD if held else TRUST_TOLD, thing, root_id=root_id, bundle=bundle)


def count_uptake(connection: Connection, now: datetime, root_ids: Collection[str]) -> dict[UptakeState, int]:
    """Return how many things with a certificate that is good at `now` have come how far with one of these roots."""
    state = _state(root_ids)
    things = _things_with_certificates(now).add_columns(state.label("state")).subquery()
    rows = connection.execute(select(things.c.state, func.count()).group_by(things.c.state))
    found = {UptakeState(name): int(count) for name, count in rows}
    return {each: found.get(each, 0) for each in UptakeState}


def count_roots(connection: Connection, now: datetime) -> dict[str | None, int]:
    """Return how many things with a certificate that is good at `now` have last shown or fetched which root.

    None stands for those of whom nothing is known.
    """
    things = _things_with_certificates(now).add_columns(_UPTAKE.root_id.label("root_id")).subquery()
    rows = connection.execute(select(things.c.root_id, func.count()).group_by(things.c.root_id))
    return {root_id: int(count) for root_id, count in rows}


def list_behind(
    connection: Connection,
    now: datetime,
    root_ids: Collection[str],
    after: str | None = None,
    limit: int = PAGE_ROWS,
) -> list[Laggard]:
    """Return the things that do not yet hold one of these roots, after the thing `after`, by name, at most `limit`."""
    state = _state(root_ids)
    statement = (
        _things_with_certificates(now)
        .add_columns(state.label("state"))
        .where(state != UptakeState.HELD.value)
        .order_by(_CERTIFICATES.thing)
        .limit(page_rows(limit))
    )
    if after is not None:
        statement = statement.where(_CERTIFICATES.thing > after)
    return [Laggard(thing, UptakeState(name)) for thing, name in connection.execute(statement)]


def count_dependents(connection: Connection, now: datetime, issuer_id: str, others: Sequence[str]) -> int:
    """Return how many things or names have a good certificate of this issuer, and none of the `others` in its place.

    A renewed one takes its place only once it was used: until then the device may know nothing of it.
    """
    dependents = _dependents(now, issuer_id, others).subquery()
    return int(connection.execute(select(func.count()).select_from(dependents)).scalar_one())


def list_dependents(
    connection: Connection, now: datetime, issuer_id: str, others: Sequence[str], limit: int = PAGE_ROWS
) -> list[str]:
    """Return those whom `count_dependents` counts: things by name, whatever else by its subject; at most `limit`."""
    dependents = _dependents(now, issuer_id, others)
    rows = connection.execute(dependents.order_by("who").limit(page_rows(limit)))
    return [str(row.who) for row in rows]


def last_expiry(connection: Connection, now: datetime, issuer_id: str) -> datetime | None:
    """Return when the last good certificate of this issuer expires; None when it has none at `now`."""
    found: datetime | None = connection.execute(
        select(func.max(_CERTIFICATES.not_after)).where(_CERTIFICATES.issuer_id == issuer_id, _good(now))
    ).scalar_one()
    return found


def _good(now: datetime) -> ColumnElement[bool]:
    return and_(_CERTIFICATES.state != CertificateState.REVOKED, _CERTIFICATES.not_after > now)


def _state(root_ids: Collection[str]) -> ColumnElement[str]:
    young = _UPTAKE.root_id.in_(sorted(root_ids))
    return case(
        (and_(young, _UPTAKE.held_at.is_not(None)), UptakeState.HELD.value),
        (young, UptakeState.TOLD.value),
        else_=UptakeState.BEHIND.value,
    )


def _things_with_certificates(now: datetime) -> Select[tuple[str]]:
    joined = tables.certificates.outerjoin(tables.trust_uptake, _UPTAKE.thing == _CERTIFICATES.thing)
    return (
        select(_CERTIFICATES.thing).select_from(joined).where(_CERTIFICATES.thing.is_not(None), _good(now)).distinct()
    )


def _dependents(now: datetime, issuer_id: str, others: Sequence[str]) -> Select[tuple[str]]:
    another = tables.certificates.alias("another")
    good = (
        another.c.issuer_id.in_(list(others)),
        another.c.state == CertificateState.ACTIVE,
        another.c.not_after > now,
        # What a renewal is made with is put out of force when its outcome is first used, and not before.
        or_(another.c.method != RENEWAL, _CERTIFICATES.state != CertificateState.ACTIVE),
    )
    # Two questions, each along an index of its own: one with OR in it would read the whole table for every row.
    as_thing = exists().where(another.c.thing == _CERTIFICATES.thing, *good)
    as_name = exists().where(_CERTIFICATES.thing.is_(None), another.c.subject == _CERTIFICATES.subject, *good)
    who = func.coalesce(_CERTIFICATES.thing, _CERTIFICATES.subject).label("who")
    return select(who).where(_CERTIFICATES.issuer_id == issuer_id, _good(now), ~as_thing, ~as_name).distinct()
