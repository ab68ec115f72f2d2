"""The connections of one process whose handshake is under way: bounded, of one address too, and endable all at once."""

from typing import Protocol, Self

from troth.limits import ADDRESSES_WATCHED_MAX, Limits
from troth.tls.rates import Rates, site_of
from troth.tls.reasons import HandshakeFailure


class Abortable(Protocol):
    """A connection that can be ended at once."""

    def abort(self) -> None:
        """End the connection without a word."""
        ...


class PendingHandshakes:
    """Holds at most `maximum` connections between accept and the end of their handshake.

    A refused peer keeps its place until its connection is gone, so that refusals are bounded too.
    """

    def __init__(self, maximum: int, of_one_address: int = 0, often: Rates | None = None) -> None:
        """`of_one_address` bounds the places of one address, 0 for no bound; `often` how often it may come."""
        self._maximum = maximum
        self._of_one_address = of_one_address or maximum
        self._often = often
        self._connections: dict[Abortable, str | None] = {}
        self._by_site: dict[str, int] = {}

    @classmethod
    def within(cls, limits: Limits) -> Self:
        """Return the places of a door that devices and people come to."""
        per_second = limits.connects_per_address_per_second_max
        often = Rates(per_second, ADDRESSES_WATCHED_MAX) if per_second else None
        return cls(limits.handshakes_pending_max, limits.handshakes_pending_per_address_max, often)

    def __len__(self) -> int:
        return len(self._connections)

    def enter(self, connection: Abortable, host: str | None = None, now_s: float = 0.0) -> HandshakeFailure | None:
        """Take a place for `connection`; return why there is none for it.

        `host` is the address that it comes from at the time `now_s`; without one only the places of all are counted.
        """
        site = None
        if host is not None:
            site = site_of(host)
            if self._often is not None and not self._often.take(site, now_s):
                return HandshakeFailure.TOO_OFTEN
        if len(self._connections) >= self._maximum:
            return HandshakeFailure.TOO_MANY
        if site is not None:
            held = self._by_site.get(site, 0)
            if held >= self._of_one_address:
                return HandshakeFailure.TOO_MANY_OF_ADDRESS
            self._by_site[site] = held + 1
        self._connections[connection] = site
        return None

    def leave(self, connection: Abortable) -> None:
        """Give the place of `connection` back, if it has one."""
        site = self._connections.pop(connection, None)
        if site is not None:
            held = self._by_site.pop(site) - 1
            if held:
                self._by_site[site] = held

    def abort_all(self) -> None:
        """End every one of them, as when the process stops."""
        for connection in tuple(self._connections):
            connection.abort()
