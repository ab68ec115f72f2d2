"""What all sessions of a worker hold in memory at once: unfinished packets, and what waits for a slow reader.

Beyond the bound nobody's reading goes on who holds more than a little, and who has held it longest goes first. Knows
no packets.
"""

from collections.abc import Callable
from typing import Final, Protocol

from troth.gateway.mqtt.valve import Valve, Why
from troth.gateway.refusal import Reason

FREE_BYTES: Final = 64 * 1024
"""What a session may hold at any time without a word; it is not counted."""


class Holder(Protocol):
    """Something that holds memory, such as a session."""

    def hold_breath(self) -> None:
        """Take no more from the peer for now."""
        ...

    def breathe(self) -> None:
        """Take from the peer again."""
        ...

    def let_go(self) -> None:
        """End: it has held for too long what others need."""
        ...


class Flight:
    """The bytes in flight of one worker, `most` at the most beside what is free."""

    __slots__ = ("_held", "_most", "_old", "_still", "total")

    def __init__(self, most: int) -> None:
        self._most = most
        # In the order in which they began to hold something.
        self._held: dict[Holder, int] = {}
        self._still: set[Holder] = set()
        self._old: set[Holder] = set()
        self.total = 0
        """Bytes that are counted."""

    @property
    def is_full(self) -> bool:
        """Whether no more is to be taken."""
        return self.total > self._most

    def note(self, holder: Holder, held_bytes: int) -> bool:
        """Take note of what somebody holds now; return whether it is counted."""
        counted = held_bytes if held_bytes > FREE_BYTES else 0
        self.total += counted - self._held.get(holder, 0)
        if counted:
            self._held[holder] = counted
            if self.is_full and holder not in self._still:
                self._still.add(holder)
                holder.hold_breath()
        else:
            self._held.pop(holder, None)
            self._old.discard(holder)
            if holder in self._still:
                self._still.discard(holder)
                holder.breathe()
        if self._still and not self.is_full:
            self._breathe()
        return counted > 0

    def tick(self) -> None:
        """About a second has passed: where the bound is reached, make room at the cost of who has held longest."""
        if self.is_full:
            for holder in [each for each in self._held if each in self._old]:
                holder.let_go()
                self.note(holder, 0)
                if not self.is_full:
                    break
        self._old = set(self._held)

    def _breathe(self) -> None:
        still, self._still = self._still, set()
        for holder in still:
            holder.breathe()


class Share:
    """One session's part in a flight."""

    __slots__ = ("_end", "_flight", "_intake", "is_counted")

    def __init__(
        self,
        flight: Flight,
        intake: Valve,
        end: Callable[[Reason], None],
    ) -> None:
        self._flight = flight
        self._intake = intake
        self._end = end
        self.is_counted = False
        """Whether it holds more than is free."""

    def note(self, held_bytes: int) -> None:
        """Take note of what the session holds now."""
        self.is_counted = self._flight.note(self, held_bytes)

    def hold_breath(self) -> None:
        """Take no more from the device for now."""
        self._intake.shut(Why.MEMORY)

    def breathe(self) -> None:
        """Take from the device again, unless something else speaks against that."""
        self._intake.open(Why.MEMORY)

    def let_go(self) -> None:
        """End the session: it has held for too long what others need."""
        self._end(Reason.MEMORY_HELD)
