"""The time by which a device judges certificates: its own, or its home's where its own is proven wrong.

Devices without a battery start in 1970. One whose clock lets no server certificate be valid asks the home for the time,
over a connection that is proven in all else, and takes it if the server's certificate is valid then, and if it is not
before what the device knows to be past. Whoever holds a stolen server key that has since expired can so set the clock
back, to where that was valid, and no further: that is the price. RFC 9110, 6.6.1.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from cryptography import x509

from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.x509.times import is_in_time


class HomeTime:
    """A `troth.clock.Clock` that can be corrected; made for one conversation with a home."""

    def __init__(self, own: Clock, known: Iterable[x509.Certificate]) -> None:
        """`known` are certificates that the device has reason to trust: none was made in the future."""
        self._own = own
        self._earliest = max((each.not_valid_before_utc for each in known), default=datetime.min.replace(tzinfo=UTC))
        self.ahead: timedelta | None = None
        """How much the home's time is ahead of the device's; None as long as that was not needed."""

    def now(self) -> datetime:
        """Return the time."""
        return self._own.now() + (self.ahead or timedelta(0))

    def correct(self, date: str | None, server: x509.Certificate) -> None:
        """Go by the Date that a server has told. Raises `Fault`: malformed; expired when it cannot be the time."""
        try:
            told = parsedate_to_datetime(date or "").astimezone(UTC)
        except (ValueError, TypeError, OverflowError) as error:
            raise Fault(Kind.MALFORMED, "the home does not tell the time", detail=f"Date: {date!r}") from error
        if told < self._earliest:
            message = f"the home says that it is {told:%Y-%m-%d}, which is past for this device"
            raise Fault(Kind.EXPIRED, message, hint="check the home's clock")
        _require_valid(server, told)
        self.ahead = told - self._own.now()

    def require_valid(self, server: x509.Certificate) -> None:
        """Return if a server's certificate is valid now. Raises `Fault` (expired)."""
        _require_valid(server, self.now())


def _require_valid(server: x509.Certificate, at: datetime) -> None:
    if not is_in_time(server.not_valid_before_utc, server.not_valid_after_utc, at):
        message = "the home's certificate is valid neither by this device's clock nor by its own"
        raise Fault(Kind.EXPIRED, message, detail=f"at {at.isoformat()}")
