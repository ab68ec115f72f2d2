"""The process that holds the CA keys."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from troth.app.cabinet import FileCabinet, home_cabinet
from troth.app.delegating import keep_delegated
from troth.app.doors import Doors
from troth.app.duties import Duty, duties, keep
from troth.app.wiring.door import open_crl_door, open_door
from troth.app.wiring.doors import journal_head, until_issuers_change
from troth.app.wiring.parts import Job, Ready, parts
from troth.app.wiring.signer import keep_journal
from troth.authority.door import Door
from troth.authority.hierarchy import FOR_THINGS
from troth.authority.serve import serve as serve_authority
from troth.authority.settle import AUTHORITY
from troth.authority.status.publish import CRLDoor
from troth.authority.status.serve import Publisher
from troth.clock import Clock, SystemClock
from troth.errors import Fault
from troth.store.connect import Database

RENEWAL_EVERY_S: Final = 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Opened:
    """The doors to the keys that were there at one place of the journal."""

    position: int
    door: Door
    crl_door: CRLDoor


async def run(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """Sign what committed intents stand for, and do the periodic duties, until `stop` is set.

    When the journal tells of issuers their keys are opened anew: a new generation signs at once.
    """
    with parts(job) as (home, settings, db):
        passphrase = job["passphrase"]
        cabinet = home_cabinet(home, settings, passphrase.encode() if passphrase else None, job["pin"])
        clock, public_url = SystemClock(), settings.site.public_url
        renewal = partial(_renew_doors, Doors(home, settings, db, clock, cabinet, AUTHORITY))
        signing = asyncio.gather(
            keep_journal(home, settings, db, clock, cabinet.passphrase),
            keep_delegated(home, clock, cabinet.passphrase),
        )
        opened = await asyncio.to_thread(_open, db, cabinet, public_url)
        try:
            while not stop.is_set():
                every = (
                    *duties(opened.crl_door, settings.store.keep_expired),
                    Duty("renew-doors", RENEWAL_EVERY_S, renewal),
                )
                keeping = asyncio.gather(
                    keep(every, db, clock), Publisher(db, clock, opened.crl_door).run(), return_exceptions=True
                )
                try:
                    await _serve_until_issuers_change(db, clock, opened, home.doorbell, stop, ready)
                finally:
                    keeping.cancel()
                    await asyncio.gather(keeping, return_exceptions=True)
                ready = _told
                opened = await asyncio.to_thread(_reopen, db, cabinet, public_url, opened)
        finally:
            signing.cancel()
            await asyncio.gather(signing, return_exceptions=True)


def _told() -> None:
    """That the process is ready has been said already."""


def _renew_doors(doors: Doors, _db: Database, _clock: Clock) -> None:
    """Renew the certificates of our own servers ahead of their end."""
    renewed = doors.renew_due()
    if renewed:
        log.info("servers.renewed", servers=renewed)


def _open(db: Database, cabinet: FileCabinet, public_url: str) -> _Opened:
    position = journal_head(db)
    # Nothing that comes from outside asks for another kind: whoever takes a gateway cannot have an operator made.
    door = open_door(db, cabinet, public_url, FOR_THINGS)
    return _Opened(position, door, open_crl_door(db, cabinet, public_url))


def _reopen(db: Database, cabinet: FileCabinet, public_url: str, before: _Opened) -> _Opened:
    """Return doors to the keys that are there now; where they cannot be opened, those of before go on."""
    try:
        return _open(db, cabinet, public_url)
    except Fault as fault:
        log.error("keys.not_opened", reason=fault.message, detail=fault.detail, hint=fault.hint)
        return _Opened(journal_head(db), before.door, before.crl_door)


async def _serve_until_issuers_change(
    db: Database, clock: Clock, opened: _Opened, bell: Path, stop: asyncio.Event, ready: Ready
) -> None:
    turn = asyncio.Event()

    async def watch(until: Coroutine[None, None, object]) -> None:
        await until
        turn.set()

    watching = [
        asyncio.create_task(watch(stop.wait())),
        asyncio.create_task(watch(until_issuers_change(db, clock, opened.position))),
    ]
    try:
        await serve_authority(db, clock, opened.door, bell, turn, ready)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
