"""A clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta
from typing import Final

NOON: Final = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """A `troth.clock.Clock` whose time is what the test says. Threads may share it."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the time it was last set to."""
        return self._now

    def set(self, now: datetime) -> None:
        """Move to `now`, forward or back."""
        self._now = now

    def advance(self, span: timedelta) -> None:
        """Move by `span`; a negative one moves back."""
        self._now += span
