"""Doors that follow the journal: a new or a retired CA, or a renewed certificate, counts from the next connection on.

An OpenSSL context takes no change once it has been used, so that each time a new one is made.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

import structlog

from troth.app.doors import DOORS_RENEWED
from troth.clock import Clock
from troth.errors import Fault
from troth.evidence.entry import Entry
from troth.journal.entries import head
from troth.journal.tail import POLL_AT_LEISURE_S, Follower
from troth.registry.issuers import ISSUER_CREATED, ISSUER_RETIRED, ISSUER_REVOKED
from troth.store.connect import Database
from troth.store.read import read

RETRY_S: Final = 1.0
_CHANGING_KEYS: Final = frozenset((ISSUER_CREATED, ISSUER_RETIRED, ISSUER_REVOKED))

log = structlog.get_logger()


async def keep_shown(db: Database, clock: Clock, make: Callable[[], Callable[[], None]]) -> None:
    """Let doors show and demand what is so now, whenever that has changed, without end.

    `make` is called in a thread and makes ready; what it returns is called in the event loop. Where it fails that is
    logged, and tried again.
    """
    while True:
        try:
            position = await asyncio.to_thread(journal_head, db)
            # What changed between a door's opening and the position just read has been told to nobody.
            (await asyncio.to_thread(make))()
            async with aclosing(Follower(db, clock, position, POLL_AT_LEISURE_S).entries()) as batches:
                async for entries in batches:
                    if any(map(_changes_doors, entries)):
                        (await asyncio.to_thread(make))()
                        log.info("doors.renewed", entry=entries[-1].number)
        except Fault as fault:
            log.error("doors.not_renewed", reason=fault.message, detail=fault.detail)
        await asyncio.sleep(RETRY_S)


async def until_issuers_change(db: Database, clock: Clock, position: int) -> None:
    """Return when an entry after `position` tells that there are other keys to sign with than before."""
    while True:
        try:
            async with aclosing(Follower(db, clock, position, POLL_AT_LEISURE_S).entries()) as batches:
                async for entries in batches:
                    position = entries[-1].number
                    if any(entry.kind in _CHANGING_KEYS for entry in entries):
                        return
        except Fault as fault:
            log.error("journal.unreadable", reason=fault.message, detail=fault.detail)
        await asyncio.sleep(RETRY_S)


def journal_head(db: Database) -> int:
    """Return where the journal ends now. Raises `Fault` (unavailable)."""
    with read(db) as connection:
        return head(connection)


def _changes_doors(entry: Entry) -> bool:
    return entry.kind.startswith("issuer.") or entry.kind == DOORS_RENEWED
