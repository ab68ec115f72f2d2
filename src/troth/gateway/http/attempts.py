"""How often the proofs of one address have failed of late: a bound on guessing, in this worker's memory."""

from collections import OrderedDict
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from troth.clock import Clock
from troth.limits import ADDRESSES_WATCHED_MAX, FAILED_PROOFS_PER_MINUTE_MAX

_MINUTE: Final = timedelta(minutes=1)
_OWN_PREFIX_BITS: Final = 64


class FailedAttempts:
    """Counts failures by address within a minute that begins with the first of them.

    An IPv6 address counts as its /64, which is what one customer is given (RFC 6177).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def wait_s(self, host: str) -> float:
        """Return how many seconds the address must wait; 0 when it need not."""
        since, count = self._failures.get(_key(host), (None, 0))
        if since is None or count < FAILED_PROOFS_PER_MINUTE_MAX:
            return 0.0
        left = since + _MINUTE - self._clock.now()
        # A clock that was set back must not lock anybody out for longer than the minute.
        return max(0.0, min(left, _MINUTE).total_seconds())

    def failed(self, host: str) -> None:
        """Take note of a failure."""
        key, now = _key(host), self._clock.now()
        since, count = self._failures.pop(key, (now, 0))
        if not timedelta(0) <= now - since < _MINUTE:
            since, count = now, 0
        self._failures[key] = (since, count + 1)
        if len(self._failures) > ADDRESSES_WATCHED_MAX:
            self._failures.popitem(last=False)


def _key(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, _OWN_PREFIX_BITS), strict=False))
    return host
