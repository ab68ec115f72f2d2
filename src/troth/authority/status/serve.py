"""Soon after a revocation: follows the journal, and publishes the CRLs that it touches; a rhythm is for `app.duties`.

One revocation is published within a second. Where a CRL takes long to make, revocations that come one after another are
published together, so that a CA spends a tenth of its time on them at most. Restart-safe.
"""

import asyncio
from collections.abc import Collection, Iterable
from contextlib import aclosing
from datetime import timedelta
from typing import Final

import structlog

from troth.authority.status.publish import CRLDoor
from troth.authority.status.stored import CRLKind, list_crls
from troth.clock import Clock
from troth.errors import Fault
from troth.journal.entries import head
from troth.journal.record import Entry
from troth.journal.tail import POLL_AT_LEISURE_S, Follower
from troth.registry.issuers import ISSUER_REVOKED, Issuer, find_issuer, list_issuers
from troth.registry.revocations import list_touched_shards
from troth.registry.states import CRL_CHANGES
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.serials import shard_of

AUTHORITY: Final = "system:authority"
GATHER_S: Final = 0.2
"""How long further revocations are waited for, to be published together."""
PAUSE_S: Final = 1.0
"""The shortest time between two publications because of revocations."""
PAUSES_FOR_WORK: Final = 9
"""How many times as long as the last publication took, the next waits."""
RETRY_S: Final = 1.0
OVERLAP: Final = timedelta(minutes=1)
"""A change that was under way when a CRL was made may be older than it; none takes so long."""

Touched = tuple[str, Collection[int]]
"""An issuer's id, and in which of its shards something was revoked, held or released."""

log = structlog.get_logger()


class Publisher:
    """Publishes what revocations touch, while `run` runs."""

    def __init__(self, db: Database, clock: Clock, door: CRLDoor, pause_s: float = PAUSE_S) -> None:
        self._db = db
        self._clock = clock
        self._door = door
        self._pause_s = pause_s
        self._touched: dict[str, set[int]] = {}
        self._rung = asyncio.Event()

    async def run(self) -> None:
        """Follow the journal and publish, without end."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follow(), name="CRLs follow the journal")
            both.create_task(self._publish(), name="CRLs are published")

    async def _follow(self) -> None:
        while True:
            try:
                position, missed = await asyncio.to_thread(self._catch_up)
                self._touch(missed)
                async with aclosing(Follower(self._db, self._clock, position, POLL_AT_LEISURE_S).entries()) as batches:
                    async for entries in batches:
                        self._touch(_touched_by(entries))
                        if any(entry.kind == ISSUER_REVOKED for entry in entries):
                            self._touch(await asyncio.to_thread(self._parents, entries))
            except Fault as fault:
                log.error("journal.unreadable", reason=fault.message, detail=fault.detail)
            except Exception:
                log.exception("following.broke")
            await asyncio.sleep(RETRY_S)

    def _catch_up(self) -> tuple[int, list[Touched]]:
        """Return where the journal stands, and what has been revoked while nobody published."""
        missed: list[Touched] = []
        with read(self._db) as connection:
            for issuer in list_issuers(connection):
                # Where there is none yet, the rhythm makes it.
                for crl in list_crls(connection, issuer.issuer_id):
                    if crl.kind is CRLKind.COMPLETE and crl.scope.shard is None:
                        since = crl.this_update - OVERLAP
                        missed.append((issuer.issuer_id, list_touched_shards(connection, issuer.issuer_id, since)))
            return head(connection), missed

    def _parents(self, entries: Iterable[Entry]) -> list[Touched]:
        """A CA's certificate goes on its parent's CRL."""
        with read(self._db) as connection:
            revoked = [find_issuer(connection, entry.subject) for entry in entries if entry.kind == ISSUER_REVOKED]
        return [
            (issuer.parent_id, {shard_of(issuer.certificate.serial_number)})
            for issuer in revoked
            if issuer is not None and issuer.parent_id is not None
        ]

    def _touch(self, touched: Iterable[Touched]) -> None:
        for issuer_id, shards in touched:
            if shards and issuer_id in self._door.issuer_ids:
                self._touched.setdefault(issuer_id, set()).update(shards)
                self._rung.set()

    async def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._rung.wait()
            await asyncio.sleep(GATHER_S)
            self._rung.clear()
            touched, self._touched = self._touched, {}
            began_s = loop.time()
            failed = await asyncio.to_thread(self._publish_all, touched)
            took_s = loop.time() - began_s
            await asyncio.sleep(max(self._pause_s, PAUSES_FOR_WORK * took_s))
            self._touch(failed.items())

    def _publish_all(self, touched: dict[str, set[int]]) -> dict[str, set[int]]:
        """Publish what was touched, and return what could not be."""
        failed: dict[str, set[int]] = {}
        for issuer_id, shards in touched.items():
            try:
                issuer = self._issuer(issuer_id)
                if issuer is not None:
                    wanted = (None, *sorted(shard for shard in shards if shard < issuer.shards))
                    self._door.publish(self._db, self._clock, AUTHORITY, issuer, wanted)
            except Exception as error:
                failed[issuer_id] = shards
                reason = error.message if isinstance(error, Fault) else "internal error"
                detail = error.detail if isinstance(error, Fault) else repr(error)
                log.error("crl.failed", issuer=issuer_id, reason=reason, detail=detail)
        return failed

    def _issuer(self, issuer_id: str) -> Issuer | None:
        with read(self._db) as connection:
            return find_issuer(connection, issuer_id)


def _touched_by(entries: Iterable[Entry]) -> list[Touched]:
    return [
        (str(entry.data["issuer_id"]), {shard_of(int(str(entry.data["serial"]), 16))})
        for entry in entries
        if entry.kind in CRL_CHANGES
    ]
