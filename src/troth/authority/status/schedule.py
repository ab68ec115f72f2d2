"""When CRLs are made anew, and how long each may be believed. Pure: told the time and what is in force.

Far ahead of their end, so that an authority that is down for days locks nobody out. RFC 5280, 5.1.2.4, 5.1.2.5.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from troth.x509.profiles import Purpose


@dataclass(frozen=True, slots=True)
class Schedule:
    """The rhythm of one CA's CRLs."""

    every: timedelta
    """How often they are made although nothing was revoked."""
    valid: timedelta
    """How long a complete one may be believed."""
    delta_valid: timedelta | None
    """How long a delta may be believed; None: there are no deltas."""

    def is_due(self, base_at: datetime | None, made_at: datetime | None, now: datetime) -> bool:
        """Say whether a CRL is due at the time `now`, without anything having been revoked.

        `base_at` is when the last one was made by the rhythm, `made_at` when any was; None: never. One from the future
        is due at once: the clock that made it was wrong, and nobody believes it yet.
        """
        if base_at is None or made_at is None:
            return True
        return not base_at <= made_at <= now < base_at + self.every


ISSUING: Final = Schedule(every=timedelta(days=1), valid=timedelta(days=7), delta_valid=timedelta(days=2))
ROOT: Final = Schedule(every=timedelta(days=180), valid=timedelta(days=365), delta_valid=None)
"""A root's key is fetched from its safe for each: seldom, and what it revokes are a handful of CAs."""


def due_at(purpose: Purpose, this_update: datetime, next_update: datetime) -> datetime:
    """Return when a CRL of a CA for `purpose` is to be followed by the next.

    By the rhythm, or at half of its time where that comes first: one made elsewhere may be good for a shorter one.
    """
    return this_update + min(schedule_for(purpose).every, (next_update - this_update) / 2)


def schedule_for(purpose: Purpose) -> Schedule:
    """Return the rhythm of the CRLs of a CA for `purpose`."""
    return ROOT if purpose is Purpose.ROOT else ISSUING
