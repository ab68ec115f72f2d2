"""Whether one side of a connection is read from: held up for any of several reasons, each of which ends by itself.

Knows none of the reasons' causes.
"""

from enum import IntEnum
from typing import Protocol


class Why(IntEnum):
    """Why nothing is read for now, each a bit of its own."""

    EARLY = 1
    """The device has said as much as it may before it is let in."""
    OTHER_SIDE = 2
    """What is read would go to the other side, which takes no more."""
    MEMORY = 4
    """The worker holds as much as it may for all its connections."""
    PACE = 8
    """More has come within a second than may."""


class Side(Protocol):
    """What is read from: a transport, or a link."""

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`."""
        ...

    def resume_reading(self) -> None:
        """Read again."""
        ...


class Valve:
    """Reading from one side."""

    __slots__ = ("_reasons", "_side")

    def __init__(self, side: Side) -> None:
        self._side = side
        self._reasons = 0

    @property
    def is_shut(self) -> bool:
        """Whether nothing is read for now."""
        return bool(self._reasons)

    def shut(self, why: Why) -> None:
        """Read no more until every reason has ended."""
        if not self._reasons:
            self._side.pause_reading()
        self._reasons |= why

    def open(self, why: Why) -> None:
        """End one reason."""
        if self._reasons & why:
            self._reasons &= ~why
            if not self._reasons:
                self._side.resume_reading()
