"""How often each of many may do something within a second: token buckets, of which each is one number.

Pure: the time is passed in. Knows neither connections nor what is counted. The generic cell rate algorithm of ITU-T
I.371: what is remembered is when a bucket will be full again.
"""

import socket
from typing import Final

_SITE_BYTES: Final = 8
_MAPPED: Final = bytes(10) + b"\xff\xff"
_SECOND: Final = 1.000001
"""What a full bucket holds, in time: the sums of fractions are not exact."""


class Bucket:
    """Holds what may be spent within a second, and is refilled evenly."""

    __slots__ = ("_cost_s", "_full_at_s")

    def __init__(self, per_second: int) -> None:
        self._cost_s = 1.0 / per_second
        self._full_at_s = float("-inf")

    def take(self, now_s: float) -> bool:
        """Take one, if there is one left."""
        full_at_s = max(self._full_at_s, now_s) + self._cost_s
        if full_at_s - now_s > _SECOND:
            return False
        self._full_at_s = full_at_s
        return True

    def spend(self, amount: int, now_s: float) -> None:
        """Take so many, also of what is not there yet: `is_spent` says then for how long."""
        self._full_at_s = max(self._full_at_s, now_s) + amount * self._cost_s

    def is_spent(self, now_s: float) -> bool:
        """Say whether more has been taken than was there."""
        return self._full_at_s - now_s > _SECOND


class Rates:
    """A bucket for each key; at most `kept_max` are remembered, and those that were used longest ago go first."""

    __slots__ = ("_cost_s", "_full_at_s", "_kept_max")

    def __init__(self, per_second: int, kept_max: int) -> None:
        self._cost_s = 1.0 / per_second
        self._kept_max = kept_max
        # In the order of use: every one that is let through is put last.
        self._full_at_s: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full_at_s)

    def take(self, key: str, now_s: float) -> bool:
        """Take one for `key`, if there is one left."""
        full_at_s = max(self._full_at_s.get(key, now_s), now_s) + self._cost_s
        if full_at_s - now_s > _SECOND:
            return False
        self._full_at_s.pop(key, None)
        self._full_at_s[key] = full_at_s
        if len(self._full_at_s) > self._kept_max:
            del self._full_at_s[next(iter(self._full_at_s))]
        return True


def site_of(host: str) -> str:
    """Return what stands for whoever has an address: itself, or its /64 of IPv6, which is one site's (RFC 6177)."""
    if ":" not in host:
        return host
    try:
        address = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return host
    if address.startswith(_MAPPED):
        # How a socket for both families shows an IPv4 peer.
        return socket.inet_ntop(socket.AF_INET, address[len(_MAPPED) :])
    return socket.inet_ntop(socket.AF_INET6, address[:_SITE_BYTES] + bytes(8)) + "/64"
