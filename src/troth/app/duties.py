"""Everything that is done from time to time, in one table; the authority's process does it.

A duty must be harmless when it is done twice, late, or by two hosts at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from troth.authority import retention as authority_retention
from troth.authority.status.attention import list_concerns
from troth.authority.status.publish import CRLDoor
from troth.authority.status.serve import AUTHORITY
from troth.clock import Clock
from troth.enrollment import retention as enrollment_retention
from troth.enrollment.ownerships import end_ownerships
from troth.enrollment.renewal import sweep_unused
from troth.errors import Fault
from troth.journal.change import change
from troth.registry.issuers import list_issuers
from troth.registry.sessions import drop_expired_workers
from troth.store.connect import Database
from troth.store.read import read

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do every `every_s` seconds."""

    name: str
    every_s: float
    do: Callable[[Database, Clock], None]


def _forget_dead_workers(db: Database, clock: Clock) -> None:
    """Take the sessions of killed workers off the list; they count no more since their lease ended."""
    drop_expired_workers(db, clock.now())


def _publish_crls(door: CRLDoor, db: Database, clock: Clock) -> None:
    """Make CRLs anew ahead of their end, and the first ones of a new CA."""
    with read(db) as connection:
        issuers = list_issuers(connection)
    door.publish_due(db, clock, AUTHORITY, issuers)


def _watch_root_crls(db: Database, clock: Clock) -> None:
    """Log what a person has to do about the CRLs of roots, which nothing here makes by itself."""
    with read(db) as connection:
        concerns = list_concerns(connection, clock.now())
    for concern in concerns:
        log.warning("crl.wanted", reason=concern)


def _let_go(keep_expired: timedelta, db: Database, clock: Clock) -> None:
    """Delete what expired long ago, some at a time: others write between."""
    for prune in (authority_retention.prune, enrollment_retention.prune, enrollment_retention.prune_renewals):
        more = True
        while more:
            with change(db, clock, AUTHORITY) as changing:
                more = prune(changing, changing.at - keep_expired)


def _end_unused_renewals(db: Database, clock: Clock) -> None:
    """Put renewed certificates out of force that nobody came to use."""
    more = True
    while more:
        with change(db, clock, AUTHORITY) as changing:
            more = sweep_unused(changing)


def _end_ownerships(db: Database, clock: Clock) -> None:
    """Revoke what was made for claim certificates and became nobody's in time."""
    more = True
    while more:
        with change(db, clock, AUTHORITY) as changing:
            more = end_ownerships(changing)


def duties(crl_door: CRLDoor, keep_expired: timedelta) -> tuple[Duty, ...]:
    """Return all duties; `keep_expired` is how long what has expired stays."""
    return (
        Duty("let-go", 3600.0, partial(_let_go, keep_expired)),
        Duty("forget-dead-workers", 60.0, _forget_dead_workers),
        Duty("end-ownerships", 60.0, _end_ownerships),
        Duty("end-unused-renewals", 3600.0, _end_unused_renewals),
        Duty("publish-crls", 60.0, partial(_publish_crls, crl_door)),
        Duty("watch-root-crls", 86_400.0, _watch_root_crls),
    )


async def keep(duties: Sequence[Duty], db: Database, clock: Clock) -> None:
    """Do every duty now and at its times, without end; one that fails is logged and done again at its next time."""
    await asyncio.gather(*(_keep(duty, db, clock) for duty in duties))


async def _keep(duty: Duty, db: Database, clock: Clock) -> None:
    while True:
        try:
            await asyncio.to_thread(duty.do, db, clock)
        except Fault as fault:
            log.error("duty.failed", duty=duty.name, reason=fault.message, detail=fault.detail)
        except Exception:
            # One duty that breaks our own code must not end the others.
            log.exception("duty.broke", duty=duty.name)
        await asyncio.sleep(duty.every_s)
