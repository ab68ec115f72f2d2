"""The connections of one worker, to be found by certificate when something changes. Decides nothing."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from troth.gateway.principals import Known, Principals
from troth.gateway.refusal import Reason


class Connection(Protocol):
    """A connection that came through the handshake."""

    @property
    def certificate_id(self) -> str:
        """Whose it is."""
        ...

    def review(self, known: Known | None) -> None:
        """Decide again by what is known of the certificate now; None says that it is registered no more."""
        ...

    def end(self, reason: Reason) -> None:
        """End it, if it has not ended."""
        ...

    def tick(self, now_s: float, at: datetime) -> None:
        """About a second has passed; `now_s` is the loop's time, `at` the clock's."""
        ...


class Roster:
    """Who is connected. A principal stays kept as long as one of its connections is `bind`-ed."""

    def __init__(self, principals: Principals) -> None:
        self._principals = principals
        self._all: set[Connection] = set()
        self._bound: dict[str, set[Connection]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._all))

    def enter(self, connection: Connection) -> None:
        """A connection has come through the handshake."""
        self._all.add(connection)

    def bind(self, connection: Connection) -> None:
        """It has been admitted: from here on every change reaches it."""
        self._principals.use(connection.certificate_id)
        self._bound.setdefault(connection.certificate_id, set()).add(connection)

    def leave(self, connection: Connection) -> None:
        """It has ended, admitted or not."""
        self._all.discard(connection)
        bound = self._bound.get(connection.certificate_id)
        if bound is not None and connection in bound:
            bound.remove(connection)
            if not bound:
                del self._bound[connection.certificate_id]
            self._principals.release(connection.certificate_id)

    def bound(self) -> set[str]:
        """Return the certificates that have admitted connections."""
        return set(self._bound)

    def bound_to(self, certificate_id: str) -> tuple[Connection, ...]:
        """Return the admitted connections of a certificate."""
        return tuple(self._bound.get(certificate_id, ()))
