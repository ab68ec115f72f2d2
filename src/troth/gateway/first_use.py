"""The first use of a renewed certificate: noticed once by a worker, and settled by the enrollment.

Costs a comparison for all other certificates, and a look into a dictionary for renewed ones that were noticed before.
Who connects by MQTT waits for it, once: with the answer the device forgets the certificate before, and one that nobody
is on record to have used is put out of force in the end. Nobody else waits; what could not be settled is tried again.
"""

import asyncio
from collections import OrderedDict
from typing import Final

import structlog

from troth.clock import Clock
from troth.enrollment.proofs.certificate import METHOD
from troth.enrollment.renewal import note_first_use
from troth.errors import Fault
from troth.gateway.principals import Known
from troth.limits import RENEWALS_SETTLED_KEPT_MAX
from troth.store.connect import Database

RETRY_S: Final = 1.0

log = structlog.get_logger()


class FirstUses:
    """The renewed certificates that were used here. One for each worker, in its event loop."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._noticed: OrderedDict[str, None] = OrderedDict()
        self._waiting: set[str] = set()
        self._any = asyncio.Event()

    def notice(self, known: Known) -> None:
        """Take note that a certificate's holder was let in."""
        if not self._is_new(known):
            return
        self._note(known)
        self._waiting.add(known.certificate_id)
        self._any.set()

    async def settle(self, known: Known) -> None:
        """Return once it is on record that a certificate's holder was let in. Raises `Fault` (unavailable)."""
        if not self._is_new(known):
            return
        settled = await asyncio.to_thread(note_first_use, self._db, self._clock, known.certificate_id)
        self._note(known)
        if settled:
            log.info("renewal.settled", certificate_id=known.certificate_id)

    async def run(self) -> None:
        """Settle what was noticed, without end."""
        while True:
            await self._any.wait()
            self._any.clear()
            while self._waiting:
                await self._settle(next(iter(self._waiting)))

    def _is_new(self, known: Known) -> bool:
        return known.method == METHOD and known.certificate_id not in self._noticed

    def _note(self, known: Known) -> None:
        self._noticed[known.certificate_id] = None
        if len(self._noticed) > RENEWALS_SETTLED_KEPT_MAX:
            # Looked up once more when it comes again, and found settled.
            self._noticed.popitem(last=False)

    async def _settle(self, certificate_id: str) -> None:
        try:
            settled = await asyncio.to_thread(note_first_use, self._db, self._clock, certificate_id)
        except Fault as fault:
            log.error("renewal.not_settled", certificate_id=certificate_id, reason=fault.message, detail=fault.detail)
            await asyncio.sleep(RETRY_S)
            return
        self._waiting.discard(certificate_id)
        if settled:
            log.info("renewal.settled", certificate_id=certificate_id)
