"""The connections of one process whose handshake is under way: bounded, and endable all at once."""

from typing import Protocol


class Abortable(Protocol):
    """A connection that can be ended at once."""

    def abort(self) -> None:
        """End the connection without a word."""
        ...


class PendingHandshakes:
    """Holds at most `maximum` connections between accept and the end of their handshake.

    A refused peer keeps its place until its connection is gone, so that refusals are bounded too.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._connections: set[Abortable] = set()

    def __len__(self) -> int:
        return len(self._connections)

    def enter(self, connection: Abortable) -> bool:
        """Take a place for `connection`; False when there is none left."""
        if len(self._connections) >= self._maximum:
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: Abortable) -> None:
        """Give the place of `connection` back, if it has one."""
        self._connections.discard(connection)

    def abort_all(self) -> None:
        """End every one of them, as when the process stops."""
        for connection in tuple(self._connections):
            connection.abort()
