"""Doors that follow the journal and their files: a new or a retired CA, or a renewed certificate, counts at once.

That is from the next connection on: an OpenSSL context takes no change once it has been used, so that each time a new
one is made, and connections that are open stay as they are.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
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

LOOK_EVERY_S: Final = 30.0
"""How soon a certificate is shown that was put into its file by others."""
RETRY_S: Final = 1.0
_CHANGING_KEYS: Final = frozenset((ISSUER_CREATED, ISSUER_RETIRED, ISSUER_REVOKED))

Stamps = frozenset[tuple[str, int, int]]

log = structlog.get_logger()


class Shown:
    """What doors show, and how it is made anew."""

    def __init__(self, make: Callable[[], Callable[[], None]]) -> None:
        """`make` is called in a thread and makes ready; what it returns is called in the event loop."""
        self._make = make
        self._making = asyncio.Lock()

    async def renew(self) -> None:
        """Show what is so now. Raises `Fault`, and leaves what is shown, where that cannot be made."""
        # One after the other: what was made last must be what was read last.
        async with self._making:
            (await asyncio.to_thread(self._make))()


async def keep_files_shown(folder: Path, known: Stamps, shown: Shown, every_s: float = LOOK_EVERY_S) -> None:
    """Show what is in the files of a folder whenever they are others than `known`, without end.

    Others renew certificates too, and only by their files: those for names of ours, and ours on hosts without the CA.
    """
    while True:
        await asyncio.sleep(every_s)
        seen = await asyncio.to_thread(stamps, folder)
        if seen == known:
            continue
        try:
            await shown.renew()
        except Fault as fault:
            # A key may be on its way still: looked at again.
            log.error("doors.not_renewed", reason=fault.message, detail=fault.detail)
        else:
            known = seen
            log.info("doors.renewed", folder=str(folder))


def stamps(folder: Path) -> Stamps:
    """Return what changes when a file of a folder, or of one in it, does."""
    found = set()
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                stat = (Path(directory) / name).stat()
                found.add((f"{directory}/{name}", stat.st_ino, stat.st_mtime_ns))
    return frozenset(found)


async def keep_shown(db: Database, clock: Clock, shown: Shown) -> None:
    """Let doors show and demand what is so now, whenever the journal tells of a change, without end.

    Where that fails it is logged, and tried again.
    """
    while True:
        try:
            position = await asyncio.to_thread(journal_head, db)
            # What changed between a door's opening and the position just read has been told to nobody.
            await shown.renew()
            async with aclosing(Follower(db, clock, position, POLL_AT_LEISURE_S).entries()) as batches:
                async for entries in batches:
                    if any(map(_changes_doors, entries)):
                        await shown.renew()
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
