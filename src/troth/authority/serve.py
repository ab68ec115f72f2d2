"""The authority's process: at each ring, and at each commit of anybody, settle all that waits.

Restart-safe: it begins with what was intended before it was there. Knows no protocol but the doorbell's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog

from troth.authority.bell import hang, silence
from troth.authority.door import Door
from troth.authority.settle import Progress, settle_waiting
from troth.clock import Clock
from troth.errors import Fault
from troth.journal.change import CHANNEL
from troth.journal.tail import POLL_S
from troth.store.connect import Database
from troth.store.watch import watch

RETRY_S: Final = 1.0

log = structlog.get_logger()


async def serve(
    db: Database, clock: Clock, door: Door, bell: Path, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Settle intents until `stop` is set. `ready` is called once, when the bell hangs.

    What cannot be settled now, since a key or the database does not answer, is tried again every `RETRY_S` seconds.
    Raises `Fault` (misconfigured) when the bell cannot be hung.
    """
    rung = asyncio.Event()
    rung.set()
    loop = asyncio.get_running_loop()
    with hang(bell) as socket:

        def heard() -> None:
            silence(socket)
            rung.set()

        loop.add_reader(socket, heard)
        following = asyncio.create_task(_follow(db, rung), name="authority waits for commits")
        stopping = asyncio.create_task(stop.wait(), name="authority waits for its end")
        ready()
        try:
            while not stop.is_set():
                await _first(rung.wait(), stopping)
                if rung.is_set() and not stop.is_set():
                    rung.clear()
                    if not await _settle_all(db, clock, door):
                        loop.call_later(RETRY_S, rung.set)
        finally:
            loop.remove_reader(socket)
            for task in (following, stopping):
                task.cancel()
            await asyncio.gather(following, stopping, return_exceptions=True)


async def _settle_all(db: Database, clock: Clock, door: Door) -> bool:
    """Settle until nothing waits; False when something still does."""
    try:
        while True:
            progress: Progress = await asyncio.to_thread(settle_waiting, db, clock, door)
            if progress.obstacle is not None:
                log.error("signing.failed", reason=progress.obstacle.message, detail=progress.obstacle.detail)
                return False
            # What is committed from now on rings by itself.
            if not progress.more:
                return True
    except Fault as fault:
        log.error("settling.failed", reason=fault.message, detail=fault.detail)
    except Exception:
        log.exception("settling.broke")
    return False


async def _follow(db: Database, rung: asyncio.Event) -> None:
    """Ring at each commit: for callers on other hosts, and where a ring got lost.

    To look whether it was an intent takes one short query, which is less than reading the entry would.
    """
    while True:
        try:
            async with watch(db, CHANNEL, POLL_S) as commits:
                # What was committed before the watch stood has rung for nobody.
                rung.set()
                while True:
                    if await commits.wait():
                        rung.set()
        except Fault as fault:
            log.error("database.silent", reason=fault.message, detail=fault.detail)
        except Exception:
            log.exception("watching.broke")
        await asyncio.sleep(RETRY_S)


async def _first(waiting: Awaitable[object], other: "asyncio.Task[bool]") -> None:
    task = asyncio.ensure_future(waiting)
    try:
        await asyncio.wait({task, other}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
