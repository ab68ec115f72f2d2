"""The denials of one connection, as many as a person can read. Knows where they are told, and not what is denied."""

from collections.abc import Sequence

import structlog

from troth.gateway.report import Report, Who
from troth.limits import DENIALS_LOGGED_PER_SECOND_MAX

log = structlog.get_logger()


class Denials:
    """The denials of one connection: all are counted, and only so many a second are told one by one.

    It also passes on which filters the connection holds.
    """

    __slots__ = ("_left", "_report", "_untold", "who")

    def __init__(self, report: Report, who: Who) -> None:
        self.who = who
        self._report = report
        self._left = DENIALS_LOGGED_PER_SECOND_MAX
        self._untold = 0

    def tell(self, event: str, action: str, resource: str, outcome: str, reason: str, detail: str) -> None:
        """Take note of a denial."""
        self._report.counted(action, outcome, reason, 1)
        if self._left:
            self._left -= 1
            self._report.denied(event, self.who, action, resource, outcome, reason, detail)
        else:
            self._untold += 1

    def subscribed(self, topic_filters: Sequence[str]) -> None:
        """These filters were granted."""
        self._report.subscribed(self.who, topic_filters)

    def unsubscribed(self, topic_filters: Sequence[str]) -> None:
        """These filters were let go, or taken away."""
        self._report.unsubscribed(self.who, topic_filters)

    def tick(self) -> None:
        """A second has passed."""
        self._left = DENIALS_LOGGED_PER_SECOND_MAX
        if self._untold:
            log.warning("denials.untold", connection=self.who.connection, peer=self.who.address, count=self._untold)
            self._untold = 0
