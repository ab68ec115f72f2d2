"""How long is left of a wait, by a clock that may be set meanwhile: devices start in 1970 and learn the time later."""

from troth.clock import Clock


class Wait:
    """A wait of `timeout_s` seconds, or without end (None).

    A clock that is set forward may end it early. One that is set back, or stands still, makes it no longer as long as
    what is known to have passed is told to it.
    """

    def __init__(self, clock: Clock, timeout_s: float | None) -> None:
        self._clock = clock
        self._left_s = timeout_s
        self._seen = clock.now()

    def left_s(self) -> float | None:
        """Return the seconds that are left: 0 when it is over, None when it has no end."""
        now = self._clock.now()
        gone_s = max(0.0, (now - self._seen).total_seconds())
        self._seen = now
        if self._left_s is not None:
            self._left_s = max(0.0, self._left_s - gone_s)
        return self._left_s

    def passed(self, seconds: float) -> None:
        """Count `seconds` that have passed since the last look for certain, whatever the clock says."""
        before_s = self._left_s
        if before_s is not None:
            self._left_s = max(0.0, min(before_s - seconds, self.left_s() or 0.0))

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.left_s() == 0
