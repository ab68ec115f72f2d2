"""The connections of one worker, to be found by certificate when something changes. Decides nothing."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from troth.gateway.principals import Known, Principals
from troth.gateway.refusal import Reason
from troth.gateway.report import Who


class Connection(Protocol):
    """A connection that came through the handshake."""

    @property
    def certificate_id(self) -> str:
        """Whose it is."""
        ...

    @property
    def who(self) -> Who:
        """All that is known of it by now."""
        ...

    def review(self, known: Known | None) -> None:
        """Decide again by what is known of the certificate now; None says that it is registered no more."""
        ...

    def end(self, reason: Reason) -> None:
        """End it, if it has not ended."""
        ...

    def silence_will(self) -> None:
        """Have its will not published, however it ends."""
        ...

    def abort(self) -> None:
        """Cut it off, whatever is still to be said."""
        ...

    def tick(self, now_s: float, at: datetime) -> None:
        """About a second has passed; `now_s` is the loop's time, `at` the clock's."""
        ...


class Roster:
    """Who is connected. A principal stays kept as long as one of its connections is `bind`-ed.

    A connection that has ended stays present until its last words have gone out; it counts, and nothing else of it.
    """

    def __init__(self, principals: Principals) -> None:
        self._principals = principals
        self._present: set[Connection] = set()
        self._living: set[Connection] = set()
        self._bound: dict[str, set[Connection]] = {}
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        """Return how many are present."""
        return len(self._present)

    def __iter__(self) -> Iterator[Connection]:
        """Iterate over those that have not ended."""
        return iter(tuple(self._living))

    def enter(self, connection: Connection) -> None:
        """A connection has come through the handshake."""
        self._present.add(connection)
        self._living.add(connection)

    def bind(self, connection: Connection) -> None:
        """It has been admitted: from here on every change reaches it."""
        self._principals.use(connection.certificate_id)
        self._bound.setdefault(connection.certificate_id, set()).add(connection)

    def leave(self, connection: Connection) -> None:
        """It has ended, admitted or not."""
        self._living.discard(connection)
        bound = self._bound.get(connection.certificate_id)
        if bound is not None and connection in bound:
            bound.remove(connection)
            if not bound:
                del self._bound[connection.certificate_id]
            self._principals.release(connection.certificate_id)

    def depart(self, connection: Connection) -> None:
        """It is gone from the wire."""
        self._present.discard(connection)
        if not self._present:
            self._emptied.set()

    async def empty(self, within_s: float) -> None:
        """Wait until nobody is present any more; cut off whoever is after `within_s` seconds."""
        self._emptied.clear()
        if self._present:
            waiting = asyncio.create_task(self._emptied.wait())
            await asyncio.wait({waiting}, timeout=within_s)
            for connection in tuple(self._present):
                connection.abort()
            await waiting

    def bound(self) -> set[str]:
        """Return the certificates that have admitted connections."""
        return set(self._bound)

    def bound_to(self, certificate_id: str) -> tuple[Connection, ...]:
        """Return the admitted connections of a certificate."""
        return tuple(self._bound.get(certificate_id, ()))
