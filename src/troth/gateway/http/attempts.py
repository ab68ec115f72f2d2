"""How often the proofs of one address have failed of late: a bound on guessing, in this worker's memory."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from troth.clock import Clock
from troth.limits import ADDRESSES_WATCHED_MAX, FAILED_PROOFS_PER_MINUTE_MAX
from troth.tls.rates import site_of

_MINUTE: Final = timedelta(minutes=1)


class FailedAttempts:
    """Counts failures by address within a minute that begins with the first of them.

    An IPv6 address counts as its /64, which is what one customer is given (RFC 6177).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def wait_s(self, host: str) -> float:
        """Return how many seconds the address must wait; 0 when it need not."""
        since, count = self._failures.get(site_of(host), (None, 0))
        if since is None or count < FAILED_PROOFS_PER_MINUTE_MAX:
            return 0.0
        left = since + _MINUTE - self._clock.now()
        # A clock that was set back must not lock anybody out for longer than the minute.
        return max(0.0, min(left, _MINUTE).total_seconds())

    def failed(self, host: str) -> None:
        """Take note of a failure."""
        key, now = site_of(host), self._clock.now()
        since, count = self._failures.pop(key, (now, 0))
        if not timedelta(0) <= now - since < _MINUTE:
            since, count = now, 0
        self._failures[key] = (since, count + 1)
        if len(self._failures) > ADDRESSES_WATCHED_MAX:
            self._failures.popitem(last=False)
