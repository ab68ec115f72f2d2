"""Everything that is done from time to time, in one table; the authority's process does it.

A duty must be harmless when it is done twice, late, or by two hosts at once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from troth.clock import Clock
from troth.errors import Fault
from troth.registry.sessions import drop_expired_workers
from troth.store.connect import Database

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


DUTIES: Final = (Duty("forget-dead-workers", 60.0, _forget_dead_workers),)


async def keep(db: Database, clock: Clock) -> None:
    """Do every duty at its time, without end; one that fails is logged and done again at its next time."""
    await asyncio.gather(*(_keep(duty, db, clock) for duty in DUTIES))


async def _keep(duty: Duty, db: Database, clock: Clock) -> None:
    while True:
        await asyncio.sleep(duty.every_s)
        try:
            await asyncio.to_thread(duty.do, db, clock)
        except Fault as fault:
            log.error("duty.failed", duty=duty.name, reason=fault.message, detail=fault.detail)
