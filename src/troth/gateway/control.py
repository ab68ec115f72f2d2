"""Withdrawn means now: follows the journal, and lets every change reach the connections that it touches.

Knows no wire. While the database does not answer, nobody new is let in, and live connections go on for so long only.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import structlog

from troth.clock import Clock
from troth.errors import Fault
from troth.gateway.principals import Principals
from troth.gateway.refusal import Reason
from troth.gateway.roster import Roster
from troth.gateway.touching import ENDINGS, touched_by
from troth.journal.entries import head
from troth.journal.record import Entry
from troth.journal.tail import POLL_S, Follower
from troth.registry.kicks import SESSION_KICKED, parse_kick
from troth.store.connect import Database
from troth.store.read import read

RETRY_S: Final = 0.25
"""How long to wait before a database that did not answer is asked again."""
_TOGETHER: Final = 64
"""Principals that are looked up in one snapshot."""

log = structlog.get_logger()


class Control:
    """Keeps what one worker knows and whom it serves in step with the journal."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        principals: Principals,
        roster: Roster,
        unknown_state_for: timedelta,
        poll_s: float = POLL_S,
        *,
        also: Sequence[Callable[[Sequence[Entry]], None]] = (),
    ) -> None:
        """`also` are told of the same entries, and must not wait."""
        self._db = db
        self._clock = clock
        self._poll_s = poll_s
        self._principals = principals
        self._roster = roster
        self._unknown_state_for = unknown_state_for
        self._also = also
        self.position = 0
        """The number of the last journal entry that has been acted on."""
        self._follower: Follower | None = None
        self._unsettled: set[str] = set()
        self._touched = asyncio.Event()
        self._stuck_since: datetime | None = None

    async def start(self) -> None:
        """Begin at the journal's end. Raises `Fault` (unavailable)."""
        self.position = self._principals.position = await asyncio.to_thread(self._head)
        self._follower = Follower(self._db, self._clock, self.position, self._poll_s)

    async def run(self) -> None:
        """Follow the journal, without end."""
        assert self._follower is not None, "start comes first"
        async with asyncio.TaskGroup() as both:
            both.create_task(self._follow(self._follower))
            both.create_task(self._settle())

    def is_state_known(self) -> bool:
        """Tell whether every change is known here that was committed a moment ago."""
        follower = self._follower
        return follower is not None and follower.blind_since is None and self._stuck_since is None

    async def is_up_to_date(self) -> bool:
        """Tell whether every change is known here that was committed before this call, having caught up with it."""
        if self._follower is None or not self.is_state_known():
            return False
        try:
            await self._follower.catch_up()
        except Fault:
            return False
        return self.is_state_known()

    @property
    def unknown_since(self) -> datetime | None:
        """Since when changes may have been missed; None while none can have been."""
        blind_since = self._follower.blind_since if self._follower is not None else None
        return min((since for since in (blind_since, self._stuck_since) if since is not None), default=None)

    def tick(self) -> None:
        """About a second has passed."""
        since = self.unknown_since
        if since is not None and self._clock.now() - since > self._unknown_state_for:
            for connection in self._roster:
                connection.end(Reason.STATE_UNKNOWN)

    async def _follow(self, follower: Follower) -> None:
        while True:
            try:
                async with aclosing(follower.entries()) as batches:
                    async for entries in batches:
                        # Without a wait, as those who catch up rely on.
                        self._take(entries)
            except Fault as fault:
                log.error("journal.unreadable", reason=fault.message, detail=fault.detail)
            except Exception:
                log.exception("control.failed")
                # What of the batch was not yet acted on is not known. A look-up under way may not show it either.
                self._principals.position = follower.position
                self._distrust()
            await asyncio.sleep(RETRY_S)

    def _take(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if (reason := ENDINGS.get(entry.kind)) is not None:
                self._end(entry, reason)
            elif entry.kind == SESSION_KICKED:
                self._kick(entry)
        self._unsettled |= self._principals.apply(entries)
        for told in self._also:
            told(entries)
        self._touched.set()

    def _end(self, entry: Entry, reason: Reason) -> None:
        # Of a certificate that is being looked up nothing is kept, and its connections are bound all the same.
        named = {name for noun, name in touched_by(entry) if noun == "certificate"}
        for certificate_id in named | self._principals.touched(entry):
            for connection in self._roster.bound_to(certificate_id):
                connection.end(reason)

    def _kick(self, entry: Entry) -> None:
        kick = parse_kick(entry)
        for certificate_id in self._roster.bound():
            for connection in self._roster.bound_to(certificate_id):
                who = connection.who
                if kick.hits(who.client_id, who.thing, certificate_id):
                    if not kick.sends_will:
                        connection.silence_will()
                    connection.end(Reason.KICKED)

    def _distrust(self) -> None:
        """Trust nothing that is kept, after a bug of ours."""
        self._stuck_since = self._stuck_since or self._clock.now()
        self._principals.forget_all()
        self._unsettled |= self._roster.bound()
        self._touched.set()

    async def _settle(self) -> None:
        """Let every connection that was touched be decided again, without end."""
        while True:
            await self._touched.wait()
            self._touched.clear()
            position = self._principals.position
            try:
                await self._review()
            except Exception:
                log.exception("control.failed")
                self._distrust()
                await asyncio.sleep(RETRY_S)
            else:
                self._stuck_since = None
                self.position = position

    async def _review(self) -> None:
        """Tries until the database has said how things are."""
        while chunk := self._next_unsettled():
            try:
                found = await self._principals.look_up(chunk)
            except Fault as fault:
                self._unsettled.update(chunk)
                self._stuck_since = self._stuck_since or self._clock.now()
                log.error("registry.unreadable", reason=fault.message, detail=fault.detail)
                await asyncio.sleep(RETRY_S)
                continue
            for certificate_id, known in found.items():
                for connection in self._roster.bound_to(certificate_id):
                    connection.review(known)

    def _next_unsettled(self) -> tuple[str, ...]:
        self._unsettled = {each for each in self._unsettled if self._roster.bound_to(each)}
        chunk = tuple(islice(self._unsettled, _TOGETHER))
        self._unsettled.difference_update(chunk)
        return chunk

    def _head(self) -> int:
        with read(self._db) as connection:
            return head(connection)
