"""What time it is, as something that is passed in, and spans of time as people write them.

The one place that reads the system's clock.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from troth.errors import Fault, Kind


class Clock(Protocol):
    """A source of the current time."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the machine's time, in UTC."""
        return datetime.now(UTC)


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> timedelta:
    """Return the span that `text` names: a whole number and one of ``s m h d``, as ``15m`` or ``90d``.

    Raises `Fault` (malformed) for anything else, for zero, and for more than a hundred years.
    """
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or len(number) > 10:
        raise Fault(Kind.MALFORMED, f"{text[:20]!r} is not a duration", hint="write it as 30s, 15m, 12h or 90d")
    seconds = int(number) * _UNITS[unit]
    if not 0 < seconds <= 100 * 366 * 86_400:
        raise Fault(Kind.MALFORMED, f"the duration {text[:20]!r} is out of range", hint="use 1s to 36600d")
    return timedelta(seconds=seconds)
