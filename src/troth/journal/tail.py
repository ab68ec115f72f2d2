"""The journal as change feed: every entry after a position, in order, soon after its commit, each one once."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Final

from troth.clock import Clock
from troth.journal.change import CHANNEL
from troth.journal.entries import head, list_after
from troth.journal.record import Entry
from troth.limits import DATABASE_SILENCE_S_MAX, LIST_ROWS_MAX
from troth.store.connect import Database
from troth.store.faults import unavailable
from troth.store.read import read
from troth.store.watch import Watch, watch

__all__ = ["POLL_AT_LEISURE_S", "POLL_S", "Follower", "head", "read_after"]

POLL_S: Final = 0.05
"""SQLite: seconds between two looks whether anything was committed."""
POLL_AT_LEISURE_S: Final = 0.25
"""The same, for what may come a moment later: each look of each follower costs a process that is otherwise idle."""
POLL_IN_HASTE_S: Final = 0.004
"""The same, while somebody is kept waiting for an entry."""


def read_after(db: Database, number: int, limit: int = LIST_ROWS_MAX) -> list[Entry]:
    """Return the entries after `number`, oldest first, at most `limit`. Blocks. Raises `Fault` (unavailable)."""
    with read(db) as connection:
        return list_after(connection, number, limit)


class Follower:
    """Reads the journal as it grows. One user at a time, in one event loop.

    `position` is the number of the last entry handed out: start it at the `head` of the snapshot from which the
    follower's user loaded its state, so that nothing falls between. `is_urgent` says whether somebody is kept waiting.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        position: int,
        poll_s: float = POLL_S,
        is_urgent: Callable[[], bool] = lambda: False,
    ) -> None:
        self.position = position
        self._db = db
        self._clock = clock
        self._poll_s = poll_s
        self._is_urgent = is_urgent
        self._seen_at = clock.now()
        self._blind = False
        # Set while all that was read has been handed out and the next bell is waited for.
        self._resting: Watch | None = None
        self._waiting: list[asyncio.Future[bool]] = []

    @property
    def blind_since(self) -> datetime | None:
        """The last moment up to which every change is known to have been seen; None while the database answers.

        Set before `entries` raises, cleared when it has read the journal again.
        """
        return self._seen_at if self._blind else None

    async def catch_up(self) -> None:
        """Return when everything that was committed before this call has been handed out: at once when nothing was.

        Whoever takes the entries gets the last of them before this returns, and acts on them first if that takes no
        waiting. One reading of the journal serves all who wait. Raises `Fault` (unavailable).
        """
        if self._resting is not None and not self._resting.rings():
            return
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if not await waiter:
            raise unavailable("the journal is not followed any more")

    async def entries(self) -> AsyncGenerator[list[Entry], None]:
        """Yield lists of entries, none of them empty, without end; never skip or repeat one.

        Raises `Fault` (unavailable) when the database stops answering; call it again to go on where it stopped.
        Close it (`contextlib.aclosing`) to give its connection back.
        """
        try:
            async with watch(self._db, CHANNEL, self._poll_s) as commits:
                while True:
                    # Read after the watch stands: what is committed during the read ends the wait that follows it.
                    asked_at, asking = self._clock.now(), len(self._waiting)
                    found = await self._read()
                    self._seen_at, self._blind = asked_at, False
                    more = len(found) == LIST_ROWS_MAX
                    if not more:
                        self._answer(asking)
                    if found:
                        self.position = found[-1].number
                        yield found
                    # Whoever asked meanwhile may mean a commit that came after the read.
                    if more or self._waiting:
                        continue
                    self._resting = commits
                    while not await commits.wait(POLL_IN_HASTE_S if self._is_urgent() else None):
                        self._seen_at = self._clock.now()
                    self._resting = None
        except Exception:
            self._blind = True
            raise
        finally:
            self._resting = None
            self._answer(len(self._waiting), known=False)

    def _answer(self, count: int, *, known: bool = True) -> None:
        answered, self._waiting = self._waiting[:count], self._waiting[count:]
        for waiter in answered:
            if not waiter.done():
                waiter.set_result(known)

    async def _read(self) -> list[Entry]:
        try:
            async with asyncio.timeout(DATABASE_SILENCE_S_MAX):
                return await asyncio.to_thread(read_after, self._db, self.position)
        except TimeoutError as error:
            raise unavailable("no answer in time") from error
