"""Signs the journal's head within a second of every change, for as long as the authority runs."""

import asyncio
from typing import Final

import structlog

from troth.errors import Fault
from troth.journal.change import CHANNEL
from troth.journal.checkpoints import Signer
from troth.journal.tail import POLL_AT_LEISURE_S
from troth.store.connect import Database
from troth.store.watch import watch

PACE_S: Final = 0.3
"""Seconds between two checkpoints: the changes of that time share one."""
RETRY_S: Final = 5.0

log = structlog.get_logger()


async def keep_signed(db: Database, signer: Signer) -> None:
    """Sign after every commit, without end. What cannot be signed is said, loudly, until it can."""
    while True:
        try:
            async with watch(db, CHANNEL, POLL_AT_LEISURE_S) as commits:
                while True:
                    signed = await asyncio.to_thread(signer.sign)
                    if signed is not None:
                        log.debug("journal.signed", entries=signed.checkpoint.size)
                    await asyncio.sleep(PACE_S)
                    while not await commits.wait():
                        pass
        except Fault as fault:
            log.error("journal.not_signed", reason=fault.message, detail=fault.detail, hint=fault.hint)
        except Exception:
            log.exception("journal.signing_broke")
        await asyncio.sleep(RETRY_S)
